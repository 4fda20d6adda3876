// The heading of a feature: number, name (yours or the automatic one, with its evidence), statistics, and what can be done.
import { useSignal } from "@preact/signals";
import { put, type Schemas } from "../../api/client";
import { site } from "../../api/store";
import { Icon } from "../../components/Icon";
import { failed, toast } from "../../components/toasts";
import { short } from "../../player/scales";
import { go, visit } from "../../url";
import { BookmarkButton, NoteButton } from "../notes/buttons";
import { search } from "./model";
import { featureVersion } from "./names";

const percent = (share: number): string => `${short(100 * share)} %`;

export function FeatureHead({ feature }: { feature: Schemas["Feature"] }) {
  const here = site.value!;
  const evidence = feature.naming.filter(({ label, flags }) => label !== null || flags.length > 0);
  const facts: [string, string][] = feature.dead
    ? [["frames", here.frames.toLocaleString("en")]]
    : [
        ["of frames", percent(feature.density)],
        ["max", short(feature.max)],
        ["min", short(feature.min)],
        ["mean", short(feature.mean)],
        ["sd", short(feature.std)],
        ["clips", feature.clips.toLocaleString("en")],
        ["events", feature.events.toLocaleString("en")],
      ];
  return (
    <header class="feature-head">
      <div class="feature-title">
        <h1>{feature.feature}</h1>
        {sides(feature).map((side) => (
          <Name key={`${feature.feature}${side}`} feature={feature} side={side} />
        ))}
        <div class="tools">
          <BookmarkButton
            title={`${here.basis === "neurons" ? "Neuron" : "Latent"} ${feature.feature}${feature.name ? `: ${feature.name}` : ""}`}
          />
          <NoteButton title={`Feature ${feature.feature}`} />
          {feature.naming.filter(named).map(({ side }) => (
            <button
              key={side}
              type="button"
              class="quiet"
              title="Hear places without seeing them: can you tell where it fires?"
              onClick={() => go({ test: Math.floor(Math.random() * 1e6), side: side === "-" ? "-" : null })}
            >
              <Icon name="play" /> Listening test{side === "-" && ", negative side"}
            </button>
          ))}
          {here.editable && (
            <button type="button" class="quiet" onClick={() => visit("edit", { feature: feature.feature })}>
              <Icon name="play" /> Edit this feature
            </button>
          )}
        </div>
      </div>
      {evidence.map(({ side, name, label, auc, runners_up, flags }) => (
        <p class="evidence" key={side}>
          {label && name}
          {label && auc !== null && ` · AUC ${auc.toFixed(2)}`}
          {runners_up.length > 0 && <>. Also: {runners_up.join(", ")}.</>}
          {flags.map((flag) => (
            <span key={flag} class="flag">
              {flag}
            </span>
          ))}
        </p>
      ))}
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dd>{value}</dd>
            <dt>{name}</dt>
          </div>
        ))}
      </dl>
    </header>
  );
}

const named = ({ label, user_name }: Schemas["Naming"]): boolean => label !== null || user_name !== null;

type Side = Schemas["Naming"]["side"];

/** A latent has one side; the highest and the lowest values of a neuron may have a name each. */
function sides({ naming }: Schemas["Feature"]): Side[] {
  return naming.some(({ side }) => side === "-") ? ["+", "-"] : ["+"];
}

function Name({ feature, side }: { feature: Schemas["Feature"]; side: Side }) {
  const draft = useSignal<string | null>(null);
  const naming = feature.naming.find((one) => one.side === side);
  const known = naming?.user_name ?? (naming?.label ? naming.short : null);
  const save = async (event: Event): Promise<void> => {
    event.preventDefault();
    const { site: where, basis } = search.peek();
    const name = draft.value!.trim() || null;
    try {
      await put("/api/sites/{site}/{basis}/features/{feature}/name", {
        path: { site: where, basis, feature: feature.feature },
        body: { name, side },
      });
      toast(name ? "Name kept" : "Your name was taken back");
      draft.value = null;
      featureVersion.value++;
    } catch (error) {
      failed(error);
    }
  };
  if (draft.value === null)
    return (
      <button
        type="button"
        class="name"
        title="Give it a name of your own"
        onClick={() => (draft.value = naming?.user_name ?? "")}
      >
        {side === "-" && "− "}
        {known ?? <span class="unnamed">no name yet</span>}
        {naming?.user_name && <small> yours</small>}
      </button>
    );
  return (
    <form
      class="rename"
      onSubmit={(event) => void save(event)}
      onKeyDown={(event) => event.key === "Escape" && (draft.value = null)}
    >
      <input
        aria-label="Name of this feature"
        maxLength={200}
        value={draft.value}
        ref={(element) => element?.focus()}
        onInput={(event) => (draft.value = event.currentTarget.value)}
      />
      <button class="primary">Keep</button>
      <button type="button" onClick={() => (draft.value = null)}>
        Cancel
      </button>
    </form>
  );
}
