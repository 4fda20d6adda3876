// What is shown before a feature is chosen: what this is, and features worth a look.
import { get } from "../../api/client";
import { useLoad } from "../../api/load";
import { corpora, site, status } from "../../api/store";
import { Failure, Loading } from "../../components/states";
import { short } from "../../player/scales";
import { href, viewQuery } from "../../url";
import { follow } from "../../App";
import { evidenceOf, labelOf } from "./names";

export function Start() {
  const here = site.value!;
  const best = useLoad(`${here.site} ${here.basis}`, (signal) =>
    get("/api/sites/{site}/{basis}/features", {
      path: { site: here.site, basis: here.basis },
      query: { sort: here.named > 0 ? "score" : "max", n: 24 },
      signal,
    }),
  );
  const [corpus] = corpora.value;
  return (
    <section class="start">
      <h1>What has {status.value!.model} learned?</h1>
      <p class="lead">
        {here.features.toLocaleString("en")} {here.basis} of <code>{here.site}</code>
        {corpus && `, heard on ${corpus.clips} clips (${Math.round(corpus.seconds / 60)} minutes)`}. Choose one by its
        number, step through them with <kbd>[</kbd> and <kbd>]</kbd>, or begin with{" "}
        {here.named > 0 ? "the best explained" : "the strongest"}:
      </p>
      {best.problem ? (
        <Failure text={best.problem} retry={best.retry} />
      ) : !best.data ? (
        <Loading what="Looking for strong features" />
      ) : (
        <ul class="cards">
          {best.data.features.map((row) => (
            <li key={row.feature}>
              <a href={href(viewQuery("search", { feature: row.feature }))} onClick={follow}>
                <b>{row.feature}</b>
                <span class="name">{labelOf(row.name)}</span>
                {evidenceOf(row.name) && <small>{evidenceOf(row.name)}</small>}
                <small>
                  max {short(row.max)}, {short(100 * row.density)} % of frames
                </small>
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
