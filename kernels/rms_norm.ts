/**
 * RMSNorm (Zhang and Sennrich, arXiv:1910.07467) over the last axis, N rows of C channels:
 *
 *   r = 1 / sqrt(mean_c(x_c^2) + eps),   out_c = x_c r w_c
 *
 * Backward, with xhat_c = x_c r:
 *
 *   dx_c = r (w_c dout_c - xhat_c mean_c(w_c dout_c xhat_c)),   dw_c = sum_n dout_nc xhat_nc
 *
 * The `add` kernels join it with the residual connection in front of it, sum = x + y: they norm the
 * sum, and the gradient of x and y is the sum's own gradient plus the dx above. The gradient of w
 * is that of an RMSNorm of the sum.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { vectorised, type Width } from "./pick.ts";
import { simd } from "./wasm/modules.ts";

/** A workgroup of the gradient of w sums this many columns, each by this many invocations. */
const COLUMNS = 4;
const PARTS = 16;

/** The sum of the channels in an F. */
const wgslSumOf = ({ F }: Width): string => `
alias F = ${F};
fn sumOf(x: F) -> f32 { return ${F === "f32" ? "x" : "(x.x + x.y) + (x.z + x.w)"}; }`;

/**
 * Rows and channels of the reference tests. WebAssembly takes four channels at a time: in some of
 * these rows its last four reach into the next 64-byte line.
 */
const casesFor = ({ lanes }: Width) =>
  [[5, 8], [1, 3], [3, 5], [16, 13], [7, 9], [33, 20]]
    .filter(([, C]) => C % lanes === 0)
    .map(([N, C]) => ({ name: `${N} rows of ${C}`, N, C }));

/** The reciprocal roots of the backward kernels' cases. */
const roots = (N: number): Float64Array => noise(N, 4).map((r) => r + 2);

/** out (N, C), and r (N) for the backward; one invocation per row. */
export const rmsNormForward = vectorised((width) =>
  defineKernel({
    name: `rmsNormForward ${width.element}`,
    buffers: {
      x: `read ${width.element}`,
      weight: `read ${width.element}`,
      out: `write ${width.element}`,
      rstd: "write float",
    },
    params: { N: "u32", C: "u32", eps: "f32" },
    cpu({ x, weight, out, rstd }, { N, C, eps }): void {
      for (let n = 0, row = 0; n < N; n++, row += C) {
        let square = 0;
        for (let c = 0; c < C; c++) square += x[row + c] * x[row + c];
        const r = 1 / Math.sqrt(square / C + eps);
        for (let c = 0; c < C; c++) out[row + c] = x[row + c] * r * weight[c];
        rstd[n] = r;
      }
    },
    rows: () => "N",
    wasm: {
      module: simd,
      function: "rmsNormForward",
      args: ({ x, weight, out, rstd }, { C, eps }) => [x, weight, out, rstd, C, eps],
      items: ({ N }) => N,
      work: ({ N, C }) => 2 * N * C,
    },
    invocations: ({ N }) => N,
    wgsl: `${wgslSumOf(width)}
fn kernel(n: u32) {
  let width = p.C / ${width.lanes}u;
  let row = n * width;
  var square = F(0.0);
  for (var c = 0u; c < width; c++) { let value = x[row + c]; square += value * value; }
  let r = 1.0 / sqrt(sumOf(square) / f32(p.C) + p.eps);
  for (var c = 0u; c < width; c++) { out[row + c] = x[row + c] * r * weight[c]; }
  rstd[n] = r;
}`,
    cases: () =>
      casesFor(width).map(({ name, N, C }) => ({
        name,
        params: { N, C, eps: 1e-5 },
        buffers: {
          x: N === 1 ? [0, 0, 0] : noise(N * C, 1),
          weight: noise(C, 2),
          out: N * C,
          rstd: N,
        },
      })),
  })
);

