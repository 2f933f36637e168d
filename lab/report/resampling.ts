/**
 * The bootstrap of users and seeds.
 *
 * A case is one prediction that is judged. The cases of one user are alike, so users are drawn, each
 * with all of their cases. Every run is judged on the same cases, so users and seeds are crossed, and
 * each is resampled independently: the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals
 * of Applied Statistics 1(2), 2007). All variants share the same resamples, which pairs them. With
 * one seed only users are resampled, and the interval says nothing about another training.
 *
 * @module
 */
import { foldIn, keyOf, threefryInto } from "../../core/random.ts";
import { type Estimate, percentileInterval } from "./statistics.ts";

/** Who is judged. */
export interface Population {
  /** The number of cases. */
  readonly cases: number;
  /** The user of each case, numbered from 0 without gaps. Default: every case has its own user. */
  readonly userOf?: readonly number[];
}

/** The number of users of a population. */
export function usersIn({ cases, userOf }: Population): number {
  return userOf === undefined ? cases : new Set(userOf).size;
}

/** A value for each case; cases that are not listed have 0. */
export interface CaseValues {
  /** Cases with a value, each once. */
  readonly cases: Int32Array;
  /** Their values. */
  readonly values: Float64Array;
}

/** 1 for each case. Its sums count the cases of each resample. */
export function everyCase({ cases }: Population): CaseValues {
  return {
    cases: Int32Array.from({ length: cases }, (_, i) => i),
    values: new Float64Array(cases).fill(1),
  };
}

/** Sums over the cases of one run. */
export interface Sums {
  /** Over the cases as they are. */
  readonly total: number;
  /** Over the cases of each resample of users. */
  readonly resampled: Float64Array;
}

/** Sums of runs with different seeds. Series that are compared list the same seeds in one order. */
export type SeedSums = readonly Sums[];

/** Options of {@link resampledSums}. */
export interface ResamplingOptions {
  /** The number of resamples. Default 2,000. */
  readonly resamples?: number;
  /** The seed of the random numbers. Default 0. */
  readonly seed?: number;
  /** Called with the number of resamples drawn so far and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Resamples by default. */
const RESAMPLES = 2_000;

/** Resamples between two calls of onProgress. */
const CHUNK = 50;

/** The sums of many series, all in the same resamples of the users. */
export function resampledSums(
  series: readonly CaseValues[],
  population: Population,
  { resamples = RESAMPLES, seed = 0, onProgress }: ResamplingOptions = {},
): Sums[] {
  const { cases, userOf } = population;
  const users = usersIn(population);
  const [key0, key1] = foldIn(keyOf(seed), 0);
  const words = new Uint32Array(2);
  const times = new Float64Array(users); // how often each user is drawn
  const weights = userOf === undefined ? times : new Float64Array(cases); // and each case
  const sums = series.map(() => new Float64Array(resamples));
  for (let r = 0; r < resamples; r++) {
    times.fill(0);
    for (let i = 0; i < users; i += 2) {
      threefryInto(words, key0, key1, r, i);
      times[Math.floor((words[0] * users) / 2 ** 32)]++;
      if (i + 1 < users) times[Math.floor((words[1] * users) / 2 ** 32)]++;
    }
    userOf?.forEach((user, i) => weights[i] = times[user]);
    for (let s = 0; s < series.length; s++) sums[s][r] = weighted(series[s], weights);
    if ((r + 1) % CHUNK === 0 || r + 1 === resamples) onProgress?.(r + 1, resamples);
  }
  return series.map(({ values }, s) => ({
    total: values.reduce((sum, x) => sum + x, 0),
    resampled: sums[s],
  }));
}

function weighted({ cases, values }: CaseValues, weights: Float64Array): number {
  let sum = 0;
  for (let n = 0; n < cases.length; n++) sum += weights[cases[n]] * values[n];
  return sum;
}

/** How often resample r draws each of `seeds` seeds: entry r * seeds + s. */
function seedTimes(seeds: number, resamples: number): Float64Array {
  const times = new Float64Array(resamples * seeds);
  if (seeds === 1) return times.fill(1);
  const [key0, key1] = foldIn(keyOf(0), 1);
  const words = new Uint32Array(2);
  for (let r = 0; r < resamples; r++) {
    for (let s = 0; s < seeds; s++) {
      threefryInto(words, key0, key1, r, s);
      times[r * seeds + Math.floor((words[0] * seeds) / 2 ** 32)]++;
    }
  }
  return times;
}

/** Sums over seeds of sums over cases. */
function overSeeds(sums: SeedSums, seeds: "resampled" | "kept"): Sums {
  const resamples = sums[0].resampled.length;
  const times = seeds === "kept" ? undefined : seedTimes(sums.length, resamples);
  const resampled = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    sums.forEach((sum, s) => {
      resampled[r] += (times?.[r * sums.length + s] ?? 1) * sum.resampled[r];
    });
  }
  return { total: sums.reduce((sum, { total }) => sum + total, 0), resampled };
}

/** A mean over cases and seeds; `every` are the sums of {@link everyCase}. */
export function meanEstimate(sums: SeedSums, every: Sums): Estimate {
  const { total, resampled } = overSeeds(sums, "resampled");
  const n = sums.length;
  return percentileInterval(
    total / (n * every.total),
    resampled.map((sum, r) => sum / (n * every.resampled[r])),
  );
}

/**
 * The difference of two means over cases and the same seeds. With `seeds` "kept" only users are
 * resampled, and the interval holds for these trained models. `every` are the sums of
 * {@link everyCase}.
 */
export function differenceEstimate(
  sums: SeedSums,
  baseline: SeedSums,
  every: Sums,
  seeds: "resampled" | "kept" = "resampled",
): Estimate {
  const [a, b] = [overSeeds(sums, seeds), overSeeds(baseline, seeds)];
  const n = sums.length;
  return percentileInterval(
    (a.total - b.total) / (n * every.total),
    a.resampled.map((sum, r) => (sum - b.resampled[r]) / (n * every.resampled[r])),
  );
}

/** The sums of a rate: the sum of the parts divided by the sum of the wholes. */
export interface RateSums {
  /** What is counted. */
  readonly parts: SeedSums;
  /** What it is a share of. */
  readonly wholes: SeedSums;
}

function rates({ parts, wholes }: RateSums): Sums {
  const [part, whole] = [overSeeds(parts, "resampled"), overSeeds(wholes, "resampled")];
  const ratio = (x: number, of: number): number => of === 0 ? NaN : x / of;
  return {
    total: ratio(part.total, whole.total),
    resampled: part.resampled.map((sum, r) => ratio(sum, whole.resampled[r])),
  };
}

/** A rate over users and seeds; NaN if the sum of the wholes is 0. */
export function rateEstimate(sums: RateSums): Estimate {
  const { total, resampled } = rates(sums);
  return percentileInterval(total, resampled);
}

/** The difference of two rates over users and the same seeds. */
export function rateDifference(sums: RateSums, baseline: RateSums): Estimate {
  const [a, b] = [rates(sums), rates(baseline)];
  return percentileInterval(
    a.total - b.total,
    a.resampled.map((rate, r) => rate - b.resampled[r]),
  );
}
