/**
 * Matrix products, of one pair of matrices or of a batch of pairs:
 *
 *   out_mn = sum_k A_mk B_kn,   A_mk = a[m aRow + k aCol],   B_kn = b[k bRow + n bCol]
 *
 * A transpose is another pair of strides. `matmulElements` is this formula as it stands, and its
 * `cpu` is the reference of the other kernels. They compute tiles of the output: here for GPUs, in
 * matmul_software.ts for adapters that are programs on the processor.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import {
  casesOf,
  common,
  type Element,
  ELEMENTS,
  type Matmul,
  paramsOf,
  type Product,
  tiled,
  type Views,
} from "./matmul_cpu.ts";
import { softwareKernel } from "./matmul_software.ts";
import { unroll } from "./unroll.ts";

/** WGSL for element i of b as a number. */
const elementOfB = (element: Element): string =>
  `fn bOf(i: u32) -> f32 { return ${element === "float" ? "b[i]" : "half4(b[i / 4u])[i % 4u]"}; }`;

/** The formula as it stands: one invocation per element of the output. */
const elementwise = (element: Element): Matmul =>
  defineKernel({
    name: `matmulElements ${element}`,
    ...common(element),
    cpu({ a, b, out }: Views, { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol }): void {
      for (let i = 0; i < batch; i++) {
        for (let m = 0; m < M; m++) {
          for (let n = 0; n < N; n++) {
            let sum = 0;
            for (let k = 0; k < K; k++) {
              sum += a[i * aBatch + m * aRow + k * aCol] * b[i * bBatch + k * bRow + n * bCol];
            }
            out[(i * M + m) * N + n] = sum;
          }
        }
      }
    },
    invocations: ({ batch, M, N }) => batch * M * N,
    wgsl: `${elementOfB(element)}
fn kernel(i: u32) {
  let matrix = i / (p.M * p.N);
  let aAt = matrix * p.aBatch + i / p.N % p.M * p.aRow;
  let bAt = matrix * p.bBatch + i % p.N * p.bCol;
  var sum = 0.0;
  for (var k = 0u; k < p.K; k++) { sum += a[aAt + k * p.aCol] * bOf(bAt + k * p.bRow); }
  out[i] = sum;
}`,
    cases: () => casesOf([[2, 2, 2, ""], [5, 4, 7, "a"], [3, 5, 4, "b"], [1, 8, 1, "ab"]]),
  });

/**
 * Tiles for GPUs, which hide the time of loads behind many invocations. A workgroup of 128 takes
 * blocks of A and B, 16 deep, into workgroup memory (8.5 KiB). An invocation has 8 rows and 4
 * columns of sums in registers. It is tested on software adapters and has not been timed on a GPU
 * yet.
 */
const hardware = (element: Element): Matmul =>
  defineKernel({
    name: `matmulHardware ${element}`,
    ...tiled(64, 64, element),
    wgsl: `
// [k][row or column / 4]. A row of 17 puts the 16 that are written side by side into different
// banks.
var<workgroup> aBlock: array<vec4f, ${16 * 17}>;
var<workgroup> bBlock: array<vec4f, ${16 * 17}>;

${elementOfB(element)}

fn loadA(at: u32, m: u32, k: u32) -> f32 {
  return select(0.0, a[at + m * p.aRow + k * p.aCol], m < p.M && k < p.K);
}

fn loadB(at: u32, n: u32, k: u32) -> f32 {
  return select(0.0, bOf(at + k * p.bRow + n * p.bCol), n < p.N && k < p.K);
}

fn store(at: u32, n: u32, v: vec4f) {
  if (n < p.N) { out[at] = v.x; }
  if (n + 1u < p.N) { out[at + 1u] = v.y; }
  if (n + 2u < p.N) { out[at + 2u] = v.z; }
  if (n + 3u < p.N) { out[at + 3u] = v.w; }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let n0 = group.x * 64u;
  let m0 = group.y * 64u;
  let aAt = group.z * p.aBatch;
  let bAt = group.z * p.bBatch;
  let x = t % 16u; // its columns of the tile: 4 x...
  let y = t / 16u; // its rows of the tile: 8 y...
  var acc = array<vec4f, 8>();
  for (var start = 0u; start < p.K; start += 16u) {
    workgroupBarrier();
    for (var j = t; j < 256u; j += 128u) { // neighbours read along the axis that is dense in memory
      let ak = select(j / 16u, j % 16u, p.aCol == 1u);
      let aq = select(j % 16u, j / 16u, p.aCol == 1u);
      let m = m0 + aq * 4u;
      aBlock[ak * 17u + aq] = vec4f(
        loadA(aAt, m, start + ak),
        loadA(aAt, m + 1u, start + ak),
        loadA(aAt, m + 2u, start + ak),
        loadA(aAt, m + 3u, start + ak),
      );
      let bk = select(j % 16u, j / 16u, p.bCol == 1u);
      let bq = select(j / 16u, j % 16u, p.bCol == 1u);
      let n = n0 + bq * 4u;
      bBlock[bk * 17u + bq] = vec4f(
        loadB(bAt, n, start + bk),
        loadB(bAt, n + 1u, start + bk),
        loadB(bAt, n + 2u, start + bk),
        loadB(bAt, n + 3u, start + bk),
      );
    }
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      let upper = aBlock[k * 17u + 2u * y];
      let lower = aBlock[k * 17u + 2u * y + 1u];
      let right = bBlock[k * 17u + x];
${unroll(8, (r) => `acc[${r}] += ${r < 4 ? "upper" : "lower"}[${r % 4}] * right;`)}
    }
  }
  let m = m0 + y * 8u;
  let n = n0 + x * 4u;
${
      unroll(
        8,
        (r) =>
          `if (m + ${r}u < p.M) { store((group.z * p.M + m + ${r}u) * p.N + n, n, acc[${r}]); }`,
      )
    }
}`,
  });

/** One invocation per element: for many small products. With b of floats, and of halves. */
export const matmulElements: readonly Matmul[] = ELEMENTS.map(elementwise);

/** Tiles for GPUs. With b of floats, and of halves. */
export const matmulHardware: readonly Matmul[] = ELEMENTS.map(hardware);

/** An output of at most this many elements leaves a tile nearly empty. */
const FEW = 64;

/** out (batch, M, N) = a b, where b may be float16. */
export function runMatmul(
  device: Device,
  buffers: { readonly a: Tensor; readonly b: Tensor; readonly out: Tensor },
  product: Product,
): void {
  const params = paramsOf(product);
  const half = buffers.b.dtype === "float16" ? 1 : 0;
  const software = device.software ? softwareKernel(params, half) : undefined;
  const kernel = software ?? matmulHardware[half];
  const isScattered = params.batch > 1 && params.M * params.N <= FEW;
  const fits = kernel.grid?.(params).every((groups) => groups <= 65535);
  device.run(isScattered || !fits ? matmulElements[half] : kernel, buffers, params);
}
