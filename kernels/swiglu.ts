/**
 * SwiGLU (Shazeer, arXiv:2002.05202) of N rows, each F gates and then F ups. With
 * s = 1 / (1 + e^-gate):
 *
 *   out = gate s up,   dgate = dout up s (1 + gate (1 - s)),   dup = dout gate s
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { sigmoid, wgslMaths } from "./maths.ts";
import { vectorised, type Width } from "./pick.ts";
import { simd } from "./wasm/modules.ts";

/** Rows and their halves in the reference tests. */
const casesFor = ({ lanes }: Width) =>
  [[2, 8], [1, 23], [5, 7], [3, 13], [3, 200]].filter(([, F]) => F % lanes === 0)
    .map(([N, F]) => ({ name: `${N} rows of ${F}`, params: { N, F } }));

/** Gates and ups. e^-gate overflows float32 in the last row. */
const inputOf = (N: number, F: number): Float64Array =>
  noise(2 * N * F, 1).map((g, i) => i % (2 * F) >= F ? g : i < 2 * (N - 1) * F ? 4 * g : 100 * g);

/** Where gate and up of invocation i lie in x. */
const places = ({ lanes }: Width): string => `
  let F = p.F / ${lanes}u;
  let gateAt = i / F * 2u * F + i % F;
  let upAt = gateAt + F;`;

/** out (N, F) of x (N, 2 F). */
export const swigluForward = vectorised((width) =>
  defineKernel({
    name: `swigluForward ${width.element}`,
    buffers: { x: `read ${width.element}`, out: `write ${width.element}` },
    params: { N: "u32", F: "u32" },
    cpu({ x, out }, { N, F }): void {
      for (let n = 0, at = 0; n < N; n++, at += F) {
        for (let f = 0; f < F; f++) {
          const gate = x[2 * at + f];
          const up = x[2 * at + F + f];
          out[at + f] = gate * sigmoid(gate) * up;
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
    invocations: ({ N, F }) => N * F / width.lanes,
    wgsl: `${wgslMaths(width.F)}
fn kernel(i: u32) {${places(width)}
  let gate = x[gateAt];
  out[i] = gate * sigmoidOf(gate) * x[upAt];
}`,
    cases: () =>
      casesFor(width).map(({ name, params: { N, F } }) => ({
        name,
        params: { N, F },
        buffers: { x: inputOf(N, F), out: N * F },
      })),
  })
);

/** dx (N, 2 F). */
export const swigluBackward = vectorised((width) =>
  defineKernel({
    name: `swigluBackward ${width.element}`,
    buffers: {
      dout: `read ${width.element}`,
      x: `read ${width.element}`,
      dx: `write ${width.element}`,
    },
    params: { N: "u32", F: "u32" },
    cpu({ dout, x, dx }, { N, F }): void {
      for (let n = 0, at = 0; n < N; n++, at += F) {
        for (let f = 0; f < F; f++) {
          const gate = x[2 * at + f];
          const up = x[2 * at + F + f];
          const d = dout[at + f];
          const s = sigmoid(gate);
          dx[2 * at + f] = d * up * s * (1 + gate * (1 - s));
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
    invocations: ({ N, F }) => N * F / width.lanes,
    wgsl: `${wgslMaths(width.F)}
fn kernel(i: u32) {${places(width)}
  let gate = x[gateAt];
  let d = dout[i];
  let s = sigmoidOf(gate);
  dx[gateAt] = d * x[upAt] * s * (1.0 + gate * (1.0 - s));
  dx[upAt] = d * gate * s;
}`,
    cases: () =>
      casesFor(width).map(({ name, params: { N, F } }) => ({
        name,
        params: { N, F },
        buffers: { dout: noise(N * F, 3), x: inputOf(N, F), dx: 2 * N * F },
      })),
  })
);
