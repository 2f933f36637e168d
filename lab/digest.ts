/**
 * Digests that say whether data, codes or files are the same.
 *
 * @module
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

/** The first 16 hexadecimal digits of SHA-256 of bytes and of text in UTF-8, one after another. */
export function digestOfParts(parts: Iterable<string | Uint8Array>): string {
  const hash = sha256.create();
  const encoder = new TextEncoder();
  for (const part of parts) hash.update(typeof part === "string" ? encoder.encode(part) : part);
  return bytesToHex(hash.digest()).slice(0, 16);
}

/**
 * The JSON of a value, in parts: that of large data would be too long for one text. `depth` levels
 * of arrays are taken apart.
 */
export function* jsonParts(value: unknown, depth: number): Generator<string, void> {
  if (depth === 0 || !(Array.isArray(value) || value instanceof Iterator)) {
    return yield JSON.stringify(value);
  }
  let mark = "[";
  for (const one of value) {
    yield mark;
    yield* jsonParts(one, depth - 1);
    mark = ",";
  }
  yield mark === "[" ? "[]" : "]";
}
