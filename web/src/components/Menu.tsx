// A small menu under the button that opened it; Escape or a click elsewhere closes it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Menu({
  label,
  onClose,
  children,
}: {
  label: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const elsewhere = (event: Event): void => {
      if (!box.current?.parentElement?.contains(event.target as Node)) onClose();
    };
    const escape = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      onClose();
    };
    box.current?.querySelector<HTMLElement>("a, button")?.focus();
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("keydown", escape, true);
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("keydown", escape, true);
    };
  }, []);
  return (
    <div
      class="menu"
      ref={box}
      role="group"
      aria-label={label}
      onClick={(event) => (event.target as Element).matches("a, button") && onClose()}
    >
      {children}
    </div>
  );
}
