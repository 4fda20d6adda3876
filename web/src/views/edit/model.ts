// Edits as the address has them: operations separated by ";", their fields by "~" in the order of FIELDS.
import { computed } from "@preact/signals";
import type { Schemas } from "../../api/client";
import { site, sites } from "../../api/store";
import { go, number, query } from "../../url";

export type Operation = Schemas["Operation"];
export type Kind = Operation["operation"];
export const KINDS: Kind[] = ["scale", "set", "add", "ablate", "clamp"];

const FIELDS = [
  "site", "basis", "feature", "operation", "value", "min", "max", "unit", "start", "end", "active_only", "tier", "label",
] as const; // prettier-ignore

/** Labels may hold anything, also what separates fields. */
const escaped = (text: string): string => text.replace(/[%~;]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);

export function encode(operations: Operation[]): string {
  const field = (value: unknown): string => {
    if (value === null || value === undefined || value === false || value === "raw") return "";
    return value === true ? "1" : escaped(String(value));
  };
  return operations.map((one) => FIELDS.map((key) => field(one[key])).join("~").replace(/~+$/, "")).join(";"); // prettier-ignore
}

export function decode(text: string): Operation[] {
  return text.split(";").flatMap((one): Operation[] => {
    const given = one.split("~").map((field) => field.replace(/%(25|7e|3b)/gi, decodeURIComponent));
    const [where, basis, feature, operation, value, min, max, unit, start, end, active, tier, label] = given;
    const real = (field: string | undefined): number | null =>
      field && Number.isFinite(Number(field)) ? Number(field) : null;
    const which = real(feature);
    if (!where || which === null || !KINDS.includes(operation as Kind)) return [];
    if (basis !== "neurons" && basis !== "latents") return [];
    return [
      {
        site: where,
        basis,
        feature: which,
        operation: operation as Kind,
        value: real(value) ?? 0,
        min: real(min),
        max: real(max),
        unit: unit === "p99" ? "p99" : "raw",
        start: real(start),
        end: real(end),
        active_only: active === "1",
        tier: tier || null,
        label: tier ? (label ?? "") : null,
      },
    ];
  });
}

/** A new operation: the feature turned around. */
export function fresh(feature: number): Operation {
  const here = site.peek()!;
  const where = here.editable ? here : (sites.peek()!.find((s) => s.editable) ?? here);
  const anywhere = { start: null, end: null, tier: null, label: null, active_only: false };
  return withKind({ site: where.site, basis: where.basis, feature, ...anywhere } as Operation, "scale");
}

export function withKind(of: Operation, operation: Kind): Operation {
  const value = { scale: -1, set: 0, add: 1, ablate: 0, clamp: 0 }[operation];
  const clamped = operation === "clamp";
  const unit = operation === "add" && query.peek().bundled !== "1" ? "p99" : "raw"; // of the bundled SAE none is known
  return { ...of, operation, value, min: clamped ? 0 : null, max: clamped ? 1 : null, unit };
}

export const operations = computed<Operation[]>(() => {
  const { ops } = query.value;
  if (ops !== undefined) return decode(ops);
  const feature = number("feature", null);
  return feature === null ? [] : [fresh(feature)];
});

/** Position of the operation that the strip and the curve are about. */
export const current = computed(() => {
  const asked = Math.round(number("op", 0));
  return Math.min(Math.max(asked, 0), Math.max(operations.value.length - 1, 0));
});

export function setOperations(all: Operation[], how: "push" | "replace" = "push"): void {
  go({ ops: encode(all), feature: all[0]?.feature ?? null }, how);
}

export function change(at: number, patch: Partial<Operation>, how: "push" | "replace" = "push"): void {
  const all = operations.peek().map((one, i) => (i === at ? { ...one, ...patch } : one));
  setOperations(all, how);
}

/** The request for what the address says, or null while it is incomplete. */
export const editRequest = computed<Schemas["EditRequest"] | null>(() => {
  const { clip, sub, bundled } = query.value;
  if (!clip || !operations.value.length || operations.value.some(({ tier, label }) => tier && !label)) return null;
  return { clip, edits: operations.value, substitute: sub === "1", bundled_sae: bundled === "1" };
});

/** Go to a request, as the examples give them. */
export function openRequest({ clip, edits, substitute, bundled_sae }: Schemas["EditRequest"]): void {
  const { site: where, basis, feature } = edits[0]!;
  go({ clip, ops: encode(edits), sub: substitute, bundled: bundled_sae, op: null, site: where, basis, feature });
}
