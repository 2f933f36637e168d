/**
 * What turns a row of logits into log-probabilities: max z and log sum exp((z - max z) / tau), kept apart so that
 * (z_v - max z) / tau - log sum is as exact at logits of 1e4 as at logits of 1.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { MASKED } from "./masked.ts";
import { wgslMaths } from "./maths.ts";

/** The largest of `size` logits from `row`, and log sum exp((z - max) / tau). */
export function vocabularyNormalizer(
  logits: FloatArray,
  row: number,
  size: number,
  tau: number,
): [max: number, logSum: number] {
  let max = -Infinity;
  for (let v = row; v < row + size; v++) if (logits[v] > max) max = logits[v];
  let sum = 0;
  for (let v = row; v < row + size; v++) sum += Math.exp((logits[v] - max) / tau);
  return [max, Math.log(sum)];
}

/** The same over the children `table[from..to]` of a trie node. */
export function childrenNormalizer(
  logits: FloatArray,
  row: number,
  table: Int32Array,
  from: number,
  to: number,
  tau: number,
): [max: number, logSum: number] {
  let max = -Infinity;
  for (let k = from; k < to; k++) max = Math.max(max, logits[row + table[k]]);
  let sum = 0;
  for (let k = from; k < to; k++) sum += Math.exp((logits[row + table[k]] - max) / tau);
  return [max, Math.log(sum)];
}

/**
 * WGSL for `normalizerOfRange(first, size)`: the largest of `size` logits from number `first` on and log sum
 * exp((z - max) / tau), in one walk of four lanes, each with its own maximum so far.
 */
export const RANGE_WGSL = `
${wgslMaths("f32")}
fn normalizerOfRange(first: u32, size: u32) -> vec2f {
  let inverse = 1.0 / p.tau;
  var m = vec4f(${MASKED});
  var s = vec4f(0.0);
  var v = 0u;
  for (; v + 4u <= size; v += 4u) {
    let i = first + v;
    let z = vec4f(logits[i], logits[i + 1u], logits[i + 2u], logits[i + 3u]);
    let d = (z - m) * inverse;
    let e = exp(-abs(d));
    s = select(s + e, s * e + 1.0, d > vec4f(0.0));
    m = max(m, z);
  }
  for (; v < size; v++) {
    let z = logits[first + v];
    let d = (z - m.x) * inverse;
    let e = exp(-abs(d));
    s.x = select(s.x + e, s.x * e + 1.0, d > 0.0);
    m.x = max(m.x, z);
  }
  let top = max(max(m.x, m.y), max(m.z, m.w));
  return vec2f(top, logOf(dot(s, exp((m - top) * inverse))));
}`;
