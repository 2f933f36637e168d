/**
 * Intervals and tests as pure functions. They are exact, or draw counter-based random numbers with
 * a fixed seed, so the same results give the same report.
 *
 * @module
 */
import {
  bisect,
  mean as exactMean,
  quantileSorted,
  sampleStandardDeviation,
} from "simple-statistics";
import { foldIn, keyOf, threefryInto } from "../../core/random.ts";

/** A number with a 95 % interval; ends are NaN where the data do not determine them. */
export type Estimate = { readonly value: number; readonly low: number; readonly high: number };

/** The level of all intervals. */
const LEVEL = 0.95;

/** The normal quantile of {@link LEVEL}. */
const Z = 1.959963984540054;

/** Up to so many differences, all assignments of signs are tried. */
const EXACT = 12;

/** Assignments of signs that are drawn where there are too many to try all. */
const FLIPS = 10_000;

/** A smaller standard deviation of shares is rounding: the values are equal. */
const ROUNDING = 1e-12;

/** An estimate of which nothing is known. */
export const UNKNOWN: Estimate = { value: NaN, low: NaN, high: NaN };

/**
 * The percentile interval: from the 2.5 % to the 97.5 % quantile of resampled values. Resamples in
 * which the value does not exist are NaN and are left out; without any other the ends are NaN.
 */
export function percentileInterval(value: number, resampled: Iterable<number>): Estimate {
  const sorted = Float64Array.from(resampled).filter((x) => !Number.isNaN(x)).sort();
  if (sorted.length === 0 || Number.isNaN(value)) return { value, low: NaN, high: NaN };
  const tail = (1 - LEVEL) / 2;
  const given = Array.from(sorted);
  return { value, low: quantileSorted(given, tail), high: quantileSorted(given, 1 - tail) };
}

/**
 * The two-sided p value of a sign-flip test, the smallest p that so many differences can give, and
 * whether every assignment of signs was tried.
 */
export type SignFlipTest = { readonly p: number; readonly least: number; readonly exact: boolean };

/**
 * A paired permutation test. If the two sides of a pair are exchangeable, the opposite sign of its
 * difference is as likely; p is the share of assignments of signs whose sum is at least as far from
 * 0 as the observed sum. Differences of 0 have no sign and are ignored. All assignments of up to 12
 * differences are tried. Of more, 10,000 are drawn and the observed one is added, so p is never 0.
 */
export function signFlipTest(differences: Iterable<number>): SignFlipTest {
  const given = Float64Array.from(differences).filter((d) => d !== 0);
  const found = Math.abs(given.reduce((sum, d) => sum + d, 0));
  // Sums of the same numbers in another order may differ by rounding.
  const bound = found - 1e-9 * given.reduce((sum, d) => sum + Math.abs(d), 0);
  const exact = given.length <= EXACT;
  const flips = exact ? 2 ** given.length : FLIPS;
  const sums = sumsByByte(given);
  const [key0, key1] = foldIn(keyOf(0), 0xf11b);
  const words = new Uint32Array(2);
  let reached = 0;
  for (let flip = 0; flip < flips; flip++) {
    let sum = 0;
    for (let at = 0, group = 0, signs = flip; at < sums.length; at += 256, group++, signs >>>= 8) {
      if (!exact && group % 8 === 0) threefryInto(words, key0, key1, flip, group);
      if (!exact && group % 4 === 0) signs = words[(group >> 2) & 1];
      sum += sums[at + (signs & 255)];
    }
    if (Math.abs(sum) >= bound) reached++;
  }
  const p = exact ? reached / flips : (reached + 1) / (flips + 1);
  return { p, least: exact ? Math.min(1, 2 / flips) : 1 / (flips + 1), exact };
}

/** For each group of eight differences, its sum under each of the 256 assignments of signs. */
function sumsByByte(given: Float64Array): Float64Array {
  const sums = new Float64Array(Math.ceil(given.length / 8) * 256);
  for (let i = 0; i < given.length; i++) {
    const at = (i >> 3) * 256;
    for (let signs = 0; signs < 256; signs++) {
      sums[at + signs] += (signs >> (i & 7)) & 1 ? -given[i] : given[i];
    }
  }
  return sums;
}

/**
 * Student's t interval of a mean. The ends are NaN for fewer than two values, and for equal ones,
 * which do not say how far others would spread.
 */
export function meanInterval(values: readonly number[]): Estimate {
  const n = values.length;
  if (n === 0) return UNKNOWN;
  const value = exactMean([...values]);
  const deviation = n === 1 ? 0 : sampleStandardDeviation([...values]);
  if (deviation < ROUNDING) return { value, low: NaN, high: NaN };
  const reach = studentQuantile(n - 1) * deviation / Math.sqrt(n);
  return { value, low: value - reach, high: value + reach };
}

/** The 97.5 % quantile of Student's t with an integer number of degrees of freedom. */
export function studentQuantile(freedom: number): number {
  const p = LEVEL + (1 - LEVEL) / 2;
  // It is 12.7 with one degree of freedom, and smaller with more.
  return bisect((t: number) => studentProbability(t, freedom) - p, 0, 13, 100, 1e-10);
}

/**
 * P(T <= t) for t >= 0: the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun, Handbook of
 * Mathematical Functions, with theta = atan(t / sqrt(freedom)).
 */
function studentProbability(t: number, freedom: number): number {
  const theta = Math.atan(t / Math.sqrt(freedom));
  const cos = Math.cos(theta);
  const even = freedom % 2 === 0;
  // Odd: cos + 2/3 cos^3 + 2/3 4/5 cos^5 ...; even: 1 + 1/2 cos^2 + 1/2 3/4 cos^4 ...
  let term = even ? 1 : cos;
  let sum = freedom === 1 ? 0 : term;
  for (let k = even ? 2 : 3; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cos * cos;
    sum += term;
  }
  const within = even
    ? Math.sin(theta) * sum
    : (2 / Math.PI) * (theta + (freedom === 1 ? 0 : Math.sin(theta) * sum));
  return (1 + within) / 2;
}

/** Wilson's interval of a share of `n`, which may be a mean count; NaN if n is 0. */
export function shareInterval(share: number, n: number): Estimate {
  if (!(n > 0)) return UNKNOWN;
  const middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n);
  const reach = (Z / (1 + Z * Z / n)) * Math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n));
  return { value: share, low: Math.max(0, middle - reach), high: Math.min(1, middle + reach) };
}

/** Whether an interval excludes 0. */
export function excludesZero({ low, high }: Estimate): boolean {
  return low > 0 || high < 0;
}

/** The sum of some numbers. */
export function sum(given: readonly number[]): number {
  return given.reduce((total, x) => total + x, 0);
}

/** The mean of some numbers; NaN of none. */
export function mean(given: readonly number[]): number {
  return sum(given) / given.length;
}
