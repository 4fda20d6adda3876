// The player strip: one canvas with everything that is seen, a row of controls, and a line that says what is at the cursor.
// Pictures and tiers are fetched when the strip comes near the screen; drawing happens at most once a frame.
import { effect, useSignal } from "@preact/signals";
import { useEffect, useId, useMemo, useRef } from "preact/hooks";
import { address } from "../api/client";
import { colorMap, speed, wideBand } from "../prefs";
import { Controls } from "./Controls";
import { clipOf, melOf, wideBandOf } from "./clips";
import { colorTable } from "./colormaps";
import { draw, layout, type Layout, type Strip } from "./draw";
import { extremes, labelsAt, valueAt, type Curve, type Tier } from "./curve";
import { paintActivations, paintSpectrogram, type Spectrogram } from "./layers";
import { palette, rgb } from "./palette";
import { listen } from "./pointer";
import { activeKey, register } from "./registry";
import { seconds, short, type Span } from "./scales";
import { actions, stripState } from "./state";

export interface PlayerProps {
  clip: string;
  duration: number;
  name: string;
  curve: Curve | null;
  before?: Curve | null; // an older trace behind it, for edits
  range?: { low: number; high: number } | null; // shared by a list; null: the clip's own
  compact?: boolean;
  peak?: number | null; // seconds; where the cursor begins
  emphasis?: string | null; // address of the whole clip with the rest dimmed
  selection?: Span | null; // to begin with
  onSelect?: (span: Span | null) => void;
  onCursor?: (time: number) => void;
  labels?: { site: string; basis: "neurons" | "latents"; feature: number[] }; // what downloads of labels contain
}

const EMPTY: Tier[] = [];

