/**
 * Computes the numbers of a report.
 *
 * @module
 */
import { ArgumentError, DataError } from "../../core/errors.ts";
import { lossNames } from "../../models/losses/index.ts";
import type { BaselineResults, RunResult } from "../compare/run_result.ts";
import { type SearchCost, spreadCases } from "../evaluate/search_costs.ts";
import { LEAST_TARGETS, unreadable } from "../evaluate/warnings.ts";
import { codesOf, missingSeeds } from "./comparable.ts";
import {
  type Comparison,
  type CostRow,
  type DifferenceRow,
  estimateOf,
  type MetricRow,
  PRUNING_RATE,
  runsOf,
  type Search,
  searchName,
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
  type Population,
  type Rate,
  type ResamplingOptions,
  type SeedValues,
  usersIn,
} from "./resampling.ts";
import { type Estimate, mean, meanInterval, signFlipTest, UNKNOWN } from "./statistics.ts";

/** Options of {@link compareRuns}. Default baseline: "sft" if it is there, else the first. */
export type ComparisonOptions = ResamplingOptions & { readonly baseline?: string };

/** The values by case of a ranking that needs no training, or of the seeds of a search. */
type Ranking = {
  readonly variant: string;
  readonly beam?: number;
  readonly metrics: ReadonlyMap<string, SeedValues>;
};

/** A search with its values. There is no pruning rate of too few targets in the exact top B. */
type Series = Search & Ranking & { readonly beam: number; readonly pruning: Rate | undefined };

/**
 * All numbers of a report on runs that can be compared.
 *
 * @throws {ArgumentError} if no variant has the name of the baseline.
 * @throws {DataError} if the runs of a variant share no width.
 */
