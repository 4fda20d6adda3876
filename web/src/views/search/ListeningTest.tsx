// The blind listening test: somebody who knows the feature's name only, hears places and says whether it fires there. What
// is right comes with the score, after the last answer.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { address, get, post, type Schemas } from "../../api/client";
import { useLoad } from "../../api/load";
import { Icon } from "../../components/Icon";
import { Failure, Loading } from "../../components/states";
import { keys } from "../../keyboard";
import { seconds } from "../../player/scales";
import * as sound from "../../player/sound";
import { go, href, viewQuery } from "../../url";
import { follow } from "../../App";
import { featurePath, search } from "./model";

const N = 20;
type Question = Schemas["Question"];

export function ListeningTest({ feature }: { feature: Schemas["Feature"] }) {
  const { test, side } = search.value;
  const path = featurePath(search.value);
  const answers = useSignal<boolean[]>([]);
  const key = JSON.stringify([path, test, side]);
  const { data, problem, retry } = useLoad(key, (signal) =>
    get("/api/sites/{site}/{basis}/features/{feature}/questions", { path, query: { n: N, seed: test!, side }, signal }),
  );
  useEffect(() => {
    answers.value = [];
    return sound.stop;
  }, [key]);
  const naming = feature.naming.find((one) => one.side === side);
  const name = naming?.user_name ?? naming?.short ?? "without a name";
  const at = answers.value.length;
  return (
    <section class="listening" aria-label="Listening test">
      <h2>
        Does <em>{name}</em> fire here?
      </h2>
      <p class="muted">
        Each place is an event of the feature on a clip that its name was not found on, or a look-alike at which it is
        silent: about half and half. The mark is what is asked about.
      </p>
      {problem ? (
        <Failure text={problem} retry={retry} />
      ) : !data ? (
        <Loading what="Choosing places" />
      ) : at < data.length ? (
        <Ask key={at} question={data[at]!} answer={(fires) => (answers.value = [...answers.value, fires])}>
          {at + 1} of {data.length}
        </Ask>
      ) : (
        <Score questions={data} answers={answers.value} />
      )}
    </section>
  );
}

interface AskProps {
  question: Question;
  answer: (fires: boolean) => void;
  children: preact.ComponentChildren;
}

function Ask({ question, answer, children }: AskProps) {
  const { clip, start, end, mark_start, mark_end } = question;
  const play = (from: number, to: number): void =>
    sound.play("listening", address("/api/clips/{clip}/audio", { path: { clip }, query: { start: from, end: to } }));
  useEffect(() => {
    const lent: [string, () => void][] = [
      ["p", () => play(start, end)],
      ["m", () => play(mark_start, mark_end)],
      ["y", () => answer(true)],
      ["n", () => answer(false)],
    ];
    for (const [key, act] of lent) keys.set(key, act);
    return () => lent.forEach(([key]) => keys.delete(key));
  }, [question]);
  const share = (time: number): string => `${(100 * (time - start)) / (end - start)}%`;
  return (
    <div class="question">
      <p role="status">{children}</p>
      <div class="mark" aria-hidden="true">
        <span style={{ left: share(mark_start), right: `calc(100% - ${share(mark_end)})` }} />
      </div>
      <div class="row">
        <button type="button" onClick={() => play(start, end)}>
          <Icon name="play" /> Play <kbd>p</kbd>
        </button>
        <button type="button" onClick={() => play(mark_start, mark_end)}>
          <Icon name="span" /> The mark alone, {seconds(mark_end - mark_start)} <kbd>m</kbd>
        </button>
      </div>
      <div class="row">
        <button type="button" class="primary" onClick={() => answer(true)}>
          It fires <kbd>y</kbd>
        </button>
        <button type="button" class="primary" onClick={() => answer(false)}>
          It is silent <kbd>n</kbd>
        </button>
      </div>
    </div>
  );
}

function Score({ questions, answers }: { questions: Question[]; answers: boolean[] }) {
  const { test, side } = search.value;
  const path = featurePath(search.value);
  const { data, problem, retry } = useLoad(JSON.stringify([path, test, side, answers]), () =>
    post("/api/sites/{site}/{basis}/features/{feature}/answers", {
      path,
      body: { n: N, seed: test!, side, answers },
    }),
  );
  if (problem) return <Failure text={problem} retry={retry} />;
  if (!data) return <Loading what="Comparing" />;
  const right = data.truth.filter(({ fires }, i) => fires === answers[i]).length;
  const percent = (share: number): string => `${Math.round(100 * share)} %`;
  return (
    <>
      <p class="verdict" role="status">
        <b>
          {right} of {data.n}
        </b>{" "}
        right: {percent(data.accuracy)} (95 % interval {percent(data.low)} to {percent(data.high)}; guessing gives
        half). {data.low > 0.5 ? "You can hear what it listens for." : "That may be guessing."}
      </p>
      <div class="row">
        <button type="button" onClick={() => go({ test: test! + 1 })}>
          Other places
        </button>
        <button type="button" onClick={() => go({ test: null, side: null })}>
          Back to the clips
        </button>
      </div>
      <div class="scores">
        <table>
          <thead>
            <tr>
              <th>Clip</th>
              <th>Heard there</th>
              <th>Feature</th>
              <th>You</th>
            </tr>
          </thead>
          <tbody>
            {data.truth.map(({ clip, name, fires, heard }, i) => {
              const { mark_start: start, mark_end: end } = questions[i]!;
              const there = { clip, start: start.toFixed(3), end: end.toFixed(3) };
              return (
                <tr key={i} class={fires === answers[i] ? undefined : "missed"}>
                  <td>
                    <a href={href(viewQuery("audio", there))} onClick={follow}>
                      {name} at {seconds(start)}
                    </a>
                  </td>
                  <td>{Object.values(heard).join(" · ")}</td>
                  <td>{fires ? "fires" : "silent"}</td>
                  <td>{fires === answers[i] ? "right" : "wrong"}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}
