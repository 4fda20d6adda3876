// One label: its best latent and neuron, how well each site knows it, and what chance and controls reach.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { get, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { Chart } from "../../components/Chart";
import { axis } from "../../components/axes";
import { Failure, Loading } from "../../components/states";
import { palette } from "../../player/palette";
import { short } from "../../player/scales";
import { href, viewQuery } from "../../url";
import { follow } from "../../App";

type Score = Schemas["LabelScore"];

const number = (value: number | null): string => (value === null ? "" : value.toFixed(3));

export function LabelPage({ label }: { label: string }) {
  const { data, problem, retry } = useLoad(label, (signal) => get("/api/label", { query: { label }, signal }));
  if (problem) return <Failure text={problem} retry={retry} />;
  if (!data) return <Loading what="Opening the label" />;
  return (
    <>
      <header class="page-head">
        <h1>{data.text}</h1>
        <p class="muted">{data.kind}</p>
      </header>
      <Table title="Best features" rows={data.features} />
      {data.curve.length > 1 && <Depth curve={data.curve} />}
      {data.controls.length > 0 && <Table title="Controls" rows={data.controls} />}
    </>
  );
}

function Table({ title, rows }: { title: string; rows: Score[] }) {
  return (
    <section class="panel scores">
      <h3>{title}</h3>
      <table>
        <thead>
          <tr>
            <th>{title === "Controls" ? "Control" : "Feature"}</th>
            <th>Site</th>
            <th>Agreement</th>
            <th>F1</th>
            <th>AUC</th>
            <th>AP</th>
            <th title="What shuffled labels reach">Chance</th>
            <th>Lag</th>
            <th title="Held-out clips with the label">Clips</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              <td>
                {row.control ?? (
                  <a
                    href={href(viewQuery("search", { site: row.site, basis: row.basis, feature: row.feature }))}
                    onClick={follow}
                  >
                    {row.feature}
                    {row.side === "-" && " −"}
                  </a>
                )}
              </td>
              <td>
                {row.site} · {row.basis}
              </td>
              <td>{number(row.agreement)}</td>
              <td>{number(row.f1)}</td>
              <td>{number(row.auc)}</td>
              <td>{number(row.average_precision)}</td>
              <td>{number(row.null)}</td>
              <td>{row.lag === null ? "" : `${short(1000 * row.lag)} ms`}</td>
              <td>{row.clips}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The best feature of each site and basis, in the order of depth. */
function Depth({ curve }: { curve: Score[] }) {
  const colors = palette.value;
  const sites = useMemo(() => [...new Set(curve.map(({ site }) => site))], [curve]);
  const of = (basis: string): (number | null)[] =>
    sites.map((site) => curve.find((row) => row.site === site && row.basis === basis)?.agreement ?? null);
  const data = useMemo<uPlot.AlignedData>(() => [sites.map((_, i) => i), of("latents"), of("neurons")], [curve, sites]);
  const options = useMemo(
    () => ({
      height: 180,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: (): [number, number] => [-0.5, sites.length - 0.5] },
        y: { range: [0, 1] as [number, number] },
      },
      axes: [
        axis(colors, {
          size: 26,
          splits: () => sites.map((_, i) => i),
          values: () => sites.map((site) => site.replace("encoder.blocks.", "")),
        }),
        axis(colors, { size: 40, label: "agreement" }),
      ],
      series: [
        {},
        { stroke: colors.accent, width: 2, points: { size: 7, fill: colors.accent } },
        { stroke: colors.muted, width: 1.5, dash: [5, 4], points: { size: 6 } },
      ],
    }),
    [sites, colors],
  );
  return (
    <section class="panel" aria-label="By depth">
      <h3>Best feature of each site: latents (line), neurons (dashed)</h3>
      <Chart options={options} data={data} label={`Agreement of the best feature of ${sites.length} sites`} />
    </section>
  );
}
