// The kernels of kernels/trie_log_prob.ts. Sizes are in elements, addresses in bytes.

import { BLOCK, fetch, isRange, LOGITS, logitOf, put } from "./logit_block";
import { bytes, exp4, log4, MASKED, maxLanes, prepare } from "./maths";
import { HELD, least, selectByBits, selectHeld } from "./select_largest";

/** log x, from the logarithm of x in float32 and the slope there. */
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

/** The token of the beam-th child, whose logit is `beta`. Ties are in token order. */
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
