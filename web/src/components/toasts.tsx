// Short notices at the foot of the page, read out and gone after a while.
import { signal } from "@preact/signals";

const shown = signal<{ id: number; text: string }[]>([]);
let count = 0;

export function toast(text: string): void {
  const id = ++count;
  shown.value = [...shown.value, { id, text }];
  setTimeout(() => (shown.value = shown.value.filter((one) => one.id !== id)), 4000);
}

export const failed = (error: unknown): void => toast(error instanceof Error ? error.message : String(error));

export function copyLink(): void {
  navigator.clipboard.writeText(location.href).then(
    () => toast("Link copied"),
    () => toast("The browser does not allow copying; the address bar has the link"),
  );
}

export const Toasts = () => (
  <div class="toasts" role="status">
    {shown.value.map(({ id, text }) => (
      <div key={id} class="toast">
        {text}
      </div>
    ))}
  </div>
);
