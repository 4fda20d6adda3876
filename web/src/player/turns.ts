// Work that nobody waits for to the millisecond, a little in each frame: many strips that come near the screen at once are
// made and drawn one after the other, so that scrolling goes on meanwhile.
const BUDGET = 4; // milliseconds of a frame

const queue = new Map<() => void, boolean>(); // jobs, and whether each ends its turn
let coming = 0; // the frame that was asked for

function run(): void {
  const until = performance.now() + BUDGET;
  for (const [job, last] of queue) {
    queue.delete(job);
    job();
    if (last || performance.now() > until) break;
  }
  coming = queue.size ? requestAnimationFrame(run) : 0;
}

/** Do a job in one of the next frames, once however often it is asked for before that. A job is the `last` of its turn
 * when it makes Preact render, which is done after it and takes as long as the rest of a frame. */
export function inTurn(job: () => void, last = false): void {
  queue.set(job, last);
  coming ||= requestAnimationFrame(run);
}

export const notInTurn = (job: () => void): void => void queue.delete(job);
