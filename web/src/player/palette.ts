// The page's colors as the canvases need them: read from the style sheet once per theme.
import { computed } from "@preact/signals";
import { applyTheme, dark } from "../prefs";
import type { Rgb } from "./layers";

export interface Palette {
  ink: string;
  muted: string;
  line: string;
  panel: string;
  well: string;
  accent: string;
  positive: string;
  negative: string;
  select: string;
  dark: boolean;
}

export const palette = computed<Palette>(() => {
  applyTheme();
  const isDark = dark();
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(`--${name}`);
  return {
    ink: color("ink"),
    muted: color("muted"),
    line: color("line"),
    panel: color("panel"),
    well: color("well"),
    accent: color("accent"),
    positive: color("positive"),
    negative: color("negative"),
    select: color("select"),
    dark: isDark,
  };
});

/** The three bytes of a computed color. */
export function rgb(color: string): Rgb {
  const [r = 0, g = 0, b = 0] = (color.match(/[\d.]+/g) ?? []).map(Number);
  return [r, g, b];
}
