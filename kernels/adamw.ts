/**
 * AdamW (Loshchilov and Hutter, arXiv:1711.05101) on one parameter of N elements. With rate the learning rate,
 * and c1 = 1 - beta1^t, c2 = 1 - beta2^t the bias corrections of step t:
 *
 *   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
 *   param = param - rate ((m / c1) / (sqrt(v / c2) + eps) + decay param)
 *
 * where g = scale grad, and scale clips the gradients of all parameters together by their global norm:
 *
 *   norm = sqrt(sum grad^2),   scale = min(1, clip / norm)
 *
 * The sum is taken over chunks in parallel and then over the chunks in order, so it has the same bits every time.
 * Each kernel over elements comes twice with one text: by single elements, and by four at a time.
 *
 * @module
 */
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** How a kernel walks its elements. */
type Element = "float" | "float4";

const WIDTH = { float: 1, float4: 4 } as const;

/** The buffers of {@link sumSquares}. */
type SumBuffers = {
  readonly grad: `read ${Element}`;
  readonly sums: "update float";
};

/** The parameters of {@link sumSquares}. */
type SumParams = { readonly N: "u32"; readonly chunk: "u32"; readonly at: "u32" };

/** The buffers of {@link adamwUpdate}. */
type UpdateBuffers = {
  readonly param: `update ${Element}`;
  readonly first: `update ${Element}`;
  readonly second: `update ${Element}`;
  readonly grad: `read ${Element}`;
  readonly hyper: "read float";
  readonly scale: "read float";
};

/** The parameters of {@link adamwUpdate}; `keep` and `take` are beta and 1 - beta, each rounded on its own. */
type UpdateParams = {
  readonly N: "u32";
  readonly keep1: "f32";
  readonly take1: "f32";
  readonly keep2: "f32";
  readonly take2: "f32";
  readonly eps: "f32";
  readonly decay: "f32";
};

/** sums[at + i] = sum of grad^2 over chunk i; one invocation a chunk. `chunk` is a multiple of 4. */
function sumSquaresKernel(
  name: string,
  element: Element,
): Kernel<SumBuffers, SumParams> {
  const width = WIDTH[element];
  return defineKernel<SumBuffers, SumParams>({
    name,
    buffers: { grad: `read ${element}`, sums: "update float" },
    params: { N: "u32", chunk: "u32", at: "u32" },
    cpu({ grad, sums }, { N, chunk, at }): void {
      for (let from = 0, i = at; from < N; from += chunk, i++) {
        const to = Math.min(from + chunk, N);
        let total = 0;
        for (let j = from; j < to; j++) total += grad[j] * grad[j];
        sums[i] = total;
      }
    },
    invocations: ({ N, chunk }) => Math.ceil(N / chunk),
    wgsl: `
fn kernel(i: u32) {
  let end = min((i + 1u) * p.chunk, p.N) / ${width}u;
  var total = 0.0;
  for (var j = i * p.chunk / ${width}u; j < end; j++) {
    let g = grad[j];
    total += ${element === "float4" ? "dot(g, g)" : "g * g"};
  }
  sums[p.at + i] = total;
}`,
    cases: () => [
      {
        name: "a short last chunk; sums of other gradients untouched",
        params: { N: 20, chunk: 8, at: 1 },
        buffers: { grad: ramp(20, 1), sums: ramp(5, 2) },
      },
    ],
  });
}

/** The sums of one gradient. */
export const sumSquares = sumSquaresKernel("sumSquares", "float");

/** The same, four elements at a time. */
export const sumSquares4 = sumSquaresKernel("sumSquares4", "float4");

