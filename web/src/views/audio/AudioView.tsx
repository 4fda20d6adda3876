// Your audio: any recording, and the features that answer to it, or to a span of it.
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { decodeValues, get, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { site, status } from "../../api/store";
import { Empty, Failure, Loading } from "../../components/states";
import { Player } from "../../player/Player";
import { clipOf } from "../../player/clips";
import { seconds, short, type Span } from "../../player/scales";
import { go, href, number, query, viewQuery } from "../../url";
import { follow } from "../../App";
import { DisplayOptions } from "../../components/DisplayOptions";
import { labelOf } from "../search/names";
import { Sources } from "./Sources";

const span = computed<Span | null>(() => {
  const [start, end] = [number("start", null), number("end", null)];
  return start !== null && end !== null && end > start ? { start, end } : null;
});

export function AudioView() {
  const clip = query.value.clip ?? null;
  return (
    <div class="with-rail">
      <aside class="rail" aria-label="Choose a sound">
        <Sources />
      </aside>
      <div class="content">
        {clip === null ? (
          <Empty title="What does the model make of your voice?">
            <p>
              Choose a recording, drop one, record yourself, or pick a clip of the corpus. The features that answer most
              to it are then listed here, with when and how strongly.
            </p>
          </Empty>
        ) : (
          <Chosen key={clip} id={clip} />
        )}
      </div>
    </div>
  );
}

function Chosen({ id }: { id: string }) {
  const { data: clip, problem, retry } = useLoad(id, () => clipOf(id));
  if (problem) return <Failure text={problem} retry={retry} />;
  if (!clip) return <Loading what="Opening the sound" />;
  return (
    <>
      <header class="page-head">
        <h1>{clip.name}</h1>
        <p class="muted">
          {[
            clip.speaker,
            clip.label,
            seconds(clip.duration),
            clip.source === "upload" ? "upload, kept until newer ones push it out" : null,
          ]
            .filter(Boolean)
            .join(" · ")}
        </p>
      </header>
      <Heard clip={clip} />
      <Ranking clip={clip} />
    </>
  );
}

const LONG = 120; // seconds: the model is not asked to listen to more than that unless somebody wants it

/** What was said, and what the model hears; in a long clip, in the span that is looked at. */
function Heard({ clip }: { clip: Schemas["Clip"] }) {
  const can = status.value!.can_transcribe;
  const long = clip.duration > LONG;
  const chosen = long ? span.value : null;
  const wanted = !long || (chosen !== null && chosen.end - chosen.start <= LONG);
  const { data, problem, retry } = useLoad(can && wanted ? `${clip.id} ${JSON.stringify(chosen)}` : null, (signal) =>
    get("/api/clips/{clip}/transcript", { path: { clip: clip.id }, query: chosen ?? {}, signal }),
  );
  return (
    <dl class="heard-said">
      {clip.transcript && (
        <div>
          <dt>said</dt>
          <dd class="transcript">{clip.transcript}</dd>
        </div>
      )}
      {can && (
        <div>
          <dt>heard</dt>
          <dd class="transcript" aria-busy={wanted && !data && !problem}>
            {problem ? (
              <>
                {problem}{" "}
                <button type="button" class="quiet" onClick={retry}>
                  Try again
                </button>
              </>
            ) : !wanted ? (
              <span class="muted">drag over up to two minutes of the sound to have them transcribed</span>
            ) : data ? (
              data.heard || <span class="muted">nothing</span>
            ) : (
              <span class="muted">listening…</span>
            )}
          </dd>
        </div>
      )}
    </dl>
  );
}

/** Dragging ranks the features of the span; a click, those of the frame. */
function select(chosen: Span | null): void {
  if (chosen && chosen.end - chosen.start > 0.001)
    go({ start: chosen.start.toFixed(3), end: chosen.end.toFixed(3) }, "replace");
}

function Ranking({ clip }: { clip: Schemas["Clip"] }) {
  const here = site.value!;
  const rate = here.frames_per_second;
  const rank = query.value.rank === "max" ? "max" : "unusual";
  const n = Math.min(Math.max(Math.round(number("n", 10)), 1), 50);
  const chosen = span.value;
  const request = {
    site: here.site,
    basis: here.basis,
    n,
    rank,
    traces: true,
    start: chosen?.start ?? null,
    end: chosen?.end ?? null,
  } as const;
  const { data, problem, busy, retry } = useLoad(`${clip.id} ${JSON.stringify(request)}`, (signal) =>
    get("/api/clips/{clip}/features", { path: { clip: clip.id }, query: request, signal }),
  );
  const frame = (time: number): void => {
    const at = Math.floor(time * rate + 1e-6);
    go({ start: (at / rate).toFixed(3), end: ((at + 1) / rate).toFixed(3) }, "replace");
  };
  const common = { clip: clip.id, duration: clip.duration, onSelect: select, onCursor: frame, selection: chosen };
  return (
    <>
      <Player {...common} name={clip.name} curve={null} />
      <div class="list-options">
        <form class="rank-form" aria-label="Ranking" onSubmit={(event) => event.preventDefault()}>
          <fieldset>
            <legend class="visually-hidden">Rank by</legend>
            {(["unusual", "max"] as const).map((one) => (
              <label key={one} class="check">
                <input
                  type="radio"
                  name="rank"
                  checked={rank === one}
                  onChange={() => go({ rank: one === "unusual" ? null : one })}
                />
                {one === "unusual" ? "most unusual" : "largest"}
              </label>
            ))}
          </fieldset>
          <label class="check">
            <input
              type="number"
              class="count"
              min={1}
              max={50}
              value={n}
              onChange={(event) => go({ n: event.currentTarget.value === "10" ? null : event.currentTarget.value })}
            />
            features
          </label>
          <span class="summary">
            {chosen
              ? `at ${seconds(chosen.start)} – ${seconds(chosen.end)}`
              : "on the whole sound; click a frame or drag over a span to rank there"}
          </span>
          {chosen && (
            <button type="button" onClick={() => go({ start: null, end: null })}>
              Whole sound
            </button>
          )}
        </form>
        <DisplayOptions list={false} />
      </div>
      {problem ? (
        <Failure text={problem} retry={retry} />
      ) : !data ? (
        <Loading what="Listening to every feature" />
      ) : data.features.length === 0 ? (
        <Empty title="No feature is active there" />
      ) : (
        <ol class="results" aria-busy={busy} aria-label="Features of this sound">
          {data.features.map((row) => (
            <FeatureStrip key={row.feature} row={row} rate={rate} common={common} name={clip.name} />
          ))}
        </ol>
      )}
    </>
  );
}

interface StripProps {
  row: Schemas["ActiveFeature"];
  rate: number;
  common: {
    clip: string;
    duration: number;
    onSelect: (span: Span | null) => void;
    onCursor: (time: number) => void;
    selection: Span | null;
  };
  name: string;
}

function FeatureStrip({ row, rate, common, name }: StripProps) {
  const { site: where, basis } = site.value!;
  const curve = useMemo(
    () => (row.trace ? { values: decodeValues(row.trace), framesPerSecond: rate } : null),
    [row.trace],
  );
  return (
    <li class="result">
      <div class="result-head">
        <span class="rank">{row.rank}</span>
        <a class="feature-link" href={href(viewQuery("search", { feature: row.feature }))} onClick={follow}>
          <b>{row.feature}</b> <span class="feature-name">{labelOf(row.name)}</span>
        </a>
        <span class="peak">
          <b class={row.value < 0 ? "negative" : "positive"}>{short(row.value)}</b> at {seconds(row.time)}
        </span>
        <span class="muted" title="Share of the corpus's clips whose own peak is smaller than this value">
          above {short(100 * row.unusual)} % of clips, {short(100 * row.share)} % of its maximum
        </span>
      </div>
      <Player
        {...common}
        compact
        name={`${name}, feature ${row.feature}`}
        curve={curve}
        peak={row.time}
        labels={{ site: where, basis, feature: [row.feature] }}
      />
    </li>
  );
}
