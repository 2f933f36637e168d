// What the attention kernels share: eight rows of one head, side by side in two vectors, against
// any number of rows of the other side (queries against keys, or keys against queries). So scores,
// their exponentials and the sums of these are vertical operations. The other side is read in
// place, in blocks of BLOCK rows. Two products do nearly all of the work:
//
//   dots   out[j][lane] = rows_j . x_lane              (rows, 8) = (rows, D) (D, 8)
//   mix    sums[lane][d] += sum_j w[j][lane] rows_jd   (8, D) = (8, rows) (rows, D)
//
// D is a multiple of 4, at most MAX_D. Sizes are in elements, addresses and pitches in bytes.

import { bytes, CONSTANTS, exp4, lane, madd, MASKED, storeColumns } from "./maths";

/** Rows side by side. */
export const LANES: i32 = 8;
/** Rows of the other side at a time: a multiple of 4. */
export const BLOCK: i32 = 64;
/** MAX_HEAD_SIZE of kernels/attention.ts. */
const MAX_D: i32 = 128;

const MATRIX: usize = MAX_D * LANES * 4;
const SCORES: usize = BLOCK * LANES * 4;
const NUMBERS: usize = LANES * 4;

// The scratch memory starts with the constants of exp4.
/** Eight rows of two matrices, as [D][8]. */
export const LEFT: usize = CONSTANTS;
export const RIGHT: usize = LEFT + MATRIX;
/** Two blocks of scores [BLOCK][8]. */
export const SCORE: usize = RIGHT + MATRIX;
export const SLOPE: usize = SCORE + SCORES;
/** Two sums [8][D]. */
export const SUM: usize = SLOPE + SCORES;
export const SUM2: usize = SUM + MATRIX;
/**
 * Of the softmax of each lane: the largest score so far, the sum of e^(score - largest), a factor.
 */
export const TOP: usize = SUM2 + MATRIX;
export const TOTAL: usize = TOP + NUMBERS;
const FACTOR: usize = TOTAL + NUMBERS;
export const TILE_SCRATCH: usize = FACTOR + NUMBERS;

/** The numbers of four lanes: first, first + 1, ... */
// @ts-ignore: decorator
@inline
export function lanes(first: i32): v128 {
  return i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
}

/** Four rows, scaled, as four columns of [D][8]. */
function packFour(
  to: usize,
  r0: usize,
  r1: usize,
  r2: usize,
  r3: usize,
  D: i32,
  scale: f32,
): void {
  const factor = f32x4.splat(scale);
  for (let i: usize = 0; i < bytes(D); i += 16, to += 128) {
    const a = f32x4.mul(factor, v128.load(r0 + i)), b = f32x4.mul(factor, v128.load(r1 + i));
    const c = f32x4.mul(factor, v128.load(r2 + i)), d = f32x4.mul(factor, v128.load(r3 + i));
    storeColumns(to, 32, a, b, c, d);
  }
}

/** `count` rows `pitch` apart, scaled, as [D][8]. The last row fills up the lanes. */
export function pack(to: usize, rows: usize, pitch: usize, count: i32, D: i32, scale: f32): void {
  const last = count - 1;
  for (let lane = 0; lane < LANES; lane += 4) {
    const r0 = rows + <usize> min(lane, last) * pitch;
    const r1 = rows + <usize> min(lane + 1, last) * pitch;
    const r2 = rows + <usize> min(lane + 2, last) * pitch;
    const r3 = rows + <usize> min(lane + 3, last) * pitch;
    packFour(to + bytes(lane), r0, r1, r2, r3, D, scale);
  }
}

/** Copies the first `count` rows of sums [8][D] to rows `pitch` apart. */
export function unpack(to: usize, pitch: usize, sums: usize, count: i32, D: i32): void {
  const width = bytes(D);
  for (let lane = 0; lane < count; lane++, to += pitch, sums += width) {
    memory.copy(to, sums, width);
  }
}

