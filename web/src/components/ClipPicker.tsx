// A list of the corpus's clips to choose from, with a search over names and transcripts.
import { useSignal } from "@preact/signals";
import { get } from "../api/client";
import { useLoad } from "../api/load";
import { query } from "../url";
import { Failure } from "./states";

export function ClipPicker({ onChoose }: { onChoose: (clip: string) => void }) {
  const text = useSignal("");
  const wanted = text.value.trim();
  const { data, problem, retry } = useLoad(
    `clips ${wanted}`,
    (signal) => get("/api/clips", { query: { query: wanted || null, n: 100 }, signal }),
    120,
  );
  return (
    <div class="clip-picker">
      <input
        type="search"
        placeholder="Search names and transcripts"
        aria-label="Search clips"
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
      />
      {problem && <Failure text={problem} retry={retry} />}
      <ul>
        {data?.clips.map((clip) => (
          <li key={clip.id}>
            <button type="button" aria-pressed={query.value.clip === clip.id} onClick={() => onChoose(clip.id)}>
              <b>{clip.name}</b> {clip.transcript ?? clip.label ?? ""}
            </button>
          </li>
        ))}
      </ul>
      {data && (
        <p class="muted" role="status">
          {data.total === 0
            ? "No clip fits."
            : data.total > data.clips.length
              ? `${data.clips.length} of ${data.total} clips`
              : `${data.total} clips`}
        </p>
      )}
    </div>
  );
}
