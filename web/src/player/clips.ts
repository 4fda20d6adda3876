// Pictures and tiers of clips, fetched once and kept while they are among the youngest.
import { address, get, request, type Schemas } from "../api/client";
import { readPicture } from "./picture";
import type { Spectrogram } from "./layers";

function remembered<T>(most: number, load: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const kept = new Map<string, Promise<T>>();
  return (key) => {
    const found = kept.get(key) ?? load(key);
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

const picture = async (url: string): Promise<Spectrogram> => readPicture(await (await request(url)).arrayBuffer());

export const melOf = remembered(100, (clip) => picture(address("/api/clips/{clip}/mel", { path: { clip } })));
export const wideBandOf = remembered(40, (clip) =>
  picture(address("/api/clips/{clip}/spectrogram", { path: { clip } })),
);