export function Player(props: PlayerProps) {
  const { clip, duration, name, curve, before = null, peak = null, compact = false } = props;
  const key = `${clip}-${useId()}`;
  const canvas = useRef<HTMLCanvasElement>(null);
  const readout = useRef<HTMLOutputElement>(null);
  const near = useSignal(false);
  const tiers = useSignal<Tier[]>(EMPTY);
  const spectrogram = useSignal<Spectrogram | null>(null);
  const problem = useSignal<string | null>(null);
  const latest = useRef(props);
  latest.current = props;

  const state = useMemo(() => stripState(key, duration, peak), [clip, duration]);
  const span = (of: Span | null) => ({ path: { clip }, query: of ? { start: of.start, end: of.end } : {} });
  const act = useMemo(
    () =>
      actions(state, duration, () => ({
        source: {
          span: (of) => address("/api/clips/{clip}/audio", span(of.start <= 0 && of.end >= duration ? null : of)),
          whole: latest.current.emphasis ?? null,
        },
        curve: latest.current.curve,
        tiers: tiers.peek(),
        peak: latest.current.peak ?? null,
      })),
    [state],
  );

  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && (near.value = true), {
      rootMargin: "500px",
    });
    observer.observe(canvas.current!);
    return () => observer.disconnect();
  }, []);

  useEffect(
    () =>
      effect(() => {
        if (!near.value) return;
        const failed = (error: unknown): void => void (problem.value = String((error as Error).message));
        clipOf(clip).then((found) => (tiers.value = found.tiers), failed);
        (wideBand.value ? wideBandOf : melOf)(clip).then((found) => (spectrogram.value = found), failed);
      }),
    [clip],
  );

  useEffect(() => {
    state.cursor.value = peak;
  }, [peak, state]);
  useEffect(() => {
    state.selection.value = props.selection ?? null;
  }, [props.selection?.start, props.selection?.end, state]);

  const place = (): Layout => {
    const { curve: of, compact: low = false } = latest.current;
    return layout({ tiers: tiers.peek().length, trace: of !== null, compact: low }, canvas.current!.clientWidth);
  };

  // Layers that are made once, drawing whenever something changes.
  const own = useMemo(() => (curve ? extremes(curve) : null), [curve]);
  const low = Math.min(props.range?.low ?? own?.min ?? 0, 0);
  const high = Math.max(props.range?.high ?? own?.max ?? 0, 0);
  useEffect(() => {
    const target = canvas.current!;
    const context = target.getContext("2d")!;
    let pending = 0;
    const picture = { of: null as Spectrogram | null, map: "", made: null as OffscreenCanvas | null };
    const activations = { colors: null as unknown, made: null as OffscreenCanvas | null };

    function paint(): void {
      pending = 0;
      if (!canvas.current) return; // gone meanwhile
      const colors = palette.peek();
      const shown = spectrogram.peek();
      const map = `${colorMap.peek()}${colors.dark}`;
      if (shown && (picture.of !== shown || picture.map !== map)) {
        picture.made = paintSpectrogram(shown, colorTable(colorMap.peek(), colors.dark));
        [picture.of, picture.map] = [shown, map];
      }
      if (curve && activations.colors !== colors) {
        const largest = Math.max(-low, high);
        activations.made = paintActivations(curve.values, largest, rgb(colors.positive), rgb(colors.negative));
        activations.colors = colors;
      }
      const strip: Strip = {
        duration,
        spectrogram: shown && picture.made && { ...shown, picture: picture.made },
        overlay: curve && activations.made && { picture: activations.made, framesPerSecond: curve.framesPerSecond },
        curve, before, low, high,
        tiers: tiers.peek(),
        view: state.view.peek(),
        selection: state.selection.peek(),
        cursor: state.cursor.peek(),
        hover: state.hover.peek(),
        compact,
      }; // prettier-ignore
      const at = place();
      const ratio = devicePixelRatio;
      const [width, height] = [Math.round(target.clientWidth * ratio), Math.round(at.height * ratio)];
      if (target.width !== width || target.height !== height) {
        [target.width, target.height] = [width, height];
        target.style.height = `${at.height}px`;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      draw(context, strip, at, colors);
      describe();
      if (shown && !target.dataset.drawn) {
        target.dataset.drawn = "1";
        performance.mark("strip-drawn");
      }
    }

    function describe(): void {
      const time = state.hover.peek() ?? state.cursor.peek() ?? 0;
      const value = curve && valueAt(curve, time);
      const heard = labelsAt(tiers.peek(), time).map(({ label }) => label);
      const chosen = state.selection.peek();
      const parts = [seconds(time), value === null ? "" : short(value), heard.join(" · ")];
      if (chosen)
        parts.push(`${seconds(chosen.start)} – ${seconds(chosen.end)} (${seconds(chosen.end - chosen.start, 3)})`);
      readout.current!.textContent = parts.filter(Boolean).join("   ");
      target.setAttribute("aria-valuenow", time.toFixed(3));
      target.setAttribute("aria-valuetext", parts.filter(Boolean).join(", "));
    }

    const schedule = (): void => void (pending ||= requestAnimationFrame(paint));
    const dispose = effect(() => {
      void [palette.value, colorMap.value, tiers.value, spectrogram.value];
      void [state.view.value, state.selection.value, state.cursor.value, state.hover.value];
      if (near.value) schedule();
    });
    const resized = new ResizeObserver(() => near.peek() && schedule());
    resized.observe(target);
    return () => {
      dispose();
      resized.disconnect();
      cancelAnimationFrame(pending);
    };
  }, [state, curve, before, low, high]);

  useEffect(
    () =>
      listen(canvas.current!, state, act, duration, {
        tiers: () => tiers.peek(),
        layout: place,
        onCursor: (time) => latest.current.onCursor?.(time),
        onSelect: (chosen) => latest.current.onSelect?.(chosen),
        touched: () => (activeKey.value = key),
      }),
    [state],
  );
  useEffect(() => register(key, { canvas: canvas.current!, ...act }), [key, act]);

  return (
    <div class="player" data-clip={clip}>
      <canvas
        ref={canvas}
        class="strip"
        tabIndex={0}
        role="slider"
        aria-label={`${name}: position in the clip`}
        aria-valuemin={0}
        aria-valuemax={duration}
        aria-valuenow={0}
        onFocus={() => (activeKey.value = key)}
      />
      <Controls
        state={state}
        act={act}
        clip={clip}
        name={name}
        canvas={canvas}
        hasCurve={curve !== null}
        labels={props.labels}
        speed={speed}
      >
        <output ref={readout} class="readout" aria-live="off" />
        {own && (
          <span class="extremes">
            max {short(own.max)} at {seconds(own.maxTime)}, min {short(own.min)}
          </span>
        )}
        {problem.value && <span class="problem-line">{problem.value}</span>}
      </Controls>
    </div>
  );
}
