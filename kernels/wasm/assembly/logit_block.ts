// A block of a row's logits in scratch memory, so that the rest is vertical operations on whole
// vectors. Sizes are in elements, addresses in bytes.

import { bytes, CONSTANTS } from "./maths";

/** Logits taken at a time: a multiple of 16. */
export const BLOCK: i32 = 1024;

/** The block in the scratch memory, after the constants of exp4, with room to fill it up. */
export const LOGITS: usize = CONSTANTS;
export const BLOCK_END: usize = LOGITS + (BLOCK + 16) * 4;

/** The address of z_v, v the token at `token`. */
// @ts-ignore: decorator
@inline
export function logitOf(row: usize, token: usize): usize {
  return row + bytes(load<i32>(token));
}

/** Whether the ascending tokens of `count` children have no gap. */
// @ts-ignore: decorator
@inline
export function isRange(tokens: usize, count: i32): bool {
  return load<i32>(tokens + bytes(count - 1)) - load<i32>(tokens) === count - 1;
}

/**
 * Copies n logits of the row to `block` and fills it up to whole vectors: those of the tokens at
 * `tokens`, or of all tokens if it is 0, from number `from` on.
 */
export function fetch(block: usize, row: usize, tokens: usize, from: i32, n: i32): void {
  if (tokens === 0) memory.copy(block, row + bytes(from), bytes(n));
  else {
    tokens += bytes(from);
    for (let k: usize = 0; k < bytes(n); k += 4) {
      store<f32>(block + k, load<f32>(logitOf(row, tokens + k)));
    }
  }
  v128.store(block + bytes(n), f32x4.splat(-Infinity));
}

/** Copies the logits back. */
export function put(block: usize, row: usize, tokens: usize, from: i32, n: i32): void {
  if (tokens === 0) memory.copy(row + bytes(from), block, bytes(n));
  else {
    tokens += bytes(from);
    for (let k: usize = 0; k < bytes(n); k += 4) {
      store<f32>(logitOf(row, tokens + k), load<f32>(block + k));
    }
  }
}
