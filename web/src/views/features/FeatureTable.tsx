// A table of any length: only the rows on the screen are in the document, and pages of rows are fetched as they come by.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { aborted } from "../../api/client";
import { Empty, Failure, Loading } from "../../components/states";
import { short } from "../../player/scales";
import { go, href, viewQuery, visit } from "../../url";
import { follow } from "../../App";
import { labelOf } from "../search/names";
import { filters, page, PAGE, tableKey, type Row, type Sort } from "./model";

const HEIGHT = 27; // pixels a row, as in the style sheet
const SPARE = 12; // rows beyond the screen

const share = (value: number | null): string => (value === null ? "" : value.toFixed(2));

interface Column {
  key: Sort | null;
  title: string;
  note?: string;
  cell: (row: Row) => string;
}

const COLUMNS: Column[] = [
  { key: "feature", title: "Feature", cell: (row) => String(row.feature) },
  { key: "name", title: "Name", cell: (row) => (row.name === null ? (row.dead ? "dead" : "") : labelOf(row.name)) },
  {
    key: "score",
    title: "Score",
    note: "Of the name on held-out clips: F1 corrected for chance, or |Spearman|",
    cell: (row) => share(row.score),
  },
  { key: null, title: "AUC", note: "Of the name on held-out clips", cell: (row) => share(row.auc) },
  { key: null, title: "Chance", note: "What shuffled labels reach: a control", cell: (row) => share(row.null) },
  { key: "density", title: "Density", cell: (row) => `${short(100 * row.density)} %` },
  { key: "max", title: "Max", cell: (row) => short(row.max) },
  { key: null, title: "Mean", cell: (row) => short(row.mean) },
  { key: "events", title: "Events", cell: (row) => row.events.toLocaleString("en") },
  { key: null, title: "Clips", cell: (row) => row.clips.toLocaleString("en") },
];

function sortBy(key: Sort): void {
  const { sort, ascending } = filters.peek();
  const first = key === "feature" || key === "name"; // these begin with the smallest
  const up = sort === key ? !ascending : first;
  go({ sort: key === "density" ? null : key, up });
}

export function FeatureTable() {
  const rows = useSignal(new Map<number, Row[]>());
  const total = useSignal<number | null>(null);
  const problem = useSignal<string | null>(null);
  const shown = useSignal({ first: 0, last: 40 });
  const box = useRef<HTMLDivElement>(null);
  const controller = useRef(new AbortController());
  const asked = useRef(new Set<number>());
  const key = tableKey.value;

  function fetchShown(): void {
    const { first, last } = shown.peek();
    const end = Math.floor(Math.min(last, (total.peek() ?? PAGE) - 1) / PAGE);
    for (let index = Math.floor(first / PAGE); index <= end; index++) {
      if (asked.current.has(index)) continue;
      asked.current.add(index);
      const { signal } = controller.current;
      page(index, signal).then(
        (answer) => {
          if (signal.aborted) return;
          total.value = answer.total;
          rows.value = new Map(rows.peek()).set(index, answer.features);
        },
        (error: unknown) => {
          if (aborted(error) || signal.aborted) return;
          asked.current.delete(index);
          problem.value = (error as Error).message;
        },
      );
    }
  }

  useEffect(() => {
    controller.current = new AbortController();
    asked.current.clear();
    problem.value = null;
    rows.value = new Map();
    total.value = null;
    box.current?.scrollTo(0, 0);
    fetchShown();
    return () => controller.current.abort();
  }, [key]);

  function scrolled(): void {
    if (!box.current) return; // the last notice of a size may come after the table is gone
    const { scrollTop, clientHeight } = box.current;
    const first = Math.max(0, Math.floor(scrollTop / HEIGHT) - SPARE);
    const last = Math.ceil((scrollTop + clientHeight) / HEIGHT) + SPARE;
    if (first === shown.peek().first && last === shown.peek().last) return;
    shown.value = { first, last };
    fetchShown();
  }
  useEffect(() => {
    const resized = new ResizeObserver(scrolled);
    resized.observe(box.current!);
    return () => resized.disconnect();
  }, []);

  const { sort, ascending } = filters.value;
  const count = total.value ?? 0;
  const { first, last } = shown.value;
  const visible = Array.from({ length: Math.max(0, Math.min(last, count) - first) }, (_, i) => first + i);
  return (
    <section class="table-section">
      <div class="table" role="table" aria-label="Features" aria-rowcount={count + 1}>
        <div role="row" class="table-row table-head">
          {COLUMNS.map(({ key: column, title, note }) => (
            <div
              role="columnheader"
              key={title}
              title={note}
              aria-sort={sort === column ? (ascending ? "ascending" : "descending") : undefined}
            >
              {column ? (
                <button type="button" onClick={() => sortBy(column)}>
                  {title}
                  {sort === column && <span aria-hidden="true">{ascending ? " ↑" : " ↓"}</span>}
                </button>
              ) : (
                title
              )}
            </div>
          ))}
        </div>
        <div class="table-body" role="presentation" ref={box} onScroll={scrolled}>
          <div
            class="table-space"
            role={visible.length ? "rowgroup" : undefined}
            style={{ height: `${count * HEIGHT}px` }}
          >
            {visible.map((at) => (
              <TableRow key={at} at={at} row={rows.value.get(Math.floor(at / PAGE))?.[at % PAGE]} />
            ))}
          </div>
        </div>
      </div>
      {problem.value ? (
        <Failure text={problem.value} retry={fetchShown} />
      ) : total.value === null ? (
        <Loading what="Listing features" />
      ) : (
        count === 0 && <Empty title="No feature fits these filters" />
      )}
      <p class="muted table-foot" role="status">
        {total.value === null ? "" : `${count.toLocaleString("en")} ${count === 1 ? "feature" : "features"}`}
      </p>
    </section>
  );
}

const TableRow = ({ at, row }: { at: number; row: Row | undefined }) => (
  <div
    role="row"
    class={row?.dead ? "table-row dead" : "table-row"}
    aria-rowindex={at + 2}
    style={{ transform: `translateY(${at * HEIGHT}px)` }}
    onClick={(event) => row && !(event.target as Element).matches("a") && visit("search", { feature: row.feature })}
  >
    {COLUMNS.map(({ title, cell }, i) => (
      <div role="cell" key={title} title={(title === "Name" && row?.name) || undefined}>
        {row &&
          (i === 0 ? (
            <a href={href(viewQuery("search", { feature: row.feature }))} onClick={follow}>
              {row.feature}
            </a>
          ) : (
            cell(row)
          ))}
      </div>
    ))}
  </div>
);
