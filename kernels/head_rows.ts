/**
 * What the references of the attention kernels are made of: the rows of one head, in float64 and side by side, their dot
 * products with a vector, and their weighted sum. Four rows at a time, so that each element of the vector is read once
 * for four products.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";

/** Copies `count` rows of D numbers that lie `pitch` apart from `at` on. */
export function packRows(
  to: Float64Array,
  from: FloatArray,
  at: number,
  pitch: number,
  count: number,
  D: number,
): void {
  for (let r = 0, o = 0; r < count; r++, at += pitch) {
    for (let d = 0; d < D; d++) to[o++] = from[at + d];
  }
}

/** out_j = scale x . rows_j for from <= j < to, with x at `at` of `xs`. */
export function dotRows(
  out: Float64Array,
  xs: Float64Array,
  at: number,
  rows: Float64Array,
  from: number,
  to: number,
  D: number,
  scale: number,
): void {
  let j = from;
  for (; j + 4 <= to; j += 4) {
    let r0 = j * D, r1 = r0 + D, r2 = r1 + D, r3 = r2 + D;
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (let d = 0; d < D; d++) {
      const x = xs[at + d];
      s0 += x * rows[r0++], s1 += x * rows[r1++], s2 += x * rows[r2++], s3 += x * rows[r3++];
    }
    out[j] = s0 * scale, out[j + 1] = s1 * scale, out[j + 2] = s2 * scale, out[j + 3] = s3 * scale;
  }
  for (; j < to; j++) {
    let s = 0;
    for (let d = 0; d < D; d++) s += xs[at + d] * rows[j * D + d];
    out[j] = s * scale;
  }
}

/** sum_d += sum_j weights_j rows_jd over from <= j < to. */
export function addRows(
  sum: Float64Array,
  weights: Float64Array,
  rows: Float64Array,
  from: number,
  to: number,
  D: number,
): void {
  let j = from;
  for (; j + 4 <= to; j += 4) {
    const w0 = weights[j], w1 = weights[j + 1], w2 = weights[j + 2], w3 = weights[j + 3];
    let r0 = j * D, r1 = r0 + D, r2 = r1 + D, r3 = r2 + D;
    for (let d = 0; d < D; d++) {
      sum[d] += w0 * rows[r0++] + w1 * rows[r1++] + w2 * rows[r2++] + w3 * rows[r3++];
    }
  }
  for (; j < to; j++) {
    const w = weights[j];
    for (let d = 0; d < D; d++) sum[d] += w * rows[j * D + d];
  }
}

/** Turns scores_j, j < n, into their softmax and returns their log-sum-exp. */
export function softmaxScores(scores: Float64Array, n: number): number {
  let max = scores[0];
  for (let j = 1; j < n; j++) max = Math.max(max, scores[j]);
  let total = 0;
  for (let j = 0; j < n; j++) total += scores[j] = Math.exp(scores[j] - max);
  for (let j = 0; j < n; j++) scores[j] /= total;
  return max + Math.log(total);
}
