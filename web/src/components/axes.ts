// What all charts share: quiet axes in the colors of the page.
import type uPlot from "uplot";
import type { Palette } from "../player/palette";

const FONT = '11px "Source Sans 3", system-ui, sans-serif';

export function axis(colors: Palette, more: uPlot.Axis): uPlot.Axis {
  return {
    stroke: colors.muted,
    font: FONT,
    labelFont: FONT,
    labelSize: 16,
    gap: 3,
    grid: { stroke: colors.line, width: 1 },
    ticks: { stroke: colors.line, width: 1, size: 4 },
    ...more,
  };
}

const isDecade = (value: number): boolean => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-6;

const decade = (value: number | null): string | null =>
  value === null ? null : value >= 1e4 || value < 1e-3 ? value.toExponential(0) : String(Number(value.toPrecision(1)));

const onlyDecades: uPlot.Axis.Filter = (_, splits) => splits.map((value) => (isDecade(value) ? value : null));

/** A logarithmic axis: lines and labels at powers of ten only. */
export const decades = (colors: Palette, more: uPlot.Axis): uPlot.Axis =>
  axis(colors, {
    filter: onlyDecades,
    values: (_, splits) => splits.map(decade),
    grid: { stroke: colors.line, width: 1, filter: onlyDecades },
    ...more,
  });
