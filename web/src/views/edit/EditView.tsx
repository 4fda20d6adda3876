// Edit: change features while the model listens, and see what it hears then.
import { useEffect, useMemo } from "preact/hooks";
import { decodeValues, get, post, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { sites, status } from "../../api/store";
import { ClipPicker } from "../../components/ClipPicker";
import { Empty, Failure, Loading } from "../../components/states";
import { Player } from "../../player/Player";
import { clipOf } from "../../player/clips";
import { extremes } from "../../player/curve";
import { seconds, type Span } from "../../player/scales";
import { go, query } from "../../url";
import { DisplayOptions } from "../../components/DisplayOptions";
import { labelOf } from "../search/names";
import { EffectCurve } from "./EffectCurve";
import { Operations } from "./Operations";
import { Transcripts } from "./Transcripts";
import { change, current, editRequest, openRequest, operations, type Operation } from "./model";

export function EditView() {
  if (!status.value!.can_edit || !sites.value!.some((one) => one.editable))
    return (
      <Empty title="This result cannot be edited">
        <p>Editing needs a model that transcribes, and a site with neurons or an SAE. {status.value!.problem}</p>
      </Empty>
    );
  return (
    <div class="with-rail">
      <aside class="rail" aria-label="What to edit">
        <Examples />
        <Operations />
        <section class="panel" aria-label="Clip">
          <h3>Clip</h3>
          <ClipPicker onChoose={(clip) => go({ clip })} />
        </section>
      </aside>
      <div class="content">
        <Result />
      </div>
    </div>
  );
}

function Examples() {
  const { data, problem } = useLoad("examples", (signal) => get("/api/examples", { signal }));
  if (problem || data?.length === 0) return null;
  const run = (example: Schemas["Example"]): void => {
    performance.mark("edit-change");
    openRequest(example.request);
  };
  const sounds = (data ?? []).filter(({ request }) => request.bundled_sae);
  const own = (data ?? []).filter(({ request }) => !request.bundled_sae);
  return (
    <details class="panel" open={!operations.value.length}>
      <summary>Start from an example</summary>
      {!data && <Loading what="Looking for some" />}
      {sounds.length > 0 && (
        <>
          <p class="muted">A sound turned around, with the SAE that comes with FREUD:</p>
          <ul class="sounds">
            {sounds.map((example) => (
              <li key={example.title}>
                <button type="button" title={example.description} onClick={() => run(example)}>
                  {example.title}
                </button>
              </li>
            ))}
          </ul>
          {own.length > 0 && <p class="muted">A single latent of what is shown here, which changes less:</p>}
        </>
      )}
      <ul class="examples">
        {own.map((example) => (
          <li key={example.title}>
            <button type="button" onClick={() => run(example)}>
              <b>{example.title}</b>
              <small>{example.description}</small>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Result() {
  const request = editRequest.value;
  const clip = useLoad(query.value.clip ?? null, () => clipOf(query.peek().clip!));
  const { data, problem, busy, retry } = useLoad(
    request && JSON.stringify(request),
    (signal) => post("/api/edits", { body: request!, signal }),
    120,
  );
  useEffect(() => {
    if (data) performance.mark("edit-shown");
  }, [data]);
  if (!query.value.clip || !operations.value.length)
    return (
      <Empty title="What if a feature were silent, or louder, or upside down?">
        <p>
          Choose {query.value.clip ? "" : "a clip"}
          {!query.value.clip && !operations.value.length ? " and " : ""}
          {operations.value.length ? "" : "a feature"}
          {"; or start from one of the examples, if there are any."}
        </p>
      </Empty>
    );
  if (clip.problem) return <Failure text={clip.problem} retry={clip.retry} />;
  return (
    <>
      <header class="page-head row">
        <h1>{clip.data?.name ?? ""}</h1>
        {clip.data && (
          <p class="muted">{[clip.data.speaker, seconds(clip.data.duration)].filter(Boolean).join(" · ")}</p>
        )}
      </header>
      {problem ? (
        <Failure text={problem} retry={retry} />
      ) : status.value!.can_transcribe || data ? (
        <Transcripts
          of={data}
          said={data ? data.said : (clip.data?.transcript ?? null)}
          latents={operations.value.some(({ basis }) => basis === "latents")}
          busy={busy}
          waiting={status.value!.model_state === "loading" ? "Waiting for the model" : "Listening again"}
        />
      ) : (
        <Loading what="Running the model" />
      )}
      {clip.data && (
        <>
          <div class="list-options">
            <p class="summary">Drag over a strip to edit only there. The thin line is the feature before the edit.</p>
            <DisplayOptions list={false} />
          </div>
          <Traces clip={clip.data} result={data} />
        </>
      )}
      <EffectCurve />
    </>
  );
}

/** Dragging sets the span of the chosen edit. */
function select(span: Span | null): void {
  if (!span || span.end - span.start < 0.001) return;
  change(current.peek(), { start: Number(span.start.toFixed(3)), end: Number(span.end.toFixed(3)) });
}

function Traces({ clip, result }: { clip: Schemas["Clip"]; result: Schemas["EditResult"] | null }) {
  const curves = useMemo(
    () =>
      result?.traces.map(({ before, after, ...rest }) => {
        const framesPerSecond = rest.frames_per_second ?? result.output_frames_per_second;
        const [old, now] = [before, after].map((values) => ({ values: decodeValues(values), framesPerSecond })) as [
          Curved,
          Curved,
        ];
        const [a, b] = [extremes(old), extremes(now)];
        return { ...rest, old, now, range: { low: Math.min(a.min, b.min), high: Math.max(a.max, b.max) } };
      }),
    [result],
  );
  const { start, end } = operations.value[current.value] ?? {};
  const selection = start != null && end != null ? { start, end } : null;
  const common = { clip: clip.id, duration: clip.duration, onSelect: select, selection };
  const coming = unique(operations.value).map((one) => ({ ...one, name: null, now: null, old: null, range: null }));
  // Strips stay the same elements before there is a result, so that nothing moves and a drag goes on when one arrives.
  return (
    <ol class="results" aria-label="Features before and after">
      {(curves ?? coming).map((trace, i) => (
        <li class="result" key={i}>
          <div class="result-head">
            <span class="rank">{i + 1}</span>
            <b>{trace.feature}</b>
            {trace.name && <span title={trace.name}>{labelOf(trace.name)}</span>}
            <span class="muted">
              {trace.site} · {trace.basis}
            </span>
          </div>
          <Player
            key={clip.id}
            {...common}
            compact={i > 0}
            name={`${clip.name}, feature ${trace.feature}`}
            curve={trace.now}
            traced
            before={trace.old}
            range={trace.range}
            labels={{ site: trace.site, basis: trace.basis, feature: [trace.feature] }}
          />
        </li>
      ))}
    </ol>
  );
}

/** One for each feature: those are what the result has traces of. */
const unique = (all: Operation[]): Operation[] => [
  ...new Map(all.map((one) => [`${one.site} ${one.basis} ${one.feature}`, one])).values(),
];

type Curved = { values: Float32Array; framesPerSecond: number };
