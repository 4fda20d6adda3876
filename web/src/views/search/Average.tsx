// The event-triggered average: the mean log-mel of 0.4 s before and after the peaks of a feature's events. At a glance,
// what the feature listens for; by interval, whether weaker events are of the same thing.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { address, request } from "../../api/client";
import { useLoad } from "../../api/load";
import { calm } from "../../api/urgent";
import { colorTable } from "../../player/colormaps";
import { paintSpectrogram } from "../../player/layers";
import { palette } from "../../player/palette";
import { readPicture } from "../../player/picture";
import { colorMap } from "../../prefs";
import { featurePath, search, type Band } from "./model";

export const bandName = (band: Band): string =>
  ({ top: "largest", bottom: "smallest", random: "random" })[band as string] ?? `interval ${Number(band) + 1} of 10`;

function AveragePicture({ feature, band, small = false }: { feature: number; band: Band; small?: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const path = { ...featurePath(search.value), feature };
  const url = address("/api/sites/{site}/{basis}/features/{feature}/average", {
    path,
    query: { band, n: small ? 40 : 100 },
  });
  const { data, problem, busy } = useLoad(
    url,
    async (signal) => {
      await calm();
      return readPicture(await (await request(url, { signal })).arrayBuffer());
    },
    60,
  );
  const colors = palette.value;
  const map = colorMap.value;
  useEffect(() => {
    const target = canvas.current;
    if (!target || !data) return;
    const context = target.getContext("2d")!;
    [target.width, target.height] = [
      Math.round(target.clientWidth * devicePixelRatio),
      Math.round(target.clientHeight * devicePixelRatio),
    ];
    context.imageSmoothingQuality = "high";
    context.drawImage(paintSpectrogram(data, colorTable(map, colors.dark)), 0, 0, target.width, target.height);
    const peak = (-data.start * data.columnsPerSecond * target.width) / data.columns;
    context.fillStyle = colors.accent;
    context.fillRect(Math.round(peak), 0, Math.max(1, Math.round(devicePixelRatio)), target.height);
  }, [data, colors, map]);
  if (problem && !small) return <p class="muted">{problem}</p>;
  const empty = data !== null && data.columns === 0;
  return (
    <figure class={small ? "average small" : "average"} aria-busy={busy}>
      <canvas ref={canvas} role="img" aria-label={`Mean spectrogram around events: ${bandName(band)}`} />
      <figcaption>
        {small ? (
          (Number(band) + 1).toString()
        ) : empty ? (
          "no events"
        ) : (
          <>
            <span>−0.4</span>
            <span>{bandName(band)} events</span>
            <span>+0.4 s</span>
          </>
        )}
      </figcaption>
    </figure>
  );
}

const TENTHS: Band[] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** `feature` is the one whose statistics are here: of one that turns out dead nothing is asked. */
export function Average({ feature }: { feature: number }) {
  const all = useSignal(false);
  return (
    <section class="panel" aria-label="Event-triggered average">
      <h3>Around its events</h3>
      <AveragePicture feature={feature} band={search.value.band ?? "top"} />
      <details onToggle={(event) => (all.value = event.currentTarget.open)}>
        <summary>From the largest tenth of events (1) to the smallest (10)</summary>
        {all.value && (
          <div class="averages">
            {TENTHS.map((band) => (
              <AveragePicture key={band} feature={feature} band={band} small />
            ))}
          </div>
        )}
      </details>
    </section>
  );
}
