// The player strip: one canvas with everything that is seen, a row of controls, and a line that says what is at the cursor.
// It is made when its place comes near the screen, and then fetches pictures and tiers; drawing happens at most once a frame.
import { effect, useSignal } from "@preact/signals";
import { useEffect, useId, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { address } from "../api/client";
import { corpora } from "../api/store";
import { colorMap, speed, wideBand } from "../prefs";
import { Controls } from "./Controls";
import { clipOf, detailFor, pictureOf } from "./clips";
import { colorTable } from "./colormaps";
import { draw, layout, type Layout, type Strip as StripPicture } from "./draw";
import { extremes, labelsAt, valueAt, type Curve, type Tier } from "./curve";
import { isPainted, paintSpectrogram, type Spectrogram } from "./layers";
import { palette } from "./palette";
import { listen } from "./pointer";
import { activeKey, register } from "./registry";
import { seconds, short, type Span } from "./scales";
import { actions, stripState } from "./state";
import { inTurn, notInTurn } from "./turns";

export interface PlayerProps {
  clip: string;
  duration: number;
  name: string;
  curve: Curve | null;
  traced?: boolean; // room for a trace is kept, though the curve is not known yet
  before?: Curve | null; // an older trace behind it, for edits
  range?: { low: number; high: number } | null; // shared by a list; null: the clip's own
  compact?: boolean;
  peak?: number | null; // seconds; where the cursor begins
  emphasis?: { site: string; basis: "neurons" | "latents"; feature: number } | null; // the rest is dimmed
  selection?: Span | null; // to begin with
  onSelect?: (span: Span | null) => void;
  onCursor?: (time: number) => void;
  atOnce?: boolean; // it is known to be on the screen
  labels?: { site: string; basis: "neurons" | "latents"; feature: number[] }; // what downloads of labels contain
}

const NEAR = 1500; // pixels from the screen
const CONTROLS = 32;

/** The height of a strip; until a clip's tiers are known, those of its corpus stand for them, so that nothing jumps. */
function heightOf({ clip, compact = false, curve, traced }: PlayerProps, tiers: Tier[] | null): number {
  const expected = clip.startsWith("u-") ? 0 : (corpora.value[0]?.tiers.length ?? 0);
  return layout({ tiers: tiers?.length ?? expected, trace: curve !== null || traced === true, compact }, 0).height;
}

export function Player(props: PlayerProps) {
  const box = useRef<HTMLDivElement>(null);
  const near = useSignal(props.atOnce ?? false);
  useEffect(() => {
    if (near.peek()) return;
    const come = (): void => void (near.value = true);
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry?.isIntersecting) return;
        observer.disconnect();
        inTurn(come, true);
      },
      { rootMargin: `${NEAR}px` },
    );
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      notInTurn(come);
    };
  }, []);
  const height = near.value ? "" : `${heightOf(props, null) + CONTROLS}px`;
  return (
    <div class="player" data-clip={props.clip} ref={box} style={{ height }}>
      {near.value && <Strip {...props} />}
    </div>
  );
}

const EMPTY: Tier[] = [];

