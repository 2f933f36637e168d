// The kernels of kernels/attention_backward.ts. Sizes are in elements, addresses in bytes.

import { exp4, madd, prepare, sumLanes } from "./maths";
import { BLOCK, bytes, clear, dots, lanes, LANES, LEFT, mix, pack, RIGHT } from "./tile";
import { SCORE, SLOPE, SUM, SUM2, TOP, TOTAL, unpack } from "./tile";

/** delta. */
export function attentionDelta(
  dout: usize,
  attended: usize,
  delta: usize,
  B: i32,
  T: i32,
  H: i32,
  D: i32,
): void {
  for (let b = 0; b < B; b++, delta += bytes(H * T)) {
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

/** dq: eight queries of one head against the keys up to the last of them. */
export function attentionBackwardQuery(
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  lse: usize,
  delta: usize,
  dq: usize,
  B: i32,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  scratch: usize,
): void {
  const pitch = bytes(H * D), kvPitch = bytes(KVH * D), factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM;
  const score = scratch + SCORE, slope = scratch + SLOPE, scale = f32x4.splat(factor);
  prepare(scratch);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++, lse += bytes(T), delta += bytes(T)) {
      const kv = bytes(h / (H / KVH) * D);
      for (let t = 0; t < T; t += LANES) {
        const count = min(LANES, T - t), row = bytes(h * D) + <usize> t * pitch;
        pack(left, q + row, pitch, count, D, factor);
        pack(right, dout + row, pitch, count, D, 1);
        clear(sum, D);
        memory.copy(scratch + TOP, lse + bytes(t), bytes(count));
        memory.copy(scratch + TOTAL, delta + bytes(t), bytes(count));
        for (let from = 0; from < t + count; from += BLOCK) {
          const n = min(BLOCK, t + count - from), rows = kv + <usize> from * kvPitch;
          dots(score, k + rows, kvPitch, n, left, D);
          dots(slope, v + rows, kvPitch, n, right, D);
          for (let half = 0; half < LANES; half += 4) {
            const l = v128.load(scratch + bytes(half), TOP), queries = lanes(t + half);
            const d = v128.load(scratch + bytes(half), TOTAL);
            for (let j = 0; j < n; j++) {
              const at = bytes(j * LANES + half), live = i32x4.ge_s(queries, i32x4.splat(from + j));
              weigh(score + at, slope + at, l, d, live, scale, scratch);
            }
          }
          mix(sum, slope, k + rows, kvPitch, n, D);
        }
        unpack(dq + row, pitch, sum, count, D);
      }
    }
    q += <usize> T * pitch;
    dout += <usize> T * pitch;
    dq += <usize> T * pitch;
    k += <usize> T * kvPitch;
    v += <usize> T * kvPitch;
  }
}

/** dk and dv: eight keys of one head against the queries from the first of them on, of all heads that read them. */
export function attentionBackwardKeys(
  dout: usize,
  q: usize,
  k: usize,
  v: usize,
  lse: usize,
  delta: usize,
  dk: usize,
  dv: usize,
  B: i32,
  T: i32,
  H: i32,
  KVH: i32,
  D: i32,
  scratch: usize,
): void {
  const pitch = bytes(H * D), kvPitch = bytes(KVH * D), factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, right = scratch + RIGHT, sum = scratch + SUM, sum2 = scratch + SUM2;
  const score = scratch + SCORE, slope = scratch + SLOPE, scale = f32x4.splat(factor);
  const group = H / KVH;
  prepare(scratch);
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < KVH; g++) {
      for (let j = 0; j < T; j += LANES) {
        const count = min(LANES, T - j), row = bytes(g * D) + <usize> j * kvPitch;
        pack(left, k + row, kvPitch, count, D, factor);
        pack(right, v + row, kvPitch, count, D, 1);
        clear(sum, D);
        clear(sum2, D);
        for (let h = g * group; h < (g + 1) * group; h++) {
          for (let from = j; from < T; from += BLOCK) {
            const n = min(BLOCK, T - from), rows = bytes(h * D) + <usize> from * pitch;
            dots(score, q + rows, pitch, n, left, D);
            dots(slope, dout + rows, pitch, n, right, D);
            for (let t = 0; t < n; t++) {
              const number = bytes(h * T + from + t), query = i32x4.splat(from + t);
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
    q += <usize> T * pitch;
    dout += <usize> T * pitch;
    lse += bytes(H * T);
    delta += bytes(H * T);
    k += <usize> T * kvPitch;
    v += <usize> T * kvPitch;
    dk += <usize> T * kvPitch;
    dv += <usize> T * kvPitch;
  }
}
