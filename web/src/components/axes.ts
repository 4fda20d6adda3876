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

/** Labels of a logarithmic axis: powers of ten only, in words that people read. */
export const decades = (_: unknown, splits: number[]): (string | null)[] =>
  splits.map((v) =>
    Math.abs(Math.log10(v) % 1) < 1e-6
      ? v >= 1e4 || v < 1e-3
        ? v.toExponential(0)
        : String(Number(v.toPrecision(1)))
      : null,
  );
