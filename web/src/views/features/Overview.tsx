// Density against maximum of every feature that is not dead, on logarithmic axes. Click a point to see the feature, drag a
// box to filter the table.
import { useMemo } from "preact/hooks";
import uPlot from "uplot";
import { get } from "../../api/client";
import { useLoad } from "../../api/load";
import { site } from "../../api/store";
import { Chart } from "../../components/Chart";
import { decades } from "../../components/axes";
import { Failure, Loading } from "../../components/states";
import { palette } from "../../player/palette";
import { short } from "../../player/scales";
import { go, visit } from "../../url";
import { filters } from "./model";

export function Overview() {
  const here = site.value!;
  const { data, problem, retry } = useLoad(`${here.site} ${here.basis}`, (signal) =>
    get("/api/sites/{site}/{basis}/overview", { path: { site: here.site, basis: here.basis }, signal }),
  );
  const colors = palette.value;
  const now = filters.value;

  // Sorted by density, as uPlot expects; log axes take only what is above zero.
  const points = useMemo(() => {
    if (!data) return null;
    const order = data.feature.map((_, i) => i).filter((i) => data.max[i]! > 0 && data.density[i]! > 0);
    order.sort((a, b) => data.density[a]! - data.density[b]!);
    return order.map((i) => ({ feature: data.feature[i]!, name: data.name[i]!, x: data.density[i]!, y: data.max[i]! }));
  }, [data]);
  const aligned = useMemo<uPlot.AlignedData>(
    () => [points?.map(({ x }) => x) ?? [], points?.map(({ y }) => y) ?? []],
    [points],
  );

  const options = useMemo(() => {
    const nearest = (plot: uPlot): number | null => {
      const { left = -1, top = -1 } = plot.cursor;
      if (!points || left < 0) return null;
      let best: number | null = null;
      let least = 14 ** 2; // pixels
      points.forEach(({ x, y }, i) => {
        const distance = (plot.valToPos(x, "x") - left) ** 2 + (plot.valToPos(y, "y") - top) ** 2;
        if (distance < least) [best, least] = [i, distance];
      });
      return best;
    };
    const inside = ({ x, y }: { x: number; y: number }): boolean =>
      x >= (now.min_density ?? 0) &&
      x <= (now.max_density ?? 1) &&
      y >= (now.min_max ?? 0) &&
      y <= (now.max_max ?? Infinity);
    const paint = (plot: uPlot): void => {
      const { ctx } = plot;
      const size = 1.6 * devicePixelRatio;
      ctx.save();
      for (const [fill, wanted] of [
        [colors.line, false],
        [colors.accent, true],
      ] as const) {
        ctx.beginPath();
        for (const point of points ?? [])
          if (inside(point) === wanted) {
            const [x, y] = [plot.valToPos(point.x, "x", true), plot.valToPos(point.y, "y", true)];
            ctx.moveTo(x + size, y);
            ctx.arc(x, y, size, 0, 7);
          }
        ctx.globalAlpha = 0.55;
        ctx.fillStyle = fill;
        ctx.fill();
      }
      ctx.restore();
    };
    let note: HTMLElement | null = null;
    let dragged = false;
    return {
      height: 230,
      padding: [8, 12, 0, 0] as [number, number, number, number],
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: true, y: true, setScale: false, uni: 8 } },
      scales: { x: { time: false, distr: 3 as const }, y: { distr: 3 as const } },
      axes: [
        decades(colors, { size: 22, label: "density (active frames / all frames)" }),
        decades(colors, { size: 34, label: "max" }),
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: {
        init: [
          (plot: uPlot) => {
            note = document.createElement("div");
            note.className = "chart-note";
            note.hidden = true;
            plot.over.append(note);
            plot.over.addEventListener("mousedown", () => (dragged = false));
            plot.over.addEventListener("click", () => {
              const at = nearest(plot);
              if (!dragged && at !== null) visit("search", { feature: points![at]!.feature });
            });
          },
        ],
        draw: [paint],
        setCursor: [
          (plot: uPlot) => {
            const at = nearest(plot);
            plot.over.style.cursor = at === null ? "crosshair" : "pointer";
            if (!note) return;
            note.hidden = at === null;
            if (at === null) return;
            const { feature, name, x, y } = points![at]!;
            note.textContent = `${feature}${name ? ` ${name}` : ""}: max ${short(y)}, ${short(100 * x)} %`;
            const side = plot.valToPos(x, "x") > plot.over.clientWidth / 2 ? "right" : "left";
            note.style.left = side === "left" ? `${plot.valToPos(x, "x") + 10}px` : "auto";
            note.style.right = side === "right" ? `${plot.over.clientWidth - plot.valToPos(x, "x") + 10}px` : "auto";
            note.style.top = `${plot.valToPos(y, "y") - 10}px`;
          },
        ],
        setSelect: [
          (plot: uPlot) => {
            const { left, top, width, height } = plot.select;
            if (width < 5 && height < 5) return;
            dragged = true;
            const value = (at: number, scale: "x" | "y"): number => Number(plot.posToVal(at, scale).toPrecision(3));
            go({
              dmin: width < 5 ? null : value(left, "x"),
              dmax: width < 5 ? null : value(left + width, "x"),
              mmin: height < 5 ? null : value(top + height, "y"),
              mmax: height < 5 ? null : value(top, "y"),
            });
          },
        ],
      },
    };
  }, [points, colors, now]);

  if (problem) return <Failure text={problem} retry={retry} />;
  if (!points) return <Loading what="Drawing the overview" />;
  return (
    <section class="panel" aria-label="Overview">
      <Chart options={options} data={aligned} label={`Density against maximum of ${points.length} features`} />
    </section>
  );
}
