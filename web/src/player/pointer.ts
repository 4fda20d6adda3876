// Mouse, pen and touch on a strip: click sets the cursor, or selects and plays the interval of a tier; dragging selects;
// dragging the time axis pans; the wheel with Ctrl zooms, sideways pans; double-click shows the whole clip.
import { batch } from "@preact/signals";
import { timeAt, type Layout } from "./draw";
import type { Tier } from "./curve";
import { clamp, type Span } from "./scales";
import type { Actions, StripState } from "./state";

const DRAG = 4; // pixels, less is a click

export interface Listener {
  tiers: () => Tier[];
  layout: () => Layout;
  onCursor?: (time: number) => void;
  onSelect?: (span: Span | null) => void;
  touched: () => void;
}

export function listen(
  canvas: HTMLCanvasElement,
  state: StripState,
  act: Actions,
  duration: number,
  to: Listener,
): () => void {
  const { view, selection, cursor, hover } = state;
  let from: { x: number; time: number; axis: boolean; moved: boolean } | null = null;

  function place(event: MouseEvent): { x: number; time: number; tier: Tier | null; axis: boolean } {
    const box = canvas.getBoundingClientRect();
    const tiers = to.tiers();
    const at = to.layout();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = at.tiers.findIndex(([top, height]) => y >= top && y < top + height);
    const time = clamp(timeAt(x, view.peek(), at), 0, duration);
    return { x, time, tier: tiers[row] ?? null, axis: y >= at.axis[0] };
  }

  function down(event: PointerEvent): void {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const { x, time, axis } = place(event);
    from = { x, time, axis, moved: false };
    to.touched();
  }

  function move(event: PointerEvent): void {
    const { x, time, axis, tier } = place(event);
    if (!from) {
      hover.value = time;
      canvas.style.cursor = axis ? "grab" : tier ? "pointer" : "crosshair";
      return;
    }
    if (Math.abs(x - from.x) >= DRAG) from.moved = true;
    if (!from.moved) return;
    if (from.axis) {
      act.pan(from.time - time);
      return;
    }
    batch(() => {
      hover.value = null;
      selection.value = { start: Math.min(from!.time, time), end: Math.max(from!.time, time) };
      cursor.value = Math.min(from!.time, time);
    });
  }

  function up(event: PointerEvent): void {
    const was = from;
    from = null;
    if (!was || was.axis) return;
    if (was.moved) {
      to.onSelect?.(selection.peek());
      return;
    }
    const { time, tier } = place(event);
    const interval = tier?.intervals.find(({ start, end }) => time >= start && time < end);
    const chosen = interval ? { start: interval.start, end: interval.end } : null;
    batch(() => {
      selection.value = chosen;
      cursor.value = chosen ? chosen.start : time;
    });
    if (chosen) act.playSpan(chosen);
    to.onSelect?.(chosen);
    if (!chosen) to.onCursor?.(time);
  }

  const leave = (): void => void (hover.value = null);
  const cancel = (): void => void (from = null);

  function wheel(event: WheelEvent): void {
    const { start, end } = view.peek();
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      act.zoom(Math.exp(-event.deltaY / 240), place(event).time);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && end - start < duration) {
      event.preventDefault();
      act.pan((event.deltaX / canvas.clientWidth) * (end - start));
    }
  }

  const listeners: [string, (event: never) => void][] = [
    ["pointerdown", down],
    ["pointermove", move],
    ["pointerup", up],
    ["pointercancel", cancel],
    ["pointerleave", leave],
    ["dblclick", act.showAll],
  ];
  for (const [name, listener] of listeners) canvas.addEventListener(name, listener as EventListener);
  canvas.addEventListener("wheel", wheel, { passive: false });
  return () => {
    for (const [name, listener] of listeners) canvas.removeEventListener(name, listener as EventListener);
    canvas.removeEventListener("wheel", wheel);
  };
}