export function compareRuns(
  runs: readonly RunResult[],
  baselines: BaselineResults | undefined,
  options: ComparisonOptions = {},
): Comparison {
  const variants = variantsOf(runs, options.baseline);
  const [baseline] = variants;
  const population = { cases: runs[0].test.users, userOf: baselines?.userOf };
  const searches = seriesOf(variants);
  checkWidths(variants, searches);
  const references = (baselines?.baselines ?? []).map(({ name, ranks }): Ranking => ({
    variant: name,
    metrics: new Map(METRICS.map((metric) => [metric.name, [gains(ranks, metric)]])),
  }));
  const values = [
    ...[...references, ...searches].flatMap(({ metrics }) => [...metrics.values()].flat()),
    ...searches.flatMap(({ pruning }) => pruning ? [...pruning.parts, ...pruning.wholes] : []),
  ];
  const bootstrap = new Bootstrap(values, population, options);
  const means = ({ variant, beam, metrics }: Ranking): MetricRow[] =>
    [...metrics].map(([metric, own]) => ({ variant, beam, metric, ...bootstrap.mean(own) }));
  const beams = [...new Set(searches.map(({ beam }) => beam))];
  const mainBeam = mainBeamOf(runs, beams);
  const baseAt = (width: number): Series | undefined =>
    searches.find(({ variant, beam }) => variant === baseline.name && beam === width);
  const comparison = {
    variants,
    baseline,
    references: references.map(({ variant }) => variant),
    beams,
    mainBeam,
    mainMetric: mainMetricOf(baseAt(mainBeam)),
    mainLength: mainBeam < 10 ? 5 : 10,
    cases: population.cases,
    users: usersIn(population),
    missing: missingSeeds(runs),
    metrics: [
      ...references.flatMap(means),
      ...searches.flatMap((search) => {
        const { variant, beam, pruning } = search;
        const rate = pruning ? bootstrap.rate(pruning) : UNKNOWN;
        return [...means(search), { variant, beam, metric: PRUNING_RATE, ...rate }];
      }),
    ],
    runMetrics: searches.flatMap(({ variant, beam, seeds, metrics }) =>
      [...metrics].flatMap(([metric, own]) =>
        own.map((one, s) => (
          { variant, beam, metric, seed: seeds[s], ...bootstrap.mean([one]) }
        ))
      )
    ),
    differences: searches.flatMap((own) => [
      ...baselineRows(own, baseAt(own.beam), bootstrap, population),
      ...referenceRows(own, references, bootstrap),
    ]),
    searches,
    costs: variants.flatMap((variant) => costsOf(variant, population, options)),
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
  const all = runsOf(variants).flatMap(({ test }) => test.beams);
  const beams = [...new Set(all.map(({ beam }) => beam))].sort((a, b) => a - b);
  return beams.flatMap((beam) =>
    variants.flatMap(({ name, runs }): Series[] => {
      const outcomes = runs.flatMap(({ test }) => test.beams.filter((o) => o.beam === beam));
      if (outcomes.length < runs.length) return [];
      const all = pooled(outcomes);
      const isRated = inTopOf(all) >= LEAST_TARGETS * outcomes.length;
      const pruning = { parts: outcomes.map(prunedTargets), wholes: outcomes.map(inExactTop) };
      return [{
        variant: name,
        codes: codesOf(runs[0]),
        beam,
        seeds: runs.map(({ recipe }) => recipe.seed),
        outcomes,
        pooled: all,
        metrics: valuesByMetric(outcomes),
        pruning: isRated ? pruning : undefined,
      }];
    })
  );
}

function checkWidths(variants: readonly Variant[], searches: readonly Series[]): void {
  for (const { name, runs } of variants) {
    if (searches.some(({ variant }) => variant === name)) continue;
    const widths = runs.map(({ recipe: { seed }, judging: { beams } }) =>
      `${beams.join(",")} (seed ${seed})`
    );
    throw new DataError(
      `Cannot compare the runs of ${name}: they must share a beam width, got ` +
        `${widths.join(", ")}; repeat their commands with the same --beams, which judges the ` +
        "models again without training",
    );
  }
}

/**
 * Paired differences to the baseline, over the seeds that both have; none of exact metrics.
 * Survival has none where codes differ: step t of one trie is not step t of another.
 */
function baselineRows(
  own: Series,
  base: Series | undefined,
  bootstrap: Bootstrap,
  population: Population,
): DifferenceRow[] {
  if (base === undefined || base === own) return [];
  const common = own.seeds.filter((seed) => base.seeds.includes(seed));
  if (common.length === 0) return [];
  const row = { variant: own.variant, beam: own.beam, to: base.variant, seeds: common.length };
  const shared = ({ seeds }: Series, values: SeedValues = []): SeedValues =>
    common.map((seed) => values[seeds.indexOf(seed)]);
  const sharedRate = (of: Series, { parts, wholes }: Rate): Rate => (
    { parts: shared(of, parts), wholes: shared(of, wholes) }
  );
  const rate = own.pruning && base.pruning
    ? bootstrap.rateDifference(sharedRate(own, own.pruning), sharedRate(base, base.pruning))
    : UNKNOWN;
  return [
    ...[...own.metrics].filter(([metric]) =>
      !metric.startsWith("exact") && (own.codes === base.codes || !metric.startsWith("survival"))
    ).map(
      ([metric, values]) => {
        const [a, b] = [shared(own, values), shared(base, base.metrics.get(metric))];
        const difference = { ...row, metric, ...bootstrap.difference(a, b) };
        if (!METRICS.some(({ name }) => name === metric)) return difference;
        const byUser = signFlipTest(meanDifferences(a, b, population));
        const bySeed = bootstrap.seedDifferences(a, b);
        const tests = {
          users: { ...bootstrap.difference(a, b, "kept"), ...byUser },
          seeds: { ...meanInterval(bySeed), ...signFlipTest(bySeed) },
        };
        return { ...difference, tests };
      },
    ),
    { ...row, metric: PRUNING_RATE, ...rate },
  ];
}

/** Differences to rankings that need no training, paired by user. */
function referenceRows(
  { variant, beam, outcomes, metrics }: Series,
  references: readonly Ranking[],
  bootstrap: Bootstrap,
): DifferenceRow[] {
  return references.flatMap(({ variant: to, metrics: reference }) =>
    [...reference].flatMap(([metric, [one]]) => {
      const values = metrics.get(metric);
      if (values === undefined) return [];
      const difference = bootstrap.difference(values, values.map(() => one));
      return [{ variant, beam, to, seeds: outcomes.length, metric, ...difference }];
    })
  );
}

/** What searches cost, over the runs of a variant that measured as many cases as the first. */
function costsOf(
  { name: variant, runs }: Variant,
  { cases: total, userOf }: Population,
  { resamples, seed }: ComparisonOptions,
): CostRow[] {
  const measured = runs.flatMap(({ costs }) => costs ?? []);
  if (measured.length === 0) return [];
  const [{ cases, searches: first }] = measured;
  const sameCases = measured.filter((one) => one.cases === cases);
  const named = sameCases.map(({ searches }) => new Map(searches.map((s) => [searchName(s), s])));
  const searches = first.filter((s) => named.every((run) => run.has(searchName(s))));
  const bySearch = searches.map((s) => named.map((run) => run.get(searchName(s)) as SearchCost));
  const numbers = new Map<number, number>();
  const users = userOf && spreadCases(total, cases).map((i) => {
    const number = numbers.get(userOf[i]) ?? numbers.size;
    numbers.set(userOf[i], number);
    return number;
  });
  const [hr, ndcg] = METRICS.filter(({ k }) => k === 10).map((metric) =>
    bySearch.map((runs) => runs.map(({ ranks }) => gains(ranks, metric)))
  );
  const bootstrap = new Bootstrap([...hr, ...ndcg].flat(), { cases, userOf: users }, {
    resamples,
    seed,
  });
  const { beam: aimed } = runs[0].recipe;
  const own = searches.findIndex(({ method, beam }) => method === "beam" && beam === aimed);
  const widths = sameCases.flatMap((one) => one.widths.map((width) => width ?? Infinity))
    .sort((a, b) => a - b);
  return searches.map(({ method, beam }, s): CostRow => {
    const meanOf = (of: "rows" | "milliseconds" | "certified"): number =>
      mean(bySearch[s].map((one) => one[of]));
    const gainOf = (values: readonly SeedValues[]): Estimate =>
      bootstrap.difference(values[s], values[own]);
    return {
      variant,
      method,
      beam,
      cases,
      hr: bootstrap.mean(hr[s]),
      ndcg: bootstrap.mean(ndcg[s]),
      ...(own >= 0 && own !== s && { gains: { hr: gainOf(hr), ndcg: gainOf(ndcg) } }),
      rows: meanOf("rows"),
      milliseconds: meanOf("milliseconds"),
      certified: meanOf("certified") / cases,
      widths,
    };
  });
}

/** The width that most losses aim at, if it was searched with, else the widest. */
function mainBeamOf(runs: readonly RunResult[], beams: readonly number[]): number {
  const votes = beams.map((beam) => runs.filter(({ recipe }) => recipe.beam === beam).length);
  const most = Math.max(...votes);
  return beams[most > 0 ? votes.indexOf(most) : beams.length - 1];
}

/** NDCG@10, or the longest NDCG of the baseline at the main width. */
function mainMetricOf(base: Series | undefined): string {
  const names = METRICS.map(({ name }) => name).filter((name) => name.startsWith("NDCG"));
  return names.findLast((name) => base?.metrics.has(name)) ?? "NDCG@10";
}

/** What cannot be read in the lists of the main width. */
function readableOf(
  comparison: Omit<Comparison, "unreadable" | "readable">,
): Pick<Comparison, "unreadable" | "readable"> {
  const { variants, references, searches, mainBeam, mainLength } = comparison;
  const scoresOf = (variant: string, beam?: number): number[] =>
    [`HR@${mainLength}`, `NDCG@${mainLength}`]
      .map((metric) => estimateOf(comparison, variant, beam, metric)?.value ?? NaN);
  const models = searches.filter(({ beam }) => beam === mainBeam).map((search) => {
    const { variant: name, outcomes, pooled } = search;
    const scores = scoresOf(name, mainBeam);
    return {
      name,
      scores,
      hits: pooled.ranks.filter((rank) => rank >= 0 && rank < mainLength).length / outcomes.length,
      inExactTop: inTopOf(pooled) / outcomes.length,
      runs: runsOf(variants.filter((variant) => variant.name === name)),
    };
  });
  const found = unreadable(models, references.map((name) => ({ name, scores: scoresOf(name) })));
  const doubtful = [...found.below.keys(), ...found.improving, ...found.noCurve];
  const names = variants.map(({ name }) => name);
  return {
    unreadable: found,
    readable: found.fewHits ? [] : names.filter((name) => !doubtful.includes(name)),
  };
}
