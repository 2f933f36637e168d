/**
 * The mean of n values v with weights w >= 0; 0 if all weights are 0:
 *
 *   out = sum_k w_k v_k / total,   total = sum_k w_k
 *   dv_k = dout w_k / total,   dw_k = dout (v_k - out) / total
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

/** The forward is one workgroup of so many invocations. */
const PARTS = 64;

const CASES = [
  { name: "1 value", values: [3], weights: [0.5] },
  { name: "weights of 0", values: [3, -4, 5], weights: [0, 0, 0] },
  { name: "300 values", values: noise(300, 1), weights: noise(300, 2).map((u) => Math.max(u, 0)) },
];

/** out (1) and total (1). */
export const weightedMeanForward = defineKernel({
  name: "weightedMeanForward",
  buffers: {
    values: "read float",
    weights: "read float",
    out: "write float",
    total: "write float",
  },
  params: { n: "u32" },
  cpu({ values, weights, out, total }, { n }): void {
    let sum = 0;
    let weight = 0;
    for (let k = 0; k < n; k++) {
      sum += weights[k] * values[k];
      weight += weights[k];
    }
    out[0] = weight === 0 ? 0 : sum / weight;
    total[0] = weight;
  },
  grid: () => [1, 1, 1],
  wgsl: `
var<workgroup> parts: array<vec2f, ${PARTS}>;
@compute @workgroup_size(${PARTS})
fn main(@builtin(local_invocation_index) i: u32) {
  var part = vec2f(0.0);
  for (var k = i; k < p.n; k += ${PARTS}u) { part += weights[k] * vec2f(values[k], 1.0); }
  parts[i] = part;
  workgroupBarrier();
  if (i > 0u) { return; }
  for (var j = 1u; j < ${PARTS}u; j++) { part += parts[j]; }
  out[0] = select(part.x / part.y, 0.0, part.y == 0.0);
  total[0] = part.y;
}`,
  cases: () =>
    CASES.map(({ name, values, weights }) => ({
      name,
      params: { n: values.length },
      buffers: { values, weights, out: 1, total: 1 },
    })),
});

/** The same with the results of the forward. */
const BACKWARD = CASES.map(({ name, values, weights }) => {
  const [out, total] = [new Float64Array(1), new Float64Array(1)];
  const given = { values: Float64Array.from(values), weights: Float64Array.from(weights) };
  weightedMeanForward.cpu({ ...given, out, total }, { n: values.length });
  return { name, params: { n: values.length }, buffers: { dout: [1.5], ...given, out, total } };
});

/** dvalues (n); one invocation per value. */
export const weightedMeanBackwardValues = defineKernel({
  name: "weightedMeanBackwardValues",
  buffers: {
    dout: "read float",
    weights: "read float",
    total: "read float",
    dvalues: "write float",
  },
  params: { n: "u32" },
  cpu({ dout, weights, total, dvalues }, { n }): void {
    const scale = total[0] === 0 ? 0 : dout[0] / total[0];
    for (let k = 0; k < n; k++) dvalues[k] = scale * weights[k];
  },
  invocations: ({ n }) => n,
  wgsl: `
fn kernel(k: u32) {
  dvalues[k] = select(dout[0] / total[0], 0.0, total[0] == 0.0) * weights[k];
}`,
  cases: () =>
    BACKWARD.map(({ name, params, buffers: { dout, weights, total } }) => (
      { name, params, buffers: { dout, weights, total, dvalues: params.n } }
    )),
});

/** dweights (n); one invocation per weight. */
export const weightedMeanBackwardWeights = defineKernel({
  name: "weightedMeanBackwardWeights",
  buffers: {
    dout: "read float",
    values: "read float",
    out: "read float",
    total: "read float",
    dweights: "write float",
  },
  params: { n: "u32" },
  cpu({ dout, values, out, total, dweights }, { n }): void {
    const scale = total[0] === 0 ? 0 : dout[0] / total[0];
    for (let k = 0; k < n; k++) dweights[k] = scale * (values[k] - out[0]);
  },
  invocations: ({ n }) => n,
  wgsl: `
fn kernel(k: u32) {
  dweights[k] = select(dout[0] / total[0], 0.0, total[0] == 0.0) * (values[k] - out[0]);
}`,
  cases: () =>
    BACKWARD.map(({ name, params, buffers: { dout, values, out, total } }) => (
      { name, params, buffers: { dout, values, out, total, dweights: params.n } }
    )),
});
