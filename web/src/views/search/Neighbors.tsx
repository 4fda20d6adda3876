// Features like this one: by the direction that they write (decoder cosine), and by firing on the same frames.
import { get } from "../../api/client";
import { useLoad } from "../../api/load";
import { calm } from "../../api/urgent";
import { short } from "../../player/scales";
import { href, viewQuery } from "../../url";
import { follow } from "../../App";
import { featurePath, search } from "./model";
import { labelOf } from "./names";

export function Neighbors() {
  const now = search.value;
  const { data, problem } = useLoad(
    `${now.site} ${now.basis} ${now.feature}`,
    async (signal) => {
      const path = featurePath(now);
      await calm();
      return get("/api/sites/{site}/{basis}/features/{feature}/neighbours", { path, query: { n: 6 }, signal });
    },
    150,
  );
  if (problem) return <p class="muted">{problem}</p>;
  if (!data) return null;
  const list = (title: string, note: string, rows: { feature: number; name: string | null; value: string }[]) =>
    rows.length > 0 && (
      <div>
        <h3 title={note}>{title}</h3>
        <ol class="neighbor-list">
          {rows.map((row) => (
            <li key={row.feature}>
              <a href={href(viewQuery("search", { feature: row.feature }))} onClick={follow}>
                <b>{row.feature}</b> {labelOf(row.name)}
              </a>
              <span class="value">{row.value}</span>
            </li>
          ))}
        </ol>
      </div>
    );
  return (
    <section class="panel neighbors" aria-label="Neighbors">
      {list(
        "Similar direction",
        "Cosine of the decoder vectors",
        data.decoder.map((row) => ({ ...row, value: short(row.cosine) })),
      )}
      {list(
        "Active together",
        `Share of this feature's ${data.frames} active frames on which that one is active, too; in brackets, how many times more often than by chance`,
        data.together.map((row) => ({ ...row, value: `${short(100 * row.share)} % (${short(row.lift)}×)` })),
      )}
    </section>
  );
}
