// The players on the page, so that the keyboard reaches them: the active one is the one last touched, else the first.
import { signal } from "@preact/signals";

export interface Handle {
  canvas: HTMLCanvasElement;
  toggle: () => void;
  nudge: (frames: number, extend: boolean) => void;
  zoom: (factor: number) => void;
  playActive: () => void;
}

const handles = new Map<string, Handle>();
export const activeKey = signal<string | null>(null);

export function register(key: string, handle: Handle): () => void {
  handles.set(key, handle);
  return () => {
    handles.delete(key);
    if (activeKey.peek() === key) activeKey.value = null;
  };
}

/** In the order of the page. */
function inOrder(): [string, Handle][] {
  const follows = Node.DOCUMENT_POSITION_FOLLOWING;
  return [...handles].sort(([, a], [, b]) => (a.canvas.compareDocumentPosition(b.canvas) & follows ? -1 : 1));
}

export function active(): Handle | null {
  const key = activeKey.peek();
  return (key !== null && handles.get(key)) || inOrder()[0]?.[1] || null;
}

/** Make the next or previous player the active one. */
export function step(by: 1 | -1): void {
  const players = inOrder();
  if (!players.length) return;
  const at = players.findIndex(([key]) => key === activeKey.peek());
  const next = players[Math.min(Math.max(at + by, 0), players.length - 1)]!;
  activeKey.value = next[0];
  next[1].canvas.focus({ preventScroll: true });
  next[1].canvas.scrollIntoView({ block: "nearest" });
}
