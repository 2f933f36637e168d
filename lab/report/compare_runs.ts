/**
 * Computes the numbers of a report.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { lossNames } from "../../models/losses/index.ts";
import type { BaselineResults, BeamOutcome, RunResult } from "../compare/run_result.ts";
import { LEAST_TARGETS, unreadable } from "../evaluate/warnings.ts";
import { missingSeeds } from "./comparable.ts";
import {
  type Comparison,
  type DifferenceRow,
  type DifferenceTests,
  estimateOf,
  type MetricRow,
  PRUNING_RATE,
  type Variant,
} from "./comparison.ts";
import {
  gains,
  inExactTop,
  inTopOf,
  meanDifferences,
  METRICS,
  pooled,
  prunedTargets,
  valuesByMetric,
} from "./outcomes.ts";
import {
  Bootstrap,
  type CaseValues,
  type Population,
  type ResamplingOptions,
  type SeedValues,
  usersIn,
} from "./resampling.ts";
import { meanInterval, signFlipTest, sum, UNKNOWN } from "./statistics.ts";

/** The metric that epochs are chosen by. */
const USUAL_METRIC = "NDCG@10";

/** Options of {@link compareRuns}. */
export interface CompareOptions extends ResamplingOptions {
  /** The name of the baseline variant. Default "sft" if it is there, else the first variant. */
  readonly baseline?: string;
}

/** A variant at one width, with the values by case of its seeds. */
interface Series {
  readonly variant: Variant;
  readonly beam: number;
  readonly outcomes: readonly BeamOutcome[];
  readonly metrics: ReadonlyMap<string, SeedValues>;
  readonly pruned: SeedValues;
  readonly inTop: SeedValues;
}

/** A ranking that needs no training. */
interface Reference {
  readonly name: string;
  readonly metrics: ReadonlyMap<string, CaseValues>;
}

/** A series, and all that its estimates need. */
interface Part {
  readonly own: Series;
  readonly base: Series | undefined;
  readonly references: readonly Reference[];
  readonly bootstrap: Bootstrap;
  readonly population: Population;
}

/**
 * All numbers of a report on runs that can be compared.
 *
 * @throws {ArgumentError} if no variant has the name of the baseline.
 */
export function compareRuns(
  runs: readonly RunResult[],
  baselines: BaselineResults | undefined,
  options: CompareOptions = {},
): Comparison {
  const variants = variantsOf(runs, options.baseline);
  const [baseline] = variants;
  const population = { cases: runs[0].test.users, userOf: baselines?.userOf };
  const series = seriesOf(variants);
  const references = (baselines?.baselines ?? []).map(({ name, ranks }): Reference => ({
    name,
    metrics: new Map(METRICS.map((metric) => [metric.name, gains(ranks, metric)])),
  }));
  const bootstrap = new Bootstrap(
    [
      ...references.flatMap(({ metrics }) => [...metrics.values()]),
      ...series.flatMap(({ metrics, pruned, inTop }) => [
        ...[...metrics.values()].flat(),
        ...pruned,
        ...inTop,
      ]),
    ],
    population,
    options,
  );
  const parts = series.map((own): Part => {
    const base = series.find(({ variant, beam }) => variant === baseline && beam === own.beam);
    return { own, base, references, bootstrap, population };
  });
  const beams = [...new Set(series.map(({ beam }) => beam))];
  const mainBeam = mainBeamOf(runs, beams);
  const comparison = {
    variants,
    baseline,
    references: references.map(({ name }) => name),
    beams,
    mainBeam,
    mainMetric: mainMetricOf(series, baseline, mainBeam),
    mainLength: mainBeam < 10 ? 5 : 10,
    cases: population.cases,
    users: usersIn(population),
    missing: missingSeeds(runs),
    metrics: [
      ...references.flatMap(({ name: variant, metrics }) =>
        [...metrics].map(([metric, one]) => ({ variant, metric, ...bootstrap.mean([one]) }))
      ),
      ...parts.flatMap(metricRows),
    ],
    runMetrics: parts.flatMap(runRows),
    differences: parts.flatMap((part) => [...baselineRows(part), ...referenceRows(part)]),
    searches: series.map(({ variant, beam, outcomes }) => (
      { variant: variant.name, beam, outcomes, pooled: pooled(outcomes) }
    )),
  };
  return { ...comparison, ...readableOf(comparison) };
}

