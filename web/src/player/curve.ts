// What can be read off a feature's curve and a clip's tiers: the value and the labels at a time, the extremes, and the span
// that is worth hearing.
import { clamp, frameAt, type Span } from "./scales";

export interface Interval {
  start: number;
  end: number;
  label: string;
}

export interface Tier {
  name: string;
  intervals: Interval[];
}

export interface Curve {
  values: Float32Array;
  framesPerSecond: number;
}

/** The interval of each tier at a time. */
export const labelsAt = (tiers: Tier[], time: number): Interval[] =>
  tiers.flatMap(({ intervals }) => intervals.find(({ start, end }) => time >= start && time < end) ?? []);

/** Value of a curve at a time; null outside. */
export function valueAt({ values, framesPerSecond }: Curve, time: number): number | null {
  const frame = frameAt(time, framesPerSecond, values.length);
  return frame < 0 ? null : values[frame]!;
}

/** The value of largest magnitude on the frames whose middles lie between two times; 0 where there are none. */
export function strongest({ values, framesPerSecond: rate }: Curve, start: number, end: number): number {
  let found = 0;
  const last = Math.min(Math.ceil(end * rate - 0.5), values.length);
  for (let frame = Math.max(Math.ceil(start * rate - 0.5), 0); frame < last; frame++)
    if (Math.abs(values[frame]!) > Math.abs(found)) found = values[frame]!;
  return found;
}

/** The part of a curve between two times in steps of whole frames; the largest magnitude of a step stands for it. */
export interface Steps {
  values: Float32Array;
  start: number; // seconds at the left edge of the first
  each: number; // seconds
  end: number; // of the last, which may be shorter
}

/** At most one step a pixel, where `pixels` are what the times from start to end are drawn on. */
export function stepsOf({ values, framesPerSecond: rate }: Curve, start: number, end: number, pixels: number): Steps {
  const first = clamp(Math.floor(start * rate), 0, values.length);
  const last = clamp(Math.ceil(end * rate), first, values.length);
  const joined = Math.max(1, Math.floor(((end - start) * rate) / pixels));
  const steps = new Float32Array(Math.ceil((last - first) / joined));
  for (let frame = first; frame < last; frame++) {
    const at = Math.floor((frame - first) / joined);
    if (Math.abs(values[frame]!) > Math.abs(steps[at]!)) steps[at] = values[frame]!;
  }
  return { values: steps, start: first / rate, each: joined / rate, end: last / rate };
}

export interface Extremes {
  max: number;
  maxTime: number;
  min: number;
  minTime: number;
}

export function extremes({ values, framesPerSecond }: Curve): Extremes {
  let high = 0;
  let low = 0;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > values[high]!) high = i;
    if (values[i]! < values[low]!) low = i;
  }
  const time = (frame: number): number => (frame + 0.5) / framesPerSecond;
  return { max: values[high] ?? 0, maxTime: time(high), min: values[low] ?? 0, minTime: time(low) };
}

/** Runs of frames where a curve is above a share of its largest magnitude, joined across short gaps: what is worth hearing. */
export function activeSpan(curve: Curve, around: number, duration: number): Span {
  const { values, framesPerSecond: rate } = curve;
  const peak = frameAt(around, rate, values.length);
  if (peak < 0) return { start: 0, end: duration };
  const least = Math.abs(values[peak]!) * 0.1;
  const on = (frame: number): boolean => frame >= 0 && frame < values.length && Math.abs(values[frame]!) > least;
  let first = peak;
  let last = peak;
  while (on(first - 1)) first--;
  while (on(last + 1)) last++;
  const margin = 0.05; // seconds, so that the ear has something to hold on to
  return { start: Math.max(0, first / rate - margin), end: Math.min(duration, (last + 1) / rate + margin) };
}
