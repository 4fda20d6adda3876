// The help dialog: what the keys and the mouse do, and how to read a strip.
import { useEffect, useRef } from "preact/hooks";
import { status } from "../api/store";
import { helpOpen, SHORTCUTS } from "../keyboard";

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current!.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (helpOpen.value = false)}>
      <form method="dialog">
        <h2 id="help-title">Keys and gestures</h2>
        <dl>
          {SHORTCUTS.map(([key, what]) => (
            <div key={key}>
              <dt>
                {key.split(" ").map((one) => (
                  <kbd key={one}>{one}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <h3>On a strip</h3>
        <p>
          Click to set the cursor, drag to select, click a word or phone to hear it. Ctrl and the wheel zoom, the wheel
          sideways or dragging the time axis pans, a double click shows the whole clip.
        </p>
        <p>
          Frames in <span class="swatch positive" /> are active above zero, in <span class="swatch negative" /> below;
          the stronger, the more opaque. Strips of a list share one scale, so that weak clips look weak.
        </p>
        <footer>
          <span class="muted">FREUD {status.value?.version}</span>
          <button autofocus>Close</button>
        </footer>
      </form>
    </dialog>
  );
}
