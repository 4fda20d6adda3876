// What a person waits for goes first: requests for it are counted by `urgent`, and what stands beside it (averages, charts,
// neighbors) waits in `calm` until it is there and drawn, so that the two do not share the processor.
import { inTurn } from "../player/turns";

let pending = 0;
const waiting = new Set<() => void>();

function release(): void {
  if (pending) return;
  for (const go of waiting) inTurn(go, true);
  waiting.clear();
}

/** Work that others wait for. */
export async function urgent<T>(work: Promise<T>): Promise<T> {
  pending++;
  try {
    return await work;
  } finally {
    pending--;
    // two frames: what has come is laid out in one, and drawn in the next
    if (!pending) requestAnimationFrame(() => requestAnimationFrame(release));
  }
}

/** When nothing that somebody waits for is under way. */
export const calm = (): Promise<void> => (pending ? new Promise((resolve) => waiting.add(resolve)) : Promise.resolve());
