// What the model hears, as it is, through the reconstruction, and edited; changed words are marked against the first.
import type { Schemas } from "../../api/client";
import { short } from "../../player/scales";
import { differences } from "./words";

type Heard = Schemas["HeardText"];
type Difference = Schemas["Difference"];

export const Diff = ({ of }: { of: Difference[] }) => (
  <>
    {of.map(({ kind, before, after }, i) => (
      <span key={i}>
        {kind === "equal" ? (
          after.join(" ")
        ) : (
          <>
            {before.length > 0 && <del>{before.join(" ")}</del>}
            {before.length > 0 && after.length > 0 && " "}
            {after.length > 0 && <ins>{after.join(" ")}</ins>}
          </>
        )}{" "}
      </span>
    ))}
  </>
);

const SHAKEN = -1; // nats: a word that became e times less likely

/** The plain transcript; words that the edit makes less likely are underlined, whether or not they change. */
const Plain = ({ words }: { words: Heard["words"] }) => (
  <>
    {words.map(({ text, change }, i) => (
      <span key={i}>
        <span
          class={change < SHAKEN ? "shaken" : undefined}
          title={`log-probability ${change < 0 ? "falls" : "rises"} by ${short(Math.abs(change))} with the edit`}
        >
          {text}
        </span>{" "}
      </span>
    ))}
  </>
);

export function Transcripts({ of, busy }: { of: Schemas["EditResult"]; busy: boolean }) {
  const { plain, reconstruction, edited } = of;
  if (!plain || !edited)
    return <p class="muted">This model writes no text; the strips below show what the edit does.</p>;
  const row = (name: string, note: string, steps: Difference[], wer: number | null) => {
    const changed = steps.filter(({ kind }) => kind !== "equal");
    const count = changed.reduce((sum, { before, after }) => sum + Math.max(before.length, after.length), 0);
    const empty = steps.every(({ after }) => after.length === 0);
    return (
      <div class={`heard-row heard-${name}`}>
        <dt title={note}>{name}</dt>
        <dd class="transcript">
          <Diff of={steps} />
          {empty && <span class="muted">(nothing)</span>}
        </dd>
        <dd class="muted count">
          {count === 0 ? "unchanged" : `${count} ${count === 1 ? "word" : "words"} changed`}
          {wer !== null && count > 0 && `, WER ${short(100 * wer)} %`}
        </dd>
      </div>
    );
  };
  return (
    <section aria-label="Transcripts" aria-live="polite" aria-busy={busy} class="heard-variants">
      <dl class="transcripts">
        {of.said && (
          <div class="heard-row">
            <dt>said</dt>
            <dd class="transcript">{of.said}</dd>
          </div>
        )}
        <div class="heard-row heard-model">
          <dt title="The model as it is">model</dt>
          <dd class="transcript">
            {plain.text ? <Plain words={plain.words} /> : <span class="muted">(nothing)</span>}
          </dd>
        </div>
        {reconstruction &&
          row(
            "reconstruction",
            "The site replaced by the SAE's reconstruction, unedited: what the SAE alone changes",
            differences(plain.text, reconstruction.text),
            null,
          )}
        {row("edited", "With the edits", of.differences, of.wer)}
      </dl>
      <p class="muted">in {of.seconds.total?.toFixed(2)} s</p>
    </section>
  );
}
