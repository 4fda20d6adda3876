// The results of a search: clips ranked by their maximum, or events of an interval of peak sizes. All strips share one
// scale unless each is asked to have its own.
import { useMemo } from "preact/hooks";
import { address, decodeValues, get } from "../../api/client";
import { urgent } from "../../api/urgent";
import { useLoad } from "../../api/load";
import { site } from "../../api/store";
import { Icon } from "../../components/Icon";
import { Empty, Failure, Loading } from "../../components/states";
import { Player } from "../../player/Player";
import { extremes, type Curve } from "../../player/curve";
import { seconds, short } from "../../player/scales";
import * as sound from "../../player/sound";
import { perClipScale } from "../../prefs";
import { go, visit } from "../../url";
import { DisplayOptions } from "../../components/DisplayOptions";
import { bandName } from "./Average";
import {
  BANDS,
  ON_SCREEN,
  featurePath,
  results,
  search,
  type Band,
  type Found,
  type Results,
  type Search,
} from "./model";

export function ResultList({ dead }: { dead: boolean }) {
  const now = search.value;
  const key = JSON.stringify({ ...now, emphasis: false });
  const { data, problem, busy, retry } = useLoad(key, (signal) => results(now, signal));
  return (
    <>
      <Tabs now={now} />
      <div class="list-options">
        <Summary now={now} data={data} />
        <DisplayOptions />
      </div>
      {problem ? (
        <Failure text={problem} retry={retry} />
      ) : !data ? (
        <Loading what="Searching" />
      ) : (
        <ol class="results" aria-busy={busy} aria-label="Search results">
          <Strips now={now} data={data} />
        </ol>
      )}
      {data && data.found.length === 0 && !busy && <Nothing now={now} dead={dead} />}
      {data && data.found.length > 0 && data.found.length < data.total && now.n < 200 && (
        <button type="button" class="more" onClick={() => go({ n: Math.min(now.n + 10, 200) }, "replace")}>
          Show more
        </button>
      )}
    </>
  );
}

function Tabs({ now }: { now: Search }) {
  const tab = (band: Band | null, text: string, label: string) => (
    <button
      type="button"
      role="tab"
      key={text}
      aria-selected={now.band === band}
      aria-label={label}
      title={label}
      onClick={() => go({ band })}
    >
      {text}
    </button>
  );
  return (
    <div class="tabs" role="tablist" aria-label="Which results">
      {tab(null, "Clips", "Clips by their maximum")}
      <span class="tabs-label" aria-hidden="true">
        Events
      </span>
      {BANDS.map((band) => {
        const number = Number(band);
        if (!Number.isNaN(number))
          return tab(band, String(number + 1), `Events: ${bandName(band)}, 1 has the largest peaks`);
        const title = band[0]!.toUpperCase() + band.slice(1);
        return tab(band, title, `${title} events: ${bandName(band)} peaks`);
      })}
    </div>
  );
}

function Summary({ now, data }: { now: Search; data: Results | null }) {
  if (!data) return <p class="summary" />;
  const count = data.total.toLocaleString("en");
  if (now.band === null)
    return (
      <p class="summary">
        {count} {data.total === 1 ? "clip" : "clips"} within the limits
      </p>
    );
  const range =
    data.band?.low != null && data.band.high != null
      ? `, peaks ${short(data.band.low)} to ${short(data.band.high)}`
      : "";
  return (
    <p class="summary">
      {bandName(now.band)} of {count} events{range}
      {now.band === "random" && (
        <button type="button" class="quiet" onClick={() => go({ seed: now.seed + 1 })}>
          <Icon name="dice" /> draw again
        </button>
      )}
      <Montage now={now} />
    </p>
  );
}

function Montage({ now }: { now: Search }) {
  const key = "montage";
  const heard = sound.playing.value?.key === key;
  const url = address("/api/sites/{site}/{basis}/features/{feature}/montage", {
    path: featurePath(now),
    query: { band: now.band ?? "top", n: Math.min(now.n, 50), seed: now.seed },
  });
  return (
    <button
      type="button"
      class="quiet montage"
      aria-pressed={heard}
      onClick={() => (heard ? sound.stop() : sound.play(key, url))}
    >
      <Icon name={heard ? "stop" : "play"} /> {heard ? "Stop" : "Play them back to back"}
    </button>
  );
}

