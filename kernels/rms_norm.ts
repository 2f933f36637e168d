/**
 * RMSNorm (Zhang and Sennrich, arXiv:1910.07467) over the last axis, N rows of C channels:
 *
 *   r = 1 / sqrt(mean_c(x_c^2) + eps),   out_c = x_c r w_c
 *
 * Backward, with xhat_c = x_c r:
 *
 *   dx_c = r (w_c dout_c - xhat_c mean_c(w_c dout_c xhat_c)),   dw_c = sum_n dout_nc xhat_nc
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** Rows whose last vector of four is not full: in some it would reach into the next 64-byte line. */
const UNEVEN = [[3, 5], [16, 13], [7, 9]] as const;

/** out, and r for the backward; one invocation a row. */
export const rmsNormForward = defineKernel({
  name: "rmsNormForward",
  buffers: { x: "read float", weight: "read float", out: "write float", rstd: "write float" },
  params: { N: "u32", C: "u32", eps: "f32" },
  cpu({ x, weight, out, rstd }, { N, C, eps }) {
    for (let n = 0, row = 0; n < N; n++, row += C) {
      let square = 0;
      for (let c = 0; c < C; c++) square += x[row + c] * x[row + c];
      const r = 1 / Math.sqrt(square / C + eps);
      for (let c = 0; c < C; c++) out[row + c] = x[row + c] * r * weight[c];
      rstd[n] = r;
    }
  },
  wasm: {
    module: simd,
    function: "rmsNormForward",
    args: ({ x, weight, out, rstd }, { C, eps }) => [x, weight, out, rstd, C, eps],
    items: ({ N }) => N,
    work: ({ N, C }) => 2 * N * C,
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  let row = n * p.C;
  var square = 0.0;
  for (var c = 0u; c < p.C; c++) { square += x[row + c] * x[row + c]; }
  let r = 1.0 / sqrt(square / f32(p.C) + p.eps);
  for (var c = 0u; c < p.C; c++) { out[row + c] = x[row + c] * r * weight[c]; }
  rstd[n] = r;
}`,
  cases: () => [
    {
      name: "5 rows of 8",
      params: { N: 5, C: 8, eps: 1e-5 },
      buffers: { x: ramp(40, 1), weight: ramp(8, 2), out: 40, rstd: 5 },
    },
    {
      name: "a row of zeros, an odd width",
      params: { N: 1, C: 3, eps: 1e-5 },
      buffers: { x: [0, 0, 0], weight: [1, 2, 3], out: 3, rstd: 1 },
    },
    ...UNEVEN.map(([N, C]) => ({
      name: `${N} rows of ${C}`,
      params: { N, C, eps: 1e-5 },
      buffers: { x: ramp(N * C, 1), weight: ramp(C, 2), out: N * C, rstd: N },
    })),
  ],
});

/** dx; one invocation a row. */
export const rmsNormBackwardX = defineKernel({
  name: "rmsNormBackwardX",
  buffers: {
    dout: "read float",
    x: "read float",
    weight: "read float",
    rstd: "read float",
    dx: "write float",
  },
  params: { N: "u32", C: "u32" },
  cpu({ dout, x, weight, rstd, dx }, { N, C }) {
    for (let n = 0, row = 0; n < N; n++, row += C) {
      const r = rstd[n];
      let dot = 0;
      for (let c = 0; c < C; c++) dot += weight[c] * dout[row + c] * x[row + c];
      const pull = (dot * r * r) / C;
      for (let c = 0; c < C; c++) dx[row + c] = r * (weight[c] * dout[row + c] - x[row + c] * pull);
    }
  },
  wasm: {
    module: simd,
    function: "rmsNormBackwardX",
    args: ({ dout, x, weight, rstd, dx }, { C }) => [dout, x, weight, rstd, dx, C],
    items: ({ N }) => N,
    work: ({ N, C }) => 2 * N * C,
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  let row = n * p.C;
  let r = rstd[n];
  var dot = 0.0;
  for (var c = 0u; c < p.C; c++) { dot += weight[c] * dout[row + c] * x[row + c]; }
  let pull = dot * r * r / f32(p.C);
  for (var c = 0u; c < p.C; c++) {
    dx[row + c] = r * (weight[c] * dout[row + c] - x[row + c] * pull);
  }
}`,
  cases: () => [
    {
      name: "5 rows of 8",
      params: { N: 5, C: 8 },
      buffers: {
        dout: ramp(40, 3),
        x: ramp(40, 1),
        weight: ramp(8, 2),
        rstd: [1, 1.5, 2, 2.5, 3],
        dx: 40,
      },
    },
    {
      name: "2 rows of 7",
      params: { N: 2, C: 7 },
      buffers: { dout: ramp(14, 3), x: ramp(14, 1), weight: ramp(7, 2), rstd: [1, 1.5], dx: 14 },
    },
    ...UNEVEN.map(([N, C]) => ({
      name: `${N} rows of ${C}`,
      params: { N, C },
      buffers: {
        dout: ramp(N * C, 3),
        x: ramp(N * C, 1),
        weight: ramp(C, 2),
        rstd: ramp(N, 4).map((r) => r + 2),
        dx: N * C,
      },
    })),
  ],
});

/** dw; one invocation a channel. */
export const rmsNormBackwardWeight = defineKernel({
  name: "rmsNormBackwardWeight",
  buffers: { dout: "read float", x: "read float", rstd: "read float", dweight: "write float" },
  params: { N: "u32", C: "u32" },
  cpu({ dout, x, rstd, dweight }, { N, C }) {
    const sums = new Float64Array(C);
    for (let n = 0, row = 0; n < N; n++, row += C) {
      for (let c = 0; c < C; c++) sums[c] += dout[row + c] * x[row + c] * rstd[n];
    }
    dweight.set(sums);
  },
  wasm: {
    module: simd,
    function: "rmsNormBackwardWeight",
    args: ({ dout, x, rstd, dweight }, { N, C }) => [dout, x, rstd, dweight, N, C],
    items: ({ C }) => Math.ceil(C / 16),
    work: ({ N, C }) => N * C,
  },
  invocations: ({ C }) => C,
  wgsl: `
fn kernel(c: u32) {
  var total = 0.0;
  for (var n = 0u; n < p.N; n++) { total += dout[n * p.C + c] * x[n * p.C + c] * rstd[n]; }
  dweight[c] = total;
}`,
  cases: () => [
    {
      name: "5 rows of 8",
      params: { N: 5, C: 8 },
      buffers: { dout: ramp(40, 3), x: ramp(40, 1), rstd: [1, 1.5, 2, 2.5, 3], dweight: 8 },
    },
    {
      name: "11 rows of 7",
      params: { N: 11, C: 7 },
      buffers: { dout: ramp(77, 3), x: ramp(77, 1), rstd: ramp(11, 2), dweight: 7 },
    },
    ...UNEVEN.map(([N, C]) => ({
      name: `${N} rows of ${C}`,
      params: { N, C },
      buffers: { dout: ramp(N * C, 3), x: ramp(N * C, 1), rstd: ramp(N, 4), dweight: C },
    })),
  ],
});
