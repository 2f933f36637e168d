/**
 * SwiGLU (Shazeer, arXiv:2002.05202) of N rows, each F gates and then F ups, with s = 1 / (1 + e^-gate):
 *
 *   out = gate s up,   dgate = dout up s (1 + gate (1 - s)),   dup = dout gate s
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { sigmoid, wgslMaths } from "./maths.ts";
import { simd } from "./wasm/modules.ts";

type Views<K extends string> = { readonly [name in K]: FloatArray };
type Params = { readonly N: "u32"; readonly F: "u32" };

/** Gates and ups, the gates of the last row far enough out for e^-gate to overflow in float32. */
const inputOf = (N: number, F: number): Float64Array =>
  noise(2 * N * F, 1).map((g, i) => i % (2 * F) >= F ? g : i < 2 * (N - 1) * F ? 4 * g : 100 * g);

/** Rows and their halves in the reference tests. */
const SIZES = { float: [[2, 8], [1, 23], [5, 7], [3, 13]], float4: [[2, 8], [3, 200]] } as const;

/** Where gate and up of invocation i lie in x. */
const places = (lanes: number): string => `
  let F = p.F / ${lanes}u;
  let gateAt = i / F * 2u * F + i % F;
  let upAt = gateAt + F;`;

/** out (N, F) of x (N, 2 F); four an invocation where `element` is float4. */
function forwardKernel<E extends "float" | "float4">(
  element: E,
): Kernel<{ x: `read ${E}`; out: `write ${E}` }, Params> {
  const lanes = element === "float4" ? 4 : 1;
  return defineKernel({
    name: `swigluForward ${element}`,
    buffers: { x: `read ${element}`, out: `write ${element}` },
    params: { N: "u32", F: "u32" },
    cpu({ x, out }: Views<"x" | "out">, { N, F }): void {
      for (let n = 0, at = 0; n < N; n++, at += F) {
        for (let f = 0; f < F; f++) {
          const gate = x[2 * at + f];
          out[at + f] = gate * sigmoid(gate) * x[2 * at + F + f];
        }
      }
    },
    rows: () => "N",
    wasm: {
      module: simd,
      function: "swigluForward",
      args: ({ x, out }, { F }) => [x, out, F],
      items: ({ N }) => N,
      work: ({ N, F }) => 8 * N * F,
    },
    invocations: ({ N, F }) => N * F / lanes,
    wgsl: `${wgslMaths(lanes === 4 ? "vec4f" : "f32")}
fn kernel(i: u32) {${places(lanes)}
  let gate = x[gateAt];
  out[i] = gate * sigmoidOf(gate) * x[upAt];
}`,
    cases: () =>
      SIZES[element].map(([N, F]) => ({
        name: `${N} rows of ${F}`,
        params: { N, F },
        buffers: { x: inputOf(N, F), out: N * F },
      })),
  });
}

/** dx (N, 2 F); four of each half an invocation where `element` is float4. */
function backwardKernel<E extends "float" | "float4">(
  element: E,
): Kernel<{ dout: `read ${E}`; x: `read ${E}`; dx: `write ${E}` }, Params> {
  const lanes = element === "float4" ? 4 : 1;
  return defineKernel({
    name: `swigluBackward ${element}`,
    buffers: { dout: `read ${element}`, x: `read ${element}`, dx: `write ${element}` },
    params: { N: "u32", F: "u32" },
    cpu({ dout, x, dx }: Views<"dout" | "x" | "dx">, { N, F }): void {
      for (let n = 0, at = 0; n < N; n++, at += F) {
        for (let f = 0; f < F; f++) {
          const gate = x[2 * at + f];
          const d = dout[at + f];
          const s = sigmoid(gate);
          dx[2 * at + f] = d * x[2 * at + F + f] * s * (1 + gate * (1 - s));
          dx[2 * at + F + f] = d * gate * s;
        }
      }
    },
    wasm: {
      module: simd,
      function: "swigluBackward",
      args: ({ dout, x, dx }, { F }) => [dout, x, dx, F],
      items: ({ N }) => N,
      work: ({ N, F }) => 8 * N * F,
    },
    invocations: ({ N, F }) => N * F / lanes,
    wgsl: `${wgslMaths(lanes === 4 ? "vec4f" : "f32")}
fn kernel(i: u32) {${places(lanes)}
  let gate = x[gateAt];
  let d = dout[i];
  let s = sigmoidOf(gate);
  dx[gateAt] = d * x[upAt] * s * (1.0 + gate * (1.0 - s));
  dx[upAt] = d * gate * s;
}`,
    cases: () =>
      SIZES[element].map(([N, F]) => ({
        name: `${N} rows of ${F}`,
        params: { N, F },
        buffers: { dout: noise(N * F, 3), x: inputOf(N, F), dx: 2 * N * F },
      })),
  });
}

/** Any F. */
export const swigluForward = forwardKernel("float");
/** F a multiple of 4. */
export const swigluForward4 = forwardKernel("float4");
/** Any F. */
export const swigluBackward = backwardKernel("float");
/** F a multiple of 4. */
export const swigluBackward4 = backwardKernel("float4");
