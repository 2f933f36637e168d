// The kernels of kernels/attention_backward.ts. Sizes are in elements, addresses in bytes.

import { exp4, madd, prepare, sumLanes } from "./maths";
import { BLOCK, bytes, clear, dots, lanes, LANES, LEFT, mix, pack, RIGHT } from "./tile";
import { SCORE, SLOPE, SUM, SUM2, TOP, TOTAL, unpack } from "./tile";

/** delta. An item is one sequence. */
export function attentionDelta(
  dout: usize,
  attended: usize,
  delta: usize,
  T: i32,
  H: i32,
  D: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  dout += bytes(from * T * H * D);
  attended += bytes(from * T * H * D);
  delta += bytes(from * T * H);
  for (let b = from; b < to; b++, delta += bytes(H * T)) {
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        let sum = f32x4.splat(0);
        for (const end = dout + bytes(D); dout < end; dout += 16, attended += 16) {
          sum = madd(v128.load(dout), v128.load(attended), sum);
        }
        store<f32>(delta + bytes(h * T + t), sumLanes(sum));
      }
    }
  }
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

/** dq: eight queries of one head against the keys up to the last of them. An item is one head of one sequence. */
export function attentionBackwardQuery(
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  lse: usize,
  delta: usize,
  dq: usize,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const pitch = bytes(H * D), kvPitch = bytes(KVH * D), factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM;
  const score = scratch + SCORE, slope = scratch + SLOPE, scale = f32x4.splat(factor);
  prepare(scratch);
  lse += bytes(from * T);
  delta += bytes(from * T);
  for (let item = from; item < to; item++, lse += bytes(T), delta += bytes(T)) {
      const b = item / H, h = item % H, head = bytes(h * D) + <usize> (b * T) * pitch;
      const kv = bytes(h / (H / KVH) * D) + <usize> (b * T) * kvPitch;
      for (let t = 0; t < T; t += LANES) {
        const count = min(LANES, T - t), row = head + <usize> t * pitch;
        pack(left, q + row, pitch, count, D, factor);
        pack(right, dout + row, pitch, count, D, 1);
        clear(sum, D);
        memory.copy(scratch + TOP, lse + bytes(t), bytes(count));
        memory.copy(scratch + TOTAL, delta + bytes(t), bytes(count));
        for (let first = 0; first < t + count; first += BLOCK) {
          const n = min(BLOCK, t + count - first), rows = kv + <usize> first * kvPitch;
          dots(score, k + rows, kvPitch, n, left, D);
          dots(slope, v + rows, kvPitch, n, right, D);
          for (let half = 0; half < LANES; half += 4) {
            const l = v128.load(scratch + bytes(half), TOP), queries = lanes(t + half);
            const d = v128.load(scratch + bytes(half), TOTAL);
            for (let j = 0; j < n; j++) {
              const at = bytes(j * LANES + half), live = i32x4.ge_s(queries, i32x4.splat(first + j));
              weigh(score + at, slope + at, l, d, live, scale, scratch);
            }
          }
          mix(sum, slope, k + rows, kvPitch, n, D);
        }
        unpack(dq + row, pitch, sum, count, D);
      }
  }
}

/** dk and dv: eight keys of one head against the queries from the first of them on, of all heads that read them. An item is one key head of one sequence. */
export function attentionBackwardKeys(
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  lse: usize,
  delta: usize,
  dk: usize,
  dv: usize,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const pitch = bytes(H * D), kvPitch = bytes(KVH * D), factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM, sum2 = scratch + SUM2;
  const score = scratch + SCORE, slope = scratch + SLOPE, scale = f32x4.splat(factor);
  const group = H / KVH;
  prepare(scratch);
  for (let item = from; item < to; item++) {
      const b = item / KVH, g = item % KVH;
      const sequence = <usize> (b * T) * pitch, numbers = bytes(b * H * T);
      const head = bytes(g * D) + <usize> (b * T) * kvPitch;
      for (let j = 0; j < T; j += LANES) {
        const count = min(LANES, T - j), row = head + <usize> j * kvPitch;
        pack(left, k + row, kvPitch, count, D, factor);
        pack(right, v + row, kvPitch, count, D, 1);
        clear(sum, D);
        clear(sum2, D);
        for (let h = g * group; h < (g + 1) * group; h++) {
          for (let first = j; first < T; first += BLOCK) {
            const n = min(BLOCK, T - first), rows = sequence + bytes(h * D) + <usize> first * pitch;
            dots(score, q + rows, pitch, n, left, D);
            dots(slope, dout + rows, pitch, n, right, D);
            for (let t = 0; t < n; t++) {
              const number = numbers + bytes(h * T + first + t), query = i32x4.splat(first + t);
              const l = v128.load_splat<f32>(lse + number);
              const d = v128.load_splat<f32>(delta + number);
              for (let half = 0; half < LANES; half += 4) {
                const at = bytes(t * LANES + half), live = i32x4.le_s(lanes(j + half), query);
                weigh(score + at, slope + at, l, d, live, scale, scratch);
              }
            }
            mix(sum, slope, q + rows, pitch, n, D);
            mix(sum2, score, dout + rows, pitch, n, D);
          }
        }
        unpack(dk + row, kvPitch, sum, count, D);
        unpack(dv + row, kvPitch, sum2, count, D);
      }
  }
}
