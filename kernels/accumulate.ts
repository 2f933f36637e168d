/**
 * total += value, in place, for running totals that the host reads now and then.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";

/** total_0 += value_0. */
export const accumulate = defineKernel({
  name: "accumulate",
  buffers: { total: "update float", value: "read float" },
  params: {},
  cpu({ total, value }) {
    total[0] += value[0];
  },
  invocations: () => 1,
  wgsl: `
fn kernel(i: u32) { total[i] += value[i]; }`,
  cases: () => [{ name: "one number", params: {}, buffers: { total: [1.5], value: [0.25] } }],
});
