// Labels: which features respond to a phone, a word or a class of sounds. A list on the rail; beside it a label's page, or
// the matrix of phones against their best features.
import { get, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { Empty, Failure, Loading } from "../../components/states";
import { href, query, viewQuery } from "../../url";
import { follow } from "../../App";
import { LabelPage } from "./LabelPage";
import { MatrixPlot } from "./Matrix";

export function LabelsView() {
  const { data, problem, retry } = useLoad("labels", (signal) => get("/api/labels", { signal }));
  const chosen = query.value.label;
  if (problem) return <Failure text={problem} retry={retry} />;
  if (!data) return <Loading what="Listing labels" />;
  if (!data.length)
    return (
      <Empty title="No labels yet">
        <p>
          <code>freud name RESULT</code> scores every feature against the corpus's phones, words, speakers and classes
          of sound; names and this page come from that.
        </p>
      </Empty>
    );
  return (
    <div class="with-rail">
      <aside class="rail" aria-label="Labels">
        <LabelList labels={data} />
      </aside>
      <div class="content">{chosen ? <LabelPage key={chosen} label={chosen} /> : <MatrixPlot />}</div>
    </div>
  );
}

function LabelList({ labels }: { labels: Schemas["Label"][] }) {
  const kinds = Map.groupBy(labels, ({ kind }) => kind);
  return (
    <>
      <a href={href(viewQuery("labels"))} onClick={follow} aria-current={query.value.label ? undefined : "page"}>
        Phones against features
      </a>
      {[...kinds].map(([kind, these]) => (
        <section key={kind} class="panel" aria-label={kind}>
          <h3>{kind}</h3>
          <ul class="label-list">
            {these.map(({ label, text, clips }) => (
              <li key={label}>
                <a
                  href={href(viewQuery("labels", { label }))}
                  title={`on ${clips} held-out clips`}
                  aria-current={query.value.label === label ? "page" : undefined}
                  onClick={follow}
                >
                  {text}
                </a>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </>
  );
}
