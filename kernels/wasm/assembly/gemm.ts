// C (M, N) = A (M, K) B (K, N) in float32, blocked as in Goto and van de Geijn, ACM TOMS 34(3),
// 2008. Blocks of B and A are packed so that the 5x8 micro-kernel reads both in order, from cache.
// A and B have a stride of rows and one of columns, so a transpose is only another pair of strides.
// C is dense.

import { bytes, four, HALF_CONSTANTS, lane, madd, one, prepareHalves, storeColumns } from "./maths";

/**
 * Rows and columns of the micro-tile: ten accumulators of four lanes. They leave registers for two
 * vectors of B, four numbers of A, and one of these in all lanes.
 */
const MR: i32 = 5;
const NR: i32 = 8;
/** Block sizes: a packed A block (MC x KC) stays in L2, a packed B panel (KC x NR) in L1. */
const MC: i32 = 100;
const KC: i32 = 256;
const NC: i32 = 1024;

/** Bytes of scratch memory: packed B, packed A, one micro-tile, constants. */
export const GEMM_SCRATCH: usize = (KC * NC + MC * KC + MR * NR) * 4 + HALF_CONSTANTS;

/** Stores one row of the tile, added to what is there if `add`. */
// @ts-ignore: decorator
@inline
function put(c: usize, left: v128, right: v128, add: bool): void {
  v128.store(c, add ? f32x4.add(left, v128.load(c)) : left);
  v128.store(c, add ? f32x4.add(right, v128.load(c, 16)) : right, 16);
}

/**
 * A 5x8 tile of C = the packed rows at `a` ([K][5]) times the packed columns at `b` ([K][8]), added
 * to what is there if `add`. In runtimes that check the bounds of each load the number of loads
 * decides, so four numbers of A are loaded at once; the second such load reads three numbers too
 * many. The break in the middle of the loop keeps V8 from interleaving its halves, which would take
 * more registers than there are.
 */
function micro(K: i32, a: usize, b: usize, c: usize, pitch: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00;
  const end = b + <usize> K * 32;
  while (b < end) {
    {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let four = v128.load(a);
      let x = lane(four, 0);
      c00 = madd(x, b0, c00);
      c01 = madd(x, b1, c01);
      x = lane(four, 1);
      c10 = madd(x, b0, c10);
      c11 = madd(x, b1, c11);
      x = lane(four, 2);
      c20 = madd(x, b0, c20);
      c21 = madd(x, b1, c21);
      x = lane(four, 3);
      c30 = madd(x, b0, c30);
      c31 = madd(x, b1, c31);
      four = v128.load(a, 16);
      x = lane(four, 0);
      c40 = madd(x, b0, c40);
      c41 = madd(x, b1, c41);
      a += 20;
      b += 32;
    }
    if (b === end) break;
    {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let four = v128.load(a);
      let x = lane(four, 0);
      c00 = madd(x, b0, c00);
      c01 = madd(x, b1, c01);
      x = lane(four, 1);
      c10 = madd(x, b0, c10);
      c11 = madd(x, b1, c11);
      x = lane(four, 2);
      c20 = madd(x, b0, c20);
      c21 = madd(x, b1, c21);
      x = lane(four, 3);
      c30 = madd(x, b0, c30);
      c31 = madd(x, b1, c31);
      four = v128.load(a, 16);
      x = lane(four, 0);
      c40 = madd(x, b0, c40);
      c41 = madd(x, b1, c41);
      a += 20;
      b += 32;
    }
  }
  put(c, c00, c01, add);
  put(c + pitch, c10, c11, add);
  put(c + 2 * pitch, c20, c21, add);
  put(c + 3 * pitch, c30, c31, add);
  put(c + 4 * pitch, c40, c41, add);
}

/** Packs M rows of A as [M / 5][K][5]; zeros fill up the last group. Strides in bytes. */
function packA(to: usize, a: usize, M: i32, K: i32, row: usize, column: usize): void {
  for (let i = 0; i < M; i += MR) {
    let from = a + <usize> i * row, k = 0;
    if (M - i >= MR && column == 4) { // rows are dense: transpose five of them
      for (; k + 4 <= K; k += 4, from += 16, to += 80) {
        const r0 = v128.load(from), r1 = v128.load(from + row), r2 = v128.load(from + 2 * row);
        const r3 = v128.load(from + 3 * row), r4 = v128.load(from + 4 * row);
        storeColumns(to, 20, r0, r1, r2, r3);
        v128.store_lane<f32>(to, r4, 0, 16);
        v128.store_lane<f32>(to, r4, 1, 36);
        v128.store_lane<f32>(to, r4, 2, 56);
        v128.store_lane<f32>(to, r4, 3, 76);
      }
    } else if (M - i >= MR && row == 4) { // columns are dense: copy
      for (; k < K; k++, from += column, to += 20) {
        v128.store(to, v128.load(from));
        store<f32>(to, load<f32>(from, 16), 16);
      }
    }
    for (; k < K; k++, from += column, to += 20) {
      for (let r = 0; r < MR; r++) {
        store<f32>(to + bytes(r), i + r < M ? load<f32>(from + <usize> r * row) : 0);
      }
    }
  }
}

/** Packs four numbers of each of four columns into four rows of eight. */
// @ts-ignore: decorator
@inline
function turn<T>(to: usize, from: usize, column: usize, mask: v128, up: v128, down: v128): void {
  const c0 = four<T>(from, mask, up, down), c1 = four<T>(from + column, mask, up, down);
  const c2 = four<T>(from + 2 * column, mask, up, down);
  const c3 = four<T>(from + 3 * column, mask, up, down);
  storeColumns(to, 32, c0, c1, c2, c3);
}

