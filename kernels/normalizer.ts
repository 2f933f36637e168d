/**
 * What turns logits z into log-probabilities at a temperature tau,
 *
 *   log q(v) = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau)
 *
 * The maximum and the logarithm are kept apart, so that log q(v) is as exact at logits of 1e4 as at
 * logits of 1.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { MASKED } from "./masked.ts";
import { wgslMaths } from "./maths.ts";

/** max z and log sum exp((z - max z) / tau). */
export function normalizerOf(z: FloatArray, tau: number): [max: number, logSum: number] {
  let max = -Infinity;
  for (let v = 0; v < z.length; v++) if (z[v] > max) max = z[v];
  let sum = 0;
  for (let v = 0; v < z.length; v++) sum += Math.exp((z[v] - max) / tau);
  return [max, Math.log(sum)];
}

/**
 * WGSL for the same in one pass (Milakov and Gimelshein, arXiv:1805.02867): a pair of the largest
 * logit m so far and the sum of exp((z - m) / tau). `withLogit` adds a logit to `NO_LOGITS` or
 * more, `merged` joins two pairs, and `logOf` of the sum completes one. `inverse` is 1 / tau.
 */
export const WGSL_NORMALIZER = `${wgslMaths("f32")}
const NO_LOGITS = vec2f(${MASKED}, 0.0);
fn withLogit(a: vec2f, z: f32, inverse: f32) -> vec2f { // merged(a, vec2f(z, 1.0), inverse)
  let d = (z - a.x) * inverse;
  let e = exp(-abs(d));
  return vec2f(max(a.x, z), select(a.y + e, a.y * e + 1.0, d > 0.0));
}
fn merged(a: vec2f, b: vec2f, inverse: f32) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * exp((a.x - m) * inverse) + b.y * exp((b.x - m) * inverse));
}`;
