/**
 * A button that copies a text.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { attempt } from "./state.ts";

/** Copies what `text` gives, and says so for a moment. */
export function CopyButton(
  { label, text }: { label: string; text: () => string },
): JSX.Element {
  const isCopied = useSignal(false);
  const copy = async (): Promise<void> => {
    await attempt(undefined, async () => {
      await navigator.clipboard.writeText(text());
      isCopied.value = true;
      setTimeout(() => isCopied.value = false, 2000);
    });
  };
  return (
    <button type="button" class="plain copy" onClick={copy}>
      {isCopied.value ? "Copied" : label}
    </button>
  );
}
