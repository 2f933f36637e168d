/**
 * Matrix product, one matrix or a batch of them, either operand transposed by its strides:
 *
 *   out_mn = sum_k A_mk B_kn,   A_mk = a[m aRow + k aCol],   B_kn = b[k bRow + n bCol]
 *
 * In WGSL an invocation computes an 8x8 tile of the output. The three forms that reverse mode needs have kernels that
 * read vec4: NN (both as they are), NT (B transposed) and TN (A transposed). Each needs the axes along which it
 * reads to be multiples of 4; `matmulStrided` does everything else. `runMatmul` picks.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, type Kernel } from "../core/kernel.ts";
import type { Tensor } from "../core/tensor.ts";
import { ramp } from "./cases.ts";
import { gemm, type GemmSizes } from "./gemm.ts";
import { simd } from "./wasm/modules.ts";

/** What to multiply. */
export interface Product {
  /** Matrices in the batch. */
  readonly batch: number;
  /** Rows of the output. */
  readonly M: number;
  /** Columns of the output. */
  readonly N: number;
  /** The size that is summed over. */
  readonly K: number;
  /** Whether a is stored as (K, M). */
  readonly transposeA: boolean;
  /** Whether b is stored as (N, K). */
  readonly transposeB: boolean;
  /** Whether the whole batch uses one a. */
  readonly sharedA: boolean;
  /** Whether the whole batch uses one b. */
  readonly sharedB: boolean;
}

/** out (batch, M, N) = a b. The one place that decides how. */
export function runMatmul(
  device: Device,
  buffers: { readonly a: Tensor; readonly b: Tensor; readonly out: Tensor },
  product: Product,
): void {
  const { M, N, K, transposeA, transposeB } = product;
  const four = (n: number): boolean => n % 4 === 0;
  const params = layOut(product);
  if (!transposeA && !transposeB && four(K) && four(N)) device.run(matmulNN, buffers, params);
  else if (!transposeA && transposeB && four(K)) device.run(matmulNT, buffers, params);
  else if (transposeA && !transposeB && four(M) && four(N)) device.run(matmulTN, buffers, params);
  else device.run(matmulStrided, buffers, params);
}

function layOut({ batch, M, N, K, ...form }: Product): GemmSizes {
  const [aRow, aCol] = form.transposeA ? [1, M] : [K, 1];
  const [bRow, bCol] = form.transposeB ? [1, K] : [N, 1];
  const aBatch = form.sharedA ? 0 : M * K;
  const bBatch = form.sharedB ? 0 : K * N;
  return { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol };
}

/** Whether threads share the columns of the output: each packs all of the other operand, which had better be the smaller. */
const isWide = ({ M, N }: { readonly M: number; readonly N: number }): boolean => N > M;

const PARAMS = {
  batch: "u32",
  M: "u32",
  N: "u32",
  K: "u32",
  aBatch: "u32",
  aRow: "u32",
  aCol: "u32",
  bBatch: "u32",
  bRow: "u32",
  bCol: "u32",
} as const;

/** `body` adds the tile of rows m.. and columns n.. of one matrix into acc: row r is acc[2r], acc[2r + 1]. */
function matmulKernel<I extends "float" | "float4", O extends "float" | "float4">(
  name: string,
  input: I,
  output: O,
  body: string,
  form: { readonly transposeA: boolean; readonly transposeB: boolean },
  sizes: readonly (readonly [M: number, N: number, K: number])[],
): Kernel<{ a: `read ${I}`; b: `read ${I}`; out: `write ${O}` }, typeof PARAMS> {
  return defineKernel({
    name,
    buffers: { a: `read ${input}`, b: `read ${input}`, out: `write ${output}` },
    params: PARAMS,
    cpu({ a, b, out }: { a: FloatArray; b: FloatArray; out: FloatArray }, params): void {
      gemm(a, b, out, params);
    },
    wasm: {
      module: simd,
      function: "gemm",
      args: ({ a, b, out }, p) => {
        const strides = [p.aBatch, p.aRow, p.aCol, p.bBatch, p.bRow, p.bCol];
        return [a, b, out, p.M, p.N, p.K, ...strides, Number(isWide(p))];
      },
      items: (p) => p.batch * (isWide(p) ? Math.ceil(p.N / 8) : Math.ceil(p.M / 5)),
      work: ({ batch, M, N, K }) => batch * M * N * K,
    },
    invocations: ({ batch, M, N }) => batch * Math.ceil(M / 8) * Math.ceil(N / 8),
    workgroup: 32,
    wgsl: `
fn kernel(i: u32) {
  let across = (p.N + 7u) / 8u;
  let down = (p.M + 7u) / 8u;
  let n = i % across * 8u;
  let m = i / across % down * 8u;
  let matrix = i / (across * down);
  var acc: array<vec4f, 16>;
${body}
  let start = (matrix * p.M + m) * p.N + n;
${output === "float4" ? STORE_VEC4 : STORE_SCALARS}
}`,
    cases: () =>
      sizes.flatMap(([M, N, K]) =>
        ["a", "b", "nothing"].map((shared) => {
          const [sharedA, sharedB] = [shared === "a", shared === "b"];
          return {
            name: `two of ${M} by ${N} over ${K}, ${shared} shared`,
            params: layOut({ batch: 2, M, N, K, ...form, sharedA, sharedB }),
            buffers: {
              a: ramp((sharedA ? 1 : 2) * M * K, 1),
              b: ramp((sharedB ? 1 : 2) * K * N, 2),
              out: 2 * M * N,
            },
          };
        })
      ),
  });
}

