// One voice for the whole page: a media element that plays what the server cut to the sample, and keeps its pitch at any
// speed. Whoever plays is named by a key, so that every player knows whether it is the one that is heard.
import { effect, signal } from "@preact/signals";
import { loop, speed } from "../prefs";

export interface Playing {
  key: string;
  offset: number; // seconds of the clip at which the sound begins
  paused: boolean;
}

export const playing = signal<Playing | null>(null);
export const soundProblem = signal<string | null>(null);

const element = new Audio();
element.id = "sound";
element.hidden = true;
document.body.append(element);

effect(() => {
  element.defaultPlaybackRate = element.playbackRate = speed.value;
});
effect(() => {
  element.loop = loop.value;
});

const setPaused = (paused: boolean): void => {
  if (playing.peek()) playing.value = { ...playing.peek()!, paused };
};
element.addEventListener("play", () => setPaused(false));
element.addEventListener("pause", () => !element.ended && setPaused(true));
element.addEventListener("ended", () => (playing.value = null));
element.addEventListener("error", () => {
  if (playing.peek()) soundProblem.value = "This sound could not be played; is the server still running?";
  playing.value = null;
});

/** Play an address whose sound begins at `offset` seconds of the clip. */
export function play(key: string, url: string, offset = 0): void {
  soundProblem.value = null;
  element.src = url;
  playing.value = { key, offset, paused: false };
  element.play().catch(() => undefined); // a newer sound, or the error event, which says why
}

export function stop(): void {
  if (!playing.peek()) return;
  playing.value = null;
  element.pause();
}

export const pause = (): void => element.pause();
export const resume = (): void => void element.play().catch(() => undefined);

/** Seconds of the clip that are heard now. */
export const position = (): number | null => (playing.peek() ? playing.peek()!.offset + element.currentTime : null);
