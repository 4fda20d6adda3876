// What is shown instead of content: still loading, nothing there, or something went wrong.
import type { ComponentChildren } from "preact";

export const Loading = ({ what }: { what: string }) => (
  <div class="state loading" role="status">
    <span class="wave" aria-hidden="true" />
    {what}…
  </div>
);

export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="state empty">
    <p class="state-title">{title}</p>
    {children}
  </div>
);

export const Failure = ({ text, retry }: { text: string; retry?: () => void }) => (
  <div class="state failure" role="alert">
    <p>{text}</p>
    {retry && (
      <button type="button" onClick={retry}>
        Try again
      </button>
    )}
  </div>
);