const STORE_VEC4 = `
  for (var r = 0u; r < min(8u, p.M - m); r++) {
    let at = (start + r * p.N) / 4u;
    out[at] = acc[r * 2u];
    if (n + 4u < p.N) { out[at + 1u] = acc[r * 2u + 1u]; }
  }`;

const STORE_SCALARS = `
  for (var r = 0u; r < min(8u, p.M - m); r++) {
    for (var c = 0u; c < min(8u, p.N - n); c++) {
      out[start + r * p.N + c] = acc[r * 2u + c / 4u][c % 4u];
    }
  }`;

/** a (M, K), b (K, N). */
export const matmulNN = matmulKernel(
  "matmulNN",
  "float4",
  "float4",
  `
  let aAt = matrix * p.aBatch / 4u;
  let left = (matrix * p.bBatch + n) / 4u;
  let right = select(left, left + 1u, n + 4u < p.N);
  for (var k = 0u; k < p.K; k += 4u) {
    var bs: array<vec4f, 8>;
    for (var j = 0u; j < 4u; j++) {
      let row = (k + j) * (p.N / 4u);
      bs[j * 2u] = b[left + row];
      bs[j * 2u + 1u] = b[right + row];
    }
    for (var r = 0u; r < 8u; r++) {
      let x = a[aAt + (min(m + r, p.M - 1u) * p.K + k) / 4u];
      acc[r * 2u] += x.x * bs[0] + x.y * bs[2] + x.z * bs[4] + x.w * bs[6];
      acc[r * 2u + 1u] += x.x * bs[1] + x.y * bs[3] + x.z * bs[5] + x.w * bs[7];
    }
  }`,
  { transposeA: false, transposeB: false },
  [[11, 20, 12], [8, 8, 4]],
);

/** a (M, K), b (N, K). */
export const matmulNT = matmulKernel(
  "matmulNT",
  "float4",
  "float",
  `
  let aAt = matrix * p.aBatch / 4u;
  let bAt = matrix * p.bBatch / 4u;
  for (var k = 0u; k < p.K; k += 4u) {
    var bs: array<vec4f, 8>;
    for (var c = 0u; c < 8u; c++) {
      bs[c] = b[bAt + (min(n + c, p.N - 1u) * p.K + k) / 4u];
    }
    for (var r = 0u; r < 8u; r++) {
      let x = a[aAt + (min(m + r, p.M - 1u) * p.K + k) / 4u];
      acc[r * 2u] += vec4f(dot(x, bs[0]), dot(x, bs[1]), dot(x, bs[2]), dot(x, bs[3]));
      acc[r * 2u + 1u] += vec4f(dot(x, bs[4]), dot(x, bs[5]), dot(x, bs[6]), dot(x, bs[7]));
    }
  }`,
  { transposeA: false, transposeB: true },
  [[11, 21, 12], [8, 8, 4]],
);

/** a (K, M), b (K, N). */
export const matmulTN = matmulKernel(
  "matmulTN",
  "float4",
  "float4",
  `
  let top = (matrix * p.aBatch + m) / 4u;
  let bottom = select(top, top + 1u, m + 4u < p.M);
  let left = (matrix * p.bBatch + n) / 4u;
  let right = select(left, left + 1u, n + 4u < p.N);
  for (var k = 0u; k < p.K; k++) {
    let b0 = b[left + k * (p.N / 4u)];
    let b1 = b[right + k * (p.N / 4u)];
    for (var q = 0u; q < 2u; q++) {
      let x = a[select(top, bottom, q == 1u) + k * (p.M / 4u)];
      let at = q * 8u;
      acc[at] += x.x * b0;
      acc[at + 1u] += x.x * b1;
      acc[at + 2u] += x.y * b0;
      acc[at + 3u] += x.y * b1;
      acc[at + 4u] += x.z * b0;
      acc[at + 5u] += x.z * b1;
      acc[at + 6u] += x.w * b0;
      acc[at + 7u] += x.w * b1;
    }
  }`,
  { transposeA: true, transposeB: false },
  [[12, 20, 11], [8, 8, 5]],
);

/** Any strides, any sizes. */
export const matmulStrided = matmulKernel(
  "matmulStrided",
  "float",
  "float",
  `
  for (var k = 0u; k < p.K; k++) {
    let aAt = matrix * p.aBatch + k * p.aCol;
    let bAt = matrix * p.bBatch + k * p.bRow;
    var bs: array<vec4f, 2>;
    for (var c = 0u; c < 8u; c++) {
      bs[c / 4u][c % 4u] = b[bAt + min(n + c, p.N - 1u) * p.bCol];
    }
    for (var r = 0u; r < 8u; r++) {
      let x = a[aAt + min(m + r, p.M - 1u) * p.aRow];
      acc[r * 2u] += x * bs[0];
      acc[r * 2u + 1u] += x * bs[1];
    }
  }`,
  { transposeA: true, transposeB: true },
  [[11, 21, 7], [1, 1, 1]],
);
