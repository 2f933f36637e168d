/**
 * How many of the intervals of a difference hold the truth, in simulated comparisons.
 * `deno run tests/lab/report_coverage.ts` prints the table of docs/lab.md.
 */
// deno-lint-ignore-file no-console -- prints its table
import { foldIn, type Key, keyOf, normal } from "../../core/random.ts";
import { Bootstrap, type CaseValues } from "../../lab/report/resampling.ts";
import { excludesZero, meanInterval } from "../../lab/report/statistics.ts";

/** A simulation. */
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
 * Two variants that are equally good on average. The worth of both to a user is normal with
 * deviation 1, and that of the second differs with deviation .5. Each seed of each variant has its
 * own luck, with deviation `spread`, and each user under each seed has noise with deviation 1.
 */
export function coverage({ users, seeds, spread, runs }: SimulationOptions): Coverage {
  const held = { both: 0, users: 0, seeds: 0 };
  for (let run = 0; run < runs; run++) {
    const key = foldIn(foldIn(keyOf(7), run), seeds);
    const people = normal(foldIn(key, 1), users);
    const taste = normal(foldIn(key, 2), users);
    const variant = (number: number): CaseValues[] => {
      const worth = (u: number): number => people[u] + number * taste[u] / 2;
      return trained(foldIn(key, 10 + number), seeds, spread, worth, users);
    };
    const [a, b] = [variant(0), variant(1)];
    const bootstrap = new Bootstrap([...a, ...b], { cases: users }, { resamples: 400, seed: run });
    if (!excludesZero(bootstrap.difference(b, a))) held.both++;
    if (!excludesZero(bootstrap.difference(b, a, "kept"))) held.users++;
    if (!excludesZero(meanInterval(bootstrap.seedDifferences(b, a)))) held.seeds++;
  }
  return { both: held.both / runs, users: held.users / runs, seeds: held.seeds / runs };
}

/** The values of each user under each seed. */
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