/**
 * out[j][lane] = rows_j . x_lane, x as [D][8]. Up to three more rows are written. In runtimes that
 * check the bounds of each load the number of loads decides, so rows are read four elements at a
 * time.
 */
export function dots(out: usize, rows: usize, pitch: usize, n: i32, x: usize, D: i32): void {
  const last = n - 1, end = x + bytes(D) * LANES;
  for (let j = 0; j < n; j += 4, out += 128) {
    let r0 = rows + <usize> j * pitch, r1 = rows + <usize> min(j + 1, last) * pitch;
    let r2 = rows + <usize> min(j + 2, last) * pitch, r3 = rows + <usize> min(j + 3, last) * pitch;
    let s00 = f32x4.splat(0), s01 = s00, s10 = s00, s11 = s00;
    let s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    for (let at = x; at < end; at += 128, r0 += 16, r1 += 16, r2 += 16, r3 += 16) {
      const y0 = v128.load(r0), y1 = v128.load(r1), y2 = v128.load(r2), y3 = v128.load(r3);
      let x0 = v128.load(at), x1 = v128.load(at, 16);
      let y = lane(y0, 0);
      s00 = madd(y, x0, s00);
      s01 = madd(y, x1, s01);
      y = lane(y1, 0);
      s10 = madd(y, x0, s10);
      s11 = madd(y, x1, s11);
      y = lane(y2, 0);
      s20 = madd(y, x0, s20);
      s21 = madd(y, x1, s21);
      y = lane(y3, 0);
      s30 = madd(y, x0, s30);
      s31 = madd(y, x1, s31);
      x0 = v128.load(at, 32);
      x1 = v128.load(at, 48);
      y = lane(y0, 1);
      s00 = madd(y, x0, s00);
      s01 = madd(y, x1, s01);
      y = lane(y1, 1);
      s10 = madd(y, x0, s10);
      s11 = madd(y, x1, s11);
      y = lane(y2, 1);
      s20 = madd(y, x0, s20);
      s21 = madd(y, x1, s21);
      y = lane(y3, 1);
      s30 = madd(y, x0, s30);
      s31 = madd(y, x1, s31);
      x0 = v128.load(at, 64);
      x1 = v128.load(at, 80);
      y = lane(y0, 2);
      s00 = madd(y, x0, s00);
      s01 = madd(y, x1, s01);
      y = lane(y1, 2);
      s10 = madd(y, x0, s10);
      s11 = madd(y, x1, s11);
      y = lane(y2, 2);
      s20 = madd(y, x0, s20);
      s21 = madd(y, x1, s21);
      y = lane(y3, 2);
      s30 = madd(y, x0, s30);
      s31 = madd(y, x1, s31);
      x0 = v128.load(at, 96);
      x1 = v128.load(at, 112);
      y = lane(y0, 3);
      s00 = madd(y, x0, s00);
      s01 = madd(y, x1, s01);
      y = lane(y1, 3);
      s10 = madd(y, x0, s10);
      s11 = madd(y, x1, s11);
      y = lane(y2, 3);
      s20 = madd(y, x0, s20);
      s21 = madd(y, x1, s21);
      y = lane(y3, 3);
      s30 = madd(y, x0, s30);
      s31 = madd(y, x1, s31);
    }
    v128.store(out, s00);
    v128.store(out, s01, 16);
    v128.store(out, s10, 32);
    v128.store(out, s11, 48);
    v128.store(out, s20, 64);
    v128.store(out, s21, 80);
    v128.store(out, s30, 96);
    v128.store(out, s31, 112);
  }
}