/** The variants: the baseline, then by loss in the order of the registry, then by name. */
function variantsOf(runs: readonly RunResult[], asked: string | undefined): Variant[] {
  const names = [...new Set(runs.map(({ variant }) => variant))];
  if (asked !== undefined && !names.includes(asked)) {
    throw new ArgumentError(
      `Cannot compare with ${asked}: the baseline must be one of ${names.join(", ")}, got ${asked}`,
    );
  }
  const losses: readonly string[] = lossNames;
  const place = ({ name, runs: [{ recipe: { loss } }] }: Variant): number =>
    name === (asked ?? "sft") ? -1 : losses.includes(loss) ? losses.indexOf(loss) : losses.length;
  return names.map((name): Variant => ({
    name,
    runs: runs.filter(({ variant }) => variant === name)
      .sort((a, b) => a.recipe.seed - b.recipe.seed),
  })).sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name, "en", { numeric: true }));
}

/** By width, then in the order of the variants; only widths that all runs of a variant have. */
function seriesOf(variants: readonly Variant[]): Series[] {
  const all = variants.flatMap(({ runs }) => runs.flatMap(({ test }) => test.beams));
  const beams = [...new Set(all.map(({ beam }) => beam))].sort((a, b) => a - b);
  return beams.flatMap((beam) =>
    variants.flatMap((variant): Series[] => {
      const { runs } = variant;
      const outcomes = runs.flatMap(({ test }) => test.beams.filter((o) => o.beam === beam));
      if (outcomes.length < runs.length) return [];
      return [{
        variant,
        beam,
        outcomes,
        metrics: valuesByMetric(outcomes),
        pruned: outcomes.map(prunedTargets),
        inTop: outcomes.map(inExactTop),
      }];
    })
  );
}

/** Whether the exact top B has enough targets for a pruning rate. */
function isRated({ outcomes, inTop }: Series): boolean {
  return sum(inTop.map(({ cases }) => cases.length)) >= LEAST_TARGETS * outcomes.length;
}

function metricRows({ own, bootstrap }: Part): MetricRow[] {
  const { variant: { name: variant }, beam, metrics, pruned, inTop } = own;
  const rows = [...metrics].map(([metric, values]): MetricRow => (
    { variant, beam, metric, ...bootstrap.mean(values) }
  ));
  const rate = isRated(own) ? bootstrap.rate({ parts: pruned, wholes: inTop }) : UNKNOWN;
  return [...rows, { variant, beam, metric: PRUNING_RATE, ...rate }];
}

function runRows({ own, bootstrap }: Part): Comparison["runMetrics"] {
  const { variant: { name: variant, runs }, beam, metrics } = own;
  return [...metrics].flatMap(([metric, values]) =>
    values.map((one, s) => (
      { variant, beam, metric, seed: runs[s].recipe.seed, ...bootstrap.mean([one]) }
    ))
  );
}

/** Differences to the baseline, over the seeds that both have. */
function baselineRows({ own, base, bootstrap, population }: Part): DifferenceRow[] {
  if (base === undefined || base === own) return [];
  const seedsOf = ({ variant }: Series) => variant.runs.map(({ recipe }) => recipe.seed);
  const common = seedsOf(own).filter((seed) => seedsOf(base).includes(seed));
  if (common.length === 0) return [];
  const [ownSeeds, baseSeeds] = [own, base].map((of) => common.map((s) => seedsOf(of).indexOf(s)));
  const mine = (values: SeedValues): SeedValues => ownSeeds.map((s) => values[s]);
  const theirs = (values: SeedValues): SeedValues => baseSeeds.map((s) => values[s]);
  const { variant: { name: variant }, beam } = own;
  const row = { variant, beam, to: base.variant.name, seeds: common.length };
  const rows = [...own.metrics].flatMap(([metric, values]): DifferenceRow[] => {
    if (metric.startsWith("exact")) return [];
    const [a, b] = [mine(values), theirs(base.metrics.get(metric) ?? [])];
    const isList = METRICS.some(({ name }) => name === metric);
    const tests = isList ? testsOf(a, b, bootstrap, population) : undefined;
    return [{ ...row, metric, ...bootstrap.difference(a, b), tests }];
  });
  const rate = isRated(own) && isRated(base)
    ? bootstrap.rateDifference(
      { parts: mine(own.pruned), wholes: mine(own.inTop) },
      { parts: theirs(base.pruned), wholes: theirs(base.inTop) },
    )
    : UNKNOWN;
  return [...rows, { ...row, metric: PRUNING_RATE, ...rate }];
}

