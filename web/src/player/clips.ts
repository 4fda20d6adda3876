// Pictures and tiers of clips, fetched once and kept while they are among the youngest.
import { address, get, request, type Schemas } from "../api/client";
import { readPicture } from "./picture";
import type { Spectrogram } from "./layers";
import type { Span, View } from "./scales";

function remembered<T>(
  most: number,
  load: (key: string, forget: () => void) => Promise<T>,
): (key: string) => Promise<T> {
  const kept = new Map<string, Promise<T>>();
  return (key) => {
    const found = kept.get(key) ?? load(key, () => kept.delete(key));
    found.catch(() => kept.delete(key));
    kept.delete(key);
    kept.set(key, found); // the youngest last
    const oldest = kept.keys().next().value;
    if (kept.size > most && oldest !== undefined) kept.delete(oldest);
    return found;
  };
}

export const clipOf: (id: string) => Promise<Schemas["Clip"]> = remembered(300, (id) =>
  get("/api/clips/{clip}", { path: { clip: id } }),
);

let last: Promise<unknown> = Promise.resolve();
const wanted = new Map<string, number>(); // pictures, and how many wait for them or show them

/** One after the other: together they would take the processor from what is drawn meanwhile. */
const picture = remembered(100, (url, forget): Promise<Spectrogram> => {
  const load = async (): Promise<Spectrogram> => {
    if (!wanted.has(url)) {
      forget(); // whoever asks from now on asks anew
      throw new Error("nobody waits for this picture any more");
    }
    return readPicture(await (await request(url)).arrayBuffer());
  };
  const found = last.then(load);
  last = found.catch(() => undefined);
  return found;
});

/** Columns of the picture of a whole clip, at most: about one a pixel. What is zoomed into is fetched in detail. */
const COLUMNS = devicePixelRatio > 1 ? 4096 : 2048;

/** The spectrogram of a clip, coarser than the model's where the clip is long; of a span in all its detail.
 * When `gone` is aborted before its turn has come it is not fetched, unless somebody else wants it. */
export function pictureOf(clip: string, wideBand: boolean, gone: AbortSignal, span?: Span): Promise<Spectrogram> {
  const options = { path: { clip }, query: span ?? { columns: COLUMNS } };
  const url = wideBand ? address("/api/clips/{clip}/spectrogram", options) : address("/api/clips/{clip}/mel", options);
  const count = (by: number): void => {
    const now = (wanted.get(url) ?? 0) + by;
    if (now) wanted.set(url, now);
    else wanted.delete(url);
  };
  count(1);
  gone.addEventListener("abort", () => count(-1), { once: true });
  return picture(url);
}

const FINEST = 100; // columns a second: what a log-mel has

/** The part of a clip that is worth fetching in detail, or null: what `shown` has is enough for the view. */
export function detailFor(shown: Spectrogram, view: View, duration: number): Span | null {
  if (shown.columnsPerSecond > FINEST * 0.99 || view.end - view.start > duration / 2) return null;
  const [length, margin] = [view.end - view.start, (view.end - view.start) / 2];
  const unit = 10 ** Math.floor(Math.log10(Math.max(length, 1))); // panning a little asks for the same again
  return {
    start: Math.max(0, Math.floor((view.start - margin) / unit) * unit),
    end: Math.min(duration, Math.ceil((view.end + margin) / unit) * unit),
  };
}