function Strip(props: PlayerProps) {
  const { clip, duration, name, curve, before = null, peak = null, compact = false } = props;
  const key = `${clip}-${useId()}`;
  const canvas = useRef<HTMLCanvasElement>(null);
  const readout = useRef<HTMLOutputElement>(null);
  const tiers = useSignal<Tier[] | null>(null);
  const spectrogram = useSignal<Spectrogram | null>(null);
  const detail = useSignal<Spectrogram | null>(null); // of the view, where the clip is long
  const problem = useSignal<string | null>(null);
  const latest = useRef(props);
  latest.current = props;

  const state = useMemo(() => stripState(key, duration, peak), [clip, duration]);
  const sound = ({ start, end }: Span): string => {
    const query = start <= 0 && end >= duration ? {} : { start, end };
    const { emphasis } = latest.current;
    return emphasis
      ? address("/api/clips/{clip}/emphasis", { path: { clip }, query: { ...emphasis, ...query } })
      : address("/api/clips/{clip}/audio", { path: { clip }, query });
  };
  const act = useMemo(
    () =>
      actions(state, duration, () => ({
        sound,
        curve: latest.current.curve,
        tiers: tiers.peek() ?? EMPTY,
        peak: latest.current.peak ?? null,
      })),
    [state],
  );

  useLayoutEffect(() => {
    const gone = new AbortController();
    const failed = (error: unknown): void => void (problem.value = String((error as Error).message));
    const tell = (): void => void clipOf(clip).then((found) => (tiers.value = found.tiers), failed);
    const whole = effect(() => {
      detail.value = null;
      pictureOf(clip, wideBand.value, gone.signal)
        .then((found) => (spectrogram.value = found), failed)
        .finally(() => gone.signal.aborted || tiers.peek() || tell());
    });
    let timer = 0;
    const part = effect(() => {
      clearTimeout(timer);
      const span = spectrogram.value && detailFor(spectrogram.value, state.view.value, duration);
      if (!span) return;
      const load = (): void =>
        void pictureOf(clip, wideBand.peek(), gone.signal, span).then((found) => (detail.value = found), failed);
      timer = setTimeout(load, 120);
    });
    return () => {
      gone.abort();
      whole();
      part();
      clearTimeout(timer);
    };
  }, [state]);

  useEffect(() => {
    state.cursor.value = peak;
  }, [peak, state]);
  useEffect(() => {
    state.selection.value = props.selection ?? null;
  }, [props.selection?.start, props.selection?.end, state]);

  const width = useRef(0); // of the canvas, as it was last laid out: asking for it while drawing costs a layout
  const place = (): Layout => {
    const { curve: of, traced, compact: low = false } = latest.current;
    const trace = of !== null || traced === true;
    return layout({ tiers: (tiers.peek() ?? EMPTY).length, trace, compact: low }, width.current);
  };

  const own = useMemo(() => (curve ? extremes(curve) : null), [curve]);
  const low = Math.min(props.range?.low ?? own?.min ?? 0, 0);
  const high = Math.max(props.range?.high ?? own?.max ?? 0, 0);
  // Drawing whenever something changes; layers that are made once are kept.
  useLayoutEffect(() => {
    const target = canvas.current!;
    const context = target.getContext("2d")!;

    /** Somebody waits for the first picture of a strip that is on the screen. */
    const urgent = (): boolean => props.atOnce === true && !target.dataset.drawn && spectrogram.peek() !== null;
    const ask = (): void => (urgent() ? paint() : inTurn(paint));

    function paint(): void {
      if (!canvas.current || !width.current) return; // a size may be told after the strip is gone
      const colors = palette.peek();
      const view = state.view.peek();
      const close = detail.peek();
      const covers =
        close && close.start <= view.start && close.start + close.columns / close.columnsPerSecond >= view.end;
      const shown = covers ? close : spectrogram.peek();
      const table = colorTable(colorMap.peek(), colors.dark);
      if (shown && !isPainted(shown, table) && !urgent()) {
        paintSpectrogram(shown, table);
        return inTurn(paint); // the rest in the next turn
      }
      const strip: StripPicture = {
        duration,
        spectrogram: shown && { ...shown, picture: paintSpectrogram(shown, table) },
        curve, before, low, high,
        tiers: tiers.peek() ?? EMPTY,
        view,
        selection: state.selection.peek(),
        cursor: state.cursor.peek(),
        hover: state.hover.peek(),
        compact,
      }; // prettier-ignore
      const at = place();
      const ratio = devicePixelRatio;
      const [wide, tall] = [Math.round(width.current * ratio), Math.round(at.height * ratio)];
      if (target.width !== wide || target.height !== tall) [target.width, target.height] = [wide, tall];
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
      const heard = labelsAt(tiers.peek() ?? EMPTY, time).map(({ label }) => label);
      const chosen = state.selection.peek();
      const parts = [seconds(time), value === null ? "" : short(value), heard.join(" · ")];
      if (chosen)
        parts.push(`${seconds(chosen.start)} – ${seconds(chosen.end)} (${seconds(chosen.end - chosen.start, 3)})`);
      readout.current!.textContent = parts.filter(Boolean).join("   ");
      target.setAttribute("aria-valuenow", time.toFixed(3));
      target.setAttribute("aria-valuetext", parts.filter(Boolean).join(", "));
    }

    const dispose = effect(() => {
      void [palette.value, colorMap.value, tiers.value, spectrogram.value, detail.value];
      void [state.view.value, state.selection.value, state.cursor.value, state.hover.value];
      ask();
    });
    const resized = new ResizeObserver(([entry]) => {
      width.current = entry!.contentRect.width;
      ask();
    });
    resized.observe(target);
    return () => {
      dispose();
      resized.disconnect();
      notInTurn(paint);
    };
  }, [state, curve, before, low, high]);

  useEffect(
    () =>
      listen(canvas.current!, state, act, duration, {
        tiers: () => tiers.peek() ?? EMPTY,
        layout: place,
        onCursor: (time) => latest.current.onCursor?.(time),
        onSelect: (chosen) => latest.current.onSelect?.(chosen),
        touched: () => (activeKey.value = key),
      }),
    [state],
  );
  useEffect(() => register(key, { canvas: canvas.current!, ...act }), [key, act]);

  return (
    <>
      <canvas
        ref={canvas}
        class="strip"
        style={{ height: `${heightOf(props, tiers.value)}px` }}
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
    </>
  );
}
