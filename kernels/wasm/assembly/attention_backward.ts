// The kernels of kernels/attention_backward.ts. Sizes are in elements, addresses in bytes.

import { exp4, madd, prepare, sumLanes } from "./maths";
import { BLOCK, bytes, clear, dots, lanes, LANES, LEFT, mix, pack, RIGHT } from "./tile";
import { SCORE, SLOPE, SUM, SUM2, TOP, TOTAL, unpack } from "./tile";

/** x . y of D elements. */
// @ts-ignore: decorator
@inline
function product(x: usize, y: usize, D: i32): f32 {
  let sum = f32x4.splat(0);
  for (const end = x + bytes(D); x < end; x += 16, y += 16) {
    sum = madd(v128.load(x), v128.load(y), sum);
  }
  return sumLanes(sum);
}

/** Where live, p = e^(score - lse) and ds = p (dout . v - delta) scale take the place of scores and dout . v; else 0. */
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

/** delta, and dq: eight queries of one head against the keys up to the last of them. An item is one head of one sequence. */
export function attentionBackwardQuery(
  dout: usize,
  attended: usize,
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
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM;
  const score = scratch + SCORE, slope = scratch + SLOPE;
  const factor: f32 = 1.0 / sqrt<f32>(<f32> D), scale = f32x4.splat(factor);
  prepare(scratch);
  for (let item = from; item < to; item++) {
    const h = item % H, start = <usize> (item / H * T), numbers = bytes(item * T);
    const head = start * pitch + bytes(h * D), outHead = start * outPitch + bytes(h * D);
    const key = qkv + start * pitch + bytes((H + h / (H / KVH)) * D);
    for (let t = 0; t < T; t += LANES) {
      const count = min(LANES, T - t);
      const row = head + <usize> t * pitch, outRow = outHead + <usize> t * outPitch;
      pack(left, qkv + row, pitch, count, D, factor);
      pack(right, dout + outRow, outPitch, count, D, 1);
      clear(sum, D);
      for (let lane = 0; lane < count; lane++) {
        const at = outRow + <usize> lane * outPitch;
        store<f32>(scratch + bytes(lane), product(dout + at, attended + at, D), TOTAL);
      }
      memory.copy(delta + numbers + bytes(t), scratch + TOTAL, bytes(count));
      memory.copy(scratch + TOP, lse + numbers + bytes(t), bytes(count));
      for (let first = 0; first < t + count; first += BLOCK) {
        const n = min(BLOCK, t + count - first), rows = key + <usize> first * pitch;
        dots(score, rows, pitch, n, left, D);
        dots(slope, rows + values, pitch, n, right, D);
        for (let half = 0; half < LANES; half += 4) {
          const l = v128.load(scratch + bytes(half), TOP), queries = lanes(t + half);
          const d = v128.load(scratch + bytes(half), TOTAL);
          for (let j = 0; j < n; j++) {
            const at = bytes(j * LANES + half), live = i32x4.ge_s(queries, i32x4.splat(first + j));
            weigh(score + at, slope + at, l, d, live, scale, scratch);
          }
        }
        mix(sum, slope, rows, pitch, n, D);
      }
      unpack(dqkv + row, pitch, sum, count, D);
    }
  }
}

/**
 * dk and dv: eight keys of one head against the queries from the first of them on, of all heads that read them. An item
 * is one key head of one sequence.
 */
export function attentionBackwardKeys(
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
    const head = start * pitch + bytes((H + g) * D);
    for (let j = 0; j < T; j += LANES) {
      const count = min(LANES, T - j), row = head + <usize> j * pitch;
      pack(left, qkv + row, pitch, count, D, factor);
      pack(right, qkv + row + values, pitch, count, D, 1);
      clear(sum, D);
      clear(sum2, D);
      for (let h = g * group; h < (g + 1) * group; h++) {
        const numbers = bytes((b * H + h) * T);
        for (let first = j; first < T; first += BLOCK) {
          const n = min(BLOCK, T - first), at = start + <usize> first;
          const queries = qkv + at * pitch + bytes(h * D);
          const douts = dout + at * outPitch + bytes(h * D);
          dots(score, queries, pitch, n, left, D);
          dots(slope, douts, outPitch, n, right, D);
          for (let t = 0; t < n; t++) {
            const number = numbers + bytes(first + t), query = i32x4.splat(first + t);
            const l = v128.load_splat<f32>(lse + number);
            const d = v128.load_splat<f32>(delta + number);
            for (let half = 0; half < LANES; half += 4) {
              const at = bytes(t * LANES + half), live = i32x4.le_s(lanes(j + half), query);
              weigh(score + at, slope + at, l, d, live, scale, scratch);
            }
          }
          mix(sum, slope, queries, pitch, n, D);
          mix(sum2, score, douts, outPitch, n, D);
        }
      }
      unpack(dqkv + row, pitch, sum, count, D);
      unpack(dqkv + row + values, pitch, sum2, count, D);
    }
  }
}
