// Bookmark and note, for whatever the address shows now.
import { useEffect, useLayoutEffect } from "preact/hooks";
import { post, remove } from "../../api/client";
import { IconButton } from "../../components/Icon";
import { failed, toast } from "../../components/toasts";
import { keys } from "../../keyboard";
import { site } from "../../api/store";
import { number, query, visit } from "../../url";
import { notes, loadNotes } from "./store";

export function BookmarkButton({ title }: { title: string }) {
  useEffect(() => void loadNotes(), []);
  const { site: name, basis } = site.value!;
  const feature = number("feature", null);
  const same = notes.value?.find(
    (n) => n.kind === "bookmark" && n.site === name && n.basis === basis && n.feature === feature,
  );
  const toggle = async (): Promise<void> => {
    try {
      if (same) await remove("/api/notes/{note}", { path: { note: same.id } });
      else
        await post("/api/notes", {
          body: {
            kind: "bookmark",
            view: location.search || "?",
            title,
            text: "",
            site: name,
            basis,
            feature,
            clip: query.peek().clip ?? null,
          },
        });
      await loadNotes(true);
      toast(same ? "Bookmark removed" : "Bookmarked; see Notes");
    } catch (error) {
      failed(error);
    }
  };
  // at once, so that the key works as soon as the button is seen
  useLayoutEffect(() => {
    keys.set("b", () => void toggle());
    return () => void keys.delete("b");
  });
  return (
    <IconButton
      icon="star"
      label={same ? "Remove the bookmark" : "Bookmark"}
      title={same ? "Remove the bookmark (b)" : "Bookmark (b)"}
      pressed={!!same}
      onClick={() => void toggle()}
    />
  );
}

/** Opens the notes with a new one about what is shown. */
export const NoteButton = ({ title }: { title: string }) => (
  <button
    type="button"
    class="quiet"
    onClick={() => visit("notes", { about: location.search, title, clip: query.peek().clip })}
  >
    Add a note
  </button>
);
