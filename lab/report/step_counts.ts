/**
 * What happens at each step of the search, counted over all runs of a variant.
 *
 * @module
 */
import type { BeamOutcome } from "../compare/run_result.ts";
import { survivalCurve } from "../evaluate/metrics.ts";

/** Why a target was pruned. */
export type Cause = keyof BeamOutcome["pruned"];

/** The causes, the local one first. */
export const CAUSES: readonly Cause[] = ["violation", "displacement", "length", "tie"];

/** Counts of all runs. Arrays by step have entry t - 1 for step t. */
export interface StepCounts {
  /** Targets in the exact top B. */
  readonly inTop: number;
  /** Those of them that the search lost, by step. */
  readonly pruned: readonly number[];
  /** The same by cause. */
  readonly causes: Readonly<Record<Cause, readonly number[]>>;
  /** Targets with a token there, by step. */
  readonly reached: readonly number[];
  /** Of these, the ones with a margin above 0. */
  readonly violated: readonly number[];
  /** Of these, the ones where no margin can be above 0. */
  readonly vacuous: readonly number[];
  /** The share of targets whose prefix is still held after each step. */
  readonly survival: readonly number[];
}

/** Adds up the outcomes of runs. */
export function stepCounts(outcomes: readonly BeamOutcome[]): StepCounts {
  const { length } = outcomes[0].reached;
  const total = (of: (outcome: BeamOutcome) => readonly number[]): number[] =>
    Array.from({ length }, (_, t) => outcomes.reduce((sum, o) => sum + of(o)[t], 0));
  const causes = {
    violation: total((o) => o.pruned.violation),
    displacement: total((o) => o.pruned.displacement),
    length: total((o) => o.pruned.length),
    tie: total((o) => o.pruned.tie),
  };
  return {
    inTop: outcomes.reduce((sum, o) => sum + o.exactRanks.filter((r) => r >= 0).length, 0),
    pruned: Array.from({ length }, (_, t) => CAUSES.reduce((sum, c) => sum + causes[c][t], 0)),
    causes,
    reached: total((o) => o.reached),
    violated: total((o) => o.violated),
    vacuous: total((o) => o.vacuous),
    survival: survivalCurve(outcomes.flatMap(({ lostAt }) => lostAt), length),
  };
}
