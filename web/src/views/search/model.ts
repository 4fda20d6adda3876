// The state of a search as the address has it, and the requests it stands for.
import { computed } from "@preact/signals";
import { get, type Schemas } from "../../api/client";
import { urgent } from "../../api/urgent";
import { site } from "../../api/store";
import { pictureOf } from "../../player/clips";
import { wideBand } from "../../prefs";
import { number, query } from "../../url";

export type Band = Schemas["EventPage"]["band"];
export const BANDS: Band[] = ["top", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "bottom", "random"];

export interface Search {
  site: string;
  basis: "neurons" | "latents";
  feature: number | null;
  n: number;
  min: number | null;
  max: number | null;
  absolute: boolean;
  band: Band | null; // null: clips
  seed: number;
  emphasis: boolean;
  test: number | null; // seed of a listening test
  side: "+" | "-"; // of a neuron, that the test is about
}

export const search = computed<Search>(() => {
  const q = query.value;
  const feature = number("feature", null);
  return {
    site: site.value?.site ?? "",
    basis: site.value?.basis ?? "latents",
    feature: feature !== null && Number.isInteger(feature) && feature >= 0 ? feature : null,
    n: Math.min(Math.max(Math.round(number("n", 10)), 1), 200),
    min: number("min", null),
    max: number("max", null),
    absolute: q.abs === "1",
    band: BANDS.includes(q.band as Band) ? (q.band as Band) : null,
    seed: Math.max(0, Math.round(number("seed", 0))),
    emphasis: q.emphasis === "1",
    test: q.test === undefined ? null : Math.max(0, Math.round(number("test", 0))),
    side: q.side === "-" ? "-" : "+",
  };
});

export const featurePath = ({ site: name, basis, feature }: Search) => ({ site: name, basis, feature: feature! });

/** What a list of results needs of a clip or an event. */
export interface Found {
  rank: number;
  clip: string;
  name: string;
  duration: number;
  value: number;
  time: number;
  tiers: Record<string, string>;
  speaker: string | null;
  text: string | null; // transcript or label
  event: { start: number; end: number } | null;
  trace: string | null; // base64, where it came along
}

export interface Results {
  total: number;
  band: { low: number | null; high: number | null } | null;
  found: Found[];
}

export const ON_SCREEN = 3; // results that are seen without scrolling

/** The results of a search; what the first strips show is asked for at once, before they are made. */
export async function results(of: Search, signal: AbortSignal): Promise<Results> {
  const found = await urgent(ask(of, signal));
  signal.throwIfAborted();
  for (const { clip } of found.found.slice(0, ON_SCREEN))
    void urgent(pictureOf(clip, wideBand.peek(), signal)).catch(() => undefined); // the strip asks, too, and says why
  return found;
}

async function ask(of: Search, signal: AbortSignal): Promise<Results> {
  const path = featurePath(of);
  if (of.band === null) {
    const { n, min, max, absolute } = of;
    const page = await get("/api/sites/{site}/{basis}/features/{feature}/clips", {
      path,
      query: { n, min, max, absolute, traces: true },
      signal,
    });
    const found = page.hits.map((hit) => ({
      ...hit,
      text: hit.transcript ?? hit.label,
      event: null,
      trace: hit.trace ?? null,
    }));
    return { total: page.total, band: null, found };
  }
  const page = await get("/api/sites/{site}/{basis}/features/{feature}/events", {
    path,
    query: { n: of.n, band: of.band, seed: of.seed },
    signal,
  });
  const found = page.events.map((event, i) => ({
    rank: i + 1,
    clip: event.clip,
    name: event.name,
    duration: event.duration,
    value: event.peak,
    time: event.peak_time,
    tiers: event.tiers,
    speaker: null,
    text: null,
    event: { start: event.onset, end: event.offset },
    trace: null,
  }));
  return { total: page.total, band: { low: page.low, high: page.high }, found };
}
