// The kernel of kernels/attention.ts: eight queries of one head against the keys up to the last
// query. Sizes are in elements, addresses in bytes.

import { bytes, log4, MASKED, prepare } from "./maths";
import { absorb, begin, BLOCK, dots, finish, lanes, LANES, LEFT, mix } from "./tile";
import { pack, SCORE, SUM, TOP, TOTAL, unpack } from "./tile";

/** out and lse. An item is one head of one sequence. */
export function attentionForward(
  qkv: usize,
  out: usize,
  lse: usize,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const pitch = bytes((H + 2 * KVH) * D), outPitch = bytes(H * D), values = bytes(KVH * D);
  const factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, score = scratch + SCORE, sum = scratch + SUM;
  prepare(scratch);
  for (let item = from; item < to; item++) {
    const h = item % H, start = <usize> (item / H * T);
    const query = qkv + start * pitch + bytes(h * D);
    const key = qkv + start * pitch + bytes((H + h / (H / KVH)) * D);
    const head = out + start * outPitch + bytes(h * D), sums = lse + bytes(<i32> start * H + h);
    for (let t = 0; t < T; t += LANES) {
      const count = min(LANES, T - t);
      pack(left, query + <usize> t * pitch, pitch, count, D, factor);
      begin(scratch, D);
      for (let first = 0; first < t + count; first += BLOCK) {
        const n = min(BLOCK, t + count - first), rows = key + <usize> first * pitch;
        dots(score, rows, pitch, n, left, D);
        for (let j = max(first, t); j < first + n; j++) {
          mask(score + bytes(j - first) * LANES, j, t);
        }
        absorb(scratch, n, D);
        mix(sum, score, rows + values, pitch, n, D);
      }
      finish(scratch, D);
      unpack(head + <usize> t * outPitch, outPitch, sum, count, D);
      logSums(scratch);
      for (let i = 0; i < count; i++) {
        store<f32>(sums + bytes((t + i) * H), load<f32>(scratch + bytes(i), TOP));
      }
    }
  }
}

/** Masks key j for the queries before it, of the queries t .. t + 7. */
function mask(score: usize, j: i32, t: i32): void {
  for (let half = 0; half < LANES; half += 4) {
    const live = i32x4.ge_s(lanes(t + half), i32x4.splat(j)), at = score + bytes(half);
    v128.store(at, v128.bitselect(v128.load(at), f32x4.splat(MASKED), live));
  }
}

/** Replaces the largest scores by log-sum-exps. */
function logSums(scratch: usize): void {
  for (let half = 0; half < LANES; half += 4) {
    const at = scratch + bytes(half);
    v128.store(at, f32x4.add(v128.load(at, TOP), log4(v128.load(at, TOTAL))), TOP);
  }
}
