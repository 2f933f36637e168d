/**
 * The k largest of each of N rows of V, in the total order (value descending, index ascending); NaN
 * is above all.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers, noise, SPECIAL } from "./cases.ts";
import { isAbove, WGSL_ORDER } from "./maths.ts";

/**
 * values and indices (N, k); one invocation per row, which takes k rounds of "the largest below the
 * last".
 */
export const topKForward = defineKernel({
  name: "topKForward",
  buffers: { x: "read float", values: "write float", indices: "write int" },
  params: { N: "u32", V: "u32", k: "u32" },
  cpu({ x, values, indices }, { N, V, k }): void {
    for (let n = 0, row = 0, out = 0; n < N; n++, row += V, out += k) {
      for (let v = 0; v < V; v++) { // insert x_v into the sorted list of the largest so far
        const value = x[row + v];
        if (v >= k && !isAbove(value, values[out + k - 1])) continue;
        let at = Math.min(v, k - 1);
        for (; at > 0 && isAbove(value, values[out + at - 1]); at--) {
          values[out + at] = values[out + at - 1];
          indices[out + at] = indices[out + at - 1];
        }
        values[out + at] = value;
        indices[out + at] = v;
      }
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${WGSL_ORDER}
fn kernel(n: u32) {
  let row = n * p.V;
  var last = 0;
  var lastAt = -1;
  for (var j = 0u; j < p.k; j++) {
    var best = 0;
    var bestAt = -1;
    for (var v = 0; v < i32(p.V); v++) {
      let value = orderOf(x[row + u32(v)]);
      let below = j == 0u || value < last || (value == last && v > lastAt);
      if (below && (bestAt < 0 || value > best)) { best = value; bestAt = v; }
    }
    values[n * p.k + j] = x[row + u32(bestAt)];
    indices[n * p.k + j] = bestAt;
    last = best;
    lastAt = bestAt;
  }
}`,
  cases: () => [
    {
      name: "4 of 9, with ties",
      params: { N: 3, V: 9, k: 4 },
      buffers: { x: integers(27, 4, 1), values: 12, indices: 12 },
    },
    {
      name: "1 of 6",
      params: { N: 5, V: 6, k: 1 },
      buffers: { x: noise(30, 1), values: 5, indices: 5 },
    },
    {
      name: "all of 7",
      params: { N: 2, V: 7, k: 7 },
      buffers: { x: noise(14, 2), values: 14, indices: 14 },
    },
    {
      name: "3 of 8 special numbers, NaN in every place and twice",
      params: { N: 8, V: 8, k: 3 },
      buffers: {
        x: SPECIAL.flatMap((_, n) => SPECIAL.map((_, v) => SPECIAL[(v + n) % 8])).with(12, NaN),
        values: 24,
        indices: 24,
      },
    },
  ],
});
