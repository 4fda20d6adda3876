// The state of every view lives in the query string, so that back, forward, reload and a copied link all work.
// `query` is the one place it is read from; `go` is the one way it changes.
import { signal } from "@preact/signals";

export type Query = Readonly<Record<string, string>>;
export type Patch = Record<string, string | number | boolean | null | undefined>;

const read = (): Query => Object.fromEntries(new URLSearchParams(location.search));

export const query = signal<Query>(read());

addEventListener("popstate", () => (query.value = read()));

/** The query after a patch: null, undefined, false and "" remove a key, true is written as 1. */
export function patched(patch: Patch, base: Query = query.peek()): Query {
  const next: Record<string, string> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined || value === false || value === "") delete next[key];
    else next[key] = value === true ? "1" : String(value);
  }
  return next;
}

/** The address of a state; what an address may hold as it is stays readable. */
export const href = (next: Query): string => `?${new URLSearchParams(next)}`.replace(/%7E/g, "~").replace(/%3B/g, ";");

/** Change the state; "replace" for what should not be a step of its own in the history, such as dragging. */
export function go(patch: Patch, how: "push" | "replace" = "push", base?: Query): void {
  const next = patched(patch, base);
  if (href(next) === href(query.peek())) return;
  history[`${how}State`](null, "", href(next));
  query.value = next;
}

/** Keys that stay when the view changes: what is being looked at. */
const SHARED = ["site", "basis", "feature"];

export function viewQuery(view: string, patch: Patch = {}): Query {
  const kept = Object.fromEntries(Object.entries(query.value).filter(([key]) => SHARED.includes(key)));
  return patched({ view, ...patch }, kept);
}

export const visit = (view: string, patch: Patch = {}): void => go({}, "push", viewQuery(view, patch));

/** A number of the query, or what stands for it when it is absent or no number. */
export function number<T extends number | null>(key: string, otherwise: T, from: Query = query.value): number | T {
  const text = from[key];
  const value = text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : otherwise;
}
