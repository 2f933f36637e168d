// Addresses, and functions of four float32 lanes. The module must have no data of its own: its
// memory is the device's.

/** The bytes of so many floats or integers. */
// @ts-ignore: decorator
@inline
export function bytes(elements: i32): usize {
  return <usize> elements << 2;
}

/** The score of what is absent: MASKED of kernels/masked.ts. */
export const MASKED: f32 = -1e30;

const LOG2E: f32 = 1.44269504;
/** log 2 in two parts. The first has 15 bits, so that its product with an exponent is exact. */
const LN2_HIGH: f32 = 0.693145751953125;
const LN2_LOW: f32 = 1.4286068203094172e-6;

/** Bytes at the beginning of the scratch memory that hold the constants of `exp4`. */
export const CONSTANTS: usize = 4 * 16;

/**
 * Writes the constants of `exp4`, four to a vector. V8 would build each constant again at each use,
 * which takes longer than a shuffle, and it checks the bounds of each load.
 */
export function prepare(scratch: usize): void {
  v128.store(scratch, f32x4(-88, 88.5, LOG2E, 12582912));
  v128.store(scratch, f32x4(LN2_HIGH, LN2_LOW, 1.0 / 5040, 1.0 / 720), 16);
  v128.store(scratch, f32x4(1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5), 32);
  v128.store(scratch, f32x4.splat(1), 48);
}

/** Lane k of x in all lanes. */
// @ts-ignore: decorator
@inline
export function lane(x: v128, k: i32): v128 {
  if (k === 0) return v128.shuffle<f32>(x, x, 0, 0, 0, 0);
  if (k === 1) return v128.shuffle<f32>(x, x, 1, 1, 1, 1);
  if (k === 2) return v128.shuffle<f32>(x, x, 2, 2, 2, 2);
  return v128.shuffle<f32>(x, x, 3, 3, 3, 3);
}

/** Bytes of scratch memory for the constants of `four`. */
export const HALF_CONSTANTS: usize = 3 * 16;

/** Writes the constants of `four`, for the reason given at `prepare`. */
export function prepareHalves(scratch: usize): void {
  v128.store(scratch, i32x4.splat(0x8fffe000)); // the bits that are left of a half
  v128.store(scratch, i32x4.splat(0x77800000), 16); // 2^112
  v128.store(scratch, i32x4.splat(0x07800000), 32); // 2^-112
}

/**
 * Four numbers side by side: floats if T is f32, halves if it is i16. The three vectors are the
 * constants from `prepareHalves`.
 *
 * The bits of a half, read as those of a float, have an exponent that is 112 too small. Two steps
 * up by 2^112 and one back make infinity overflow as it should. NaN becomes infinity as well.
 */
// @ts-ignore: decorator
@inline
export function four<T>(at: usize, mask: v128, up: v128, down: v128): v128 {
  if (sizeof<T>() !== 2) return v128.load(at);
  const tiny = v128.and(i32x4.shl(v128.load_ext<i16>(at), 13), mask);
  return f32x4.mul(f32x4.mul(f32x4.mul(tiny, up), up), down);
}

/** One such number. */
// @ts-ignore: decorator
@inline
export function one<T>(at: usize): f32 {
  if (sizeof<T>() !== 2) return load<f32>(at);
  const up = reinterpret<f32>(0x77800000), down = reinterpret<f32>(0x07800000);
  return reinterpret<f32>((<i32> load<i16>(at) << 13) & 0x8fffe000) * up * up * down;
}

/** a b + c, rounded once if the features allow it. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a b, rounded once if the features allow it. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

/** x . y over `width` bytes, a multiple of 16. */
// @ts-ignore: decorator
@inline
export function dot(x: usize, y: usize, width: usize): f32 {
  let sum = f32x4.splat(0);
  for (let d: usize = 0; d < width; d += 16) sum = madd(v128.load(x + d), v128.load(y + d), sum);
  return sumLanes(sum);
}

/** Stores the columns of four rows, `pitch` bytes apart. */
// @ts-ignore: decorator
@inline
export function storeColumns(to: usize, pitch: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  v128.store(to + pitch, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
  v128.store(to + 2 * pitch, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5));
  v128.store(to + 3 * pitch, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7));
}

