// The place-th largest of a row's logits.

import { BLOCK, BLOCK_END, fetch, LOGITS, logitOf } from "./logit_block";
import { bytes } from "./maths";

/** The largest beam that `selectHeld` supports; `selectByBits` supports any. */
export const HELD: i32 = 32;

// The scratch memory: a block of logits, the maxima of its columns, and the largest logits so far.
const COLUMNS: usize = BLOCK_END;
const LARGEST: usize = COLUMNS + 16 * 4;
export const SELECT_SCRATCH: usize = LARGEST + HELD * 4;

/** Integers in the order of the numbers. */
// @ts-ignore: decorator
@inline
function order(x: v128): v128 {
  return v128.xor(x, v128.and(i32x4.shr_s(x, 31), i32x4.splat(0x7fffffff)));
}

/**
 * Inserts z into the descending numbers from `held` to `end` and drops the least: h_i = max(h_i,
 * min(h_(i-1), z)).
 */
// @ts-ignore: decorator
@inline
function hold(held: usize, end: usize, z: v128): void {
  let before = f32x4.splat(Infinity);
  for (; held < end; held += 16) {
    const own = v128.load(held);
    const above = v128.shuffle<f32>(before, own, 3, 4, 5, 6);
    v128.store(held, f32x4.pmax(own, f32x4.pmin(above, z)));
    before = own;
  }
}

/** Fills whole vectors with x. */
// @ts-ignore: decorator
@inline
function fill(held: usize, end: usize, x: v128): void {
  for (; held < end; held += 16) v128.store(held, x);
}

/** The least of `count` logits. */
export function least(row: usize, tokens: usize, count: i32): f32 {
  let found = Infinity as f32;
  if (tokens === 0) {
    for (let at = row; at < row + bytes(count); at += 4) found = min<f32>(found, load<f32>(at));
  } else {
    for (let k = 0; k < count; k++) {
      found = min<f32>(found, load<f32>(logitOf(row, tokens + bytes(k))));
    }
  }
  return found;
}

/**
 * The place-th largest of `count` logits, place <= HELD, in one pass that holds the largest so far.
 * Nearly all logits are below the least of these, which one comparison of 16 logits shows. It
 * starts with a good bound, the place-th largest of the maxima of 16 columns. If `fetched`, the
 * logits are in the block already.
 */
export function selectHeld(
  row: usize,
  tokens: usize,
  count: i32,
  place: i32,
  fetched: bool,
  scratch: usize,
): f32 {
  const block = scratch + LOGITS, held = scratch + LARGEST;
  const last = held + bytes(place - 1), heldEnd = held + bytes(place);
  const none = f32x4.splat(-Infinity);
  fill(held, heldEnd, none);
  for (let from = 0; from < count; from += BLOCK) {
    const n = min(BLOCK, count - from), end = block + bytes(n);
    if (!fetched) fetch(block, row, tokens, from, n);
    fill(end, end + 64, none);
    if (from === 0) {
      const columns = scratch + COLUMNS;
      let a = none, b = none, c = none, d = none;
      for (let at = block; at < end; at += 64) {
        a = f32x4.pmax(a, v128.load(at));
        b = f32x4.pmax(b, v128.load(at, 16));
        c = f32x4.pmax(c, v128.load(at, 32));
        d = f32x4.pmax(d, v128.load(at, 48));
      }
      v128.store(columns, a);
      v128.store(columns, b, 16);
      v128.store(columns, c, 32);
      v128.store(columns, d, 48);
      for (let i: usize = 0; i < 64; i += 4) {
        hold(held, heldEnd, v128.load_splat<f32>(columns + i));
      }
      fill(held, heldEnd, v128.load_splat<f32>(last));
    }
    let bound = v128.load_splat<f32>(last);
    for (let at = block; at < end; at += 64) {
      const a = f32x4.gt(v128.load(at), bound), b = f32x4.gt(v128.load(at, 16), bound);
      const c = f32x4.gt(v128.load(at, 32), bound), d = f32x4.gt(v128.load(at, 48), bound);
      if (!v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) continue;
      const low = i32x4.bitmask(a) | (i32x4.bitmask(b) << 4);
      let larger = low | (i32x4.bitmask(c) << 8) | (i32x4.bitmask(d) << 12);
      for (; larger !== 0; larger &= larger - 1) {
        hold(held, heldEnd, v128.load_splat<f32>(at + bytes(ctz(larger))));
      }
      bound = v128.load_splat<f32>(last);
    }
  }
  return load<f32>(last);
}

/**
 * The place-th largest of `count` logits, bit by bit: the largest number that `place` logits reach.
 */
export function selectByBits(row: usize, tokens: usize, count: i32, place: i32, block: usize): f32 {
  let found = i32.MIN_VALUE;
  for (let bit = 31; bit >= 0; bit--) {
    const next = found ^ (1 << bit), below = i32x4.splat(next - 1);
    let reached = i32x4.splat(0);
    for (let from = 0; from < count; from += BLOCK) {
      const n = min(BLOCK, count - from), end = block + bytes(n);
      if (bit === 31 || count > BLOCK) {
        fetch(block, row, tokens, from, n);
        for (let at = block; at < end; at += 16) v128.store(at, order(v128.load(at)));
      }
      for (let at = block; at < end; at += 16) {
        reached = i32x4.sub(reached, i32x4.gt_s(v128.load(at), below));
      }
    }
    const left = i32x4.extract_lane(reached, 0) + i32x4.extract_lane(reached, 1);
    const right = i32x4.extract_lane(reached, 2) + i32x4.extract_lane(reached, 3);
    if (left + right >= place) found = next;
  }
  return f32x4.extract_lane(order(i32x4.splat(found)), 0);
}
