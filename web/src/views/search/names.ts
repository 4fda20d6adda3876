// Counts renames, so that whoever shows a name asks for it again.
import { signal } from "@preact/signals";

export const featureVersion = signal(0);
