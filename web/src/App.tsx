// The frame around every view: navigation, the site looked at, jump, link, theme and help; and what is said when the
// server cannot be reached, has nothing indexed, or the page is offline.
import { computed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { corpora, problem, site, sites, start, status } from "./api/store";
import { Help } from "./components/Help";
import { IconButton } from "./components/Icon";
import { Jump } from "./components/Jump";
import { Failure, Loading } from "./components/states";
import { Toasts, copyLink } from "./components/toasts";
import { helpOpen } from "./keyboard";
import { soundProblem } from "./player/sound";
import { dark, theme } from "./prefs";
import { go, href, query, viewQuery } from "./url";
import { AudioView } from "./views/audio/AudioView";
import { EditView } from "./views/edit/EditView";
import { FeaturesView } from "./views/features/FeaturesView";
import { LabelsView } from "./views/labels/LabelsView";
import { NotesView } from "./views/notes/NotesView";
import { SearchView } from "./views/search/SearchView";

const VIEWS = {
  search: ["Search", SearchView],
  features: ["Features", FeaturesView],
  audio: ["Your audio", AudioView],
  edit: ["Edit", EditView],
  labels: ["Labels", LabelsView],
  notes: ["Notes", NotesView],
} as const;

type ViewName = keyof typeof VIEWS;
const current = computed<ViewName>(() => (query.value.view! in VIEWS ? (query.value.view as ViewName) : "search"));

export function App() {
  const name = current.value;
  const [title, View] = VIEWS[name];
  useEffect(() => {
    const feature = query.value.feature;
    document.title = `${name === "search" && feature ? `Feature ${feature}` : title} · FREUD`;
  }, [name, query.value.feature]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header name={name} />
      <main id="main" tabIndex={-1} class={`view view-${name}`}>
        {problem.value ? (
          <Failure text={problem.value} retry={() => void start()} />
        ) : !sites.value ? (
          <Loading what="Opening the result" />
        ) : !site.value ? (
          <Failure text="This result has no finished index. Run the same `freud discover` command again to finish it." />
        ) : (
          <View />
        )}
      </main>
      {soundProblem.value && (
        <div class="banner" role="alert">
          {soundProblem.value}
        </div>
      )}
      {helpOpen.value && <Help />}
      <Toasts />
    </>
  );
}

function Header({ name }: { name: ViewName }) {
  const next = { auto: "light", light: "dark", dark: "auto" } as const;
  const words = { auto: "as the system", light: "light", dark: "dark" };
  return (
    <header class="top">
      <a class="wordmark" href={href(viewQuery("search", { feature: null }))} onClick={follow}>
        FREUD
      </a>
      <nav aria-label="Views">
        {Object.entries(VIEWS).map(([key, [title]]) => (
          <a key={key} href={href(viewQuery(key))} aria-current={key === name ? "page" : undefined} onClick={follow}>
            {title}
          </a>
        ))}
      </nav>
      <SiteChoice />
      <Jump />
      <div class="tools">
        <IconButton icon="link" label="Copy a link to this view" onClick={copyLink} />
        <IconButton
          icon={theme.value === "auto" ? "auto" : dark() ? "moon" : "sun"}
          label={`Theme: ${words[theme.value]}`}
          onClick={() => (theme.value = next[theme.value])}
        />
        <button
          type="button"
          class="icon-button"
          aria-label="Help"
          title="Help (?)"
          onClick={() => (helpOpen.value = true)}
        >
          ?
        </button>
      </div>
    </header>
  );
}

function SiteChoice() {
  const all = sites.value ?? [];
  const chosen = site.value;
  const state = status.value;
  const about = [state?.model, ...corpora.value.map((c) => `${c.clips} clips`)].filter(Boolean).join(", ");
  return (
    <label class="site-choice" title={state ? `${state.result}: ${about}` : undefined}>
      <span class="visually-hidden">Site and basis</span>
      <select
        value={chosen ? all.indexOf(chosen) : -1}
        disabled={!all.length}
        onChange={(event) => {
          const { site: name, basis } = all[Number(event.currentTarget.value)]!;
          go({ site: name, basis, feature: null, min: null, max: null, band: null });
        }}
      >
        {all.map((s, i) => (
          <option key={i} value={i}>
            {s.site} · {s.features.toLocaleString("en")} {s.basis}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Follow a link of ours without loading the page anew. */
export function follow(event: MouseEvent): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const target = (event.currentTarget as HTMLAnchorElement).href;
  go({}, "push", Object.fromEntries(new URL(target).searchParams));
  scrollTo(0, 0);
}
