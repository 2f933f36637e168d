/**
 * What the matrix product kernels have in common: parameters, cases, and how the cpu computes them.
 * matmul.ts has the formula and its reference.
 *
 * Where there is no WebAssembly, and in float64, a blocked product in TypeScript takes a third of the
 * time of plain loops or less. Panels of four rows of A and four columns of B are packed side by
 * side in float64. So a 4x4 tile reads both in order, converts each element once, and keeps its
 * sixteen sums in registers (Goto and van de Geijn, ACM TOMS 34(3), 2008, in small).
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import type { BufferUse, Kernel, KernelCase } from "../core/kernel.ts";
import { noise } from "./cases.ts";
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

/** The element type of b: floats, or halves, whose number is a multiple of 4. */
export type Element = "float" | "half4";

/** Each kernel is there for both. */
export const ELEMENTS: readonly Element[] = ["float", "half4"];

/** The buffers. */
export type Buffers = {
  readonly a: BufferUse & `read ${string}`;
  readonly b: BufferUse & `read ${string}`;
  readonly out: BufferUse & `write ${string}`;
};

/** The buffers as arrays. */
export type Views = { readonly [K in keyof Buffers]: FloatArray };

/**
 * The parameters: sizes, and the strides in elements from one matrix of the batch, row and column
 * to the next.
 */
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

/** Their values. */
export type Params = { readonly [K in keyof typeof PARAMS]: number };

/** A kernel of the matrix product. */
export type Matmul = Kernel<Buffers, typeof PARAMS>;

/** A shape for the reference tests, and which operands are transposed. */
type CaseSize = readonly [M: number, N: number, K: number, transposed: "" | "a" | "b" | "ab"];

/** The parameters of a product. */
export function paramsOf({ batch, M, N, K, ...form }: Product): Params {
  const [aRow, aCol] = form.transposeA ? [1, M] : [K, 1];
  const [bRow, bCol] = form.transposeB ? [1, K] : [N, 1];
  const aBatch = form.sharedA ? 0 : M * K;
  const bBatch = form.sharedB ? 0 : K * N;
  return { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol };
}

/** The parts of a kernel that do not depend on its WGSL, but for its reference and its cases. */
export const common = (element: Element) => ({
  buffers: { a: "read float", b: `read ${element}`, out: "write float" } as const,
  params: PARAMS,
  rows: ({ batch }: Params) => batch === 1 ? "M" as const : undefined,
  wasm: {
    module: simd,
    function: "gemm",
    args({ a, b, out }: Record<keyof Buffers, number>, p: Params): readonly number[] {
      const strides = [p.aBatch, p.aRow, p.aCol, p.bBatch, p.bRow, p.bCol];
      return [a, b, out, p.M, p.N, p.K, ...strides, Number(element === "half4"), Number(isWide(p))];
    },
    items: (p: Params) => p.batch * (isWide(p) ? Math.ceil(p.N / 8) : Math.ceil(p.M / 5)),
    work: ({ batch, M, N, K }: Params) => batch * M * N * K,
  },
});

/** Whether threads share columns. Each of them packs the whole other operand: the smaller one. */
function isWide({ M, N }: Params): boolean {
  return N > M;
}

/** Two products of each size. By turns they share a, share b, and share nothing. */
export function casesOf(sizes: readonly CaseSize[]): readonly KernelCase<Buffers, typeof PARAMS>[] {
  return sizes.map(([M, N, K, transposed], i) => {
    const [transposeA, transposeB] = [transposed.includes("a"), transposed.includes("b")];
    const [sharedA, sharedB] = [i % 3 === 0, i % 3 === 1];
    return {
      name: `two of ${M} by ${N} over ${K}, "${transposed}" transposed, ` +
        `${sharedA ? "a" : sharedB ? "b" : "nothing"} shared`,
      params: paramsOf({ batch: 2, M, N, K, transposeA, transposeB, sharedA, sharedB }),
      buffers: {
        a: noise((sharedA ? 1 : 2) * M * K, 1),
        b: noise((sharedB ? 1 : 2) * K * N, 2),
        out: 2 * M * N,
      },
    };
  });
}

/** WGSL for element i of b as a number. */
export const elementOfB = (element: Element): string =>
  `fn bOf(i: u32) -> f32 { return ${element === "float" ? "b[i]" : "half4(b[i / 4u])[i % 4u]"}; }`;

/** The parts of a kernel that computes a tile of the output in a workgroup. */
export const tiled = (height: number, width: number, element: Element) => ({
  ...common(element),
  cpu: ({ a, b, out }: Views, params: Params) => blockedMatmul(a, b, out, params),
  /** A grid of three dimensions: WGSL that divides takes a tenth longer. */
  grid: ({ batch, M, N }: Params): readonly [number, number, number] => [
    Math.ceil(N / width),
    Math.ceil(M / height),
    batch,
  ],
  cases: () =>
    casesOf([
      [height + 3, width + 6, 35, ""],
      [9, width + 2, 18, "b"],
      [height + 2, 12, 67, "a"],
      [5, 4, 2, "ab"],
    ]),
});

