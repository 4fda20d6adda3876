// Work that nobody waits for to the millisecond, a little in each frame: many strips that come near the screen at once are
// made and drawn one after the other, so that scrolling goes on meanwhile.
const BUDGET = 5; // milliseconds of a frame

const queue = new Set<() => void>();
let coming = 0; // the frame that was asked for

function run(): void {
  const until = performance.now() + BUDGET;
  for (const job of queue) {
    queue.delete(job);
    job();
    if (performance.now() > until) break;
  }
  coming = queue.size ? requestAnimationFrame(run) : 0;
}

/** Do a job in one of the next frames, once however often it is asked for before that. */
export function inTurn(job: () => void): void {
  queue.add(job);
  coming ||= requestAnimationFrame(run);
}

export const notInTurn = (job: () => void): void => void queue.delete(job);
