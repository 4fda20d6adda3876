// Pictures that are stretched when drawn: the spectrogram (a pixel a band and frame, made once for all strips that show
// it) and the activations (one row, a pixel a step of the curve, green above zero and red below, the stronger the more
// opaque).

export interface Spectrogram {
  columns: number;
  rows: number; // row 0 is the lowest frequency
  columnsPerSecond: number;
  start: number; // seconds at the left edge
  data: Uint8Array; // [columns, rows]
  scale: "mel" | "linear";
  top: number; // hertz at the upper edge
}

export type Rgb = readonly [number, number, number];

const canvas = (width: number, height: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] => {
  const made = new OffscreenCanvas(Math.max(width, 1), Math.max(height, 1));
  return [made, made.getContext("2d")!];
};

const painted = new WeakMap<Spectrogram, { table: Uint8ClampedArray; picture: OffscreenCanvas }>();

/** Whether `paintSpectrogram` has it ready. */
export const isPainted = (of: Spectrogram, table: Uint8ClampedArray): boolean => painted.get(of)?.table === table;

export function paintSpectrogram(of: Spectrogram, table: Uint8ClampedArray): OffscreenCanvas {
  const kept = painted.get(of);
  if (kept?.table === table) return kept.picture;
  const { columns, rows, data } = of;
  const [made, context] = canvas(columns, rows);
  const image = context.createImageData(made.width, made.height);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = new Uint32Array(256);
  for (let i = 0; i < 256; i++)
    colors[i] = (0xff000000 | (table[3 * i + 2]! << 16) | (table[3 * i + 1]! << 8) | table[3 * i]!) >>> 0;
  for (let row = 0; row < rows; row++) {
    const line = (rows - 1 - row) * columns;
    for (let column = 0; column < columns; column++) pixels[line + column] = colors[data[column * rows + row]!]!;
  }
  context.putImageData(image, 0, 0);
  painted.set(of, { table, picture: made });
  return made;
}

/** Opacity of a value whose magnitude is `share` of the scale. */
export const opacity = (share: number): number => (share <= 0 ? 0 : 0.72 * Math.min(share, 1) ** 0.75);

const [row, rowContext] = canvas(1, 1);

/** The one row of activations, overwritten by the next call. */
export function paintActivations(
  values: ArrayLike<number>,
  largest: number,
  positive: Rgb,
  negative: Rgb,
): OffscreenCanvas {
  row.width = Math.max(values.length, 1);
  const image = rowContext.createImageData(row.width, 1);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value === 0) continue;
    const color = value > 0 ? positive : negative;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = color[c]!;
    image.data[4 * i + 3] = Math.round(255 * opacity(Math.abs(value) / largest));
  }
  rowContext.putImageData(image, 0, 0);
  return row;
}
