// Draws one strip: spectrogram with activations over it, trace, tiers, time axis, then selection and cursor. What is
// drawn depends on the arguments only, so a strip is redrawn whole whenever anything changes (a few milliseconds).
import { strongest, stepsOf, type Curve, type Steps, type Tier } from "./curve";
import { opacity, paintActivations, type Spectrogram } from "./layers";
import { rgb, type Palette } from "./palette";
import { clamp, melHeight, short, ticks, type Span, type View } from "./scales";

export interface Strip {
  duration: number;
  spectrogram: (Spectrogram & { picture: OffscreenCanvas }) | null;
  curve: Curve | null;
  before: Curve | null; // drawn as a thin line behind the trace, for edits
  low: number; // range of the trace
  high: number;
  tiers: Tier[];
  view: View;
  selection: Span | null;
  cursor: number | null;
  hover: number | null;
  compact: boolean; // a lower picture and no tiers, where the same clip is shown several times
}

export const GUTTER = 44;
const RIGHT = 8;
const PICTURE = 112;
const COMPACT = 60;
const GAP = 5;
const TRACE = 46;
const TIER = 19;
const AXIS = 17;
const FONT = '11px "Source Sans 3", system-ui, sans-serif';
const LABEL = '12.5px "Source Sans 3", system-ui, sans-serif';

export interface Layout {
  left: number;
  width: number; // of the part that shows time
  picture: [top: number, height: number];
  trace: [top: number, height: number] | null;
  tiers: [top: number, height: number][];
  axis: [top: number, height: number];
  height: number; // of everything
}

export function layout(strip: { tiers: number; trace: boolean; compact: boolean }, width: number): Layout {
  const picture = strip.compact ? COMPACT : PICTURE;
  let top = picture + GAP;
  const trace: [number, number] | null = strip.trace ? [top, TRACE] : null;
  if (trace) top += TRACE + GAP;
  const tiers = Array.from({ length: strip.compact ? 0 : strip.tiers }, (_, i): [number, number] => [
    top + i * TIER,
    TIER,
  ]);
  top += tiers.length * TIER;
  return {
    left: GUTTER,
    width: Math.max(width - GUTTER - RIGHT, 10),
    picture: [0, picture],
    trace,
    tiers,
    axis: [top, AXIS],
    height: top + AXIS,
  };
}

export const timeAt = (x: number, view: View, { left, width }: Layout): number =>
  view.start + ((x - left) / width) * (view.end - view.start);

export const xAt = (time: number, view: View, { left, width }: Layout): number =>
  left + ((time - view.start) / (view.end - view.start)) * width;

type Context = CanvasRenderingContext2D;

export function draw(context: Context, strip: Strip, at: Layout, colors: Palette): void {
  context.clearRect(0, 0, at.left + at.width + RIGHT, at.height);
  context.textBaseline = "middle";
  drawPicture(context, strip, at, colors);
  if (at.trace) drawTrace(context, strip, at, at.trace, colors);
  strip.tiers.forEach((tier, i) => at.tiers[i] && drawTier(context, strip, tier, at, at.tiers[i], colors));
  drawAxis(context, strip, at, colors);
  drawSelection(context, strip, at, colors);
}

