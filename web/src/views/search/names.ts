// Names as the server gives them: the label, then " · " and its evidence; and a count of renames, so that whoever shows a
// name asks for it again.
import { signal } from "@preact/signals";

export const featureVersion = signal(0);

/** The label alone. */
export const labelOf = (name: string | null): string => name?.split(" · ", 1)[0] ?? "";

/** What speaks for it. */
export const evidenceOf = (name: string | null): string => name?.split(" · ").slice(1).join(" · ") ?? "";
