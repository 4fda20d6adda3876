// Reads the server's pictures of sound: a header of 32 bytes (docs/app.md), then a byte a value, column after column.
import type { Spectrogram } from "./layers";

export interface Picture extends Spectrogram {
  low: number; // what byte 0 stands for
  high: number; // and byte 255
}

const DYNAMIC_RANGE = 70; // dB shown of a spectrogram that is linear in frequency, as in Praat

export function readPicture(buffer: ArrayBuffer): Picture {
  const header = new DataView(buffer, 0, 32);
  if (header.getUint32(0) !== 0x4652494d) throw new Error("The server sent a picture that this page cannot read.");
  const number = (at: number): number => header.getFloat32(at, true);
  const top = number(28);
  const picture: Picture = {
    rows: header.getUint32(4, true),
    columns: header.getUint32(8, true),
    columnsPerSecond: 1 / number(12),
    start: number(16),
    low: number(20),
    high: number(24),
    scale: top < 0 ? "mel" : "linear",
    top: Math.abs(top),
    data: new Uint8Array(buffer, 32),
  };
  const range = picture.high - picture.low;
  if (picture.scale === "linear" && range > DYNAMIC_RANGE) {
    const floor = 255 * (1 - DYNAMIC_RANGE / range);
    picture.data = picture.data.map((byte) => Math.max(0, ((byte - floor) * 255) / (255 - floor)));
    picture.low = picture.high - DYNAMIC_RANGE;
  }
  return picture;
}
