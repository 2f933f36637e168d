/**
 * The numbers of a report: every variant of a comparison, judged at every width, beside a baseline variant.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { BaselineResults, BeamOutcome, RunResult } from "../compare/run_result.ts";
import { type MissingSeeds, missingSeeds } from "./comparable.ts";
import {
  gains,
  inExactTop,
  meanDifferences,
  type Metric,
  METRICS,
  prunedTargets,
} from "./outcomes.ts";
import {
  differenceEstimate,
  meanEstimate,
  rateDifference,
  rateEstimate,
  type RateSums,
  resampledSums,
  type ResamplingOptions,
  type SeedSums,
  type Sums,
  type UserValues,
} from "./resampling.ts";
import { type Estimate, meanInterval, type SignFlipTest, signFlipTest } from "./statistics.ts";
import { type StepCounts, stepCounts } from "./step_counts.ts";
import { orderedVariants } from "./variants.ts";

/** A comparison in numbers. */
export interface Comparison {
  /** Every variant, the baseline first. */
  readonly variants: readonly Variant[];
  /** The variant that the others are compared with. */
  readonly baseline: Variant;
  /** Every width, ascending. */
  readonly beams: readonly number[];
  /** The width that summaries speak of: that which most losses aim at, if it was searched with, else the widest. */
  readonly mainBeam: number;
  /** Users that were judged. */
  readonly users: number;
  /** What needs no training. */
  readonly baselines: readonly Reference[];
  /** Seeds that variants lack. */
  readonly missing: readonly MissingSeeds[];
}

/** A ranking that needs no training. */
export interface Reference {
  /** Its name. */
  readonly name: string;
  /** By the name of the metric. */
  readonly metrics: ReadonlyMap<string, Estimate>;
}

/** The runs of one variant. */
export interface Variant {
  /** Its name. */
  readonly name: string;
  /** By ascending seed. */
  readonly runs: readonly RunResult[];
  /** By width, of those that all of its runs were searched with. */
  readonly beams: ReadonlyMap<number, BeamReport>;
}

/** What a variant does at one width. */
export interface BeamReport {
  /** The width B. */
  readonly beam: number;
  /** By the name of the metric; those whose lists are longer than B are not there. */
  readonly metrics: ReadonlyMap<string, MetricReport>;
  /** Pruned targets by targets in the exact top B. */
  readonly pruningRate: Estimate;
  /** The pruning rate less that of the baseline. */
  readonly pruningDifference?: Estimate;
  /** Counts by step, of all runs. */
  readonly steps: StepCounts;
  /** The outcomes, by seed. */
  readonly outcomes: readonly BeamOutcome[];
}

/** What a variant reaches in one metric. */
export interface MetricReport {
  /** By beam search. */
  readonly value: Estimate;
  /** By the exact top B. */
  readonly exact: Estimate;
  /** The value less that of the baseline. */
  readonly difference?: Difference;
  /** The value less that of each ranking that needs no training, in their order: paired, over users and seeds. */
  readonly overReferences: readonly Estimate[];
}

/** A paired difference. */
export interface Difference {
  /** Over users and seeds. */
  readonly both: Estimate;
  /** Over users alone: for these trained models. */
  readonly users: Estimate;
  /** The test over users. */
  readonly userTest: SignFlipTest;
  /** Over seeds, by Student's t: for these users. */
  readonly seeds: Estimate;
  /** The test over seeds. */
  readonly seedTest: SignFlipTest;
  /** Seeds that both were trained with. */
  readonly common: readonly number[];
}

/** What {@link compareRuns} is told. */
export interface CompareOptions extends ResamplingOptions {
  /** The name of the baseline variant; "sft" if it is there, else the first, unless told. */
  readonly baseline?: string;
}

/**
 * All numbers of a report. Runs must be comparable.
 *
 * @throws {ArgumentError} if there is no variant with the baseline's name.
 */
export function compareRuns(
  runs: readonly RunResult[],
  baselines: BaselineResults | undefined,
  options: CompareOptions = {},
): Comparison {
  const names = orderedVariants(runs, options.baseline);
  if (options.baseline !== undefined && names[0] !== options.baseline) {
    throw new ArgumentError(
      `Cannot compare with ${options.baseline}: the baseline must be one of ${
        names.join(", ")
      }, got ${options.baseline}`,
    );
  }
  const { users } = runs[0].test;
  const all = names.map((name): VariantSeries => {
    const own = runs.filter(({ variant }) => variant === name)
      .sort((a, b) => a.recipe.seed - b.recipe.seed);
    return { name, runs: own, beams: seriesByBeam(own) };
  });
  const given = baselines?.baselines ?? [];
  const references = given.flatMap(({ ranks }) => METRICS.map((metric) => gains(ranks, metric)));
  const flat = [
    ...all.flatMap(({ beams }) => [...beams.values()].flatMap(({ series }) => series.flat())),
    ...references,
  ];
  const sums = new Map(resampledSums(flat, users, options).map((sum, i) => [flat[i], sum]));
  const sumOf = (values: UserValues): Sums => sums.get(values) as Sums;
  const referencesOf = (metric: Metric): Sums[] =>
    given.map((_, n) => sumOf(references[n * METRICS.length + METRICS.indexOf(metric)]));
  const variants = all.map((variant) => variantOf(variant, all[0], users, { sumOf, referencesOf }));
  return {
    variants,
    baseline: variants[0],
    beams: widths(variants),
    mainBeam: mainBeam(runs, widths(variants)),
    users,
    baselines: given.map(({ name }, n) => ({
      name,
      metrics: new Map(METRICS.map(({ name }, m) => [
        name,
        meanEstimate([sumOf(references[n * METRICS.length + m])], users),
      ])),
    })),
    missing: missingSeeds(runs),
  };
}

