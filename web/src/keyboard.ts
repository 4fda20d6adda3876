// Keys that work everywhere outside text fields. Views lend their own through `keys`.
import { signal } from "@preact/signals";
import { active, step } from "./player/registry";

export const helpOpen = signal(false);

/** Keys of the view that is shown, by `event.key`. */
export const keys = new Map<string, () => void>();

export const SHORTCUTS: [string, string][] = [
  ["space", "play or pause the strip in use"],
  ["a", "play its active span"],
  ["← →", "move the cursor by one frame; with Shift, select"],
  ["↑ ↓", "previous or next strip"],
  ["+ −", "zoom in or out"],
  ["[ ]", "previous or next feature"],
  ["r", "a random feature"],
  ["b", "bookmark this feature"],
  ["/", "jump to a feature by number or name"],
  ["?", "this help"],
  ["Esc", "close, or leave a field"],
];

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  target.matches("input:not([type=checkbox], [type=radio], [type=range], [type=file]), textarea, select");

function handler(event: KeyboardEvent): (() => void) | undefined {
  const target = event.target as HTMLElement | null;
  const strip = active();
  const onStrip = target?.matches("canvas.strip") || target === document.body || target?.id === "main";
  switch (event.key) {
    case "?":
      return () => (helpOpen.value = !helpOpen.value);
    case "/":
      return () => document.querySelector<HTMLInputElement>("#jump")?.focus();
    case " ":
      return onStrip && strip ? strip.toggle : undefined; // elsewhere it presses the button in focus
    case "ArrowLeft":
    case "ArrowRight":
      if (!onStrip || !strip) return undefined;
      return () => strip.nudge(event.key === "ArrowLeft" ? -1 : 1, event.shiftKey);
    case "ArrowUp":
    case "ArrowDown":
      return onStrip && strip ? () => step(event.key === "ArrowUp" ? -1 : 1) : undefined;
    case "+":
    case "=":
      return strip ? () => strip.zoom(2) : undefined;
    case "-":
      return strip ? () => strip.zoom(0.5) : undefined;
    case "a":
      return strip?.playActive;
    default:
      return keys.get(event.key);
  }
}

export function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") {
      if (helpOpen.value) helpOpen.value = false;
      else if (typing(event.target)) (event.target as HTMLElement).blur();
      return;
    }
    if (typing(event.target) || helpOpen.value) return;
    const act = handler(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}
