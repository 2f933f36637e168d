// The kernels of kernels/vocabulary_log_prob.ts. Sizes are in elements, addresses in bytes.

import { BLOCK, LOGITS } from "./logit_block";
import { bytes, exp4, prepare } from "./maths";
import { logOf, normalize } from "./trie_log_prob";

/** logProb, and m, s and z_y after a chunk of W logits. An item is a row. */
export function vocabularyForward(
  logits: usize,
  labels: usize,
  before: usize,
  after: usize,
  logProb: usize,
  W: i32,
  first: i32,
  tau: f64,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const inverse = f32x4.splat(<f32> (1 / tau));
  prepare(scratch);
  for (let n = from; n < to; n++) {
    const row = logits + <usize> n * bytes(W), i = <usize> n * 12, state = after + i;
    const logSum = normalize(state, row, 0, W, inverse, scratch); // stores the largest
    const top = load<f32>(state), was = load<f32>(before + i), most = max<f32>(top, was);
    const shift = f32x4.mul(f32x4.sub(f32x4(was, top, 0, 0), f32x4.splat(most)), inverse);
    const logs = f32x4(load<f32>(before + i, 4), <f32> logSum, 0, 0);
    const e = exp4(f32x4.add(shift, logs), scratch);
    const log = logOf(<f64> f32x4.extract_lane(e, 0) + <f64> f32x4.extract_lane(e, 1));
    const label = load<i32>(labels + bytes(n)) - first;
    const own = label >= 0 && label < W ? load<f32>(row + bytes(label)) : load<f32>(before + i, 8);
    store<f32>(state, most);
    store<f32>(state, <f32> log, 4);
    store<f32>(state, own, 8);
    store<f32>(logProb + bytes(n), <f32> ((<f64> own - <f64> most) / tau - log));
  }
}

/** dlogits of a chunk of W logits. An item is a row. */
export function vocabularyBackward(
  dlogProb: usize,
  logits: usize,
  labels: usize,
  saved: usize,
  dlogits: usize,
  W: i32,
  first: i32,
  tau: f64,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const inverse = f32x4.splat(<f32> (1 / tau)), block = scratch + LOGITS;
  prepare(scratch);
  for (let n = from; n < to; n++) {
    const row = logits + <usize> n * bytes(W), out = dlogits + <usize> n * bytes(W);
    const i = <usize> n * 12, d = <f64> load<f32>(dlogProb + bytes(n)) / tau;
    const top = v128.load_splat<f32>(saved + i), logSum = v128.load_splat<f32>(saved + i, 4);
    const pull = f32x4.splat(-<f32> d);
    for (let k = 0; k < W; k += BLOCK) {
      const m = min(BLOCK, W - k);
      memory.copy(block, row + bytes(k), bytes(m));
      for (let at = block; at < block + bytes(m); at += 16) {
        const x = f32x4.sub(f32x4.mul(f32x4.sub(v128.load(at), top), inverse), logSum);
        v128.store(at, f32x4.mul(pull, exp4(x, scratch)));
      }
      memory.copy(out + bytes(k), block, bytes(m));
    }
    const label = load<i32>(labels + bytes(n)) - first;
    if (label >= 0 && label < W) {
      store<f32>(out + bytes(label), load<f32>(out + bytes(label)) + <f32> d);
    }
  }
}