/** A variant's outcomes as values by user. */
interface VariantSeries {
  readonly name: string;
  readonly runs: readonly RunResult[];
  readonly beams: ReadonlyMap<number, BeamSeries>;
}

/** Entry [i][s] is column i for seed s: for each metric the beam's gains and the exact ones, then the pruned and what they are of. */
interface BeamSeries {
  readonly outcomes: readonly BeamOutcome[];
  readonly metrics: readonly Metric[];
  readonly series: readonly (readonly UserValues[])[];
}

function seriesByBeam(runs: readonly RunResult[]): Map<number, BeamSeries> {
  const beams = new Map<number, BeamSeries>();
  for (const { beam } of runs[0].test.beams) {
    const outcomes = runs.flatMap(({ test }) => test.beams.filter((o) => o.beam === beam));
    if (outcomes.length < runs.length) continue;
    const metrics = METRICS.filter(({ k }) => k <= beam);
    const series = [
      ...metrics.flatMap((metric) => [
        outcomes.map(({ ranks }) => gains(ranks, metric)),
        outcomes.map(({ exactRanks }) => gains(exactRanks, metric)),
      ]),
      outcomes.map(prunedTargets),
      outcomes.map(inExactTop),
    ];
    beams.set(beam, { outcomes, metrics, series });
  }
  return beams;
}

function variantOf(
  { name, runs, beams }: VariantSeries,
  baseline: VariantSeries,
  users: number,
  { sumOf, referencesOf }: {
    readonly sumOf: (values: UserValues) => Sums;
    readonly referencesOf: (metric: Metric) => readonly Sums[];
  },
): Variant {
  const isBaseline = name === baseline.name;
  const common = commonSeeds(runs, baseline.runs);
  const own = indicesOf(runs, common);
  const theirs = indicesOf(baseline.runs, common);
  const reports = [...beams].map(([beam, { outcomes, metrics, series }]): [number, BeamReport] => {
    const sums = series.map((column): SeedSums => column.map(sumOf));
    const other = isBaseline || common.length === 0 ? undefined : baseline.beams.get(beam);
    const [parts, wholes] = sums.slice(-2);
    const rate = { parts, wholes };
    const difference = (column: number): Difference | undefined =>
      other === undefined ? undefined : {
        ...differenceOf(
          own.map((s) => series[column][s]),
          theirs.map((s) => other.series[column][s]),
          users,
          sumOf,
        ),
        common,
      };
    return [beam, {
      beam,
      metrics: new Map(metrics.map((metric, m) => [metric.name, {
        value: meanEstimate(sums[2 * m], users),
        exact: meanEstimate(sums[2 * m + 1], users),
        difference: difference(2 * m),
        overReferences: referencesOf(metric).map((reference) =>
          differenceEstimate(sums[2 * m], sums[2 * m].map(() => reference), users)
        ),
      }])),
      pruningRate: rateEstimate(rate),
      pruningDifference: other && rateDifference(
        picked(rate, own),
        picked(
          { parts: other.series.at(-2)!.map(sumOf), wholes: other.series.at(-1)!.map(sumOf) },
          theirs,
        ),
      ),
      steps: stepCounts(outcomes),
      outcomes,
    }];
  });
  return { name, runs, beams: new Map(reports) };
}

function picked({ parts, wholes }: RateSums, seeds: readonly number[]): RateSums {
  return { parts: seeds.map((s) => parts[s]), wholes: seeds.map((s) => wholes[s]) };
}

function differenceOf(
  own: readonly UserValues[],
  baseline: readonly UserValues[],
  users: number,
  sumOf: (values: UserValues) => Sums,
): Omit<Difference, "common"> {
  const [a, b] = [own.map(sumOf), baseline.map(sumOf)];
  const bySeed = a.map(({ total }, s) => (total - b[s].total) / users);
  return {
    both: differenceEstimate(a, b, users),
    users: differenceEstimate(a, b, users, "kept"),
    userTest: signFlipTest(meanDifferences(own, baseline, users)),
    seeds: meanInterval(bySeed),
    seedTest: signFlipTest(bySeed),
  };
}

function commonSeeds(runs: readonly RunResult[], others: readonly RunResult[]): number[] {
  const seeds = new Set(others.map(({ recipe }) => recipe.seed));
  return runs.map(({ recipe }) => recipe.seed).filter((seed) => seeds.has(seed));
}

function indicesOf(runs: readonly RunResult[], seeds: readonly number[]): number[] {
  return seeds.map((seed) => runs.findIndex(({ recipe }) => recipe.seed === seed));
}

function widths(variants: readonly Variant[]): number[] {
  return [...new Set(variants.flatMap(({ beams }) => [...beams.keys()]))].sort((a, b) => a - b);
}

function mainBeam(runs: readonly RunResult[], beams: readonly number[]): number {
  const votes = beams.map((beam) => runs.filter(({ recipe }) => recipe.beam === beam).length);
  const most = Math.max(...votes);
  return most > 0 ? beams[votes.indexOf(most)] : beams[beams.length - 1];
}
