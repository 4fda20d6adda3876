// The filters and the order of the table, as the address has them, and the pages of rows they select.
import { computed } from "@preact/signals";
import { get, type Schemas } from "../../api/client";
import { site } from "../../api/store";
import { number, query } from "../../url";

export type Row = Schemas["FeatureRow"];
export type Sort = "density" | "max" | "name" | "score" | "feature" | "events";
const SORTS: Sort[] = ["density", "max", "name", "score", "feature", "events"];
export const PAGE = 100;

export interface Filters {
  query: string;
  sort: Sort;
  ascending: boolean;
  dead: "exclude" | "include" | "only";
  named: boolean;
  min_density: number | null;
  max_density: number | null;
  min_max: number | null;
  max_max: number | null;
}

export const filters = computed<Filters>(() => {
  const q = query.value;
  return {
    query: q.q ?? "",
    sort: SORTS.includes(q.sort as Sort) ? (q.sort as Sort) : "density",
    ascending: q.up === "1",
    dead: q.dead === "include" || q.dead === "only" ? q.dead : "exclude",
    named: q.named === "1",
    min_density: number("dmin", null),
    max_density: number("dmax", null),
    min_max: number("mmin", null),
    max_max: number("mmax", null),
  };
});

export const tableKey = computed(() => JSON.stringify([site.value?.site, site.value?.basis, filters.value]));

export function page(index: number, signal: AbortSignal): Promise<Schemas["FeaturePage"]> {
  const { site: name, basis } = site.peek()!;
  const { named, query: text, ...rest } = filters.peek();
  return get("/api/sites/{site}/{basis}/features", {
    path: { site: name, basis },
    query: { ...rest, query: text || null, named: named || null, offset: index * PAGE, n: PAGE },
    signal,
  });
}
