// What one strip shows and does, apart from drawing: the part in view, the selection, the cursor, and its sound.
import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { activeSpan, type Curve, type Tier } from "./curve";
import { clamp, panned, zoomed, type Span, type View } from "./scales";
import * as sound from "./sound";

export interface StripState {
  key: string;
  view: Signal<View>;
  selection: Signal<Span | null>;
  cursor: Signal<number | null>;
  hover: Signal<number | null>;
  heard: ReadonlySignal<"playing" | "paused" | null>; // this strip's sound
}

export function stripState(key: string, duration: number, cursor: number | null): StripState {
  const heard = computed(() => {
    const now = sound.playing.value;
    return now?.key === key ? (now.paused ? "paused" : "playing") : null;
  });
  return {
    key,
    view: signal({ start: 0, end: duration }),
    selection: signal<Span | null>(null),
    cursor: signal(cursor),
    hover: signal<number | null>(null),
    heard,
  };
}

export interface Actions {
  toggle: () => void;
  playSpan: (span: Span) => void;
  playActive: () => void;
  nudge: (frames: number, extend: boolean) => void;
  zoom: (factor: number, around?: number) => void;
  pan: (seconds: number) => void;
  showAll: () => void;
}

/** `at` gives what may change between calls; its `sound` is the address of the sound of a span. */
export function actions(
  state: StripState,
  duration: number,
  at: () => { sound: (span: Span) => string; curve: Curve | null; tiers: Tier[]; peak: number | null },
): Actions {
  const { key, view, selection, cursor } = state;
  let anchor: number | null = null; // where a selection by keys began

  /** Move the cursor with the sound, turning the page when it leaves the view; afterwards put it back. */
  function follow(back: number): void {
    const tick = (): void => {
      const time = state.heard.peek() && sound.position();
      if (time === null) {
        cursor.value = back;
        return;
      }
      const { start, end } = view.peek();
      batch(() => {
        cursor.value = Math.min(time, duration);
        if (time > end || time < start) view.value = panned(view.peek(), time - start, duration);
      });
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  function playSpan(span: Span): void {
    sound.play(key, at().sound(span), span.start);
    follow(span.start);
  }

  return {
    playSpan,
    toggle() {
      if (state.heard.peek() === "playing") return sound.pause();
      if (state.heard.peek() === "paused") return sound.resume();
      const from = cursor.peek() ?? 0;
      const whole = { start: from >= duration - 0.03 ? 0 : from, end: duration };
      playSpan(selection.peek() ?? (cursor.peek() === at().peak ? { start: 0, end: duration } : whole));
    },
    playActive() {
      const { curve, peak } = at();
      if (!curve) return;
      const span = activeSpan(curve, cursor.peek() ?? peak ?? 0, duration);
      selection.value = span;
      playSpan(span);
    },
    nudge(frames, extend) {
      const from = cursor.peek() ?? view.peek().start;
      const to = clamp(from + frames / (at().curve?.framesPerSecond ?? 50), 0, duration);
      batch(() => {
        cursor.value = to;
        anchor = extend ? (anchor ?? from) : null;
        selection.value = anchor === null ? null : { start: Math.min(anchor, to), end: Math.max(anchor, to) };
        const { start, end } = view.peek();
        if (to < start || to > end) view.value = panned(view.peek(), to - (start + end) / 2, duration);
      });
    },
    zoom(factor, around) {
      const { start, end } = view.peek();
      const chosen = selection.peek();
      const focus = around ?? (chosen ? (chosen.start + chosen.end) / 2 : cursor.peek()) ?? (start + end) / 2;
      view.value = zoomed(view.peek(), factor, clamp(focus, start, end), duration);
    },
    pan: (seconds) => (view.value = panned(view.peek(), seconds, duration)),
    showAll: () => (view.value = { start: 0, end: duration }),
  };
}
