/**
 * What a report knows of a comparison: tidy tables, which `compare_runs.ts` computes. Tables,
 * figures and CSV files are all made of their rows.
 *
 * @module
 */
import type { BeamOutcome, RunResult } from "../compare/run_result.ts";
import type { SearchCost } from "../evaluate/search_costs.ts";
import type { Unreadable } from "../evaluate/warnings.ts";
import type { MissingSeeds } from "./comparable.ts";
import type { Cells, Panel, Spec } from "./document.ts";
import { type Estimate, mean, type SignFlipTest } from "./statistics.ts";

/** A comparison in numbers. */
export type Comparison = {
  /** The variants, the baseline first. */
  readonly variants: readonly Variant[];
  readonly baseline: Variant;
  /** The names of rankings that need no training. */
  readonly references: readonly string[];
  /** The widths of the search, ascending. */
  readonly beams: readonly number[];
  /** The width of summaries: the one that most losses aim at, or the widest. */
  readonly mainBeam: number;
  /** The metric of summaries: NDCG@10, or the longest NDCG that the main width has. */
  readonly mainMetric: string;
  /** The length of the lists that warnings are about. */
  readonly mainLength: number;
  /** The number of cases that were judged. */
  readonly cases: number;
  /** The number of their users: as many, or fewer if some have several cases. */
  readonly users: number;
  readonly missing: readonly MissingSeeds[];
  /** What cannot be read at the main width. */
  readonly unreadable: Unreadable;
  /** The names of the variants that headlines may compare. */
  readonly readable: readonly string[];
  /** Estimates of every metric over users and seeds. */
  readonly metrics: readonly MetricRow[];
  /** The same of every run, over users. */
  readonly runMetrics: readonly (MetricRow & { readonly seed: number })[];
  /** Paired differences to the baseline and to references. */
  readonly differences: readonly DifferenceRow[];
  /** By width, then in the order of the variants. */
  readonly searches: readonly Search[];
  /** By variant, then in the order in which they were measured. */
  readonly costs: readonly CostRow[];
};

/** The runs of one variant, by ascending seed. */
export type Variant = { readonly name: string; readonly runs: readonly RunResult[] };

/** The name of the metric of pruning. */
export const PRUNING_RATE = "pruning rate";

/**
 * An estimate of "HR@k" or "NDCG@k", of "exact HR@k" or "exact NDCG@k" for the exact top B, of
 * "pruning rate", or of "survival@t", the share of targets whose prefix the beam holds after step
 * t.
 */
export type MetricRow = Estimate & {
  /** The name of the variant, or of a reference. */
  readonly variant: string;
  /** The width; undefined for a reference. */
  readonly beam?: number;
  readonly metric: string;
};

/** A paired difference, with an interval over users and seeds. */
export type DifferenceRow = MetricRow & {
  readonly beam: number;
  /** What is subtracted: the baseline or a reference. */
  readonly to: string;
  /** The number of seeds that both have. */
  readonly seeds: number;
  /** Of lists and the baseline only. */
  readonly tests?: DifferenceTests;
};

/** A difference over users alone, for these models, and over seeds alone, for these users. */
export type DifferenceTests = {
  readonly users: Estimate & SignFlipTest;
  readonly seeds: Estimate & SignFlipTest;
};

/** What the runs of a variant did at one width. */
export type Search = {
  readonly variant: string;
  /** How the items are written. */
  readonly codes: string;
  readonly beam: number;
  /** Ascending. */
  readonly seeds: readonly number[];
  /** The outcome of each seed. */
  readonly outcomes: readonly BeamOutcome[];
  /** The outcomes as one of all runs: counts added up, users one run after the other. */
  readonly pooled: BeamOutcome;
};

