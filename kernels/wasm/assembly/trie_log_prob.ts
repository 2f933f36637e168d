// The kernels of kernels/trie_log_prob.ts. Logits are taken to a block of scratch memory, so that the rest is vertical
// operations on whole vectors. Sizes are in elements, addresses in bytes.

import { CONSTANTS, exp4, log4, prepare } from "./maths";
import { bytes, MASKED } from "./tile";

/** Logits taken at a time: a multiple of 16. */
export const BLOCK: i32 = 1024;
/** The largest beam that one walk selects; for larger ones the bits of the number are found one by one. */
const HELD: i32 = 32;

// The scratch memory: after the constants of exp4 a block of logits with room to fill it up, the maxima of its columns,
// and the largest logits so far.
export const LOGITS: usize = CONSTANTS;
const COLUMNS: usize = LOGITS + (BLOCK + 16) * 4;
const LARGEST: usize = COLUMNS + 16 * 4;
export const TRIE_SCRATCH: usize = LARGEST + HELD * 4;

/** The address of z_v, v the token at `token`. */
// @ts-ignore: decorator
@inline
function logitOf(row: usize, token: usize): usize {
  return row + bytes(load<i32>(token));
}

/** Whether the tokens of `count` children, which ascend, follow one another without a gap. */
// @ts-ignore: decorator
@inline
function isRange(tokens: usize, count: i32): bool {
  return load<i32>(tokens + bytes(count - 1)) - load<i32>(tokens) === count - 1;
}

/**
 * n logits of the row to `block`, filled up to whole vectors: those of the tokens at `tokens`, or of all tokens if it is
 * 0, from number `from` on.
 */
function fetch(block: usize, row: usize, tokens: usize, from: i32, n: i32): void {
  if (tokens === 0) memory.copy(block, row + bytes(from), bytes(n));
  else {
    tokens += bytes(from);
    for (let k: usize = 0; k < bytes(n); k += 4) {
      store<f32>(block + k, load<f32>(logitOf(row, tokens + k)));
    }
  }
  v128.store(block + bytes(n), f32x4.splat(-Infinity));
}

/** The way back. */
function put(block: usize, row: usize, tokens: usize, from: i32, n: i32): void {
  if (tokens === 0) memory.copy(row + bytes(from), block, bytes(n));
  else {
    tokens += bytes(from);
    for (let k: usize = 0; k < bytes(n); k += 4) {
      store<f32>(logitOf(row, tokens + k), load<f32>(block + k));
    }
  }
}

/** The largest lane. */
// @ts-ignore: decorator
@inline
function maxLanes(x: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max<f32>(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  );
}

/** log x, from the logarithm of x in float32 and its slope there. */
// @ts-ignore: decorator
@inline
export function logOf(x: f64): f64 {
  const near = <f32> x;
  return <f64> f32x4.extract_lane(log4(f32x4.splat(near)), 0) + (x - <f64> near) / <f64> near;
}

/** Stores max z over `count` tokens at `top` and returns log sum exp((z - max z) / tau). */
export function normalize(
  top: usize,
  row: usize,
  tokens: usize,
  count: i32,
  inverse: v128,
  scratch: usize,
): f64 {
  const block = scratch + LOGITS;
  let most: f32 = MASKED, total: f64 = 0;
  for (let from = 0; from < count; from += BLOCK) {
    const n = min(BLOCK, count - from), end = block + bytes(n);
    fetch(block, row, tokens, from, n);
    let high = f32x4.splat(most);
    for (let at = block; at < end; at += 16) high = f32x4.pmax(high, v128.load(at));
    const before = f32x4.splat(most);
    most = maxLanes(high);
    high = f32x4.splat(most);
    if (from > 0) {
      const shrink = exp4(f32x4.mul(f32x4.sub(before, high), inverse), scratch);
      total *= <f64> f32x4.extract_lane(shrink, 0);
    }
    let sum = f64x2.splat(0);
    for (let at = block; at < end; at += 16) {
      const e = exp4(f32x4.mul(f32x4.sub(v128.load(at), high), inverse), scratch);
      const pairs = f32x4.add(e, v128.shuffle<f32>(e, e, 2, 3, 0, 1));
      sum = f64x2.add(sum, f64x2.promote_low_f32x4(pairs));
    }
    total += f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  }
  store<f32>(top, most);
  return logOf(total);
}

/** Integers in the order of the numbers, in place of numbers. */
// @ts-ignore: decorator
@inline
function order(x: v128): v128 {
  return v128.xor(x, v128.and(i32x4.shr_s(x, 31), i32x4.splat(0x7fffffff)));
}

