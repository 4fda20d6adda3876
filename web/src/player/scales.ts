// Pure arithmetic of the strip: seconds to pixels, ticks, and where a frequency lies among mel bands.

/** The seconds that are shown. */
export interface View {
  start: number;
  end: number;
}

export interface Span {
  start: number;
  end: number;
}

export const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Zoom by a factor (above 1: closer) around a time that stays where it is. */
export function zoomed(view: View, factor: number, around: number, duration: number): View {
  const length = clamp((view.end - view.start) / factor, Math.min(0.05, duration), duration);
  const share = (around - view.start) / (view.end - view.start);
  const start = clamp(around - share * length, 0, duration - length);
  return { start, end: start + length };
}

export function panned(view: View, seconds: number, duration: number): View {
  const length = view.end - view.start;
  const start = clamp(view.start + seconds, 0, duration - length);
  return { start, end: start + length };
}

/** Round tick positions, at most `most` of them, and the digits they need. */
export function ticks(low: number, high: number, most: number): { at: number[]; digits: number } {
  const rough = Math.max((high - low) / Math.max(most, 1), 1e-6);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999)!;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  const at = Array.from({ length: Math.max(count, 0) }, (_, i) => (first + i) * step);
  return { at, digits: clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 4) };
}

/** Slaney's mel scale, as in the models' front end: linear below 1 kHz, logarithmic above. */
const mel = (hertz: number): number =>
  hertz < 1000 ? (3 * hertz) / 200 : 15 + (27 * Math.log(hertz / 1000)) / Math.log(6.4);

/** Height of a frequency in the spectrogram, 0 at the bottom and 1 at `top` hertz. */
export const melHeight = (hertz: number, top = 8000): number => mel(hertz) / mel(top);

/** Index of the frame a time lies in, or -1. */
export function frameAt(time: number, framesPerSecond: number, frames: number): number {
  const frame = Math.floor(time * framesPerSecond + 1e-6);
  return frame >= 0 && frame < frames ? frame : -1;
}

/** Three significant digits with a true minus sign. */
export function short(value: number): string {
  const text = value === 0 ? "0" : Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−");
}

export const seconds = (time: number, digits = 2): string => `${time.toFixed(digits)} s`;
