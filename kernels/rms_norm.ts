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
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** How the WGSL walks a row: by channels, or by four where C is a multiple of 4. The reference is the same. */
export type Element = "float" | "float4";

/** WGSL's type of a channel or of four, and `sumOf` of it. */
export const wgslElement = (element: Element): string =>
  element === "float4"
    ? `alias F = vec4f;
fn sumOf(x: F) -> f32 { return (x.x + x.y) + (x.z + x.w); }`
    : `alias F = f32;
fn sumOf(x: F) -> f32 { return x; }`;

/** The channels that the WGSL of a kernel handles at a time. */
export const LANES = { float: 1, float4: 4 } as const;

/** The columns of a workgroup of the gradient of the weight, and the invocations that share a column. */
const [COLUMNS, PARTS] = [4, 16];

type Views<K extends string> = { readonly [name in K]: FloatArray };
type Sizes = { readonly N: "u32"; readonly C: "u32" };

/** Those of the cases whose C the walk can do. */
export const casesFor = <T extends { readonly params: { readonly C: number } }>(
  element: Element,
  cases: readonly T[],
): readonly T[] => cases.filter(({ params }) => params.C % LANES[element] === 0);

/** Rows whose last vector of four is not full: in some it would reach into the next 64-byte line. */
const UNEVEN = [[3, 5], [16, 13], [7, 9]] as const;

/** out, and r for the backward; one invocation a row. */
function forwardKernel(element: Element): Kernel<
  { x: `read ${Element}`; weight: `read ${Element}`; out: `write ${Element}`; rstd: "write float" },
  Sizes & { readonly eps: "f32" }
> {
  return defineKernel({
    name: `rmsNormForward ${element}`,
    buffers: {
      x: `read ${element}`,
      weight: `read ${element}`,
      out: `write ${element}`,
      rstd: "write float",
    },
    params: { N: "u32", C: "u32", eps: "f32" },
    cpu({ x, weight, out, rstd }: Views<"x" | "weight" | "out" | "rstd">, { N, C, eps }): void {
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
    wgsl: `${wgslElement(element)}
fn kernel(n: u32) {
  let width = p.C / ${LANES[element]}u;
  let row = n * width;
  var square = F(0.0);
  for (var c = 0u; c < width; c++) { let value = x[row + c]; square += value * value; }
  let r = 1.0 / sqrt(sumOf(square) / f32(p.C) + p.eps);
  for (var c = 0u; c < width; c++) { out[row + c] = x[row + c] * r * weight[c]; }
  rstd[n] = r;
}`,
    cases: () =>
      casesFor(element, [
        {
          name: "5 rows of 8",
          params: { N: 5, C: 8, eps: 1e-5 },
          buffers: { x: noise(40, 1), weight: noise(8, 2), out: 40, rstd: 5 },
        },
        {
          name: "a row of zeros, an odd width",
          params: { N: 1, C: 3, eps: 1e-5 },
          buffers: { x: [0, 0, 0], weight: [1, 2, 3], out: 3, rstd: 1 },
        },
        ...UNEVEN.map(([N, C]) => ({
          name: `${N} rows of ${C}`,
          params: { N, C, eps: 1e-5 },
          buffers: { x: noise(N * C, 1), weight: noise(C, 2), out: N * C, rstd: N },
        })),
      ]),
  });
}

/** Any C. */
export const rmsNormForward = forwardKernel("float");

/** C a multiple of 4. */
export const rmsNormForward4 = forwardKernel("float4");

/** dx; one invocation a row. */
function backwardXKernel(element: Element): Kernel<
  {
    dout: `read ${Element}`;
    x: `read ${Element}`;
    weight: `read ${Element}`;
    rstd: "read float";
    dx: `write ${Element}`;
  },
  Sizes
> {
  return defineKernel({
    name: `rmsNormBackwardX ${element}`,
    buffers: {
      dout: `read ${element}`,
      x: `read ${element}`,
      weight: `read ${element}`,
      rstd: "read float",
      dx: `write ${element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu(
      { dout, x, weight, rstd, dx }: Views<"dout" | "x" | "weight" | "rstd" | "dx">,
      { N, C },
    ): void {
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
    wgsl: `${wgslElement(element)}
fn kernel(n: u32) {
  let width = p.C / ${LANES[element]}u;
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
      casesFor(element, [
        {
          name: "5 rows of 8",
          params: { N: 5, C: 8 },
          buffers: {
            dout: noise(40, 3),
            x: noise(40, 1),
            weight: noise(8, 2),
            rstd: [1, 1.5, 2, 2.5, 3],
            dx: 40,
          },
        },
        {
          name: "2 rows of 7",
          params: { N: 2, C: 7 },
          buffers: {
            dout: noise(14, 3),
            x: noise(14, 1),
            weight: noise(7, 2),
            rstd: [1, 1.5],
            dx: 14,
          },
        },
        ...UNEVEN.map(([N, C]) => ({
          name: `${N} rows of ${C}`,
          params: { N, C },
          buffers: {
            dout: noise(N * C, 3),
            x: noise(N * C, 1),
            weight: noise(C, 2),
            rstd: noise(N, 4).map((r) => r + 2),
            dx: N * C,
          },
        })),
      ]),
  });
}

/** Any C. */
export const rmsNormBackwardX = backwardXKernel("float");

/** C a multiple of 4. */
export const rmsNormBackwardX4 = backwardXKernel("float4");

/**
 * dw. A workgroup takes COLUMNS columns, of which each is summed by PARTS invocations over every PARTS-th row; then
 * their sums are added in order.
 */
function backwardWeightKernel(element: Element): Kernel<
  {
    dout: `read ${Element}`;
    x: `read ${Element}`;
    rstd: "read float";
    dweight: `write ${Element}`;
  },
  Sizes
> {
  return defineKernel({
    name: `rmsNormBackwardWeight ${element}`,
    buffers: {
      dout: `read ${element}`,
      x: `read ${element}`,
      rstd: "read float",
      dweight: `write ${element}`,
    },
    params: { N: "u32", C: "u32" },
    cpu({ dout, x, rstd, dweight }: Views<"dout" | "x" | "rstd" | "dweight">, { N, C }): void {
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
    grid: ({ C }) => [Math.ceil(C / LANES[element] / COLUMNS), 1, 1],
    wgsl: `${wgslElement(element)}
var<workgroup> parts: array<F, ${COLUMNS * PARTS}>;
@compute @workgroup_size(${COLUMNS * PARTS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) i: u32) {
  let width = p.C / ${LANES[element]}u;
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
      casesFor(element, [
        {
          name: "5 rows of 8",
          params: { N: 5, C: 8 },
          buffers: { dout: noise(40, 3), x: noise(40, 1), rstd: [1, 1.5, 2, 2.5, 3], dweight: 8 },
        },
        {
          name: "11 rows of 7",
          params: { N: 11, C: 7 },
          buffers: { dout: noise(77, 3), x: noise(77, 1), rstd: noise(11, 2), dweight: 7 },
        },
        ...UNEVEN.map(([N, C]) => ({
          name: `${N} rows of ${C}`,
          params: { N, C },
          buffers: { dout: noise(N * C, 3), x: noise(N * C, 1), rstd: noise(N, 4), dweight: C },
        })),
      ]),
  });
}

/** Any C. */
export const rmsNormBackwardWeight = backwardWeightKernel("float");

/** C a multiple of 4. */
export const rmsNormBackwardWeight4 = backwardWeightKernel("float4");
