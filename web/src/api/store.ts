// What every view needs of the server, loaded once: its status, the indexed sites, and which of them is looked at.
import { computed, signal } from "@preact/signals";
import { query } from "../url";
import { get, type Schemas } from "./client";

export const status = signal<Schemas["Status"] | null>(null);
export const sites = signal<Schemas["Site"][] | null>(null);
export const corpora = signal<Schemas["Corpus"][]>([]);
export const problem = signal<string | null>(null);

export async function start(): Promise<void> {
  problem.value = null;
  try {
    const [s, all, c] = await Promise.all([get("/api/status", {}), get("/api/sites", {}), get("/api/corpora", {})]);
    [status.value, sites.value, corpora.value] = [s, all, c];
    if (s.model_state === "loading") setTimeout(refresh, 1000);
  } catch (error) {
    problem.value = error instanceof Error ? error.message : String(error);
  }
}

async function refresh(): Promise<void> {
  const now = await get("/api/status", {}).catch(() => null);
  if (now) status.value = now;
  if (!now || now.model_state === "loading") setTimeout(refresh, 1000);
}

/** The site and basis of the address; without one, latents before neurons. */
export const site = computed(() => {
  const all = sites.value ?? [];
  const { site: name, basis } = query.value;
  const fits = all.filter((s) => (!name || s.site === name) && (!basis || s.basis === basis));
  return fits.find((s) => s.basis === "latents") ?? fits[0] ?? all.find((s) => s.basis === "latents") ?? all[0] ?? null;
});

export const siteKey = (s: { site: string; basis: string }): string => `${s.site} ${s.basis}`;
