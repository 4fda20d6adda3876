// The list of operations: which feature, what is done to it, how much, and where. The slider re-runs the edit as it moves.
import { corpora, status, sites } from "../../api/store";
import { IconButton } from "../../components/Icon";
import { seconds } from "../../player/scales";
import { go, query } from "../../url";
import { change, current, fresh, KINDS, operations, setOperations, withKind, type Kind, type Operation } from "./model";

const NAMES: Record<Kind, string> = {
  scale: "scale by",
  set: "set to",
  add: "add",
  ablate: "ablate",
  clamp: "clamp to",
};

/** One more edit, of the next feature: two edits of one feature at the same place contradict each other. */
function another(all: Operation[]): Operation {
  const last = all.at(-1);
  if (!last) return fresh(0);
  const { features } = sites.value!.find((one) => one.site === last.site && one.basis === last.basis) ?? {
    features: 1,
  };
  return { ...fresh((last.feature + 1) % features), site: last.site, basis: last.basis };
}

export function Operations() {
  const all = operations.value;
  return (
    <section class="panel operations" aria-label="Edits">
      <h3>Edits</h3>
      <ol>
        {all.map((one, at) => (
          <Item key={at} of={one} at={at} />
        ))}
      </ol>
      <div class="row">
        <button type="button" onClick={() => setOperations([...all, another(all)])}>
          Add an edit
        </button>
      </div>
      <label class="check" title="The model then sees the bare reconstruction; otherwise what the SAE misses is kept">
        <input
          type="checkbox"
          checked={query.value.sub === "1"}
          onChange={(event) => go({ sub: event.currentTarget.checked })}
        />
        substitute the reconstruction
      </label>
      {status.value!.bundled_site && (
        <label
          class="check"
          title={`Latents of ${status.value!.bundled_site} are those of the SAE that comes with FREUD, not of this result's`}
        >
          <input
            type="checkbox"
            checked={query.value.bundled === "1"}
            onChange={(event) => go({ bundled: event.currentTarget.checked })}
          />
          latents of the bundled SAE
        </label>
      )}
    </section>
  );
}

function Item({ of, at }: { of: Operation; at: number }) {
  const editable = sites.value!.filter((one) => one.editable);
  const chosen = current.value === at;
  const set = (patch: Partial<Operation>, how?: "replace"): void => change(at, patch, how);
  const number = (name: "feature" | "value" | "min" | "max", label: string) => (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        step={name === "feature" ? 1 : "any"}
        min={name === "feature" ? 0 : undefined}
        value={of[name] ?? ""}
        required
        onChange={(event) => event.currentTarget.value !== "" && set({ [name]: Number(event.currentTarget.value) })}
      />
    </label>
  );
  const reach = of.operation === "scale" ? 3 : of.unit === "p99" ? 3 : Math.max(20, Math.abs(of.value ?? 0) * 1.5);
  return (
    <li
      class={chosen ? "operation chosen" : "operation"}
      onFocusCapture={() => chosen || go({ op: at || null }, "replace")}
    >
      <div class="fields">
        <label class="field wide">
          <span>Site</span>
          <select
            value={`${of.site} ${of.basis}`}
            onChange={(event) => {
              const [where, basis] = event.currentTarget.value.split(" ") as [string, Operation["basis"]];
              set({ site: where, basis });
            }}
          >
            {editable.map((one) => (
              <option key={`${one.site} ${one.basis}`} value={`${one.site} ${one.basis}`}>
                {one.site} · {one.basis}
              </option>
            ))}
          </select>
        </label>
        {number("feature", "Feature")}
        <label class="field">
          <span>Operation</span>
          <select value={of.operation} onChange={(event) => set(withKind(of, event.currentTarget.value as Kind))}>
            {KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {NAMES[kind]}
              </option>
            ))}
          </select>
        </label>
      </div>
      {of.operation !== "ablate" && of.operation !== "clamp" && (
        <div class="amount">
          <input
            type="range"
            aria-label={of.operation === "scale" ? "Factor" : "Value"}
            min={-reach}
            max={reach}
            step={reach / 60}
            value={of.value ?? 0}
            onInput={(event) => {
              performance.mark("edit-change");
              set({ value: Number(Number(event.currentTarget.value).toFixed(3)) }, "replace");
            }}
          />
          {number("value", of.operation === "scale" ? "Factor" : "Value")}
          {of.operation === "add" && (
            <label class="field">
              <span>Unit</span>
              <select value={of.unit} onChange={(event) => set({ unit: event.currentTarget.value as "raw" | "p99" })}>
                <option value="p99">its 99th percentile</option>
                <option value="raw">raw</option>
              </select>
            </label>
          )}
        </div>
      )}
      {of.operation === "clamp" && (
        <div class="fields">
          {number("min", "Low")}
          {number("max", "High")}
        </div>
      )}
      <Where of={of} set={set} />
      <div class="row">
        <label class="check">
          <input
            type="checkbox"
            checked={of.active_only ?? false}
            onChange={(event) => set({ active_only: event.currentTarget.checked })}
          />
          active frames only
        </label>
        <IconButton
          icon="close"
          label={`Remove edit ${at + 1}`}
          onClick={() => setOperations(operations.peek().filter((_, i) => i !== at))}
        />
      </div>
    </li>
  );
}

/** Over the whole clip, a span (dragged on the strip), or only while a tier has a label, such as a phone. */
function Where({ of, set }: { of: Operation; set: (patch: Partial<Operation>) => void }) {
  const tiers = [...new Set(corpora.value.flatMap((corpus) => corpus.tiers))];
  const spanned = of.start != null && of.end != null;
  return (
    <div class="row where">
      {spanned ? (
        <>
          <span class="muted">
            {seconds(of.start!)} – {seconds(of.end!)}
          </span>
          <button type="button" class="quiet" onClick={() => set({ start: null, end: null })}>
            Whole clip
          </button>
        </>
      ) : (
        <span class="muted">whole clip; drag over the strip for a span</span>
      )}
      {tiers.length > 0 && (
        <>
          <select
            aria-label="Only during a label of"
            value={of.tier ?? ""}
            onChange={({ currentTarget: { value } }) =>
              set({ tier: value || null, label: value ? (of.label ?? "") : null })
            }
          >
            <option value="">at any label</option>
            {tiers.map((tier) => (
              <option key={tier} value={tier}>
                only at {tier}
              </option>
            ))}
          </select>
          {of.tier && (
            <input
              class="label-input"
              aria-label="Label"
              placeholder="label"
              value={of.label ?? ""}
              onChange={(event) => set({ label: event.currentTarget.value.trim() })}
            />
          )}
        </>
      )}
    </div>
  );
}