function drawPicture(context: Context, strip: Strip, at: Layout, colors: Palette): void {
  const [top, height] = at.picture;
  const { view, spectrogram, curve } = strip;
  context.fillStyle = colors.well;
  context.fillRect(at.left, top, at.width, height);
  /** Stretch a picture of `rate` columns a second that begins at `from` over the times that are shown. */
  const stretch = (picture: OffscreenCanvas, from: number, rate: number): void => {
    const start = Math.max(view.start, from);
    const end = Math.min(view.end, from + picture.width / rate);
    if (end <= start) return;
    const [x, right] = [xAt(start, view, at), xAt(end, view, at)];
    context.drawImage(
      picture, (start - from) * rate, 0, (end - start) * rate, picture.height, x, top, right - x, height,
    ); // prettier-ignore
  };
  if (spectrogram) {
    context.imageSmoothingEnabled = true;
    stretch(spectrogram.picture, spectrogram.start, spectrogram.columnsPerSecond);
  }
  if (curve) {
    context.imageSmoothingEnabled = false;
    const { values, start, each } = stepsOf(curve, view.start, view.end, at.width);
    const [positive, negative] = [rgb(colors.positive), rgb(colors.negative)];
    stretch(paintActivations(values, Math.max(-strip.low, strip.high), positive, negative), start, 1 / each);
  }
  if (!spectrogram) return;
  context.font = FONT;
  context.textAlign = "right";
  context.fillStyle = colors.muted;
  const marks = spectrogram.scale === "mel" ? [0, 500, 1000, 2000, 4000, 8000] : [0, 2000, 4000, 6000, 8000];
  if (strip.compact) marks.splice(0, marks.length, ...marks.filter((_, i) => i % 2 === 1));
  for (const hertz of marks) {
    if (hertz > spectrogram.top) continue;
    const share = spectrogram.scale === "mel" ? melHeight(hertz, spectrogram.top) : hertz / spectrogram.top;
    const y = top + height * (1 - share);
    context.fillRect(at.left - 3, clamp(Math.round(y), top, top + height - 1), 3, 1);
    const text = hertz === 0 ? "Hz" : hertz < 1000 ? String(hertz) : `${hertz / 1000}k`;
    context.fillText(text, at.left - 6, clamp(y, top + 6, top + height - 5));
  }
}

function drawTrace(context: Context, strip: Strip, at: Layout, row: [number, number], colors: Palette): void {
  const [top, height] = row;
  const { low, high } = strip;
  const y = (value: number): number =>
    top + height - 1 - ((clamp(value, low, high) - low) / (high - low || 1)) * (height - 2);
  context.fillStyle = colors.line;
  context.fillRect(at.left, Math.round(y(0)), at.width, 1);
  context.font = FONT;
  context.textAlign = "right";
  context.fillStyle = colors.muted;
  if (high > 0) context.fillText(short(high), at.left - 6, top + 6);
  if (low < 0) context.fillText(short(low), at.left - 6, top + height - 5);
  if (low === 0 || high === 0) context.fillText("0", at.left - 6, clamp(y(0), top + 6, top + height - 4));
  if (strip.curve) fillCurve(context, strip.curve, strip.view, at, y, colors);
  if (strip.before) lineCurve(context, strip.before, strip.view, at, y, colors.ink);
}

/** For each step of a curve in view its left and right edge, and its value. */
function* edges(curve: Curve, view: View, at: Layout): Generator<[left: number, right: number, value: number]> {
  const steps: Steps = stepsOf(curve, view.start, view.end, at.width);
  for (let i = 0; i < steps.values.length; i++) {
    const start = steps.start + i * steps.each;
    const left = Math.max(xAt(start, view, at), at.left);
    const right = Math.min(xAt(Math.min(start + steps.each, steps.end), view, at), at.left + at.width);
    yield [left, right, steps.values[i]!];
  }
}

function fillCurve(
  context: Context,
  curve: Curve,
  view: View,
  at: Layout,
  y: (v: number) => number,
  colors: Palette,
): void {
  const zero = y(0);
  for (const [color, sign] of [
    [colors.positive, 1],
    [colors.negative, -1],
  ] as const) {
    context.beginPath();
    for (const [left, right, value] of edges(curve, view, at))
      if (value * sign > 0) context.rect(left, Math.min(y(value), zero), right - left + 0.3, Math.abs(y(value) - zero));
    context.fillStyle = color;
    context.fill();
  }
}

function lineCurve(
  context: Context,
  curve: Curve,
  view: View,
  at: Layout,
  y: (v: number) => number,
  color: string,
): void {
  context.beginPath();
  for (const [left, right, value] of edges(curve, view, at)) {
    context.lineTo(left, y(value));
    context.lineTo(right, y(value));
  }
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.stroke();
}

