// Search: what a feature responds to. Controls, statistics and pictures on the rail, results beside it.
import { get } from "../../api/client";
import { useLoad } from "../../api/load";
import { site } from "../../api/store";
import { Failure, Loading } from "../../components/states";
import { Average } from "./Average";
import { FeatureHead } from "./FeatureHead";
import { Histogram } from "./Histogram";
import { ListeningTest } from "./ListeningTest";
import { Neighbors } from "./Neighbors";
import { ResultList } from "./ResultList";
import { SearchForm } from "./SearchForm";
import { Start } from "./Start";
import { featurePath, search } from "./model";
import { featureVersion } from "./names";

export function SearchView() {
  const now = search.value;
  const here = site.value!;
  const key = now.feature === null ? null : `${here.site} ${here.basis} ${now.feature} ${featureVersion.value}`;
  const feature = useLoad(key, (signal) =>
    get("/api/sites/{site}/{basis}/features/{feature}", { path: featurePath(now), signal }),
  );
  const known = feature.data && feature.data.feature === now.feature ? feature.data : null;
  return (
    <div class="with-rail">
      <aside class="rail" aria-label="Search and statistics">
        <SearchForm />
        {feature.data && now.feature !== null && (
          <>
            <section class="panel" aria-label="Maxima of the clips">
              <h3>{now.absolute ? "Strongest value on each clip" : "Largest value on each clip"}</h3>
              {feature.data.dead ? (
                <p class="muted">None: it never fired.</p>
              ) : (
                <Histogram of={feature.data} now={now} />
              )}
            </section>
            {!feature.data.dead && <Average feature={feature.data.feature} />}
            {!feature.data.dead && <Neighbors />}
          </>
        )}
      </aside>
      <div class="content">
        {now.feature === null ? (
          <Start />
        ) : feature.problem ? (
          <Failure text={feature.problem} retry={feature.retry} />
        ) : (
          <>
            {feature.data ? (
              <FeatureHead feature={known ?? feature.data} />
            ) : (
              <Loading what={`Opening feature ${now.feature}`} />
            )}
            {now.test === null ? (
              <ResultList dead={known?.dead ?? false} />
            ) : (
              known && <ListeningTest feature={known} />
            )}
          </>
        )}
      </div>
    </div>
  );
}
