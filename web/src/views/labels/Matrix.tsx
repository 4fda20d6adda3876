// The matrix of phones: row by row, the share of a phone's frames on which the best feature of each phone is active. A good
// set of features is dark on the diagonal only.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { get, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { site } from "../../api/store";
import { Empty, Failure, Loading } from "../../components/states";
import { colorTable } from "../../player/colormaps";
import { palette } from "../../player/palette";
import { short } from "../../player/scales";
import { colorMap } from "../../prefs";
import { visit } from "../../url";

const EDGE = 46; // pixels for labels

export function MatrixPlot() {
  const here = site.value!;
  const { data, problem, retry } = useLoad(`${here.site} ${here.basis}`, (signal) =>
    get("/api/sites/{site}/{basis}/matrix", { path: { site: here.site, basis: here.basis }, signal }),
  );
  if (problem) return <Failure text={problem} retry={retry} />;
  if (!data) return <Loading what="Drawing the matrix" />;
  if (!data.rates.length) return <Empty title={`No phones were scored at ${here.site}`} />;
  return <Drawn of={data} />;
}

function Drawn({ of }: { of: Schemas["Matrix"] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const note = useSignal("");
  const colors = palette.value;
  const table = colorTable(colorMap.value, colors.dark);
  const [rows, columns] = [of.labels.length, of.features.length];

  useEffect(() => {
    const target = canvas.current!;
    const size = Math.min(target.parentElement!.clientWidth, 900);
    const cell = (size - EDGE) / columns;
    const ratio = devicePixelRatio;
    [target.width, target.height] = [size * ratio, (EDGE + cell * rows) * ratio];
    target.style.width = `${size}px`;
    const context = target.getContext("2d")!;
    context.scale(ratio, ratio);
    context.font = `${Math.min(12, cell * 0.8)}px "Source Sans 3", sans-serif`;
    context.textBaseline = "middle";
    of.rates.forEach((row, i) =>
      row.forEach((rate, j) => {
        const at = 3 * Math.round(255 * Math.min(Math.max(rate, 0), 1));
        context.fillStyle = `rgb(${table[at]} ${table[at + 1]} ${table[at + 2]})`;
        context.fillRect(EDGE + j * cell, EDGE + i * cell, cell - 0.5, cell - 0.5);
      }),
    );
    context.fillStyle = colors.ink;
    context.textAlign = "right";
    of.texts.forEach((text, i) => context.fillText(text, EDGE - 6, EDGE + (i + 0.5) * cell));
    context.textAlign = "left";
    of.features.forEach(({ text }, j) => {
      context.save();
      context.translate(EDGE + (j + 0.5) * cell, EDGE - 6);
      context.rotate(-Math.PI / 2);
      context.fillText(text, 0, 0);
      context.restore();
    });
  }, [of, colors, table]);

  function cellAt(event: MouseEvent): { row: number; column: number } | null {
    const box = canvas.current!.getBoundingClientRect();
    const cell = (box.width - EDGE) / columns;
    const row = Math.floor((event.clientY - box.top - EDGE) / cell);
    const column = Math.floor((event.clientX - box.left - EDGE) / cell);
    return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
  }
  return (
    <section class="panel" aria-label="Phones against features">
      <h3>How often the best feature of each phone (columns) is active on each phone (rows)</h3>
      <p class="muted" role="status">
        {note.value || "Click a column to hear its feature."}
      </p>
      <canvas
        ref={canvas}
        class="matrix"
        role="img"
        aria-label={`${rows} phones against the best features of ${columns} phones`}
        onMouseMove={(event) => {
          const at = cellAt(event);
          if (!at) return void (note.value = "");
          const { feature, text } = of.features[at.column]!;
          const rate = short(100 * of.rates[at.row]![at.column]!);
          note.value = `feature ${feature}, the best for ${text}, is active on ${rate} % of ${of.texts[at.row]}`;
        }}
        onClick={(event) => {
          const at = cellAt(event);
          if (at) visit("search", { feature: of.features[at.column]!.feature });
        }}
      />
    </section>
  );
}