function drawTier(
  context: Context,
  strip: Strip,
  tier: Tier,
  at: Layout,
  row: [number, number],
  colors: Palette,
): void {
  const [top, height] = row;
  const { view, cursor, curve } = strip;
  const scale = Math.max(-strip.low, strip.high);
  const tints = [rgb(colors.positive), rgb(colors.negative)].map((color) => color.join(" "));
  context.textAlign = "right";
  context.font = FONT;
  context.fillStyle = colors.muted;
  context.fillText(tier.name.slice(0, 8), at.left - 6, top + height / 2);
  context.fillStyle = colors.line;
  context.fillRect(at.left, top + height - 1, at.width, 1);
  context.textAlign = "center";
  context.font = LABEL;
  let line = -1; // where the last boundary was drawn: of a long clip thousands share a pixel
  const boundary = (x: number): void => {
    if (Math.round(x) === line) return;
    line = Math.round(x);
    context.fillStyle = colors.line;
    context.fillRect(line, top + 2, 1, height - 4);
  };
  for (const { start, end, label } of tier.intervals) {
    if (end <= view.start || start >= view.end) continue;
    const left = Math.max(xAt(start, view, at), at.left);
    const right = Math.min(xAt(end, view, at), at.left + at.width);
    const value = curve ? strongest(curve, start, end) : 0;
    if (value !== 0 && right - left >= 2) {
      context.fillStyle = `rgb(${tints[value > 0 ? 0 : 1]} / ${0.6 * opacity(Math.abs(value) / scale)})`;
      context.fillRect(left, top + 1, right - left, height - 3);
    }
    if (cursor !== null && cursor >= start && cursor < end) {
      context.fillStyle = colors.select;
      context.fillRect(left, top, right - left, height - 1);
    }
    if (start >= view.start) boundary(left);
    if (end <= view.end) boundary(right);
    const room = right - left - 2;
    if (room < 5) continue;
    context.fillStyle = colors.ink;
    if (context.measureText(label).width <= room) context.fillText(label, (left + right) / 2, top + height / 2);
    else if (room > 18) context.fillText(shortened(context, label, room), (left + right) / 2, top + height / 2);
  }
}

function shortened(context: Context, label: string, room: number): string {
  let length = label.length - 1;
  while (length > 0 && context.measureText(`${label.slice(0, length)}…`).width > room) length--;
  return length > 0 ? `${label.slice(0, length)}…` : "";
}

function drawAxis(context: Context, { view }: Strip, at: Layout, colors: Palette): void {
  const [top] = at.axis;
  const marks = ticks(view.start, view.end, at.width / 74);
  context.font = FONT;
  context.textAlign = "center";
  context.fillStyle = colors.muted;
  for (const time of marks.at) {
    const x = xAt(time, view, at);
    context.fillRect(Math.round(x), top, 1, 4);
    context.fillText(time.toFixed(marks.digits), clamp(x, at.left + 8, at.left + at.width - 8), top + 11);
  }
  context.textAlign = "right";
  context.fillText("s", at.left - 6, top + 11);
}

function drawSelection(context: Context, strip: Strip, at: Layout, colors: Palette): void {
  const { selection, cursor, hover, view } = strip;
  const right = at.left + at.width;
  const bottom = at.axis[0];
  if (selection && selection.end > view.start && selection.start < view.end) {
    const [a, b] = [xAt(selection.start, view, at), xAt(selection.end, view, at)].map((x) =>
      clamp(x, at.left, right),
    ) as [number, number];
    context.fillStyle = colors.select;
    context.fillRect(a, 0, Math.max(b - a, 1), bottom);
    context.fillStyle = colors.accent;
    context.fillRect(a, 0, 1, bottom);
    context.fillRect(b, 0, 1, bottom);
  }
  const line = (time: number | null, color: string, dashes: number[]): void => {
    if (time === null || time < view.start || time > view.end) return;
    const x = Math.round(xAt(time, view, at)) + 0.5;
    context.beginPath();
    context.setLineDash(dashes);
    context.moveTo(x, 0);
    context.lineTo(x, bottom + 4);
    context.strokeStyle = color;
    context.lineWidth = 1;
    context.stroke();
    context.setLineDash([]);
  };
  line(hover, colors.muted, [3, 3]);
  line(cursor, colors.accent, []);
}