/** Stores eight vectors side by side. */
// @ts-ignore: decorator
@inline
export function storeEight(
  to: usize,
  s0: v128,
  s1: v128,
  s2: v128,
  s3: v128,
  s4: v128,
  s5: v128,
  s6: v128,
  s7: v128,
): void {
  v128.store(to, s0);
  v128.store(to, s1, 16);
  v128.store(to, s2, 32);
  v128.store(to, s3, 48);
  v128.store(to, s4, 64);
  v128.store(to, s5, 80);
  v128.store(to, s6, 96);
  v128.store(to, s7, 112);
}

/** The largest lane. */
// @ts-ignore: decorator
@inline
export function maxLanes(x: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max<f32>(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  );
}

/** The sum of the lanes. */
// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  return (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)) +
    (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

/**
 * e^x within 2e-7 relative; 0 below -87.7, infinity above 88.3. With x = n log 2 + r and
 * |r| <= log(2) / 2:
 *
 *   e^x = 2^n e^r
 *   e^r = 1 + r (1 + r (1/2 + r (1/6 + r (1/24 + r (1/120 + r (1/720 + r / 5040))))))
 *
 * Taylor's remainder is below r^8 / 8! = 5e-9. Adding 1.5 2^23 rounds to an integer and leaves it
 * in the low bits, from where a shift moves it to the exponent: n = -127 gives 0 and n = 128
 * infinity. NaN stays.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128, scratch: usize): v128 {
  const range = v128.load(scratch), high = v128.load(scratch, 16);
  const low = v128.load(scratch, 32), one = v128.load(scratch, 48);
  const shift = lane(range, 3);
  x = f32x4.pmin(f32x4.pmax(x, lane(range, 0)), lane(range, 1));
  const shifted = madd(x, lane(range, 2), shift);
  const n = f32x4.sub(shifted, shift);
  const r = nmadd(n, lane(high, 1), nmadd(n, lane(high, 0), x));
  let e = madd(r, lane(high, 2), lane(high, 3));
  e = madd(r, e, lane(low, 0));
  e = madd(r, e, lane(low, 1));
  e = madd(r, e, lane(low, 2));
  e = madd(r, e, lane(low, 3));
  e = madd(r, e, one);
  e = madd(r, e, one);
  return f32x4.mul(e, i32x4.add(i32x4.shl(shifted, 23), one));
}

/** 1 / (1 + e^-x); e^-|x| cannot overflow. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128, scratch: usize): v128 {
  const one = v128.load(scratch, 48);
  const e = exp4(f32x4.neg(f32x4.abs(x)), scratch);
  const top = v128.bitselect(one, e, f32x4.ge(x, f32x4.splat(0)));
  return f32x4.div(top, f32x4.add(one, e));
}

/**
 * log x for normal x, within 1e-7 max(1, |log x|). With x = m 2^k, m in [sqrt(1/2), sqrt 2) and
 * s = (m - 1) / (m + 1):
 *
 *   log x = k log 2 + 2 atanh s
 *   atanh s = s (1 + s^2 (1/3 + s^2 (1/5 + s^2 (1/7 + s^2 (1/9 + ...)))))
 *
 * The terms left out are below s^10 / 11 = 2e-9 of the whole. NaN stays.
 */
// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  const one = f32x4.splat(1);
  const k = i32x4.shr_s(i32x4.sub(x, i32x4.splat(0x3f3504f3)), 23);
  const m = i32x4.sub(x, i32x4.shl(k, 23));
  const s = f32x4.div(f32x4.sub(m, one), f32x4.add(m, one));
  const square = f32x4.mul(s, s);
  let tail = madd(square, f32x4.splat(1.0 / 9), f32x4.splat(1.0 / 7));
  tail = madd(square, tail, f32x4.splat(1.0 / 5));
  tail = madd(square, tail, f32x4.splat(1.0 / 3));
  const twice = f32x4.add(s, s);
  const e = f32x4.convert_i32x4_s(k);
  const low = madd(e, f32x4.splat(LN2_LOW), madd(twice, f32x4.mul(square, tail), twice));
  return f32x4.add(madd(e, f32x4.splat(LN2_HIGH), low), f32x4.sub(x, x));
}
