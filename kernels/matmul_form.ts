/**
 * What all matrix product kernels share, but for their WGSL:
 *
 *   out_mn = sum_k A_mk B_kn,   A_mk = a[m aRow + k aCol],   B_kn = b[k bRow + n bCol]
 *
 * for one matrix or a batch of them, either operand transposed by its strides.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import type { BufferUse, KernelCase, KernelSpec } from "../core/kernel.ts";
import { noise } from "./cases.ts";
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

/** The sizes and strides of a product, which are the parameters of every kernel. */
export function layOut(
  { batch, M, N, K, ...form }: Product,
): GemmSizes & { readonly split: number } {
  const [aRow, aCol] = form.transposeA ? [1, M] : [K, 1];
  const [bRow, bCol] = form.transposeB ? [1, K] : [N, 1];
  const aBatch = form.sharedA ? 0 : M * K;
  const bBatch = form.sharedB ? 0 : K * N;
  return { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol, split: splitOf({ M, N }) };
}

/** Columns of an invocation's tile in the kernels for software adapters, and the invocations of a workgroup. */
export const COLUMNS = 16;
export const LANES = 8;

/** Rows of that tile: few where a higher one would lie beyond the output for the most part. */
export const rowsOf = (M: number): 16 | 32 => M <= 16 ? 16 : 32;

/**
 * How those invocations lie: in 2^split rows of LANES / 2^split, so that few of them lie beyond the output. The higher, the
 * more rows of A are staged for them: each doubling adds 8 % to the time of one.
 */
export function splitOf({ M, N }: { readonly M: number; readonly N: number }): number {
  const time = (split: number): number => {
    const [height, width] = [rowsOf(M) << split, COLUMNS * (LANES >> split)];
    return Math.ceil(M / height) * Math.ceil(N / width) * (1 + 0.08 * ((1 << split) - 1));
  };
  return [1, 2, 3].reduce((best, split) => time(split) < time(best) ? split : best, 0);
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
  split: "u32",
} as const;

/** The buffers of a kernel. */
type Buffers = {
  readonly a: BufferUse & `read ${string}`;
  readonly b: BufferUse & `read ${string}`;
  readonly out: BufferUse & `write ${string}`;
};

/** A shape of a case: M, N, K and the operands that are transposed. */
export type CaseSize = readonly [
  M: number,
  N: number,
  K: number,
  transposed: "" | "a" | "b" | "ab",
];

/** The parts of a matrix product kernel that do not depend on its WGSL. */
export function matmulForm(
  sizes: readonly CaseSize[],
  { half = false } = {},
): Pick<KernelSpec<Buffers, typeof PARAMS>, "params" | "cpu" | "rows" | "wasm" | "cases"> {
  return {
    params: PARAMS,
    cpu({ a, b, out }: { a: FloatArray; b: FloatArray; out: FloatArray }, params): void {
      gemm(a, b, out, params);
    },
    rows: ({ batch }) => batch === 1 ? "M" : undefined,
    wasm: {
      module: simd,
      function: "gemm",
      args: ({ a, b, out }, p) => {
        const strides = [p.aBatch, p.aRow, p.aCol, p.bBatch, p.bRow, p.bCol];
        return [a, b, out, p.M, p.N, p.K, ...strides, Number(half), Number(isWide(p))];
      },
      items: (p) => p.batch * (isWide(p) ? Math.ceil(p.N / 8) : Math.ceil(p.M / 5)),
      work: ({ batch, M, N, K }) => batch * M * N * K,
    },
    cases: () => sizes.flatMap((size) => ["a", "b", "nothing"].map((shared) => kase(size, shared))),
  };
}

/** f(0), f(1), ..., f(n - 1), one to a line: WGSL written out instead of looped. */
export function lines(n: number, f: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => f(i)).join("\n");
}

/** Two products, of which one operand may be the same. */
function kase(
  [M, N, K, transposed]: CaseSize,
  shared: string,
): KernelCase<Buffers, typeof PARAMS> {
  const [transposeA, transposeB] = [transposed.includes("a"), transposed.includes("b")];
  const [sharedA, sharedB] = [shared === "a", shared === "b"];
  return {
    name: `two of ${M} by ${N} over ${K}, "${transposed}" transposed, ${shared} shared`,
    params: layOut({ batch: 2, M, N, K, transposeA, transposeB, sharedA, sharedB }),
    buffers: {
      a: noise((sharedA ? 1 : 2) * M * K, 1),
      b: noise((sharedB ? 1 : 2) * K * N, 2),
      out: 2 * M * N,
    },
  };
}
