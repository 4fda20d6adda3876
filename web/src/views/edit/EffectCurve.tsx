// What scaling a feature by different factors does: how many words change, beside random features of like density, and
// how much less likely the old transcript becomes. Click a factor to take it.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { post, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { Chart } from "../../components/Chart";
import { axis } from "../../components/axes";
import { Failure, Loading } from "../../components/states";
import { palette } from "../../player/palette";
import { short } from "../../player/scales";
import { go, query } from "../../url";
import { change, current, editRequest, operations, withKind } from "./model";

const FACTORS = [-3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3];
const CONTROLS = 1;

export function EffectCurve() {
  const request = editRequest.value;
  const edit = operations.value[current.value];
  const open = query.value.curve === "1";
  const body = request && edit && {
    clip: request.clip,
    site: edit.site,
    basis: edit.basis,
    feature: edit.feature,
    factors: FACTORS,
    controls: CONTROLS,
    substitute: request.substitute ?? false,
    bundled_sae: request.bundled_sae ?? false,
  }; // prettier-ignore
  const key = open && body ? JSON.stringify(body) : null;
  const { data, problem, busy, retry } = useLoad(key, (signal) => post("/api/curves", { body: body!, signal }), 300);
  if (!body) return null;
  return (
    <section class="panel effect" aria-label="Effect curve" aria-busy={busy}>
      <label class="check">
        <input type="checkbox" checked={open} onChange={(event) => go({ curve: event.currentTarget.checked })} />
        <h3>Effect curve: feature {body.feature} times factors from −3 to 3, over the whole clip</h3>
      </label>
      {open &&
        (problem ? (
          <Failure text={problem} retry={retry} />
        ) : data ? (
          <Drawn of={data} />
        ) : (
          <Loading what={`Transcribing with ${FACTORS.length} factors, and a random feature beside it`} />
        ))}
    </section>
  );
}

const takeFactor = (factor: number): void => {
  const one = operations.peek()[current.peek()]!;
  change(current.peek(), { ...(one.operation === "scale" ? {} : withKind(one, "scale")), value: factor });
};

function Drawn({ of }: { of: Schemas["Curve"] }) {
  const colors = palette.value;
  const own = useMemo(() => {
    const byFactor = new Map(of.points.filter(({ control }) => !control).map((point) => [point.factor, point]));
    return [...byFactor.values()].sort((a, b) => a.factor - b.factor);
  }, [of]);
  const controls = useMemo(() => {
    const features = new Set(of.points.filter(({ control }) => control).map(({ feature }) => feature));
    return [...features].map((feature) => of.points.filter((point) => point.control && point.feature === feature));
  }, [of]);
  const data = useMemo<uPlot.AlignedData>(
    () => [
      own.map((p) => p.factor),
      own.map((p) => p.changed_words),
      own.map((p) => p.log_probability),
      ...controls.map((line) => own.map((p) => line.find(({ factor }) => factor === p.factor)?.changed_words ?? null)),
    ],
    [own, controls],
  );
  const options = useMemo(
    () => ({
      height: 180,
      padding: [8, 0, 0, 0] as [number, number, number, number],
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false },
        words: { range: (_: uPlot, _low: number, high: number): [number, number] => [0, Math.max(high, 1) * 1.1] },
      },
      axes: [
        axis(colors, { size: 22, label: "factor" }),
        axis(colors, {
          scale: "words",
          size: 44,
          label: "changed words",
          incrs: [1, 2, 5, 10, 20, 50],
          stroke: colors.negative,
        }),
        axis(colors, {
          scale: "nats",
          side: 1,
          size: 56,
          label: "log-probability, change",
          grid: { show: false },
          stroke: colors.accent,
        }),
      ],
      series: [
        {},
        { scale: "words", stroke: colors.negative, width: 2, points: { size: 7, fill: colors.negative } },
        { scale: "nats", stroke: colors.accent, width: 1.5, dash: [5, 4], points: { size: 5 } },
        ...controls.map(() => ({ scale: "words", stroke: colors.muted, width: 1, points: { size: 4 } })),
      ],
      hooks: {
        init: [
          (plot: uPlot) =>
            plot.over.addEventListener("click", () => {
              const at = plot.cursor.idx;
              if (at != null) takeFactor(own[at]!.factor);
            }),
        ],
      },
    }),
    [own, controls, colors],
  );
  // One line for each run of factors with the same transcript.
  const runs: { from: number; to: number; text: string }[] = [];
  for (const { factor, text } of own) {
    const last = runs.at(-1);
    if (last && last.text === text) last.to = factor;
    else runs.push({ from: factor, to: factor, text });
  }
  return (
    <>
      <Chart options={options} data={data} label={`Changed words over ${own.length} factors`} />
      <p class="muted">
        {controls.length > 0 &&
          `Thin gray: a random feature of like density (${controls.map(([p]) => p!.feature).join(", ")}). `}
        In {of.seconds.toFixed(1)} s.
      </p>
      <ol class="runs" aria-label="Transcripts by factor">
        {runs.map(({ from, to, text }) => (
          <li key={from} class={text === of.plain ? "same" : undefined}>
            <button type="button" class="quiet" onClick={() => takeFactor(text === of.plain ? 1 : from)}>
              {from === to ? short(from) : `${short(from)} to ${short(to)}`}
            </button>
            <span class="transcript">{text || "(nothing)"}</span>
          </li>
        ))}
      </ol>
    </>
  );
}
