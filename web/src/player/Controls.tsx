// The row of buttons under a strip. Speed and loop are one setting for all strips.
import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { address } from "../api/client";
import { IconButton } from "../components/Icon";
import { Menu } from "../components/Menu";
import { loop } from "../prefs";
import type { Actions, StripState } from "./state";
import type { PlayerProps } from "./Player";

interface Props {
  state: StripState;
  act: Actions;
  clip: string;
  name: string;
  canvas: RefObject<HTMLCanvasElement | null>;
  hasCurve: boolean;
  labels: PlayerProps["labels"];
  speed: Signal<number>;
  children: ComponentChildren;
}

export function Controls({ state, act, clip, name, canvas, hasCurve, labels, speed, children }: Props) {
  const downloads = useSignal(false);
  const heard = state.heard.value === "playing";
  return (
    <div class="controls">
      <IconButton
        icon={heard ? "pause" : "play"}
        label={heard ? "Pause" : "Play"}
        title={heard ? "Pause (space)" : "Play (space)"}
        onClick={act.toggle}
      />
      {hasCurve && (
        <IconButton
          icon="span"
          label="Play the active span"
          title="Play the active span (a)"
          onClick={act.playActive}
        />
      )}
      <IconButton icon="loop" label="Loop" pressed={loop.value} onClick={() => (loop.value = !loop.value)} />
      <select
        class="speed"
        aria-label="Speed"
        value={speed.value}
        onChange={(event) => (speed.value = Number(event.currentTarget.value))}
      >
        <option value={1}>1×</option>
        <option value={0.75}>0.75×</option>
        <option value={0.5}>0.5×</option>
        <option value={0.25}>0.25×</option>
      </select>
      <IconButton icon="closer" label="Zoom in" title="Zoom in (+)" onClick={() => act.zoom(2)} />
      <IconButton icon="wider" label="Zoom out" title="Zoom out (−)" onClick={() => act.zoom(0.5)} />
      <IconButton icon="all" label="Show the whole clip" onClick={act.showAll} />
      <IconButton
        icon="download"
        label="Download"
        pressed={downloads.value}
        onClick={() => (downloads.value = !downloads.value)}
      />
      {downloads.value && (
        <Menu onClose={() => (downloads.value = false)} label="Download">
          <Downloads state={state} clip={clip} name={name} canvas={canvas} labels={labels} />
        </Menu>
      )}
      {children}
    </div>
  );
}

const FORMATS = [
  ["textgrid", "Tiers and events, Praat TextGrid"],
  ["audacity", "Tiers and events, Audacity labels"],
  ["csv", "Tiers and events, CSV"],
  ["json", "Tiers and events, JSON"],
] as const;

function Downloads({
  state,
  clip,
  name,
  canvas,
  labels,
}: Pick<Props, "state" | "clip" | "name" | "canvas" | "labels">) {
  const span = state.selection.value;
  const sound = (query: object): string =>
    address("/api/clips/{clip}/audio", { path: { clip }, query: { ...query, download: true } });
  const savePicture = (): void =>
    canvas.current!.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob!);
      link.download = `${name}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  return (
    <>
      {span && (
        <a href={sound({ start: span.start, end: span.end })} download>
          Selected sound, WAV
        </a>
      )}
      <a href={sound({})} download>
        Whole sound, WAV
      </a>
      {FORMATS.map(([format, text]) => (
        <a
          key={format}
          href={address("/api/clips/{clip}/export", { path: { clip }, query: { format, ...labels } })}
          download
        >
          {text}
        </a>
      ))}
      <button type="button" onClick={savePicture}>
        This picture, PNG
      </button>
    </>
  );
}
