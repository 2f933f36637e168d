/**
 * How many of the intervals of a difference hold the truth, in simulated comparisons: `deno run tests/lab/report_coverage.ts`
 * prints the table of docs/lab.md.
 */
// deno-lint-ignore-file no-console -- prints its table
import { foldIn, type Key, keyOf, normal } from "../../core/random.ts";
import {
  type CaseValues,
  differenceEstimate,
  everyCase,
  resampledSums,
} from "../../lab/report/resampling.ts";
import { excludesZero, meanInterval } from "../../lab/report/statistics.ts";

/** What is simulated. */
export interface SimulationOptions {
  /** Users. */
  readonly users: number;
  /** Seeds. */
  readonly seeds: number;
  /** The standard deviation between seeds. */
  readonly spread: number;
  /** Comparisons. */
  readonly runs: number;
}

/** The shares of intervals that hold the true difference, 0. */
export interface Coverage {
  /** Over users and seeds. */
  readonly both: number;
  /** Over users alone. */
  readonly users: number;
  /** Student's t over seeds. */
  readonly seeds: number;
}

/**
 * Two variants that are equally good on average. What both are worth to a user is normal, with deviation 1; the second one's worth
 * differs with deviation .5; each seed of each has a luck of its own, with deviation `spread`; each user under each seed has noise, with deviation 1.
 */
export function coverage({ users, seeds, spread, runs }: SimulationOptions): Coverage {
  const held = { both: 0, users: 0, seeds: 0 };
  for (let run = 0; run < runs; run++) {
    const key = foldIn(foldIn(keyOf(7), run), seeds);
    const people = normal(foldIn(key, 1), users);
    const taste = normal(foldIn(key, 2), users);
    const variant = (number: number): CaseValues[] =>
      trained(
        foldIn(key, 10 + number),
        seeds,
        spread,
        (u) => people[u] + number * taste[u] / 2,
        users,
      );
    const series = [...variant(0), ...variant(1)];
    const population = { cases: users };
    const sums = resampledSums([everyCase(population), ...series], population, {
      ...{ resamples: 400, seed: run },
    });
    const [every, a, b] = [sums[0], sums.slice(1, 1 + seeds), sums.slice(1 + seeds)];
    const bySeed = a.map(({ total }, s) => (b[s].total - total) / users);
    if (!excludesZero(differenceEstimate(b, a, every))) held.both++;
    if (!excludesZero(differenceEstimate(b, a, every, "kept"))) held.users++;
    if (!excludesZero(meanInterval(bySeed))) held.seeds++;
  }
  return { both: held.both / runs, users: held.users / runs, seeds: held.seeds / runs };
}

/** What each user is worth under each seed. */
function trained(
  key: Key,
  seeds: number,
  spread: number,
  worth: (user: number) => number,
  users: number,
): CaseValues[] {
  const luck = normal(foldIn(key, 1), seeds);
  return Array.from({ length: seeds }, (_, s) => {
    const noise = normal(foldIn(key, 2 + s), users);
    return {
      cases: Int32Array.from({ length: users }, (_, u) => u),
      values: Float64Array.from(noise, (x, u) => worth(u) + spread * luck[s] + x),
    };
  });
}

if (import.meta.main) {
  for (const seeds of [3, 5]) {
    for (const spread of [0, 0.05, 0.1, 0.2]) {
      console.log(seeds, spread, coverage({ users: 200, seeds, spread, runs: 1000 }));
    }
  }
}
