// What a person prefers to see and hear, whatever they look at: kept in the browser, not in links.
import { effect, signal, type Signal } from "@preact/signals";

function kept<T>(key: string, initial: T): Signal<T> {
  let value = initial;
  try {
    const text = localStorage.getItem(`freud.${key}`);
    if (text !== null) value = JSON.parse(text) as T;
  } catch {
    // private windows may refuse storage, and somebody may have edited it
  }
  const state = signal(value);
  effect(() => {
    try {
      localStorage.setItem(`freud.${key}`, JSON.stringify(state.value));
    } catch {
      // as above
    }
  });
  return state;
}

export type Theme = "auto" | "light" | "dark";
export type MapName = "gray" | "viridis" | "cividis" | "magma";

export const theme = kept<Theme>("theme", "auto");
export const colorMap = kept<MapName>("map", "gray");
/** Colors of values above and below zero. */
export type Signs = "green-red" | "blue-orange";
export const signs = kept<Signs>("signs", "green-red");
export const perClipScale = kept("perClipScale", false);
export const wideBand = kept("wideBand", false);
export const speed = kept("speed", 1);
export const loop = kept("loop", false);

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(prefersDark.matches);
prefersDark.addEventListener("change", (event) => (systemDark.value = event.matches));

export const dark = (): boolean => (theme.value === "auto" ? systemDark.value : theme.value === "dark");

/** Put theme and colors on the page; call before reading computed colors. */
export function applyTheme(): void {
  const root = document.documentElement;
  if (theme.value === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
  root.dataset.signs = signs.value;
}

effect(applyTheme);
