// All features of a site: a plot of density against maximum, and a table to sort and filter. Dragging a box in the plot
// filters the table; the state of both is in the address.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { site } from "../../api/store";
import { go, number, query } from "../../url";
import { FeatureTable } from "./FeatureTable";
import { Overview } from "./Overview";
import { filters } from "./model";

export function FeaturesView() {
  const here = site.value!;
  return (
    <div class="features">
      <header class="page-head">
        <h1>Features</h1>
        <p class="muted">
          {here.features.toLocaleString("en")} {here.basis} of <code>{here.site}</code>,{" "}
          {here.dead.toLocaleString("en")} of them dead on {here.frames.toLocaleString("en")} frames,{" "}
          {here.named.toLocaleString("en")} named
          {here.sae && here.sae.fvu !== null && `; ${here.sae.architecture} SAE, FVU ${here.sae.fvu.toFixed(3)}`}
        </p>
      </header>
      <Overview />
      <Filters />
      <FeatureTable />
    </div>
  );
}

function Filters() {
  const now = filters.value;
  const text = useSignal(now.query);
  useEffect(() => {
    text.value = now.query;
  }, [now.query]);
  useEffect(() => {
    if (text.value === filters.peek().query) return;
    const timer = setTimeout(() => go({ q: text.value.trim() }, "replace"), 150);
    return () => clearTimeout(timer);
  }, [text.value]);
  const bound = (key: string, label: string) => (
    <label class="field narrow">
      <span>{label}</span>
      <input
        type="number"
        step="any"
        value={number(key, null) ?? ""}
        onChange={(event) => go({ [key]: event.currentTarget.value })}
      />
    </label>
  );
  const filtered = ["q", "dead", "named", "dmin", "dmax", "mmin", "mmax"].some((key) => query.value[key]);
  return (
    <form class="filters panel" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
      <label class="field wide">
        <span>Name or number</span>
        <input type="search" value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
      </label>
      {bound("dmin", "Density ≥")}
      {bound("dmax", "Density ≤")}
      {bound("mmin", "Max ≥")}
      {bound("mmax", "Max ≤")}
      <label class="field">
        <span>Dead</span>
        <select
          value={now.dead}
          onChange={(event) => go({ dead: event.currentTarget.value === "exclude" ? null : event.currentTarget.value })}
        >
          <option value="exclude">without</option>
          <option value="include">with</option>
          <option value="only">only</option>
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={now.named} onChange={(event) => go({ named: event.currentTarget.checked })} />
        named only
      </label>
      {filtered && (
        <button
          type="button"
          onClick={() => go({ q: null, dead: null, named: null, dmin: null, dmax: null, mmin: null, mmax: null })}
        >
          Clear
        </button>
      )}
    </form>
  );
}