function testsOf(
  own: SeedValues,
  base: SeedValues,
  bootstrap: Bootstrap,
  population: Population,
): DifferenceTests {
  const bySeed = bootstrap.seedDifferences(own, base);
  const seedTest = signFlipTest(bySeed);
  return {
    users: bootstrap.difference(own, base, "kept"),
    usersP: signFlipTest(meanDifferences(own, base, population)).p,
    seeds: meanInterval(bySeed),
    seedsP: seedTest.p,
    seedsLeastP: seedTest.least,
  };
}

/** Differences to rankings that need no training, paired by user. */
function referenceRows({ own, references, bootstrap }: Part): DifferenceRow[] {
  const { variant: { name: variant }, beam, outcomes, metrics } = own;
  return references.flatMap(({ name: to, metrics: reference }) =>
    [...reference].flatMap(([metric, one]) => {
      const values = metrics.get(metric);
      if (values === undefined) return [];
      const difference = bootstrap.difference(values, values.map(() => one));
      return [{ variant, beam, to, seeds: outcomes.length, metric, ...difference }];
    })
  );
}

/** The width that most losses aim at, if it was searched with, else the widest. */
function mainBeamOf(runs: readonly RunResult[], beams: readonly number[]): number {
  const votes = beams.map((beam) => runs.filter(({ recipe }) => recipe.beam === beam).length);
  const most = Math.max(...votes);
  return beams[most > 0 ? votes.indexOf(most) : beams.length - 1];
}

/** NDCG@10, or the longest NDCG of the baseline at the main width. */
function mainMetricOf(series: readonly Series[], baseline: Variant, mainBeam: number): string {
  const own = series.find(({ variant, beam }) => variant === baseline && beam === mainBeam);
  const names = METRICS.map(({ name }) => name).filter((name) => name.startsWith("NDCG"));
  return names.findLast((name) => own?.metrics.has(name)) ?? USUAL_METRIC;
}

/** What cannot be read in the lists of the main width. */
function readableOf(
  comparison: Omit<Comparison, "unreadable" | "readable">,
): Pick<Comparison, "unreadable" | "readable"> {
  const { variants, references, searches, mainBeam, mainLength, cases } = comparison;
  const scoresOf = (variant: string, beam?: number): number[] =>
    [`HR@${mainLength}`, `NDCG@${mainLength}`]
      .map((metric) => estimateOf(comparison, variant, beam, metric)?.value ?? NaN);
  const models = searches.filter(({ beam }) => beam === mainBeam).map((search) => {
    const { variant: name, outcomes, pooled } = search;
    const runs = variants.flatMap((variant) => variant.name === name ? variant.runs : []);
    const scores = scoresOf(name, mainBeam);
    const inExactTop = inTopOf(pooled) / outcomes.length;
    return { name, scores, hits: scores[0] * cases, inExactTop, runs };
  });
  const found = unreadable(models, references.map((name) => ({ name, scores: scoresOf(name) })));
  const doubtful = [...found.below.keys(), ...found.improving, ...found.noCurve];
  const names = variants.map(({ name }) => name);
  return {
    unreadable: found,
    readable: found.fewHits ? [] : names.filter((name) => !doubtful.includes(name)),
  };
}
