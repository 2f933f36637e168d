/**
 * The outcomes of runs as values by case, for the bootstrap.
 *
 * @module
 */
import type { BeamOutcome } from "../compare/run_result.ts";
import { shownSteps } from "../table.ts";
import { type CaseValues, type Population, type SeedValues, usersIn } from "./resampling.ts";
import { sum } from "./statistics.ts";

/** A metric of lists of k items. `gain` is what a target at a rank below k, from 0, is worth. */
export type Metric = {
  readonly name: string;
  readonly k: number;
  gain(rank: number): number;
};

/** The metrics of a report. */
export const METRICS: readonly Metric[] = [5, 10].flatMap((k): Metric[] => [
  { name: `HR@${k}`, k, gain: () => 1 },
  { name: `NDCG@${k}`, k, gain: (rank) => 1 / Math.log2(rank + 2) },
]);

/**
 * The values of all metrics whose means are reported: {@link METRICS} of lists that are long
 * enough, the same of the exact top B, and survival after some steps.
 */
export function valuesByMetric(outcomes: readonly BeamOutcome[]): Map<string, SeedValues> {
  const [{ beam, reached }] = outcomes;
  const values = new Map<string, SeedValues>();
  for (const metric of METRICS.filter(({ k }) => k <= beam)) {
    const { name } = metric;
    values.set(name, outcomes.map(({ ranks }) => gains(ranks, metric)));
    values.set(`exact ${name}`, outcomes.map(({ exactRanks }) => gains(exactRanks, metric)));
  }
  for (const step of shownSteps(reached.length)) {
    const isHeld = (lost: number): number => Number(lost === 0 || lost > step);
    values.set(`survival@${step}`, outcomes.map(({ lostAt }) => valuesOf(lostAt, isHeld)));
  }
  return values;
}

/** What the target of each case is worth. */
export function gains(ranks: readonly number[], { k, gain }: Metric): CaseValues {
  return valuesOf(ranks, (rank) => rank >= 0 && rank < k ? gain(rank) : 0);
}

/** 1 for each target in the exact top B. */
export function inExactTop({ exactRanks }: BeamOutcome): CaseValues {
  return valuesOf(exactRanks, (rank) => Number(rank >= 0));
}

/** 1 for each target in the exact top B that the search did not return. */
export function prunedTargets({ exactRanks, ranks }: BeamOutcome): CaseValues {
  return valuesOf(exactRanks, (rank, i) => Number(rank >= 0 && ranks[i] < 0));
}

function valuesOf(given: readonly number[], value: (x: number, i: number) => number): CaseValues {
  const values = given.map(value);
  const cases = [...values.keys()].filter((i) => values[i] !== 0);
  return { cases: Int32Array.from(cases), values: Float64Array.from(cases, (i) => values[i]) };
}

/**
 * For each user, the sum over their cases of the mean over seeds of the difference to the same seed
 * of a baseline.
 */
export function meanDifferences(
  own: SeedValues,
  baseline: SeedValues,
  population: Population,
): Float64Array {
  const { userOf } = population;
  const differences = new Float64Array(usersIn(population));
  for (const [sign, series] of [[1, own], [-1, baseline]] as const) {
    for (const { cases, values } of series) {
      cases.forEach((i, n) => differences[userOf?.[i] ?? i] += (sign * values[n]) / own.length);
    }
  }
  // What cancels may leave rounding behind.
  return differences.map((d) => Math.abs(d) < 1e-12 ? 0 : d);
}

/** The outcomes of some runs as one: counts added up, users one run after the other. */
export function pooled(outcomes: readonly BeamOutcome[]): BeamOutcome {
  const [{ beam }] = outcomes;
  const counts = outcomes.map(({ ranks: _, exactRanks: _e, lostAt: _l, ...rest }) => rest);
  return {
    ...added(counts),
    beam,
    ranks: outcomes.flatMap(({ ranks }) => ranks),
    exactRanks: outcomes.flatMap(({ exactRanks }) => exactRanks),
    lostAt: outcomes.flatMap(({ lostAt }) => lostAt),
  };
}

/** Adds up numbers, lists of numbers, and objects of them. */
function added<T>(parts: readonly T[]): T {
  const [first] = parts;
  if (typeof first === "number") return sum(parts as readonly unknown[] as number[]) as T;
  const keys = Object.keys(first as object) as (keyof T)[];
  const sums = keys.map((key) => [key, added(parts.map((part) => part[key]))] as const);
  return (Array.isArray(first) ? sums.map(([, one]) => one) : Object.fromEntries(sums)) as T;
}

/** The number of targets in the exact top B. */
export function inTopOf({ exactRanks }: BeamOutcome): number {
  return exactRanks.filter((rank) => rank >= 0).length;
}

/** By step, the number of targets of the exact top B that the search lost there. */
export function prunedOf({ pruned, reached }: BeamOutcome): number[] {
  return reached.map((_, t) => sum(Object.values(pruned).map((counts) => counts[t])));
}
