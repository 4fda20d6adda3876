// Where the sound comes from: a file, a drop, the microphone, or a clip of the corpus.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { request, type Schemas } from "../../api/client";
import { status } from "../../api/store";
import { ClipPicker } from "../../components/ClipPicker";
import { Icon } from "../../components/Icon";
import { go } from "../../url";
import { record, recording, stopRecording } from "./recorder";

/** Show a clip; a span belongs to the old one. */
export const chooseClip = (clip: string): void => go({ clip, start: null, end: null });

async function send(sound: Blob, name: string): Promise<void> {
  const most = status.value!.limits.upload_bytes;
  if (sound.size > most)
    throw new Error(
      `${name} has ${Math.ceil(sound.size / 2 ** 20)} MB; at most ${Math.floor(most / 2 ** 20)} MB are taken.`,
    );
  const response = await request(`/api/uploads?${new URLSearchParams({ name })}`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: sound,
  });
  chooseClip(((await response.json()) as Schemas["Upload"]).id);
}

export function Sources() {
  const busy = useSignal<string | null>(null);
  const problem = useSignal<string | null>(null);
  const over = useSignal(false);
  const now = recording.value;

  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    [busy.value, problem.value] = [what, null];
    try {
      await work();
    } catch (error) {
      problem.value = (error as Error).message;
    }
    busy.value = null;
  };
  const sendFile = (file: File | undefined): void =>
    void (file && attempt(`Reading ${file.name}`, () => send(file, file.name)));
  const startRecording = (): void =>
    void attempt("Listening", async () => {
      const sound = await record(status.value!.limits.upload_seconds);
      busy.value = "Reading the recording";
      await send(sound, `recording ${new Date().toLocaleTimeString("en-GB")}`);
    });
  useEffect(() => stopRecording, []); // leaving the view releases the microphone

  return (
    <section class="panel sources" aria-label="Sound">
      <label
        class={over.value ? "drop over" : "drop"}
        onDragOver={(event) => {
          event.preventDefault();
          over.value = true;
        }}
        onDragLeave={() => (over.value = false)}
        onDrop={(event) => {
          event.preventDefault();
          over.value = false;
          sendFile(event.dataTransfer?.files[0]);
        }}
      >
        <input
          type="file"
          accept="audio/*,video/mp4,video/webm"
          class="visually-hidden"
          onChange={(event) => {
            sendFile(event.currentTarget.files?.[0]);
            event.currentTarget.value = "";
          }}
        />
        <span>
          <b>Choose a recording</b> or drop it here
        </span>
        <small>It stays on the machine that runs FREUD.</small>
      </label>
      {now ? (
        <button type="button" class="record on" onClick={stopRecording}>
          <Icon name="stop" /> Stop, {Math.floor((Date.now() - now.since) / 1000)} s
          <meter min={0} max={1} value={now.level} aria-label="Level" />
        </button>
      ) : (
        <button type="button" class="record" disabled={busy.value !== null} onClick={startRecording}>
          <Icon name="microphone" /> Record from the microphone
        </button>
      )}
      {busy.value && !now && <p role="status">{busy.value}…</p>}
      {problem.value && (
        <p role="alert" class="problem-line">
          {problem.value}
        </p>
      )}
      <h3>Or a clip of the corpus</h3>
      <ClipPicker onChoose={chooseClip} />
    </section>
  );
}
