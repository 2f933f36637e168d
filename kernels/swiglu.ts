/**
 * SwiGLU (Shazeer, arXiv:2002.05202) with s = 1 / (1 + e^-gate):
 *
 *   out = gate s up,   dgate = dout up s (1 + gate (1 - s)),   dup = dout gate s
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { sigmoid, wgslMaths } from "./maths.ts";
import { simd } from "./wasm/modules.ts";

type Views<K extends string> = { readonly [name in K]: FloatArray };

/** gate and up, far enough out for e^-gate to overflow in float32. */
const inputs = (n: number): { gate: Float64Array; up: Float64Array } => ({
  gate: ramp(n, 1).map((g, i) => i < n / 2 ? 4 * g : 100 * g),
  up: ramp(n, 2),
});

/** Sizes of the twin tests. */
const SIZES = { float: [16, 23], float4: [16, 200] } as const;

/** out on n elements; four an invocation where `element` is float4. */
function forwardKernel<E extends "float" | "float4">(
  element: E,
): Kernel<{ gate: `read ${E}`; up: `read ${E}`; out: `write ${E}` }, { n: "u32" }> {
  const lanes = element === "float4" ? 4 : 1;
  return defineKernel({
    name: `swigluForward ${element}`,
    buffers: { gate: `read ${element}`, up: `read ${element}`, out: `write ${element}` },
    params: { n: "u32" },
    cpu({ gate, up, out }: Views<"gate" | "up" | "out">, { n }): void {
      for (let i = 0; i < n; i++) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
    },
    wasm: {
      module: simd,
      function: "swigluForward",
      args: ({ gate, up, out }, { n }) => [gate, up, out, n],
      items: ({ n }) => Math.ceil(n / 4),
      work: ({ n }) => 8 * n,
    },
    invocations: ({ n }) => n / lanes,
    wgsl: `${wgslMaths(lanes === 4 ? "vec4f" : "f32")}
fn kernel(i: u32) {
  out[i] = gate[i] * sigmoidOf(gate[i]) * up[i];
}`,
    cases: () =>
      SIZES[element].map((n) => (
        { name: `${n} numbers`, params: { n }, buffers: { ...inputs(n), out: n } }
      )),
  });
}

/** dgate and dup on n elements; four an invocation where `element` is float4. */
function backwardKernel<E extends "float" | "float4">(element: E): Kernel<
  {
    dout: `read ${E}`;
    gate: `read ${E}`;
    up: `read ${E}`;
    dgate: `write ${E}`;
    dup: `write ${E}`;
  },
  { n: "u32" }
> {
  const lanes = element === "float4" ? 4 : 1;
  return defineKernel({
    name: `swigluBackward ${element}`,
    buffers: {
      dout: `read ${element}`,
      gate: `read ${element}`,
      up: `read ${element}`,
      dgate: `write ${element}`,
      dup: `write ${element}`,
    },
    params: { n: "u32" },
    cpu(
      { dout, gate, up, dgate, dup }: Views<"dout" | "gate" | "up" | "dgate" | "dup">,
      { n },
    ): void {
      for (let i = 0; i < n; i++) {
        const s = sigmoid(gate[i]);
        dgate[i] = dout[i] * up[i] * s * (1 + gate[i] * (1 - s));
        dup[i] = dout[i] * gate[i] * s;
      }
    },
    wasm: {
      module: simd,
      function: "swigluBackward",
      args: ({ dout, gate, up, dgate, dup }, { n }) => [dout, gate, up, dgate, dup, n],
      items: ({ n }) => Math.ceil(n / 4),
      work: ({ n }) => 8 * n,
    },
    invocations: ({ n }) => n / lanes,
    wgsl: `${wgslMaths(lanes === 4 ? "vec4f" : "f32")}
fn kernel(i: u32) {
  let s = sigmoidOf(gate[i]);
  dgate[i] = dout[i] * up[i] * s * (1.0 + gate[i] * (1.0 - s));
  dup[i] = dout[i] * gate[i] * s;
}`,
    cases: () =>
      SIZES[element].map((n) => ({
        name: `${n} numbers`,
        params: { n },
        buffers: { dout: ramp(n, 3), ...inputs(n), dgate: n, dup: n },
      })),
  });
}

/** Any size. */
export const swigluForward = forwardKernel("float");
/** Sizes that are a multiple of 4. */
export const swigluForward4 = forwardKernel("float4");
/** Any size. */
export const swigluBackward = backwardKernel("float");
/** Sizes that are a multiple of 4. */
export const swigluBackward4 = backwardKernel("float4");