/** A packed block of A is at most this many rows and columns: 128 KiB. */
const BLOCK_M = 64;
const BLOCK_K = 256;

/** out[n] = a[n] b[n] for every matrix n of the batch; out is dense. */
function blockedMatmul(
  a: FloatArray,
  b: FloatArray,
  out: FloatArray,
  params: Params,
): void {
  const { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol } = params;
  const depth = Math.min(K, BLOCK_K);
  const packedA = new Float64Array(Math.ceil(Math.min(M, BLOCK_M) / 4) * 4 * depth);
  const packedB = new Float64Array(Math.ceil(N / 4) * 4 * depth);
  for (let n = 0; n < batch; n++) {
    for (let k0 = 0; k0 < K; k0 += BLOCK_K) {
      const kc = Math.min(BLOCK_K, K - k0);
      pack(packedB, b, n * bBatch + k0 * bRow, bCol, bRow, N, kc);
      for (let m0 = 0; m0 < M; m0 += BLOCK_M) {
        const mc = Math.min(BLOCK_M, M - m0);
        pack(packedA, a, n * aBatch + m0 * aRow + k0 * aCol, aRow, aCol, mc, kc);
        for (let j = 0; j < N; j += 4) {
          for (let i = 0; i < mc; i += 4) {
            const at = (n * M + m0 + i) * N + j;
            tile(packedA, i * kc, packedB, j * kc, kc, out, at, N, mc - i, N - j, k0 > 0);
          }
        }
      }
    }
  }
}

/** Panels of four lines, zeros where the last one runs out: [ceil(lines / 4)][kc][4]. */
function pack(
  to: Float64Array,
  from: FloatArray,
  start: number,
  across: number,
  along: number,
  lines: number,
  kc: number,
): void {
  let o = 0;
  for (let line = 0; line < lines; line += 4) {
    let at = start + line * across;
    if (line + 4 <= lines) {
      for (let k = 0; k < kc; k++, o += 4, at += along) {
        to[o] = from[at];
        to[o + 1] = from[at + across];
        to[o + 2] = from[at + 2 * across];
        to[o + 3] = from[at + 3 * across];
      }
    } else {
      for (let k = 0; k < kc; k++, o += 4, at += along) {
        for (let r = 0; r < 4; r++) to[o + r] = line + r < lines ? from[at + r * across] : 0;
      }
    }
  }
}

/** A 4x4 tile of the output, of which `rows` by `columns` exist: set, or added to where `add` is true. */
function tile(
  a: Float64Array,
  ia: number,
  b: Float64Array,
  ib: number,
  kc: number,
  out: FloatArray,
  at: number,
  pitch: number,
  rows: number,
  columns: number,
  add: boolean,
): void {
  let c00 = 0, c01 = 0, c02 = 0, c03 = 0;
  let c10 = 0, c11 = 0, c12 = 0, c13 = 0;
  let c20 = 0, c21 = 0, c22 = 0, c23 = 0;
  let c30 = 0, c31 = 0, c32 = 0, c33 = 0;
  for (let k = 0; k < kc; k++, ia += 4, ib += 4) {
    const b0 = b[ib], b1 = b[ib + 1], b2 = b[ib + 2], b3 = b[ib + 3];
    const a0 = a[ia], a1 = a[ia + 1], a2 = a[ia + 2], a3 = a[ia + 3];
    c00 += a0 * b0, c01 += a0 * b1, c02 += a0 * b2, c03 += a0 * b3;
    c10 += a1 * b0, c11 += a1 * b1, c12 += a1 * b2, c13 += a1 * b3;
    c20 += a2 * b0, c21 += a2 * b1, c22 += a2 * b2, c23 += a2 * b3;
    c30 += a3 * b0, c31 += a3 * b1, c32 += a3 * b2, c33 += a3 * b3;
  }
  if (rows >= 4 && columns >= 4 && !add) {
    out[at] = c00, out[at + 1] = c01, out[at + 2] = c02, out[at + 3] = c03;
    at += pitch;
    out[at] = c10, out[at + 1] = c11, out[at + 2] = c12, out[at + 3] = c13;
    at += pitch;
    out[at] = c20, out[at + 1] = c21, out[at + 2] = c22, out[at + 3] = c23;
    at += pitch;
    out[at] = c30, out[at + 1] = c31, out[at + 2] = c32, out[at + 3] = c33;
    return;
  }
  const sums = [c00, c01, c02, c03, c10, c11, c12, c13, c20, c21, c22, c23, c30, c31, c32, c33];
  for (let r = 0; r < Math.min(rows, 4); r++) {
    for (let c = 0; c < Math.min(columns, 4); c++) {
      const o = at + r * pitch + c;
      out[o] = add ? out[o] + sums[r * 4 + c] : sums[r * 4 + c];
    }
  }
}
