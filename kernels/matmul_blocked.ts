/**
 * C (M, N) = A (M, K) B (K, N) in plain TypeScript: the reference of every matmul kernel.
 *
 * Panels of four rows of A and four columns of B are packed side by side in float64, so that the 4x4 micro-tile
 * reads both in order, converts each element once and keeps its sixteen sums in registers (the blocking of Goto and
 * van de Geijn, ACM TOMS 34(3), 2008, in small).
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";

/** Sizes, and the strides in elements from one row, column and matrix of the batch to the next. */
export interface MatmulSizes {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly aBatch: number;
  readonly aRow: number;
  readonly aCol: number;
  readonly bBatch: number;
  readonly bRow: number;
  readonly bCol: number;
}

/** A packed block of A is at most this many rows and columns: 128 KiB. */
const BLOCK_M = 64;
const BLOCK_K = 256;

/** out[n] = a[n] b[n] for every matrix n of the batch; out is dense. */
export function blockedMatmul(
  a: FloatArray,
  b: FloatArray,
  out: FloatArray,
  sizes: MatmulSizes,
): void {
  const { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol } = sizes;
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
