/**
 * AdamW (Loshchilov and Hutter, arXiv:1711.05101) on N elements: all parameters in a row, those
 * with weight decay first. At step t, with c1 = 1 - beta1^t and c2 = 1 - beta2^t:
 *
 *   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
 *   param = param - lr ((m / c1) / (sqrt(v / c2) + eps) + decay param)
 *
 * where g = scale grad clips the gradients of all parameters together by their norm:
 *
 *   norm = sqrt(sum grad^2),   scale = min(1, clip / norm)
 *
 * The norm is summed in chunks, in parallel, and then over the chunks in a fixed order. So it has
 * the same bits in every run.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** sums_i = sum of grad^2 over chunk i, a multiple of 4 elements; one invocation per chunk. */
export const sumSquares = defineKernel({
  name: "sumSquares",
  buffers: { grad: "read float4", sums: "write float" },
  params: { N: "u32", chunk: "u32" },
  cpu({ grad, sums }, { N, chunk }): void {
    for (let i = 0; i * chunk < N; i++) {
      let total = 0;
      for (const x of grad.subarray(i * chunk, Math.min((i + 1) * chunk, N))) total += x * x;
      sums[i] = total;
    }
  },
  wasm: {
    module: simd,
    function: "sumSquares",
    args: ({ grad, sums }, { N, chunk }) => [grad, sums, N, chunk],
    items: ({ N, chunk }) => Math.ceil(N / chunk),
    work: ({ N }) => N,
  },
  invocations: ({ N, chunk }) => Math.ceil(N / chunk),
  wgsl: `
fn kernel(i: u32) {
  let end = min((i + 1u) * p.chunk, p.N) / 4u;
  var total = 0.0;
  for (var j = i * p.chunk / 4u; j < end; j++) { total += dot(grad[j], grad[j]); }
  sums[i] = total;
}`,
  cases: () => [
    {
      name: "a short last chunk",
      params: { N: 20, chunk: 8 },
      buffers: { grad: noise(20, 1), sums: 3 },
    },
  ],
});

/** norm and scale from the sums of M chunks; one workgroup, of which a lane adds every 64th sum. */
export const clipScale = defineKernel({
  name: "clipScale",
  buffers: { sums: "read float", norm: "write float", scale: "write float" },
  params: { M: "u32", clip: "f32" },
  cpu({ sums, norm, scale }, { M, clip }): void {
    let total = 0;
    for (let i = 0; i < M; i++) total += sums[i];
    const root = Math.sqrt(total);
    norm[0] = root;
    scale[0] = root <= clip ? 1 : clip / root;
  },
  grid: () => [1, 1, 1],
  wgsl: `
var<workgroup> lanes: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var j = lane; j < p.M; j += 64u) { sum += sums[j]; }
  lanes[lane] = sum;
  workgroupBarrier();
  if (lane > 0u) { return; }
  var total = 0.0;
  for (var j = 0u; j < 64u; j++) { total += lanes[j]; }
  let root = sqrt(total);
  norm[0] = root;
  scale[0] = select(p.clip / root, 1.0, root <= p.clip);
}`,
  cases: () =>
    [
      { name: "clipped", sums: [1, 2, 6], clip: 1.5 },
      { name: "within the clip", sums: [1, 2, 6], clip: 3.5 },
      { name: "more sums than lanes", sums: noise(1000, 1).map(Math.abs), clip: 1.5 },
      { name: "all gradients zero", sums: [0, 0], clip: 1 },
    ].map(({ name, sums, clip }) => ({
      name,
      params: { M: sums.length, clip },
      buffers: { sums, norm: 1, scale: 1 },
    })),
});

/**
 * One step in place, with lr (1) and corrections (2) = [c1, c2]. The first `decayed` elements, a
 * multiple of 4, have weight decay. `keep` and `take` are beta and 1 - beta, each rounded on its
 * own. One invocation four elements.
 */
export const adamwUpdate = defineKernel({
  name: "adamwUpdate",
  buffers: {
    param: "update float4",
    m: "update float4",
    v: "update float4",
    grad: "read float4",
    lr: "read float",
    corrections: "read float",
    scale: "read float",
  },
  params: {
    N: "u32",
    decayed: "u32",
    keep1: "f32",
    take1: "f32",
    keep2: "f32",
    take2: "f32",
    eps: "f32",
    decay: "f32",
  },
  cpu({ param, m, v, grad, lr, corrections: [c1, c2], scale }, p): void {
    for (let i = 0; i < p.N; i++) {
      const g = scale[0] * grad[i];
      const mean = p.keep1 * m[i] + p.take1 * g;
      const square = p.keep2 * v[i] + p.take2 * g * g;
      const decay = i < p.decayed ? p.decay : 0;
      m[i] = mean;
      v[i] = square;
      param[i] -= lr[0] * (mean / c1 / (Math.sqrt(square / c2) + p.eps) + decay * param[i]);
    }
  },
  wasm: {
    module: simd,
    function: "adamwUpdate",
    args({ param, m, v, grad, lr, corrections, scale }, p): readonly number[] {
      const settings = [p.decayed, p.keep1, p.take1, p.keep2, p.take2, p.eps, p.decay];
      return [param, m, v, grad, lr, corrections, scale, ...settings];
    },
    items: ({ N }) => N / 4,
    work: ({ N }) => 4 * N,
  },
  invocations: ({ N }) => N / 4,
  wgsl: `
fn kernel(i: u32) {
  let g = scale[0] * grad[i];
  let mean = p.keep1 * m[i] + p.take1 * g;
  let square = p.keep2 * v[i] + p.take2 * g * g;
  let decay = select(0.0, p.decay, 4u * i < p.decayed);
  m[i] = mean;
  v[i] = square;
  let direction = mean / corrections[0] / (sqrt(square / corrections[1]) + p.eps);
  param[i] -= lr[0] * (direction + decay * param[i]);
}`,
  cases: () =>
    [
      { name: "clipped, all decay", N: 12, decayed: 12, scale: 0.5, past: 1 },
      { name: "some decay", N: 24, decayed: 8, scale: 1, past: 1 },
      { name: "none decays", N: 8, decayed: 0, scale: 1, past: 1 },
      { name: "the first step", N: 12, decayed: 4, scale: 1, past: 0 },
    ].map(({ name, N, decayed, scale, past }) => ({
      name,
      params: {
        N,
        decayed,
        keep1: 0.9,
        take1: 0.1,
        keep2: 0.98,
        take2: 0.02,
        eps: 1e-8,
        decay: 0.1,
      },
      buffers: {
        param: noise(N, 1),
        m: noise(N, 2).map((x) => past * x),
        v: noise(N, 3).map((x) => past * Math.abs(x)),
        grad: noise(N, 4),
        lr: [0.01],
        corrections: [0.271, 0.0588],
        scale: [scale],
      },
    })),
});