/** sums[lane][d] += sum_j w[j][lane] rows_jd. */
export function mix(sums: usize, w: usize, rows: usize, pitch: usize, n: i32, D: i32): void {
  const width = bytes(D), end = w + bytes(n) * LANES;
  for (let d: usize = 0; d < width; d += 16) {
    const to = sums + d;
    let s0 = v128.load(to), s1 = v128.load(to + width);
    let s2 = v128.load(to + 2 * width), s3 = v128.load(to + 3 * width);
    let s4 = v128.load(to + 4 * width), s5 = v128.load(to + 5 * width);
    let s6 = v128.load(to + 6 * width), s7 = v128.load(to + 7 * width);
    let row = rows + d;
    for (let at = w; at < end; at += 32, row += pitch) {
      const y = v128.load(row), left = v128.load(at), right = v128.load(at, 16);
      s0 = madd(lane(left, 0), y, s0);
      s1 = madd(lane(left, 1), y, s1);
      s2 = madd(lane(left, 2), y, s2);
      s3 = madd(lane(left, 3), y, s3);
      s4 = madd(lane(right, 0), y, s4);
      s5 = madd(lane(right, 1), y, s5);
      s6 = madd(lane(right, 2), y, s6);
      s7 = madd(lane(right, 3), y, s7);
    }
    v128.store(to, s0);
    v128.store(to + width, s1);
    v128.store(to + 2 * width, s2);
    v128.store(to + 3 * width, s3);
    v128.store(to + 4 * width, s4);
    v128.store(to + 5 * width, s5);
    v128.store(to + 6 * width, s6);
    v128.store(to + 7 * width, s7);
  }
}

/** sums[lane][d] = 0. */
export function clear(sums: usize, D: i32): void {
  for (const end = sums + bytes(D) * LANES; sums < end; sums += 16) {
    v128.store(sums, f32x4.splat(0));
  }
}

/** sums[lane][d] *= factors[lane]. */
function scale(sums: usize, factors: usize, D: i32): void {
  for (const end = factors + NUMBERS; factors < end; factors += 4) {
    const factor = v128.load_splat<f32>(factors);
    for (const next = sums + bytes(D); sums < next; sums += 16) {
      v128.store(sums, f32x4.mul(factor, v128.load(sums)));
    }
  }
}

/** Starts the softmax of eight rows of scores. */
export function begin(scratch: usize, D: i32): void {
  clear(scratch + SUM, D);
  for (let half: usize = 0; half < NUMBERS; half += 16) {
    v128.store(scratch + half, f32x4.splat(MASKED), TOP);
    v128.store(scratch + half, f32x4.splat(0), TOTAL);
  }
}

/**
 * Continues it (Milakov and Gimelshein, arXiv:1805.02867): turns the next n scores at SCORE into
 * weights relative to the largest score so far, and rescales the sums to that score.
 */
export function absorb(scratch: usize, n: i32, D: i32): void {
  for (let half: usize = 0; half < NUMBERS; half += 16) {
    const at = scratch + half, first = at + SCORE, end = first + bytes(n) * LANES;
    const before = v128.load(at, TOP);
    let top = before;
    for (let s = first; s < end; s += 32) top = f32x4.pmax(top, v128.load(s));
    const shrink = exp4(f32x4.sub(before, top), scratch);
    let total = f32x4.mul(v128.load(at, TOTAL), shrink);
    for (let s = first; s < end; s += 32) {
      const e = exp4(f32x4.sub(v128.load(s), top), scratch);
      total = f32x4.add(total, e);
      v128.store(s, e);
    }
    v128.store(at, top, TOP);
    v128.store(at, total, TOTAL);
    v128.store(at, shrink, FACTOR);
  }
  scale(scratch + SUM, scratch + FACTOR, D);
}

/** Ends it: divides the sums by the totals. */
export function finish(scratch: usize, D: i32): void {
  for (let half: usize = 0; half < NUMBERS; half += 16) {
    const at = scratch + half;
    v128.store(at, f32x4.div(f32x4.splat(1), v128.load(at, TOTAL)), FACTOR);
  }
  scale(scratch + SUM, scratch + FACTOR, D);
}
