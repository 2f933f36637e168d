/**
 * A run's outcomes as values by case, for the bootstrap.
 *
 * @module
 */
import type { BeamOutcome } from "../compare/run_result.ts";
import { type CaseValues, type Population, usersIn } from "./resampling.ts";

/** A measure of ranked lists. */
export interface Metric {
  /** Its name. */
  readonly name: string;
  /** List length. */
  readonly k: number;
  /** What a target at a rank below k, from 0, is worth. */
  gain(rank: number): number;
}

/** The measures of a report. */
export const METRICS: readonly Metric[] = [5, 10].flatMap((k): Metric[] => [
  { name: `HR@${k}`, k, gain: () => 1 },
  { name: `NDCG@${k}`, k, gain: (rank) => 1 / Math.log2(rank + 2) },
]);

/** The measure that models are chosen by and summaries speak of. */
export const MAIN_METRIC = "NDCG@10";

/** What each case's target is worth. */
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

/** 1 for each target whose prefix the beam still holds after a step, from 1. */
export function survivors({ lostAt }: BeamOutcome, step: number): CaseValues {
  return valuesOf(lostAt, (lost) => Number(lost === 0 || lost > step));
}

function valuesOf(
  given: readonly number[],
  value: (x: number, i: number) => number,
): CaseValues {
  const cases: number[] = [];
  const values: number[] = [];
  given.forEach((x, i) => {
    const worth = value(x, i);
    if (worth === 0) return;
    cases.push(i);
    values.push(worth);
  });
  return { cases: Int32Array.from(cases), values: Float64Array.from(values) };
}

/** For each user the sum over cases of the mean over seeds of the differences to the same seeds of a baseline. */
export function meanDifferences(
  own: readonly CaseValues[],
  baseline: readonly CaseValues[],
  population: Population,
): Float64Array {
  const { userOf } = population;
  const differences = new Float64Array(usersIn(population));
  const add = (series: readonly CaseValues[], sign: number): void => {
    for (const { cases, values } of series) {
      cases.forEach((i, n) => differences[userOf?.[i] ?? i] += (sign * values[n]) / own.length);
    }
  };
  add(own, 1);
  add(baseline, -1);
  // What cancels may leave rounding behind.
  return differences.map((d) => Math.abs(d) < 1e-12 ? 0 : d);
}
