// The controls of a search. Fields are a draft until Enter or Update; the buttons beside the number act at once.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { site } from "../../api/store";
import { IconButton } from "../../components/Icon";
import { keys } from "../../keyboard";
import { go } from "../../url";
import { search } from "./model";

const text = (value: number | null): string => (value === null ? "" : String(value));

/** Go to another feature; limits belong to the old one. */
export const goToFeature = (feature: number): void =>
  go({ view: "search", feature, min: null, max: null, seed: null, test: null, side: null });

export function SearchForm() {
  const now = search.value;
  const features = site.value!.features;
  const draft = { feature: useSignal(""), n: useSignal(""), min: useSignal(""), max: useSignal("") };
  useEffect(() => {
    draft.feature.value = text(now.feature);
    draft.n.value = String(now.n);
    draft.min.value = text(now.min);
    draft.max.value = text(now.max);
  }, [now]);

  const step = (by: number): void =>
    goToFeature(((((search.peek().feature ?? (by > 0 ? -1 : 0)) + by) % features) + features) % features);
  const random = (): void => goToFeature(Math.floor(Math.random() * features));
  useEffect(() => {
    keys
      .set("[", () => step(-1))
      .set("]", () => step(1))
      .set("r", random);
    return () => ["[", "]", "r"].forEach((key) => keys.delete(key));
  }, [features]);

  function submit(event: Event): void {
    event.preventDefault();
    performance.mark("search-enter");
    const feature = Number(draft.feature.value);
    const sameFeature = feature === now.feature;
    go({
      view: "search",
      test: null,
      side: null,
      feature: draft.feature.value,
      n: draft.n.value === "10" ? null : draft.n.value,
      min: sameFeature || draft.min.value !== text(now.min) ? draft.min.value : null,
      max: sameFeature || draft.max.value !== text(now.max) ? draft.max.value : null,
    });
  }

  const field = (name: keyof typeof draft, label: string, attributes: object) => (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        name={name}
        value={draft[name].value}
        onInput={(event) => (draft[name].value = event.currentTarget.value)}
        {...attributes}
      />
    </label>
  );
  return (
    <form class="search-form panel" onSubmit={submit} aria-label="Search">
      <div class="feature-field">
        <IconButton icon="previous" label="Previous feature" title="Previous feature ([)" onClick={() => step(-1)} />
        {field("feature", now.basis === "neurons" ? "Neuron" : "Latent", {
          min: 0,
          max: features - 1,
          step: 1,
          required: true,
        })}
        <IconButton icon="next" label="Next feature" title="Next feature (])" onClick={() => step(1)} />
        <IconButton icon="dice" label="Random feature" title="Random feature (r)" onClick={random} />
      </div>
      <div class="fields">
        {field("min", "Min", { step: "any", placeholder: "none" })}
        {field("max", "Max", { step: "any", placeholder: "none" })}
        {field("n", "Results", { min: 1, max: 200, step: 1, required: true })}
      </div>
      <div class="row">
        <label class="check">
          <input
            type="checkbox"
            checked={now.absolute}
            onChange={(event) => go({ abs: event.currentTarget.checked })}
          />
          Use absolute value
        </label>
        <button class="primary">Update</button>
      </div>
    </form>
  );
}
