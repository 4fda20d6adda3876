// Per-clip maxima of a feature on a logarithmic axis of counts, with the limits of the search marked. Dragging across it
// sets both limits.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import type { Schemas } from "../../api/client";
import { Chart } from "../../components/Chart";
import { axis, decades } from "../../components/axes";
import { palette } from "../../player/palette";
import { short } from "../../player/scales";
import { go } from "../../url";
import type { Search } from "./model";

export function Histogram({ of, now }: { of: Schemas["Feature"]; now: Search }) {
  const { low, high, counts } = now.absolute ? of.magnitudes : of.peaks;
  const colors = palette.value;
  const { min, max } = now;
  const width = (high - low) / counts.length || 1;
  const data = useMemo<uPlot.AlignedData>(
    () => [counts.map((_, i) => low + (i + 0.5) * width), counts.map((count) => count || null)],
    [counts, low, high],
  );
  const options = useMemo(() => {
    const bar = uPlot.paths.bars!({ size: [0.9, Infinity], align: 0 });
    const limits = (plot: uPlot): void => {
      const { ctx, bbox } = plot;
      ctx.save();
      for (const [limit, side] of [
        [min, -1],
        [max, 1],
      ] as const) {
        if (limit === null) continue;
        const x = Math.min(Math.max(plot.valToPos(limit, "x", true), bbox.left), bbox.left + bbox.width);
        ctx.fillStyle = colors.well;
        ctx.globalAlpha = 0.75;
        if (side < 0) ctx.fillRect(bbox.left, bbox.top, x - bbox.left, bbox.height);
        else ctx.fillRect(x, bbox.top, bbox.left + bbox.width - x, bbox.height);
        ctx.globalAlpha = 1;
        ctx.fillStyle = colors.accent;
        ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, bbox.height);
      }
      ctx.restore();
    };
    return {
      height: 132,
      padding: [6, 8, 0, 0] as [number, number, number, number],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { time: false, range: (): [number, number] => [low, high > low ? high : low + 1] },
        y: { distr: 3 as const, range: (): [number, number] => [0.7, Math.max(...counts, 10) * 1.3] },
      },
      axes: [
        axis(colors, { size: 26, grid: { show: false }, values: (_, at) => at.map(short) }),
        decades(colors, { size: 36 }),
      ],
      series: [{}, { paths: bar, fill: colors.muted, stroke: colors.muted, width: 0, points: { show: false } }],
      hooks: {
        draw: [limits],
        setSelect: [
          (plot: uPlot) => {
            const { left, width: wide } = plot.select;
            if (wide < 4) return;
            const round = (x: number): string => plot.posToVal(x, "x").toPrecision(3);
            go({ min: Number(round(left)), max: Number(round(left + wide)), band: null });
          },
        ],
      },
    };
  }, [counts, low, high, min, max, colors]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const label = `Histogram of the ${now.absolute ? "strongest value" : "largest value"} on each of ${total} clips, from ${short(low)} to ${short(high)}`;
  return <Chart options={options} data={data} label={label} />;
}
