/**
 * A word with its definition.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";
import { terms } from "./words.ts";

/** A term; what it means is shown on hover, on focus and on a tap. */
export function Term(
  { name, children }: { name: keyof typeof terms; children?: ComponentChildren },
): JSX.Element {
  const id = useId();
  const isOpen = useSignal(false);
  const place = useSignal({});
  const open = (event: Event): void => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, innerWidth - 288));
    place.value = box.bottom + 120 < innerHeight
      ? { left: `${left}px`, top: `${box.bottom + 6}px` }
      : { left: `${left}px`, bottom: `${innerHeight - box.top + 6}px` };
    isOpen.value = true;
  };
  const close = (): void => {
    isOpen.value = false;
  };
  return (
    <span class="term">
      <button
        type="button"
        aria-describedby={isOpen.value ? id : undefined}
        onPointerEnter={open}
        onPointerLeave={close}
        onFocus={open}
        onBlur={close}
        onClick={open}
        onKeyDown={(e) => e.key === "Escape" && close()}
      >
        {children ?? name}
      </button>
      {isOpen.value && <span role="tooltip" id={id} style={place.value}>{terms[name]}</span>}
    </span>
  );
}
