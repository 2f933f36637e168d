// The kernels of kernels/attention_backward.ts. Sizes are in elements, addresses in bytes.

import { bytes, dot, exp4, lane, madd, prepare } from "./maths";
import { BLOCK, clear, dots, lanes, LANES, LEFT, mix, pack, RIGHT } from "./tile";
import { SCORE, SLOPE, SUM, SUM2, unpack } from "./tile";

/**
 * Turns scores into p = e^(score - lse), and dout . v into ds = p (dout . v - delta) scale. Both
 * are 0 where not live.
 */
// @ts-ignore: decorator
@inline
function weigh(
  score: usize,
  slope: usize,
  lse: v128,
  delta: v128,
  live: v128,
  scale: v128,
  scratch: usize,
): void {
  const p = v128.and(live, exp4(f32x4.sub(v128.load(score), lse), scratch));
  const ds = f32x4.mul(f32x4.mul(p, f32x4.sub(v128.load(slope), delta)), scale);
  v128.store(score, p);
  v128.store(slope, ds);
}

/** delta. An item is a row of D elements. */
export function attentionDelta(
  dout: usize,
  attended: usize,
  delta: usize,
  D: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const width = bytes(D);
  for (let n = from; n < to; n++) {
    const row = <usize> n * width;
    store<f32>(delta + bytes(n), dot(dout + row, attended + row, width));
  }
}

/**
 * dqkv: eight keys of one head against the queries from the first of them on, so that p is computed
 * once for all gradients. An item is one key head of one sequence, with the heads that read it.
 */
export function attentionBackward(
  dout: usize,
  qkv: usize,
  lse: usize,
  delta: usize,
  dqkv: usize,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const pitch = bytes((H + 2 * KVH) * D), outPitch = bytes(H * D), values = bytes(KVH * D);
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM, sum2 = scratch + SUM2;
  const score = scratch + SCORE, slope = scratch + SLOPE, group = H / KVH;
  const factor: f32 = 1.0 / sqrt<f32>(<f32> D), scale = f32x4.splat(factor);
  prepare(scratch);
  for (let item = from; item < to; item++) {
    const b = item / KVH, g = item % KVH, start = <usize> (b * T);
    const sequence = qkv + start * pitch, grads = dqkv + start * pitch;
    for (let j = 0; j < T; j += LANES) {
      const count = min(LANES, T - j), key = bytes((H + g) * D) + <usize> j * pitch;
      pack(left, sequence + key, pitch, count, D, factor);
      pack(right, sequence + key + values, pitch, count, D, 1);
      clear(sum, D);
      clear(sum2, D);
      for (let h = g * group; h < (g + 1) * group; h++) {
        const numbers = bytes(b * T * H + h); // of lse and delta
        for (let first = j; first < T; first += BLOCK) {
          const n = min(BLOCK, T - first), query = bytes(h * D) + <usize> first * pitch;
          const douts = dout + (start + <usize> first) * outPitch + bytes(h * D);
          dots(score, sequence + query, pitch, n, left, D);
          dots(slope, douts, outPitch, n, right, D);
          for (let t = 0; t < n; t++) {
            const row = i32x4.splat(first + t), number = numbers + bytes((first + t) * H);
            const l = v128.load_splat<f32>(lse + number);
            const d = v128.load_splat<f32>(delta + number);
            for (let half = 0; half < LANES; half += 4) {
              const at = bytes(t * LANES + half);
              const isPast = i32x4.le_s(lanes(j + half), row);
              const isKey = i32x4.lt_s(lanes(half), i32x4.splat(count));
              const live = v128.and(isPast, isKey);
              weigh(score + at, slope + at, l, d, live, scale, scratch);
            }
          }
          mix(sum, slope, sequence + query, pitch, n, D);
          mix(sum2, score, douts, outPitch, n, D);
          spread(grads + query, slope, sequence + key, pitch, n, count, D, j == 0);
        }
      }
      unpack(grads + key, pitch, sum, count, D);
      unpack(grads + key + values, pitch, sum2, count, D);
    }
  }
}

/**
 * rows_t = sum_lane w[t][lane] keys_lane, added to what is there unless `fresh`. Rows and keys are
 * `pitch` apart. A lane from `count` on has weight 0 and stands for the last key.
 */
function spread(
  rows: usize,
  w: usize,
  keys: usize,
  pitch: usize,
  n: i32,
  count: i32,
  D: i32,
  fresh: bool,
): void {
  const last = count - 1;
  const k1 = keys + <usize> min(1, last) * pitch, k2 = keys + <usize> min(2, last) * pitch;
  const k3 = keys + <usize> min(3, last) * pitch, k4 = keys + <usize> min(4, last) * pitch;
  const k5 = keys + <usize> min(5, last) * pitch, k6 = keys + <usize> min(6, last) * pitch;
  const k7 = keys + <usize> min(7, last) * pitch, end = w + bytes(n) * LANES;
  for (let d: usize = 0; d < bytes(D); d += 16) {
    const y0 = v128.load(keys + d), y1 = v128.load(k1 + d), y2 = v128.load(k2 + d);
    const y3 = v128.load(k3 + d), y4 = v128.load(k4 + d), y5 = v128.load(k5 + d);
    const y6 = v128.load(k6 + d), y7 = v128.load(k7 + d);
    let row = rows + d;
    for (let at = w; at < end; at += 32, row += pitch) {
      const a = v128.load(at), b = v128.load(at, 16);
      let even = fresh ? f32x4.splat(0) : v128.load(row), odd = f32x4.mul(lane(a, 1), y1);
      even = madd(lane(a, 0), y0, even);
      even = madd(lane(a, 2), y2, even);
      odd = madd(lane(a, 3), y3, odd);
      even = madd(lane(b, 0), y4, even);
      odd = madd(lane(b, 1), y5, odd);
      even = madd(lane(b, 2), y6, even);
      odd = madd(lane(b, 3), y7, odd);
      v128.store(row, f32x4.add(even, odd));
    }
  }
}
