/**
 * A residual connection and the RMSNorm that follows it, N rows of C channels, as in rms_norm.ts:
 *
 *   sum_c = x_c + y_c,   r = 1 / sqrt(mean_c(sum_c^2) + eps),   out_c = sum_c r w_c
 *
 * Backward: x and y have one gradient, that of the sum on its way past the norm and that through it. The gradient of w
 * is that of an RMSNorm of the sum.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { casesFor, type Element, LANES, wgslElement } from "./rms_norm.ts";
import { simd } from "./wasm/modules.ts";

type Views<K extends string> = { readonly [name in K]: FloatArray };
type Sizes = { readonly N: "u32"; readonly C: "u32" };

/** Rows and channels of the reference tests: rows whose last vector of four is not full, some reaching into the next line. */
const SIZES = [[5, 8], [1, 3], [3, 5], [16, 13], [7, 9]] as const;

/** sum, out, and r for the backward; one invocation a row. */
function forwardKernel(element: Element): Kernel<
  {
    x: `read ${Element}`;
    y: `read ${Element}`;
    weight: `read ${Element}`;
    sum: `write ${Element}`;
    out: `write ${Element}`;
    rstd: "write float";
  },
  Sizes & { readonly eps: "f32" }
> {
  return defineKernel({
    name: `addRmsNormForward ${element}`,
    buffers: {
      x: `read ${element}`,
      y: `read ${element}`,
      weight: `read ${element}`,
      sum: `write ${element}`,
      out: `write ${element}`,
      rstd: "write float",
    },
    params: { N: "u32", C: "u32", eps: "f32" },
    cpu(
      { x, y, weight, sum, out, rstd }: Views<"x" | "y" | "weight" | "sum" | "out" | "rstd">,
      { N, C, eps },
    ): void {
      for (let n = 0, row = 0; n < N; n++, row += C) {
        let square = 0;
        for (let c = 0; c < C; c++) {
          const s = x[row + c] + y[row + c];
          sum[row + c] = s;
          square += s * s;
        }
        const r = 1 / Math.sqrt(square / C + eps);
        for (let c = 0; c < C; c++) out[row + c] = sum[row + c] * r * weight[c];
        rstd[n] = r;
      }
    },
    rows: () => "N",
    wasm: {
      module: simd,
      function: "addRmsNormForward",
      args: (a, { C, eps }) => [a.x, a.y, a.weight, a.sum, a.out, a.rstd, C, eps],
      items: ({ N }) => N,
      work: ({ N, C }) => 3 * N * C,
    },
    invocations: ({ N }) => N,
    wgsl: `${wgslElement(element)}
fn kernel(n: u32) {
  let width = p.C / ${LANES[element]}u;
  let row = n * width;
  var square = F(0.0);
  for (var c = 0u; c < width; c++) {
    let s = x[row + c] + y[row + c];
    sum[row + c] = s;
    square += s * s;
  }
  let r = 1.0 / sqrt(sumOf(square) / f32(p.C) + p.eps);
  for (var c = 0u; c < width; c++) { out[row + c] = sum[row + c] * r * weight[c]; }
  rstd[n] = r;
}`,
    cases: () =>
      casesFor(
        element,
        SIZES.map(([N, C]) => ({
          name: `${N} rows of ${C}`,
          params: { N, C, eps: 1e-5 },
          buffers: {
            x: noise(N * C, 1),
            y: noise(N * C, 3),
            weight: noise(C, 2),
            sum: N * C,
            out: N * C,
            rstd: N,
          },
        })),
      ),
  });
}

/** Any C. */
export const addRmsNormForward = forwardKernel("float");

/** C a multiple of 4. */
export const addRmsNormForward4 = forwardKernel("float4");

/** dx = dsum + r (w dout - xhat mean(w dout xhat)) with xhat = sum r; one invocation a row. */
function backwardKernel(element: Element): Kernel<
  {
    dout: `read ${Element}`;
    dsum: `read ${Element}`;
    sum: `read ${Element}`;
    weight: `read ${Element}`;
    rstd: "read float";
    dx: `write ${Element}`;
  },
  Sizes
> {
  return defineKernel({
    name: `addRmsNormBackward ${element}`,
    buffers: {
      dout: `read ${element}`,
      dsum: `read ${element}`,
      sum: `read ${element}`,
      weight: `read ${element}`,
      rstd: "read float",
      dx: `write ${element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu(
      { dout, dsum, sum, weight, rstd, dx }: Views<
        "dout" | "dsum" | "sum" | "weight" | "rstd" | "dx"
      >,
      { N, C },
    ): void {
      for (let n = 0, row = 0; n < N; n++, row += C) {
        const r = rstd[n];
        let dot = 0;
        for (let c = 0; c < C; c++) dot += weight[c] * dout[row + c] * sum[row + c];
        const pull = (dot * r * r) / C;
        for (let c = 0; c < C; c++) {
          dx[row + c] = dsum[row + c] + r * (weight[c] * dout[row + c] - sum[row + c] * pull);
        }
      }
    },
    wasm: {
      module: simd,
      function: "addRmsNormBackward",
      args: (a, { C }) => [a.dout, a.dsum, a.sum, a.weight, a.rstd, a.dx, C],
      items: ({ N }) => N,
      work: ({ N, C }) => 3 * N * C,
    },
    invocations: ({ N }) => N,
    wgsl: `${wgslElement(element)}
fn kernel(n: u32) {
  let width = p.C / ${LANES[element]}u;
  let row = n * width;
  let r = rstd[n];
  var dot = F(0.0);
  for (var c = 0u; c < width; c++) { dot += weight[c] * dout[row + c] * sum[row + c]; }
  let pull = sumOf(dot) * r * r / f32(p.C);
  for (var c = 0u; c < width; c++) {
    dx[row + c] = dsum[row + c] + r * (weight[c] * dout[row + c] - sum[row + c] * pull);
  }
}`,
    cases: () =>
      casesFor(
        element,
        SIZES.map(([N, C]) => ({
          name: `${N} rows of ${C}`,
          params: { N, C },
          buffers: {
            dout: noise(N * C, 3),
            dsum: noise(N * C, 5),
            sum: noise(N * C, 1),
            weight: noise(C, 2),
            rstd: noise(N, 4).map((r) => r + 2),
            dx: N * C,
          },
        })),
      ),
  });
}

/** Any C. */
export const addRmsNormBackward = backwardKernel("float");

/** C a multiple of 4. */
export const addRmsNormBackward4 = backwardKernel("float4");