/** Packs N columns of B as [N / 8][K][8]; zeros fill up the last group. Strides in bytes. */
function packB<T>(
  to: usize,
  b: usize,
  N: i32,
  K: i32,
  row: usize,
  column: usize,
  constants: usize,
): void {
  const size = sizeof<T>();
  const mask = v128.load(constants), up = v128.load(constants, 16), down = v128.load(constants, 32);
  for (let j = 0; j < N; j += NR) {
    let from = b + <usize> j * column;
    if (N - j >= NR && column === size) {
      for (let k = 0; k < K; k++) {
        v128.store(to, four<T>(from, mask, up, down));
        v128.store(to, four<T>(from + 4 * size, mask, up, down), 16);
        from += row;
        to += 32;
      }
    } else if (N - j >= NR && row === size) { // columns are dense: transpose eight of them
      let k = 0;
      for (; k + 4 <= K; k += 4, from += 4 * size, to += 128) {
        turn<T>(to, from, column, mask, up, down);
        turn<T>(to + 16, from + 4 * column, column, mask, up, down);
      }
      for (; k < K; k++, from += size, to += 32) {
        for (let c: usize = 0; c < 8; c++) store<f32>(to + (c << 2), one<T>(from + c * column));
      }
    } else {
      for (let k = 0; k < K; k++) {
        for (let c = 0; c < NR; c++) {
          store<f32>(to + bytes(c), j + c < N ? one<T>(from + <usize> c * column) : 0);
        }
        from += row;
        to += 32;
      }
    }
  }
}

/**
 * C = A B for the matrices of a batch. Addresses in bytes, sizes and strides in elements. B is of
 * halves if `half`. An item is a panel of MR rows of one C, or of NR columns if `wide`. Each range
 * of items packs what it needs.
 */
export function gemm(
  a: usize,
  b: usize,
  c: usize,
  M: i32,
  N: i32,
  K: i32,
  aBatch: i32,
  aRow: i32,
  aColumn: i32,
  bBatch: i32,
  bRow: i32,
  bColumn: i32,
  half: i32,
  wide: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const size = wide ? N : M, step = wide ? NR : MR, panels = (size + step - 1) / step;
  while (from < to) {
    const matrix = from / panels, first = from % panels, count = min(panels - first, to - from);
    const start = first * step, end = min(start + count * step, size);
    const A = a + bytes(matrix * aBatch), B = b + (<usize> (matrix * bBatch) << (half ? 1 : 2));
    const C = c + bytes(matrix * M * N);
    const m = wide ? 0 : start, mEnd = wide ? M : end;
    const n = wide ? start : 0, nEnd = wide ? end : N;
    multiply(A, B, C, m, mEnd, n, nEnd, N, K, aRow, aColumn, bRow, bColumn, half, scratch);
    from += count;
  }
}

/** Rows mFrom .. mTo and columns nFrom .. nTo of one C with N columns. */
function multiply(
  a: usize,
  b: usize,
  c: usize,
  mFrom: i32,
  mTo: i32,
  nFrom: i32,
  nTo: i32,
  N: i32,
  K: i32,
  aRow: i32,
  aColumn: i32,
  bRow: i32,
  bColumn: i32,
  half: i32,
  scratch: usize,
): void {
  const packedB = scratch;
  const packedA = packedB + KC * NC * 4;
  const tile = packedA + MC * KC * 4;
  const constants = tile + MR * NR * 4;
  prepareHalves(constants);
  const ar = bytes(aRow), ac = bytes(aColumn);
  const br = <usize> bRow << (half ? 1 : 2), bc = <usize> bColumn << (half ? 1 : 2);
  const pitch = bytes(N);
  for (let n0 = nFrom; n0 < nTo; n0 += NC) {
    const nc = min(NC, nTo - n0);
    for (let k0 = 0; k0 < K; k0 += KC) {
      const kc = min(KC, K - k0);
      const block = b + <usize> k0 * br + <usize> n0 * bc;
      if (half) packB<i16>(packedB, block, nc, kc, br, bc, constants);
      else packB<f32>(packedB, block, nc, kc, br, bc, constants);
      for (let m0 = mFrom; m0 < mTo; m0 += MC) {
        const mc = min(MC, mTo - m0);
        packA(packedA, a + <usize> m0 * ar + <usize> k0 * ac, mc, kc, ar, ac);
        for (let j = 0; j < nc; j += NR) {
          const panel = packedB + <usize> j * kc * 4;
          for (let i = 0; i < mc; i += MR) {
            const at = c + <usize> (m0 + i) * pitch + bytes(n0 + j);
            const rows = packedA + <usize> i * kc * 4;
            if (mc - i >= MR && nc - j >= NR) {
              micro(kc, rows, panel, at, pitch, k0 > 0);
            } else {
              micro(kc, rows, panel, tile, NR * 4, false);
              edge(tile, at, min(MR, mc - i), min(NR, nc - j), pitch, k0 > 0);
            }
          }
        }
      }
    }
  }
}

/** Copies the part of a micro-tile that is inside C. */
function edge(tile: usize, c: usize, rows: i32, columns: i32, pitch: usize, add: bool): void {
  for (let r = 0; r < rows; r++) {
    for (let q = 0; q < columns; q++) {
      const at = c + <usize> r * pitch + bytes(q);
      const value = load<f32>(tile + bytes(r * NR + q));
      store<f32>(at, add ? load<f32>(at) + value : value);
    }
  }
}
