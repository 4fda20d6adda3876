// Bookmarks and notes: kept by the server in the result's folder, each with a link to the view that it is about.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { post, put, remove, type Schemas } from "../../api/client";
import { site } from "../../api/store";
import { IconButton } from "../../components/Icon";
import { Empty, Failure, Loading } from "../../components/states";
import { failed } from "../../components/toasts";
import { go, href, query, visit } from "../../url";
import { follow } from "../../App";
import { loadNotes, notes, notesProblem } from "./store";

type Note = Schemas["Note"];

export function NotesView() {
  useEffect(() => void loadNotes(true), []);
  const all = notes.value;
  const about = query.value.about;
  return (
    <div class="notes">
      <header class="page-head">
        <h1>Notes and bookmarks</h1>
        <p class="muted">Kept beside the result, for everybody who opens it.</p>
      </header>
      <Editor key={about ?? "new"} title={query.value.title ?? ""} view={about ?? null} />
      {notesProblem.value ? (
        <Failure text={notesProblem.value} retry={() => void loadNotes(true)} />
      ) : !all ? (
        <Loading what="Fetching notes" />
      ) : all.length === 0 ? (
        <Empty title="Nothing kept yet">
          <p>The star beside a feature's name bookmarks it.</p>
        </Empty>
      ) : (
        <ul class="note-list">
          {all.map((note) => (
            <Item key={note.id} note={note} />
          ))}
        </ul>
      )}
    </div>
  );
}

/** A new note: about the view that it was opened from, or about none. */
function Editor({ title, view }: { title: string; view: string | null }) {
  const draft = { title: useSignal(title), text: useSignal("") };
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const from = new URLSearchParams(view ?? "");
    const feature = from.get("feature");
    try {
      await post("/api/notes", {
        body: {
          kind: "note",
          view: view || "?",
          title: draft.title.value,
          text: draft.text.value,
          site: view ? site.peek()!.site : null,
          basis: view ? site.peek()!.basis : null,
          feature: feature === null ? null : Number(feature),
          clip: from.get("clip"),
        },
      });
      draft.title.value = draft.text.value = "";
      go({ about: null, title: null }, "replace");
      await loadNotes(true);
    } catch (error) {
      failed(error);
    }
  };
  return (
    <form class="panel note-editor" onSubmit={(event) => void save(event)} aria-label="New note">
      <label class="field">
        <span>Title{view && " (linked to the view you came from)"}</span>
        <input
          required
          maxLength={200}
          value={draft.title.value}
          onInput={(event) => (draft.title.value = event.currentTarget.value)}
        />
      </label>
      <label class="field">
        <span>Note</span>
        <textarea
          rows={3}
          maxLength={10000}
          value={draft.text.value}
          onInput={(event) => (draft.text.value = event.currentTarget.value)}
        />
      </label>
      <div class="row">
        <button class="primary">Keep</button>
        {view && (
          <button type="button" onClick={() => visit("notes")}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

function Item({ note }: { note: Note }) {
  const text = useSignal<string | null>(null);
  const change = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      text.value = null;
      await loadNotes(true);
    } catch (error) {
      failed(error);
    }
  };
  const save = (event: Event): void => {
    event.preventDefault();
    const { id, created: _created, changed: _changed, ...rest } = note;
    void change(() => put("/api/notes/{note}", { path: { note: id }, body: { ...rest, text: text.value ?? "" } }));
  };
  const link =
    note.view.startsWith("?") && note.view.length > 1 ? href(Object.fromEntries(new URLSearchParams(note.view))) : null;
  return (
    <li class="note">
      <div class="note-head">
        <span class="note-title">
          {note.kind === "bookmark" && <span aria-label="Bookmark">★ </span>}
          {link ? (
            <a href={link} onClick={follow}>
              {note.title}
            </a>
          ) : (
            note.title
          )}
        </span>
        <time class="muted" dateTime={note.changed}>
          {new Date(note.changed).toLocaleString()}
        </time>
        <button type="button" class="quiet" onClick={() => (text.value = note.text)}>
          Edit
        </button>
        <IconButton
          icon="close"
          label={`Throw away ${note.title}`}
          onClick={() => void change(() => remove("/api/notes/{note}", { path: { note: note.id } }))}
        />
      </div>
      {text.value === null ? (
        note.text && <p class="note-text">{note.text}</p>
      ) : (
        <form onSubmit={save} class="note-editor">
          <textarea
            aria-label="Note"
            rows={3}
            maxLength={10000}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
          <div class="row">
            <button class="primary">Keep</button>
            <button type="button" onClick={() => (text.value = null)}>
              Cancel
            </button>
          </div>
        </form>
      )}
    </li>
  );
}
