/**
 * The runs of a variant as values by case, for the bootstrap.
 *
 * @module
 */
import type { BeamOutcome, RunResult } from "../compare/run_result.ts";
import { shownSteps } from "../table.ts";
import { gains, inExactTop, type Metric, METRICS, prunedTargets, survivors } from "./outcomes.ts";
import type { CaseValues } from "./resampling.ts";

/** One measure of a variant: entry s is that of its s-th seed. */
export type SeedValues = readonly CaseValues[];

/** A variant's outcomes as values by case. */
export interface VariantSeries {
  /** Its name. */
  readonly name: string;
  /** By ascending seed. */
  readonly runs: readonly RunResult[];
  /** By width, of those that all runs were searched with. */
  readonly beams: ReadonlyMap<number, BeamSeries>;
}

/** Its outcomes at one width. */
export interface BeamSeries {
  /** By seed. */
  readonly outcomes: readonly BeamOutcome[];
  /** What the lists are worth, by measures that are not longer than the width. */
  readonly metrics: readonly {
    readonly metric: Metric;
    /** By beam search. */
    readonly beam: SeedValues;
    /** By the exact top B. */
    readonly exact: SeedValues;
  }[];
  /** Targets whose prefix is still held after some steps. */
  readonly survival: readonly { readonly step: number; readonly held: SeedValues }[];
  /** Targets of the exact top B that the search lost. */
  readonly pruned: SeedValues;
  /** Targets in the exact top B. */
  readonly inTop: SeedValues;
}

/** The series of a variant. */
export function variantSeries(name: string, all: readonly RunResult[]): VariantSeries {
  const runs = all.filter(({ variant }) => variant === name)
    .sort((a, b) => a.recipe.seed - b.recipe.seed);
  const beams = new Map<number, BeamSeries>();
  for (const { beam } of runs[0].test.beams) {
    const outcomes = runs.flatMap(({ test }) => test.beams.filter((o) => o.beam === beam));
    if (outcomes.length < runs.length) continue;
    beams.set(beam, {
      outcomes,
      metrics: METRICS.filter(({ k }) => k <= beam).map((metric) => ({
        metric,
        beam: outcomes.map(({ ranks }) => gains(ranks, metric)),
        exact: outcomes.map(({ exactRanks }) => gains(exactRanks, metric)),
      })),
      survival: shownSteps(outcomes[0].reached.length).map((step) => ({
        step,
        held: outcomes.map((outcome) => survivors(outcome, step)),
      })),
      pruned: outcomes.map(prunedTargets),
      inTop: outcomes.map(inExactTop),
    });
  }
  return { name, runs, beams };
}

/** All values of a variant. */
export function allValues({ beams }: VariantSeries): CaseValues[] {
  return [...beams.values()].flatMap(({ metrics, survival, pruned, inTop }) => [
    ...metrics.flatMap(({ beam, exact }) => [...beam, ...exact]),
    ...survival.flatMap(({ held }) => held),
    ...pruned,
    ...inTop,
  ]);
}
