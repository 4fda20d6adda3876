// Color maps as tables of 256 RGB triples. Gray follows the paper: energy is ink on a light page and light on a dark
// one. The others are matplotlib's perceptually uniform maps, given at 33 points; all read correctly without red/green.
import type { MapName } from "../prefs";

const POINTS: Record<Exclude<MapName, "gray">, string> = {
  viridis:
    "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
  cividis:
    "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f70737676767d7c788482798c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03afee838",
  magma:
    "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
};

/** For gray: the color of silence and of the loudest. */
const PAPER: [number, number, number] = [253, 252, 248];
const INK: [number, number, number] = [30, 32, 36];
const NIGHT: [number, number, number] = [16, 19, 22];
const LIGHT: [number, number, number] = [228, 226, 220];

function points(name: MapName, dark: boolean): number[][] {
  if (name === "gray") return dark ? [NIGHT, LIGHT] : [PAPER, INK];
  const hex = POINTS[name];
  const byte = (at: number): number => parseInt(hex.slice(at, at + 2), 16);
  return Array.from({ length: hex.length / 6 }, (_, i) => [byte(6 * i), byte(6 * i + 2), byte(6 * i + 4)]);
}

const tables = new Map<string, Uint8ClampedArray>();

/** [256 * 3] bytes of RGB. */
export function colorTable(name: MapName, dark: boolean): Uint8ClampedArray {
  const key = `${name}${dark}`;
  let table = tables.get(key);
  if (!table) {
    const given = points(name, dark);
    table = new Uint8ClampedArray(256 * 3);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (given.length - 1);
      const low = given[Math.floor(at)]!;
      const high = given[Math.ceil(at)]!;
      for (let c = 0; c < 3; c++) table[3 * i + c] = low[c]! + (high[c]! - low[c]!) * (at % 1);
    }
    tables.set(key, table);
  }
  return table;
}
