// Pictures that are made once and stretched when drawn: the spectrogram (a pixel a band and frame) and the activations
// (one row, a pixel a frame, green above zero and red below, the stronger the more opaque).

export interface Spectrogram {
  columns: number;
  rows: number; // row 0 is the lowest frequency
  columnsPerSecond: number;
  data: Uint8Array; // [columns, rows]
  scale: "mel" | "linear";
  top: number; // hertz at the upper edge
}

export type Rgb = readonly [number, number, number];

const canvas = (width: number, height: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] => {
  const made = new OffscreenCanvas(Math.max(width, 1), Math.max(height, 1));
  return [made, made.getContext("2d")!];
};

export function paintSpectrogram({ columns, rows, data }: Spectrogram, table: Uint8ClampedArray): OffscreenCanvas {
  const [made, context] = canvas(columns, rows);
  const image = context.createImageData(made.width, made.height);
  const pixels = new Uint32Array(image.data.buffer);
  const colors = new Uint32Array(256);
  for (let i = 0; i < 256; i++)
    colors[i] = (0xff000000 | (table[3 * i + 2]! << 16) | (table[3 * i + 1]! << 8) | table[3 * i]!) >>> 0;
  for (let column = 0; column < columns; column++)
    for (let row = 0; row < rows; row++)
      pixels[(rows - 1 - row) * columns + column] = colors[data[column * rows + row]!]!;
  context.putImageData(image, 0, 0);
  return made;
}

/** Opacity of a value whose magnitude is `share` of the scale. */
export const opacity = (share: number): number => (share <= 0 ? 0 : 0.72 * Math.min(share, 1) ** 0.75);

export function paintActivations(values: Float32Array, largest: number, positive: Rgb, negative: Rgb): OffscreenCanvas {
  const [made, context] = canvas(values.length, 1);
  const image = context.createImageData(made.width, 1);
  values.forEach((value, frame) => {
    const alpha = largest > 0 ? opacity(Math.abs(value) / largest) : 0;
    image.data.set([...(value > 0 ? positive : negative), Math.round(255 * alpha)], 4 * frame);
  });
  context.putImageData(image, 0, 0);
  return made;
}
