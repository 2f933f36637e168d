/**
 * The numbers of a report: every variant of a comparison, judged at every width, beside a baseline variant.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { BaselineResults, BeamOutcome, RunResult } from "../compare/run_result.ts";
import { type Unreadable, unreadable } from "../evaluate/warnings.ts";
import { type MissingSeeds, missingSeeds } from "./comparable.ts";
import { gains, meanDifferences, type Metric, METRICS } from "./outcomes.ts";
import {
  type CaseValues,
  differenceEstimate,
  everyCase,
  meanEstimate,
  type Population,
  rateDifference,
  rateEstimate,
  type RateSums,
  resampledSums,
  type ResamplingOptions,
  type Sums,
  usersIn,
} from "./resampling.ts";
import { type Estimate, meanInterval, type SignFlipTest, signFlipTest } from "./statistics.ts";
import { type StepCounts, stepCounts } from "./step_counts.ts";
import {
  allValues,
  type BeamSeries,
  type SeedValues,
  type VariantSeries,
  variantSeries,
} from "./variant_series.ts";
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
  /** Cases that were judged: predictions. */
  readonly cases: number;
  /** Whose they are: as many users, or fewer with several each. */
  readonly users: number;
  /** What needs no training. */
  readonly baselines: readonly Reference[];
  /** Seeds that variants lack. */
  readonly missing: readonly MissingSeeds[];
  /** What cannot be read at the main width. */
  readonly unreadable: Unreadable;
  /** The variants whose lists headlines may compare; none where too few targets were hit. */
  readonly readable: readonly Variant[];
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
  /** Targets whose prefix is still held after some steps, of all targets. */
  readonly survival: readonly Survival[];
  /** Counts by step, of all runs. */
  readonly steps: StepCounts;
  /** The outcomes, by seed. */
  readonly outcomes: readonly BeamOutcome[];
}

/** How many targets' prefixes a beam still holds after a step. */
export interface Survival {
  /** The step, from 1. */
  readonly step: number;
  /** The share of all targets. */
  readonly value: Estimate;
  /** The share less that of the baseline. */
  readonly difference?: Estimate;
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
  const population = { cases: runs[0].test.users, userOf: baselines?.userOf };
  const all = names.map((name) => variantSeries(name, runs));
  const given = baselines?.baselines ?? [];
  const references = given.flatMap(({ ranks }) => METRICS.map((metric) => gains(ranks, metric)));
  const each = everyCase(population);
  const flat = [...all.flatMap(allValues), ...references, each];
  const sums = new Map(resampledSums(flat, population, options).map((sum, i) => [flat[i], sum]));
  const sumOf = (values: CaseValues): Sums => sums.get(values) as Sums;
  const every = sumOf(each);
  const referencesOf = (metric: Metric): Sums[] =>
    given.map((_, n) => sumOf(references[n * METRICS.length + METRICS.indexOf(metric)]));
  const variants = all.map((variant) =>
    variantOf(variant, all[0], { population, every, sumOf, referencesOf })
  );
  const main = mainBeam(runs, widths(variants));
  const needNoTraining = given.map(({ name }, n) => ({
    name,
    metrics: new Map(METRICS.map(({ name }, m) => [
      name,
      meanEstimate([sumOf(references[n * METRICS.length + m])], every),
    ])),
  }));
  const found = unreadableOf(variants, needNoTraining, main, population.cases);
  return {
    variants,
    baseline: variants[0],
    beams: widths(variants),
    mainBeam: main,
    cases: population.cases,
    users: usersIn(population),
    baselines: needNoTraining,
    missing: missingSeeds(runs),
    unreadable: found,
    readable: variants.filter(({ name }) =>
      !found.fewHits && !found.below.has(name) &&
      ![...found.improving, ...found.noCurve].includes(name)
    ),
  };
}

/** The length of the lists that are looked at first. */
export function mainLength({ mainBeam }: Pick<Comparison, "mainBeam">): number {
  return mainBeam < 10 ? 5 : 10;
}

