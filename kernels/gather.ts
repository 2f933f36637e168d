/**
 * Elements of x (outer, V, inner) by K indices into its middle axis, and the adjoint:
 *
 *   out[o, k, i] = x[o, index[o, k, i], i]
 *   out[o, v, i] = sum_{k : index[o, k, i] = v} values[o, k, i]
 *
 * An index outside of [0, V) counts as the nearest inside.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers, noise } from "./cases.ts";
import { wgslSum } from "./maths.ts";

/** out (outer, K, inner); one invocation per element. */
export const gatherForward = defineKernel({
  name: "gatherForward",
  buffers: { x: "read float", index: "read int", out: "write float" },
  params: { outer: "u32", V: "u32", K: "u32", inner: "u32" },
  cpu({ x, index, out }, { outer, V, K, inner }): void {
    for (let o = 0, at = 0; o < outer; o++) {
      for (let k = 0; k < K; k++) {
        for (let i = 0; i < inner; i++, at++) {
          const v = Math.min(Math.max(index[at], 0), V - 1);
          out[at] = x[(o * V + v) * inner + i];
        }
      }
    }
  },
  indices: { index: ({ outer, K, inner, V }) => [outer * K * inner, V] },
  invocations: ({ outer, K, inner }) => outer * K * inner,
  wgsl: `
fn kernel(at: u32) {
  let o = at / (p.K * p.inner);
  let v = u32(clamp(index[at], 0, i32(p.V) - 1));
  out[at] = x[(o * p.V + v) * p.inner + at % p.inner];
}`,
  cases: () => [
    {
      name: "(3, 5) by (3, 2)",
      params: { outer: 3, V: 5, K: 2, inner: 1 },
      buffers: { x: noise(15, 1), index: integers(6, 5, 1), out: 6 },
    },
    {
      name: "(2, 4, 3) by (2, 1, 3), out of range",
      params: { outer: 2, V: 4, K: 1, inner: 3 },
      buffers: { x: noise(24, 2), index: [-1, 9, 2, 0, 1, 3], out: 6 },
    },
  ],
});

/** out (outer, V, inner), each element summed in the order of k; one invocation per element. */
export const scatterAddForward = defineKernel({
  name: "scatterAddForward",
  buffers: { index: "read int", values: "read float", out: "write float" },
  params: { outer: "u32", V: "u32", K: "u32", inner: "u32" },
  cpu({ index, values, out }, { outer, V, K, inner }): void {
    const totals = new Float64Array(V * inner);
    for (let o = 0, at = 0; o < outer; o++) {
      totals.fill(0);
      for (let k = 0; k < K; k++) {
        for (let i = 0; i < inner; i++, at++) {
          const v = Math.min(Math.max(index[at], 0), V - 1);
          totals[v * inner + i] += values[at];
        }
      }
      out.set(totals, o * V * inner);
    }
  },
  indices: { index: ({ outer, K, inner, V }) => [outer * K * inner, V] },
  invocations: ({ outer, V, inner }) => outer * V * inner,
  wgsl: `${wgslSum("f32")}
fn kernel(at: u32) {
  let i = at % p.inner;
  let v = i32((at / p.inner) % p.V);
  let o = at / (p.V * p.inner);
  var sum = Sum();
  for (var k = 0u; k < p.K; k++) {
    let source = (o * p.K + k) * p.inner + i;
    if (clamp(index[source], 0, i32(p.V) - 1) == v) { plus(&sum, values[source]); }
  }
  out[at] = totalOf(sum);
}`,
  cases: () => [
    {
      name: "(3, 7) into (3, 4), indices that repeat",
      params: { outer: 3, V: 4, K: 7, inner: 1 },
      buffers: { index: integers(21, 4, 1), values: noise(21, 1), out: 12 },
    },
    {
      name: "(2, 2, 3) into (2, 4, 3), out of range",
      params: { outer: 2, V: 4, K: 2, inner: 3 },
      buffers: {
        index: [-1, 9, 2, 0, 1, 3, 3, 3, 3, 0, 1, 2],
        values: noise(12, 2),
        out: 24,
      },
    },
  ],
});