/** What lists of up to 10 items cost by one search, over the runs of a variant that measured it. */
export type CostRow = Pick<SearchCost, "method" | "beam"> & {
  readonly variant: string;
  /** Users that each of the runs searched for, or cases of theirs. */
  readonly cases: number;
  /** HR@10 and NDCG@10, over users and seeds. */
  readonly hr: Estimate;
  readonly ndcg: Estimate;
  /** Their paired differences to the beam of the width that the loss aims at. */
  readonly gains?: { readonly hr: Estimate; readonly ndcg: Estimate };
  /** Rows of the model, the mean over users and seeds. */
  readonly rows: number;
  /** Milliseconds, the mean over users and seeds. */
  readonly milliseconds: number;
  /** The share of lists that are certified to be exact. */
  readonly certified: number;
  /** The widths that certify each list, ascending; Infinity where a budget ended the search. */
  readonly widths: readonly number[];
};

/** A search by name: `beam 10`. */
export function searchName({ method, beam }: Pick<SearchCost, "method" | "beam">): string {
  return method === "beam" ? `beam ${beam}` : method;
}

/** The estimate of a metric, if there is one; references have no width. */
export function estimateOf(
  { metrics }: Pick<Comparison, "metrics">,
  variant: string,
  beam: number | undefined,
  metric: string,
): MetricRow | undefined {
  return metrics.find((row) =>
    row.variant === variant && row.beam === beam && row.metric === metric
  );
}

/** The difference in a metric, by default to the baseline, if there is one. */
export function differenceOf(
  { differences, baseline }: Comparison,
  variant: string,
  beam: number,
  metric: string,
  to: string = baseline.name,
): DifferenceRow | undefined {
  return differences.find((row) =>
    row.variant === variant && row.beam === beam && row.metric === metric && row.to === to
  );
}

/** All runs, in the order of the variants. */
export function runsOf(variants: readonly Variant[]): RunResult[] {
  return variants.flatMap(({ runs }) => runs);
}

/** The variants that were trained, without models that were only judged under another search. */
export function trainedVariants({ variants }: Comparison): readonly Variant[] {
  return variants.filter(({ runs: [run] }) => run.judging.search === undefined);
}

/** How many variants a figure of lines shows. */
export const MOST_LINES = 9;

/** The variants of figures of lines: the baseline and, of many, the best in validation. */
export function shownVariants(variants: readonly Variant[]): readonly Variant[] {
  const [baseline, ...others] = variants;
  const best = others.toSorted((a, b) => validated(b) - validated(a)).slice(0, MOST_LINES - 1);
  return variants.filter((variant) => variant === baseline || best.includes(variant));
}

/** The mean over seeds of the best NDCG@10 in validation. */
export function validated({ runs }: Variant): number {
  return mean(runs.map(({ validation }) => Math.max(0, ...validation.map(({ ndcg }) => ndcg))));
}

/** The best readable variant in the main metric at the main width, if there is one. */
export function bestOf(comparison: Comparison): MetricRow | undefined {
  const { mainBeam, mainMetric, readable } = comparison;
  return readable.flatMap((name) => estimateOf(comparison, name, mainBeam, mainMetric) ?? [])
    .sort((a, b) => b.value - a.value)[0];
}

/** The first cells of a row on a search. */
export function searchCells({ variant, beam }: Pick<Search, "variant" | "beam">): Cells {
  return { variant, B: `${beam}` };
}

/** A plot for each width that some searches have. */
export function panelsByBeam(
  searches: readonly Search[],
  spec: (searches: readonly Search[]) => Spec,
): Panel[] {
  return [...Map.groupBy(searches, ({ beam }) => beam)]
    .map(([beam, found]) => ({ title: `B = ${beam}`, spec: spec(found) }));
}

/** The searches with each kind of codes, the baseline's first. */
export function byCodes(searches: readonly Search[]): (readonly [string, Search[]])[] {
  return [...Map.groupBy(searches, ({ codes }) => codes)];
}

/** A plot for each width and kind of codes: a step of one trie is not that of another. */
export function panelsByTrie(
  searches: readonly Search[],
  spec: (searches: readonly Search[]) => Spec,
): Panel[] {
  const tries = byCodes(searches);
  return tries.flatMap(([codes, own]) =>
    panelsByBeam(own, spec).map((panel) => (
      tries.length === 1 ? panel : { ...panel, title: `${panel.title}, ${codes}` }
    ))
  );
}
