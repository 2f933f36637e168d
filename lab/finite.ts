/**
 * A guard of files against numbers that are none.
 *
 * @module
 */
import { NonFiniteError } from "../core/errors.ts";
import type { SafeTensors } from "../models/safetensors.ts";

/** Throws {@link NonFiniteError} if a number is NaN or infinite: it must not take the place of the last good save. */
export function checkFinite(folder: string, tensors: SafeTensors): void {
  for (const [path, { data }] of Object.entries(tensors)) {
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) {
      throw new NonFiniteError(
        `Cannot save ${folder}: its tensors must be finite, got ${data[bad]} in ${path}`,
      );
    }
  }
}