/** norm and scale from the M sums of all gradients; one invocation. */
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
  invocations: () => 1,
  wgsl: `
fn kernel(i: u32) {
  var total = 0.0;
  for (var j = 0u; j < p.M; j++) { total += sums[j]; }
  let root = sqrt(total);
  norm[0] = root;
  scale[0] = select(p.clip / root, 1.0, root <= p.clip);
}`,
  cases: () => [
    {
      name: "clipped",
      params: { M: 3, clip: 1.5 },
      buffers: { sums: [1, 2, 6], norm: 1, scale: 1 },
    },
    {
      name: "within the clip",
      params: { M: 3, clip: 3.5 },
      buffers: { sums: [1, 2, 6], norm: 1, scale: 1 },
    },
    {
      name: "all gradients zero",
      params: { M: 2, clip: 1 },
      buffers: { sums: [0, 0], norm: 1, scale: 1 },
    },
  ],
});

/** One step in place; hyper (3) = [rate, c1, c2]. One invocation an element, or four. */
function adamwUpdateKernel(
  name: string,
  element: Element,
): Kernel<UpdateBuffers, UpdateParams> {
  const n = 3 * WIDTH[element];
  const betas = { keep1: 0.9, take1: 0.1, keep2: 0.98, take2: 0.02 };
  return defineKernel<UpdateBuffers, UpdateParams>({
    name,
    buffers: {
      param: `update ${element}`,
      first: `update ${element}`,
      second: `update ${element}`,
      grad: `read ${element}`,
      hyper: "read float",
      scale: "read float",
    },
    params: {
      N: "u32",
      keep1: "f32",
      take1: "f32",
      keep2: "f32",
      take2: "f32",
      eps: "f32",
      decay: "f32",
    },
    cpu({ param, first, second, grad, hyper, scale }, p): void {
      const { N, keep1, take1, keep2, take2, eps, decay } = p;
      const [rate, c1, c2] = hyper;
      const clip = scale[0];
      for (let i = 0; i < N; i++) {
        const g = clip * grad[i];
        const m = keep1 * first[i] + take1 * g;
        const v = keep2 * second[i] + take2 * g * g;
        first[i] = m;
        second[i] = v;
        param[i] -= rate * (m / c1 / (Math.sqrt(v / c2) + eps) + decay * param[i]);
      }
    },
    wasm: {
      module: simd,
      function: "adamwUpdate",
      args: ({ param, first, second, grad, hyper, scale }, p) => {
        const hypers = [p.keep1, p.take1, p.keep2, p.take2, p.eps, p.decay];
        return [param, first, second, grad, hyper, scale, p.N, ...hypers];
      },
      items: ({ N }) => Math.ceil(N / 4),
      work: ({ N }) => 4 * N,
    },
    invocations: ({ N }) => N / WIDTH[element],
    wgsl: `
fn kernel(i: u32) {
  let g = scale[0] * grad[i];
  let m = p.keep1 * first[i] + p.take1 * g;
  let v = p.keep2 * second[i] + p.take2 * g * g;
  first[i] = m;
  second[i] = v;
  param[i] -= hyper[0] * (m / hyper[1] / (sqrt(v / hyper[2]) + p.eps) + p.decay * param[i]);
}`,
    cases: () => [
      {
        name: "clipped, with decay",
        params: { N: n, ...betas, eps: 1e-8, decay: 0.1 },
        buffers: {
          param: ramp(n, 1),
          first: ramp(n, 2),
          second: ramp(n, 3).map(Math.abs),
          grad: ramp(n, 4),
          hyper: [0.01, 0.271, 0.0588],
          scale: [0.5],
        },
      },
      {
        name: "the first step, no decay",
        params: { N: n, ...betas, eps: 1e-8, decay: 0 },
        buffers: {
          param: ramp(n, 1),
          first: new Float64Array(n),
          second: new Float64Array(n),
          grad: ramp(n, 4),
          hyper: [0.01, 0.1, 0.02],
          scale: [1],
        },
      },
    ],
  });
}

/** One step on one parameter. */
export const adamwUpdate = adamwUpdateKernel("adamwUpdate", "float");

/** The same, four elements at a time. */
export const adamwUpdate4 = adamwUpdateKernel("adamwUpdate4", "float4");
