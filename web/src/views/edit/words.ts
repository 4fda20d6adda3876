// A word diff by the longest common subsequence, for texts that the server does not compare: the reconstruction's.
import type { Schemas } from "../../api/client";

type Difference = Schemas["Difference"];

export function differences(before: string, after: string): Difference[] {
  const [a, b] = [before, after].map((text) => text.split(/\s+/).filter(Boolean)) as [string[], string[]];
  // longest[i][j]: length of the longest common subsequence of a[i..] and b[j..]
  const longest = Array.from({ length: a.length + 1 }, () => new Int32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      longest[i]![j] = a[i] === b[j] ? longest[i + 1]![j + 1]! + 1 : Math.max(longest[i + 1]![j]!, longest[i]![j + 1]!);
  const found: Difference[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const first = i;
    const equal: string[] = [];
    while (i < a.length && j < b.length && a[i] === b[j]) [equal[equal.length], i, j] = [a[i]!, i + 1, j + 1];
    if (equal.length) found.push({ kind: "equal", before: equal, after: equal, first });
    const [lost, gained]: [string[], string[]] = [[], []];
    const start = i;
    while ((i < a.length || j < b.length) && !(i < a.length && j < b.length && a[i] === b[j])) {
      if (j >= b.length || (i < a.length && longest[i + 1]![j]! >= longest[i]![j + 1]!)) lost.push(a[i++]!);
      else gained.push(b[j++]!);
    }
    if (!lost.length && !gained.length) continue;
    const kind = !lost.length ? "insert" : !gained.length ? "delete" : "substitute";
    found.push({ kind, before: lost, after: gained, first: start });
  }
  return found;
}