/** The curves of results: those that came along, or one request for each clip. */
function useCurves(now: Search, { found }: Results): (Curve | null)[] {
  const rate = site.value!.frames_per_second;
  const clips = [...new Set(found.filter((hit) => hit.trace === null).map((hit) => hit.clip))];
  const fetched = useLoad(
    clips.length ? `${now.site} ${now.basis} ${now.feature} ${clips.join(" ")}` : null,
    async (signal) => {
      const query = { site: now.site, basis: now.basis, feature: [now.feature!] };
      const pages = await urgent(
        Promise.all(clips.map((clip) => get("/api/clips/{clip}/traces", { path: { clip }, query, signal }))),
      );
      return new Map(clips.map((clip, i) => [clip, decodeValues(pages[i]!.traces[0]!.values)]));
    },
  );
  return useMemo(
    () =>
      found.map(({ trace, clip }) => {
        const values = trace === null ? fetched.data?.get(clip) : decodeValues(trace);
        return values ? { values, framesPerSecond: rate } : null;
      }),
    [found, fetched.data],
  );
}

function Strips({ now, data }: { now: Search; data: Results }) {
  const curves = useCurves(now, data);
  const shared = useMemo(() => {
    const each = curves.flatMap((curve) => (curve ? [extremes(curve)] : []));
    return { low: Math.min(0, ...each.map(({ min }) => min)), high: Math.max(0, ...each.map(({ max }) => max)) };
  }, [curves]);
  const range = perClipScale.value ? null : shared;
  return data.found.map((hit, i) => (
    <Result
      key={`${hit.clip} ${hit.time}`}
      hit={hit}
      curve={curves[i]!}
      range={range}
      now={now}
      first={i < ON_SCREEN}
    />
  ));
}

interface ResultProps {
  hit: Found;
  curve: Curve | null;
  range: { low: number; high: number } | null;
  now: Search;
  first: boolean;
}

function Result({ hit, curve, range, now, first }: ResultProps) {
  const heard = Object.entries(hit.tiers).map(([tier, label]) => (tier.startsWith("phone") ? `/${label}/` : label));
  return (
    <li class="result">
      <div class="result-head">
        <span class="rank">{hit.rank}</span>
        <span class="clip-name">{hit.name}</span>
        {hit.speaker && <span class="speaker">{hit.speaker}</span>}
        <span class="peak">
          <b class={hit.value < 0 ? "negative" : "positive"}>{short(hit.value)}</b> at {seconds(hit.time)}
          {heard.length > 0 && <span class="heard">{heard.reverse().join(" ")}</span>}
        </span>
        <span class="links">
          <button type="button" class="quiet" onClick={() => visit("audio", { clip: hit.clip })}>
            All features
          </button>
          {site.value!.editable && (
            <button type="button" class="quiet" onClick={() => visit("edit", { clip: hit.clip, feature: now.feature })}>
              Edit
            </button>
          )}
        </span>
      </div>
      {hit.text && <p class="transcript">{hit.text}</p>}
      <Player
        clip={hit.clip}
        duration={hit.duration}
        name={hit.name}
        curve={curve}
        traced
        range={range}
        peak={hit.time}
        selection={hit.event}
        emphasis={now.emphasis ? featurePath(now) : null}
        atOnce={first}
        labels={{ site: now.site, basis: now.basis, feature: [now.feature!] }}
      />
    </li>
  );
}

function Nothing({ now, dead }: { now: Search; dead: boolean }) {
  const limits = now.min !== null || now.max !== null;
  if (dead)
    return (
      <Empty title="A dead feature">
        <p>It was not active on any of the {site.value!.frames.toLocaleString("en")} frames of this corpus.</p>
      </Empty>
    );
  return (
    <Empty title={now.band === null ? "No clip within these limits" : "No event in this interval"}>
      {limits && now.band === null && (
        <button type="button" onClick={() => go({ min: null, max: null })}>
          Remove the limits
        </button>
      )}
    </Empty>
  );
}
