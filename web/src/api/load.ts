// `useLoad` runs a request whenever its key changes, cancels the one before, and keeps showing the old answer meanwhile.
import { useLayoutEffect, useState } from "preact/hooks";
import { aborted } from "./client";

export interface Loaded<T> {
  data: T | null;
  problem: string | null;
  busy: boolean;
  retry: () => void;
}

interface Answer<T> {
  key: string | null;
  data: T | null;
  problem: string | null;
}

/** `key` null: nothing to load. `debounce` in milliseconds. */
export function useLoad<T>(key: string | null, load: (signal: AbortSignal) => Promise<T>, debounce = 0): Loaded<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ key: null, data: null, problem: null });
  const [tries, setTries] = useState(0);
  useLayoutEffect(() => {
    // before the next frame is painted: the server may work meanwhile
    if (key === null) return setAnswer({ key: null, data: null, problem: null });
    const controller = new AbortController();
    const start = (): void => {
      load(controller.signal).then(
        (data) => controller.signal.aborted || setAnswer({ key, data, problem: null }),
        (error: unknown) => {
          if (aborted(error) || controller.signal.aborted) return;
          setAnswer({ key, data: null, problem: error instanceof Error ? error.message : String(error) });
        },
      );
    };
    const timer = debounce > 0 ? setTimeout(start, debounce) : (start(), 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, tries]);
  const retry = (): void => {
    setAnswer({ key: null, data: null, problem: null });
    setTries(tries + 1);
  };
  return { ...answer, busy: key !== null && answer.key !== key, retry };
}
