/**
 * The bootstrap of users and seeds.
 *
 * A case is one prediction that is judged. The cases of one user are alike, so users are drawn,
 * each with all of their cases. Every run is judged on the same cases, so users and seeds are
 * crossed, and each is resampled independently: the pigeonhole bootstrap (Owen, "The pigeonhole
 * bootstrap", Annals of Applied Statistics 1(2), 2007). All variants share the same resamples,
 * which pairs them. With one seed only users are resampled, and the interval says nothing about
 * another training.
 *
 * @module
 */
import { foldIn, type Key, keyOf, threefryInto } from "../../core/random.ts";
import { type Estimate, percentileInterval } from "./statistics.ts";

/**
 * Who is judged: the number of cases, and the user of each, numbered from 0 without gaps. Default:
 * every case has its own user.
 */
export type Population = { readonly cases: number; readonly userOf?: readonly number[] };

/** The number of users of a population. */
export function usersIn({ cases, userOf }: Population): number {
  return userOf === undefined ? cases : new Set(userOf).size;
}

/** The values of some cases of one run; those that are not listed have 0. */
export type CaseValues = { readonly cases: Int32Array; readonly values: Float64Array };

/** The values of runs with different seeds. What is compared lists the seeds in one order. */
export type SeedValues = readonly CaseValues[];

/** What is counted over cases and seeds, and what it is a share of. */
export type Rate = { readonly parts: SeedValues; readonly wholes: SeedValues };

/** 1 for each case. Its sums count the cases of each resample. */
export function everyCase({ cases }: Population): CaseValues {
  return {
    cases: Int32Array.from({ length: cases }, (_, i) => i),
    values: new Float64Array(cases).fill(1),
  };
}

/** Sums over the cases as they are, and over those of each resample. */
export type Sums = { readonly total: number; readonly resampled: Float64Array };

/** Options of {@link resampledSums}. */
export type ResamplingOptions = {
  /** The number of resamples. Default 2,000. */
  readonly resamples?: number;
  /** The seed of the random numbers. Default 0. */
  readonly seed?: number;
  /** Called with the number of resamples drawn so far and the total. */
  readonly onProgress?: (done: number, total: number) => void;
};

/** Resamples between two calls of onProgress. */
const CHUNK = 50;

/** The sums of many series, all in the same resamples of the users. */
export function resampledSums(
  series: readonly CaseValues[],
  population: Population,
  { resamples = 2_000, seed = 0, onProgress }: ResamplingOptions = {},
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

/** Estimates from series of values by case, all in the same resamples. */
export class Bootstrap {
  readonly #every: Sums;
  readonly #sums: ReadonlyMap<CaseValues, Sums>;
  readonly #seedKey: Key;
  readonly #seedTimes = new Map<number, Float64Array>();

  /** Draws the resamples. Estimates are of these series only. */
  constructor(
    series: readonly CaseValues[],
    population: Population,
    options: ResamplingOptions = {},
  ) {
    const [every, ...sums] = resampledSums([everyCase(population), ...series], population, options);
    this.#seedKey = foldIn(keyOf(options.seed ?? 0), 1);
    this.#every = every;
    this.#sums = new Map(sums.map((one, i) => [series[i], one]));
  }

  /** The difference of the means of each seed. */
  seedDifferences(own: SeedValues, other: SeedValues): number[] {
    return own.map((one, s) =>
      (this.#sumsOf(one).total - this.#sumsOf(other[s]).total) / this.#every.total
    );
  }

  /** A mean over cases and seeds. */
  mean(values: SeedValues): Estimate {
    const n = values.length;
    return estimate((sum, every) => sum / (n * every), this.#overSeeds(values), this.#every);
  }

  /**
   * The difference of two means over cases and the same seeds. With `seeds` "kept" only users are
   * resampled, and the interval holds for these trained models.
   */
  difference(
    own: SeedValues,
    other: SeedValues,
    seeds: "resampled" | "kept" = "resampled",
  ): Estimate {
    const n = own.length;
    const [a, b] = [this.#overSeeds(own, seeds), this.#overSeeds(other, seeds)];
    return estimate((a, b, every) => (a - b) / (n * every), a, b, this.#every);
  }

  /** The sum of some parts divided by that of their wholes; NaN if that is 0. */
  rate({ parts, wholes }: Rate): Estimate {
    return estimate((part, whole) => part / whole, this.#overSeeds(parts), this.#overSeeds(wholes));
  }

  /** The difference of two rates over users and the same seeds. */
  rateDifference(own: Rate, other: Rate): Estimate {
    const sums = [own.parts, own.wholes, other.parts, other.wholes].map((x) => this.#overSeeds(x));
    return estimate((a, whole, b, other) => a / whole - b / other, ...sums);
  }

  #sumsOf(values: CaseValues): Sums {
    return this.#sums.get(values) as Sums;
  }

  /** Sums over seeds of sums over cases. */
  #overSeeds(values: SeedValues, seeds: "resampled" | "kept" = "resampled"): Sums {
    const sums = values.map((one) => this.#sumsOf(one));
    const times = seeds === "kept" ? undefined : this.#drawSeeds(sums.length);
    const resampled = this.#every.resampled.map((_, r) => {
      let sum = 0;
      for (let s = 0; s < sums.length; s++) {
        sum += (times?.[r * sums.length + s] ?? 1) * sums[s].resampled[r];
      }
      return sum;
    });
    return { total: sums.reduce((sum, { total }) => sum + total, 0), resampled };
  }

  /** How often resample r draws each of `seeds` seeds: entry r * seeds + s. */
  #drawSeeds(seeds: number): Float64Array {
    const drawn = this.#seedTimes.get(seeds);
    if (drawn !== undefined) return drawn;
    const { length } = this.#every.resampled;
    const times = new Float64Array(length * seeds);
    const [key0, key1] = this.#seedKey;
    const words = new Uint32Array(2);
    for (let r = 0; r < length; r++) {
      for (let s = 0; s < seeds; s++) {
        threefryInto(words, key0, key1, r, s);
        times[r * seeds + Math.floor((words[0] * seeds) / 2 ** 32)]++;
      }
    }
    this.#seedTimes.set(seeds, times);
    return times;
  }
}

/** What `of` gives for some sums, with the interval of what it gives in each resample. */
function estimate(of: (...sums: number[]) => number, ...sums: readonly Sums[]): Estimate {
  return percentileInterval(
    of(...sums.map(({ total }) => total)),
    sums[0].resampled.map((_, r) => of(...sums.map(({ resampled }) => resampled[r]))),
  );
}