/** Puts z among the descending numbers from `held` up to `end` and drops the least: h_i = max(h_i, min(h_(i-1), z)). */
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
function least(row: usize, tokens: usize, count: i32): f32 {
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
 * The place-th largest of `count` logits, place <= HELD, in one walk that holds the largest so far. Nearly all logits
 * are below the least of these, which one comparison of 16 tells. It begins with a good bound, the place-th largest of
 * the maxima of 16 columns. With `fetched` the logits are in the block already.
 */
function selectHeld(
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

/** The place-th largest of `count` logits, bit by bit: the largest number that as many reach. */
function selectByBits(row: usize, tokens: usize, count: i32, place: i32, block: usize): f32 {
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

/** The token of the beam-th child, whose logit is `beta`: among equals in token order. */
function beamThToken(row: usize, tokens: usize, count: i32, beam: i32, beta: f32): i32 {
  const end = tokens + bytes(count);
  let place = min(beam, count);
  for (let at = tokens; at < end; at += 4) place -= i32(load<f32>(logitOf(row, at)) > beta);
  for (let at = tokens; at < end; at += 4) {
    if (load<f32>(logitOf(row, at)) === beta && --place === 0) return load<i32>(at);
  }
  return load<i32>(end - 4); // not reached: some child is the beam-th
}

/** logProb, logBeta, choices and saved. An item is a row of logits. */
export function trieLogProbForward(
  logits: usize,
  table: usize,
  nodes: usize,
  labels: usize,
  logProb: usize,
  logBeta: usize,
  choices: usize,
  saved: usize,
  V: i32,
  beam: i32,
  vocabulary: i32,
  tau: f64,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const inverse = f32x4.splat(<f32> (1 / tau));
  prepare(scratch);
  logits += <usize> from * bytes(V);
  saved += <usize> from * 12;
  for (let n = from; n < to; n++, logits += bytes(V), saved += 12) {
    const i = bytes(n), u = load<i32>(nodes + i), node = table + bytes(max(u, 0));
    const tokens = table + bytes(load<i32>(node));
    const count = u < 0 ? 0 : load<i32>(node, 4) - load<i32>(node);
    let p: f64 = 0, b: f64 = 0, top: f32 = 0, logSum: f64 = 0, beta: f32 = 0;
    if (count > 0) {
      const range = isRange(tokens, count), chosen = range ? 0 : tokens;
      const row = logits + (range ? bytes(load<i32>(tokens)) : 0);
      logSum = vocabulary
        ? normalize(saved, logits, 0, V, inverse, scratch)
        : normalize(saved, row, chosen, count, inverse, scratch);
      top = load<f32>(saved);
      p = (<f64> load<f32>(logitOf(logits, labels + i)) - <f64> top) / tau - logSum;
      if (beam > 0) {
        const fetched = !vocabulary && count <= BLOCK;
        if (beam >= count) beta = least(row, chosen, count);
        else if (beam > HELD) beta = selectByBits(row, chosen, count, beam, scratch + LOGITS);
        else beta = selectHeld(row, chosen, count, beam, fetched, scratch);
        b = (<f64> beta - <f64> top) / tau - logSum;
      }
    }
    store<f32>(logProb + i, <f32> p);
    store<f32>(logBeta + i, <f32> b);
    store<i32>(choices + i, count);
    store<f32>(saved, top);
    store<f32>(saved, <f32> logSum, 4);
    store<f32>(saved, beta, 8);
  }
}

/** dlogits. An item is a row of logits. */
export function trieLogProbBackward(
  dlogProb: usize,
  dlogBeta: usize,
  logits: usize,
  table: usize,
  nodes: usize,
  labels: usize,
  saved: usize,
  dlogits: usize,
  V: i32,
  beam: i32,
  vocabulary: i32,
  tau: f64,
  withProb: i32,
  withBeta: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const inverse = f32x4.splat(<f32> (1 / tau)), pitch = bytes(V), block = scratch + LOGITS;
  prepare(scratch);
  logits += <usize> from * pitch;
  dlogits += <usize> from * pitch;
  saved += <usize> from * 12;
  for (let n = from; n < to; n++, logits += pitch, dlogits += pitch, saved += 12) {
    const i = bytes(n), u = load<i32>(nodes + i), node = table + bytes(max(u, 0));
    const tokens = table + bytes(load<i32>(node));
    const count = u < 0 ? 0 : load<i32>(node, 4) - load<i32>(node);
    if (count === 0 || !vocabulary) memory.fill(dlogits, 0, pitch);
    if (count === 0 || (count === 1 && !vocabulary)) continue;
    const top = v128.load_splat<f32>(saved), logSum = v128.load_splat<f32>(saved, 4);
    const dProb: f64 = withProb ? <f64> load<f32>(dlogProb + i) / tau : 0;
    const dBeta: f64 = withBeta ? <f64> load<f32>(dlogBeta + i) / tau : 0;
    const pull = f32x4.splat(-<f32> (dProb + dBeta));
    const range = !vocabulary && isRange(tokens, count), first = range ? load<i32>(tokens) : 0;
    const row = logits + bytes(first), out = dlogits + bytes(first);
    const chosen = vocabulary || range ? 0 : tokens, size = vocabulary ? V : count;
    for (let k = 0; k < size; k += BLOCK) {
      const m = min(BLOCK, size - k);
      fetch(block, row, chosen, k, m);
      for (let at = block; at < block + bytes(m); at += 16) {
        const x = f32x4.sub(f32x4.mul(f32x4.sub(v128.load(at), top), inverse), logSum);
        v128.store(at, f32x4.mul(pull, exp4(x, scratch)));
      }
      put(block, out, chosen, k, m);
    }
    const y = logitOf(dlogits, labels + i);
    store<f32>(y, load<f32>(y) + <f32> dProb);
    if (!withBeta) continue;
    const b = dlogits + bytes(beamThToken(logits, tokens, count, beam, load<f32>(saved, 8)));
    store<f32>(b, load<f32>(b) + <f32> dBeta);
  }
}
