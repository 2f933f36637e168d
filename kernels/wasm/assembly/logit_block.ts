// A block of a row's logits in scratch memory, so that all else is vertical operations on whole
// vectors. Sizes are in elements, addresses in bytes.

import { CONSTANTS } from "./maths";
import { bytes } from "./tile";

/** The number of logits in a block: a multiple of 16. */
export const BLOCK: i32 = 1024;

/** Where the block is in scratch memory: after the constants of exp4, with room to fill it up. */
export const LOGITS: usize = CONSTANTS;
export const BLOCK_END: usize = LOGITS + (BLOCK + 16) * 4;

/** The address of z_v, v the token at `token`. */
// @ts-ignore: decorator
@inline
export function logitOf(row: usize, token: usize): usize {
  return row + bytes(load<i32>(token));
}

/** Whether the tokens of `count` children, which ascend, follow one another without a gap. */
// @ts-ignore: decorator
@inline
export function isRange(tokens: usize, count: i32): bool {
  return load<i32>(tokens + bytes(count - 1)) - load<i32>(tokens) === count - 1;
}

/**
 * Copies n logits of the row to `block` and fills up the last vector: from number `from` on those
 * of the tokens at `tokens`, or of all tokens if it is 0.
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

/** Copies the block back. */
export function put(block: usize, row: usize, tokens: usize, from: i32, n: i32): void {
  if (tokens === 0) memory.copy(row + bytes(from), block, bytes(n));
  else {
    tokens += bytes(from);
    for (let k: usize = 0; k < bytes(n); k += 4) {
      store<f32>(logitOf(row, tokens + k), load<f32>(block + k));
    }
  }
}
