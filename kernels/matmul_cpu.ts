/**
 * What the matrix product kernels have in common: parameters, cases, and how the cpu computes them.
 * matmul.ts has the formula and its reference.
 *
 * In float64, and where there is no WebAssembly, `packedMatmul` takes a third of the time of the
 * reference, or less: it reads memory in order and keeps eight sums in registers.
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

/** Sizes for the reference tests of a tile. */
export const tileSizes = (height: number, width: number): readonly CaseSize[] => [
  [height + 3, width + 6, 35, ""],
  [9, width + 2, 18, "b"],
  [height + 2, 12, 67, "a"],
  [5, 4, 2, "ab"],
];

/** The parts of a kernel that computes a tile of the output in a workgroup. */
export const tiled = (height: number, width: number, element: Element) => ({
  ...common(element),
  cpu: packedMatmul,
  /** A grid of three dimensions: WGSL that divides takes a tenth longer. */
  grid: ({ batch, M, N }: Params): readonly [number, number, number] => [
    Math.ceil(N / width),
    Math.ceil(M / height),
    batch,
  ],
  cases: () => casesOf(tileSizes(height, width)),
});

/** How many k are summed at a time. */
const DEPTH = 256;

/** out = a b: two rows of A against a panel of four columns of B. */
function packedMatmul({ a, b, out }: Views, params: Params): void {
  const { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol } = params;
  const panel = new Float64Array(4 * Math.min(K, DEPTH)); // [k][column]
  for (let i = 0; i < batch; i++) {
    for (let first = 0; first < K; first += DEPTH) {
      const end = 4 * Math.min(DEPTH, K - first);
      for (let n = 0; n < N; n += 4) {
        for (let c = 0; c < 4; c++) {
          let from = i * bBatch + first * bRow + Math.min(n + c, N - 1) * bCol;
          for (let k = c; k < end; k += 4, from += bRow) panel[k] = b[from];
        }
        for (let m = 0; m < M; m += 2) {
          let at = i * aBatch + m * aRow + first * aCol;
          const below = m + 1 < M ? aRow : 0;
          let s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
          for (let k = 0; k < end; k += 4, at += aCol) {
            const x = a[at], y = a[at + below];
            const b0 = panel[k], b1 = panel[k + 1], b2 = panel[k + 2], b3 = panel[k + 3];
            s0 += x * b0;
            s1 += x * b1;
            s2 += x * b2;
            s3 += x * b3;
            t0 += y * b0;
            t1 += y * b1;
            t2 += y * b2;
            t3 += y * b3;
          }
          const sums = [s0, s1, s2, s3, t0, t1, t2, t3];
          for (let r = 0; r < Math.min(2, M - m); r++) {
            const to = (i * M + m + r) * N + n;
            for (let c = 0; c < Math.min(4, N - n); c++) {
              out[to + c] = (first === 0 ? 0 : out[to + c]) + sums[4 * r + c];
            }
          }
        }
      }
    }
  }
}
