// Notes and bookmarks, loaded when first needed and again after each change.
import { signal } from "@preact/signals";
import { get, type Schemas } from "../../api/client";
import { calm } from "../../api/urgent";

export const notes = signal<Schemas["Note"][] | null>(null);
export const notesProblem = signal<string | null>(null);

export async function loadNotes(again = false): Promise<void> {
  if (notes.peek() && !again) return;
  try {
    await calm();
    notes.value = await get("/api/notes", {});
    notesProblem.value = null;
  } catch (error) {
    notesProblem.value = (error as Error).message;
  }
}