/** dx (N, C); one invocation per row. */
export const rmsNormBackwardX = vectorised((width) =>
  defineKernel({
    name: `rmsNormBackwardX ${width.element}`,
    buffers: {
      dout: `read ${width.element}`,
      x: `read ${width.element}`,
      weight: `read ${width.element}`,
      rstd: "read float",
      dx: `write ${width.element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu({ dout, x, weight, rstd, dx }, { N, C }): void {
      for (let n = 0, row = 0; n < N; n++, row += C) {
        const r = rstd[n];
        let dot = 0;
        for (let c = 0; c < C; c++) dot += weight[c] * dout[row + c] * x[row + c];
        const pull = (dot * r * r) / C;
        for (let c = 0; c < C; c++) {
          dx[row + c] = r * (weight[c] * dout[row + c] - x[row + c] * pull);
        }
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
    wgsl: `${wgslSumOf(width)}
fn kernel(n: u32) {
  let width = p.C / ${width.lanes}u;
  let row = n * width;
  let r = rstd[n];
  var dot = F(0.0);
  for (var c = 0u; c < width; c++) { dot += weight[c] * dout[row + c] * x[row + c]; }
  let pull = sumOf(dot) * r * r / f32(p.C);
  for (var c = 0u; c < width; c++) {
    dx[row + c] = r * (weight[c] * dout[row + c] - x[row + c] * pull);
  }
}`,
    cases: () =>
      casesFor(width).map(({ name, N, C }) => ({
        name,
        params: { N, C },
        buffers: {
          dout: noise(N * C, 3),
          x: noise(N * C, 1),
          weight: noise(C, 2),
          rstd: roots(N),
          dx: N * C,
        },
      })),
  })
);

/**
 * dw (C). Of a workgroup's COLUMNS columns each is summed by PARTS invocations, over every PARTS-th
 * row; then their sums are added in order.
 */
export const rmsNormBackwardWeight = vectorised((width) =>
  defineKernel({
    name: `rmsNormBackwardWeight ${width.element}`,
    buffers: {
      dout: `read ${width.element}`,
      x: `read ${width.element}`,
      rstd: "read float",
      dweight: `write ${width.element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu({ dout, x, rstd, dweight }, { N, C }): void {
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
    grid: ({ C }) => [Math.ceil(C / width.lanes / COLUMNS), 1, 1],
    wgsl: `${wgslSumOf(width)}
var<workgroup> parts: array<F, ${COLUMNS * PARTS}>;
@compute @workgroup_size(${COLUMNS * PARTS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let width = p.C / ${width.lanes}u;
  let column = group.x * ${COLUMNS}u + i % ${COLUMNS}u;
  let c = min(column, width - 1u);
  var total = F(0.0);
  for (var n = i / ${COLUMNS}u; n < p.N; n += ${PARTS}u) {
    let at = n * width + c;
    total += dout[at] * x[at] * rstd[n];
  }
  parts[i] = total;
  workgroupBarrier();
  if (i < ${COLUMNS}u && column < width) {
    total = parts[i];
    for (var k = 1u; k < ${PARTS}u; k++) { total += parts[k * ${COLUMNS}u + i]; }
    dweight[column] = total;
  }
}`,
    cases: () =>
      casesFor(width).map(({ name, N, C }) => ({
        name,
        params: { N, C },
        buffers: { dout: noise(N * C, 3), x: noise(N * C, 1), rstd: roots(N), dweight: C },
      })),
  })
);

/** sum and out (N, C), and r (N) for the backward; one invocation per row. */
export const addRmsNormForward = vectorised((width) =>
  defineKernel({
    name: `addRmsNormForward ${width.element}`,
    buffers: {
      x: `read ${width.element}`,
      y: `read ${width.element}`,
      weight: `read ${width.element}`,
      sum: `write ${width.element}`,
      out: `write ${width.element}`,
      rstd: "write float",
    },
    params: { N: "u32", C: "u32", eps: "f32" },
    cpu({ x, y, weight, sum, out, rstd }, { N, C, eps }): void {
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
    wgsl: `${wgslSumOf(width)}
fn kernel(n: u32) {
  let width = p.C / ${width.lanes}u;
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
      casesFor(width).map(({ name, N, C }) => ({
        name,
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
  })
);

/** dx = dy (N, C), with dsum the gradient of the sum from elsewhere; one invocation per row. */
export const addRmsNormBackward = vectorised((width) =>
  defineKernel({
    name: `addRmsNormBackward ${width.element}`,
    buffers: {
      dout: `read ${width.element}`,
      dsum: `read ${width.element}`,
      sum: `read ${width.element}`,
      weight: `read ${width.element}`,
      rstd: "read float",
      dx: `write ${width.element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu({ dout, dsum, sum, weight, rstd, dx }, { N, C }): void {
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
    wgsl: `${wgslSumOf(width)}
fn kernel(n: u32) {
  let width = p.C / ${width.lanes}u;
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
      casesFor(width).map(({ name, N, C }) => ({
        name,
        params: { N, C },
        buffers: {
          dout: noise(N * C, 3),
          dsum: noise(N * C, 5),
          sum: noise(N * C, 1),
          weight: noise(C, 2),
          rstd: roots(N),
          dx: N * C,
        },
      })),
  })
);
