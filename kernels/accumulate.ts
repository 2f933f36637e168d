/**
 * Running totals in place.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";

/** total_0 = total_0 + value_0. */
export const accumulate = defineKernel({
  name: "accumulate",
  buffers: { total: "update float", value: "read float" },
  params: {},
  cpu({ total, value }) {
    total[0] += value[0];
  },
  invocations: () => 1,
  wgsl: "fn kernel(i: u32) { total[i] += value[i]; }",
  cases: () => [{ name: "one number", params: {}, buffers: { total: [1.5], value: [0.25] } }],
});

/**
 * total = mix_0 total + mix_1 x, elementwise, n elements. A mix_0 of 0 discards the total, NaN
 * included.
 */
export const blend = defineKernel({
  name: "blend",
  buffers: { total: "update float", x: "read float", mix: "read float" },
  params: { n: "u32" },
  cpu({ total, x, mix: [keep, take] }, { n }): void {
    for (let i = 0; i < n; i++) total[i] = (keep === 0 ? 0 : keep * total[i]) + take * x[i];
  },
  invocations: ({ n }) => n,
  wgsl: `
fn kernel(i: u32) {
  total[i] = select(mix[0] * total[i], 0.0, mix[0] == 0.0) + mix[1] * x[i];
}`,
  cases: () => [
    {
      name: "5 elements",
      params: { n: 5 },
      buffers: { total: [1, 2, 3, 4, 5], x: [5, 4, 3, 2, 1], mix: [0.5, 0.25] },
    },
    {
      name: "a total that is discarded",
      params: { n: 5 },
      buffers: { total: [NaN, Infinity, -Infinity, 4, 5], x: [5, 4, 3, 2, 1], mix: [0, 0.25] },
    },
  ],
});
