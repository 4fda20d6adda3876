// Jump to a feature by its number or by a part of its name; suggestions come from the server.
import { useSignal } from "@preact/signals";
import { get } from "../api/client";
import { useLoad } from "../api/load";
import { site } from "../api/store";
import { visit } from "../url";
import { labelOf } from "../views/search/names";

export function Jump() {
  const text = useSignal("");
  const open = useSignal(false);
  const at = useSignal(-1);
  const here = site.value;
  const wanted = text.value.trim();
  const found = useLoad(
    here && open.value && wanted ? `${here.site} ${here.basis} ${wanted}` : null,
    (signal) =>
      get("/api/sites/{site}/{basis}/features", {
        path: { site: here!.site, basis: here!.basis },
        query: { query: wanted, n: 8, dead: "include", sort: "score" },
        signal,
      }),
    120,
  );
  const rows = wanted && open.value ? (found.data?.features ?? []) : [];

  function jump(feature: number): void {
    text.value = "";
    open.value = false;
    document.querySelector<HTMLElement>("#main")?.focus();
    visit("search", { feature });
  }

  function submit(event: Event): void {
    event.preventDefault();
    const chosen = rows[at.value];
    if (chosen) jump(chosen.feature);
    else if (/^\d+$/.test(wanted)) jump(Number(wanted));
    else if (rows[0]) jump(rows[0].feature);
  }

  function move(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    at.value = Math.min(Math.max(at.value + by, -1), rows.length - 1);
  }

  return (
    <form class="jump" role="search" onSubmit={submit}>
      <input
        id="jump"
        type="text"
        role="combobox"
        autocomplete="off"
        placeholder="Jump to a feature  /"
        aria-label="Jump to a feature by number or name"
        aria-expanded={rows.length > 0}
        aria-controls="jump-list"
        aria-activedescendant={at.value >= 0 ? `jump-${at.value}` : undefined}
        disabled={!here}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          open.value = true;
          at.value = -1;
        }}
        onKeyDown={move}
        onFocus={() => (open.value = true)}
        onBlur={
          ({ currentTarget: input }) => setTimeout(() => (open.value = document.activeElement === input), 150) // it may be back already
        }
      />
      <ul id="jump-list" role="listbox" aria-label="Features" hidden={!rows.length}>
        {rows.map((row, i) => (
          <li
            key={row.feature}
            id={`jump-${i}`}
            role="option"
            aria-selected={i === at.value}
            onMouseDown={() => jump(row.feature)}
          >
            <b>{row.feature}</b> {labelOf(row.name) || (row.dead ? "dead" : "no name")}
          </li>
        ))}
      </ul>
    </form>
  );
}
