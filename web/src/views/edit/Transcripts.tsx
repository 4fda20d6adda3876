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

/** As wide as text that is still to come. */
const Coming = ({ text }: { text: string }) => <span class="coming">{text}</span>;

interface Props {
  of: Schemas["EditResult"] | null; // null: still to come, the place for it is kept
  said: string | null;
  latents: boolean; // are edited, so that there is a reconstruction
  busy: boolean;
  waiting: string; // what for
}

export function Transcripts({ of, said, latents, busy, waiting }: Props) {
  if (of && (!of.plain || !of.edited))
    return <p class="muted">This model writes no text; the strips below show what the edit does.</p>;
  const coming = <Coming text={said ?? "nothing"} />;
  const row = (name: string, note: string, steps: Difference[], wer: number | null) => {
    const changed = steps.filter(({ kind }) => kind !== "equal");
    const count = changed.reduce((sum, { before, after }) => sum + Math.max(before.length, after.length), 0);
    const empty = steps.every(({ after }) => after.length === 0);
    return (
      <div class={`heard-row heard-${name}`}>
        <dt title={note}>{name}</dt>
        <dd class="transcript">
          {of ? <Diff of={steps} /> : coming}
          {of && empty && <span class="muted">(nothing)</span>}
        </dd>
        <dd class="muted count">
          {of && (count === 0 ? "unchanged" : `${count} ${count === 1 ? "word" : "words"} changed`)}
          {wer !== null && count > 0 && `, WER ${short(100 * wer)} %`}
        </dd>
      </div>
    );
  };
  const plain = of?.plain ?? null;
  const bare = of ? of.reconstruction : latents;
  return (
    <section aria-label="Transcripts" aria-live="polite" aria-busy={busy} class="heard-variants">
      <dl class="transcripts">
        {said && (
          <div class="heard-row">
            <dt>said</dt>
            <dd class="transcript">{said}</dd>
          </div>
        )}
        <div class="heard-row heard-model">
          <dt title="The model as it is">model</dt>
          <dd class="transcript">
            {!plain ? coming : plain.text ? <Plain words={plain.words} /> : <span class="muted">(nothing)</span>}
          </dd>
        </div>
        {bare &&
          row(
            "reconstruction",
            "The site replaced by the SAE's reconstruction, unedited: what the SAE alone changes",
            of?.reconstruction ? differences(of.plain!.text, of.reconstruction.text) : [],
            null,
          )}
        {row("edited", "With the edits", of?.differences ?? [], of?.wer ?? null)}
      </dl>
      <p class="muted">{of ? `in ${of.seconds.total?.toFixed(2)} s` : `${waiting}…`}</p>
    </section>
  );
}