/** What cannot be read at one width. */
function unreadableOf(
  variants: readonly Variant[],
  references: readonly Reference[],
  mainBeam: number,
  cases: number,
): Unreadable {
  const k = mainLength({ mainBeam });
  const names = [`HR@${k}`, `NDCG@${k}`];
  const models = variants.flatMap(({ name, runs, beams }) => {
    const report = beams.get(mainBeam);
    if (report === undefined) return [];
    const scores = names.map((metric) => report.metrics.get(metric)?.value.value ?? NaN);
    const inExactTop = report.steps.inTop / runs.length;
    return [{ name, scores, hits: scores[0] * cases, inExactTop, runs }];
  });
  const beside = references.map(({ name, metrics }) => ({
    name,
    scores: names.map((metric) => metrics.get(metric)?.value ?? NaN),
  }));
  return unreadable(models, beside);
}

/** What estimates are made of. */
interface Resampled {
  readonly population: Population;
  /** The sums of every case. */
  readonly every: Sums;
  readonly sumOf: (values: CaseValues) => Sums;
  readonly referencesOf: (metric: Metric) => readonly Sums[];
}

function variantOf(
  { name, runs, beams }: VariantSeries,
  baseline: VariantSeries,
  resampled: Resampled,
): Variant {
  const { every, sumOf, referencesOf } = resampled;
  const isBaseline = name === baseline.name;
  const common = commonSeeds(runs, baseline.runs);
  const own = indicesOf(runs, common);
  const theirs = indicesOf(baseline.runs, common);
  const sumsOf = (values: SeedValues, seeds: readonly number[]): Sums[] =>
    seeds.map((s) => sumOf(values[s]));
  const all = runs.map((_, s) => s);
  const rate = (series: BeamSeries, seeds: readonly number[]): RateSums => ({
    parts: sumsOf(series.pruned, seeds),
    wholes: sumsOf(series.inTop, seeds),
  });
  const reports = [...beams].map(([beam, series]): [number, BeamReport] => {
    const other = isBaseline || common.length === 0 ? undefined : baseline.beams.get(beam);
    return [beam, {
      beam,
      metrics: new Map(series.metrics.map(({ metric, beam, exact }, m) => {
        const sums = sumsOf(beam, all);
        return [metric.name, {
          value: meanEstimate(sums, every),
          exact: meanEstimate(sumsOf(exact, all), every),
          difference: other && {
            ...differenceOf(
              own.map((s) => beam[s]),
              theirs.map((s) => other.metrics[m].beam[s]),
              resampled,
            ),
            common,
          },
          overReferences: referencesOf(metric).map((reference) =>
            differenceEstimate(sums, sums.map(() => reference), every)
          ),
        }];
      })),
      pruningRate: rateEstimate(rate(series, all)),
      pruningDifference: other && rateDifference(rate(series, own), rate(other, theirs)),
      survival: series.survival.map(({ step, held }, i) => ({
        step,
        value: meanEstimate(sumsOf(held, all), every),
        difference: other && differenceEstimate(
          sumsOf(held, own),
          sumsOf(other.survival[i].held, theirs),
          every,
        ),
      })),
      steps: stepCounts(series.outcomes),
      outcomes: series.outcomes,
    }];
  });
  return { name, runs, beams: new Map(reports) };
}

function differenceOf(
  own: readonly CaseValues[],
  baseline: readonly CaseValues[],
  { population, every, sumOf }: Resampled,
): Omit<Difference, "common"> {
  const [a, b] = [own.map(sumOf), baseline.map(sumOf)];
  const bySeed = a.map(({ total }, s) => (total - b[s].total) / population.cases);
  return {
    both: differenceEstimate(a, b, every),
    users: differenceEstimate(a, b, every, "kept"),
    userTest: signFlipTest(meanDifferences(own, baseline, population)),
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
