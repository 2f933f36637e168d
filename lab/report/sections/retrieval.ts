/**
 * What the variants retrieve, and how they differ from the baseline.
 *
 * @module
 */
import { historyNote, ORACLE } from "../../evaluate/warnings.ts";
import {
  bestOf,
  type Comparison,
  differenceOf,
  type DifferenceRow,
  estimateOf,
  searchCells,
} from "../comparison.ts";
import { columns, type Figure, type Section, section, type Table, text } from "../document.ts";
import { pValue, share, signed, signedInterval, withInterval } from "../format.ts";
import { METRICS } from "../outcomes.ts";
import { domainOf, type Dot, dots } from "../plots.ts";
import { excludesZero } from "../statistics.ts";

/** The section on retrieval. */
export function retrievalSection(comparison: Comparison): Section {
  const { variants, baseline, references } = comparison;
  const isCompared = variants.length > 1;
  return section(
    "What is retrieved",
    text(
      "HR@k is the share of targets among the first k items of the list. NDCG@k gives a target",
      "less weight the lower it stands. “Exact” is what a search without pruning would return",
      "from the same model.",
      references.length > 0 ? historyNote(baseline.runs[0].judging.excludeHistory) : "",
    ),
    levels(comparison),
    isCompared && differences(comparison),
    references.length > 0 && referenceTable(comparison),
    isCompared && pairing(comparison),
  );
}

/** How differences are paired, and what so few seeds can say. */
function pairing(comparison: Comparison): string {
  const rows = baselineDifferences(comparison);
  const seeds = Math.max(0, ...rows.map(({ seeds }) => seeds));
  const isExact = rows.every(({ tests }) => tests?.seeds.exact ?? true);
  const least = pValue(Math.min(1, 2 / 2 ** seeds));
  return text(
    `Differences are paired: same users, and runs of the same seed as ${comparison.baseline.name}.`,
    seeds < 2
      ? "One seed says nothing about another training."
      : isExact
      ? `The test over seeds tries all ${2 ** seeds} assignments of signs to ${seeds} ` +
        `differences, so its p is at least ${least}.`
      : `The test over seeds draws random signs for up to ${seeds} differences.`,
  );
}

/** The metrics and widths of the figures: the longest lists of the comparison. */
function panelsOf({ beams }: Comparison): { readonly metric: string; readonly beam: number }[] {
  const k = METRICS.findLast(({ k }) => k <= beams[beams.length - 1])?.k ?? Infinity;
  return [`NDCG@${k}`, `HR@${k}`].flatMap((metric) =>
    beams.filter((beam) => beam >= k).map((beam) => ({ metric, beam }))
  );
}

function levels(comparison: Comparison): Figure {
  const { variants, baseline, beams, references, searches, mainBeam, mainMetric } = comparison;
  const dot = (name: string, beam: number | undefined, metric: string): Dot[] => {
    const estimate = estimateOf(comparison, name, beam, metric);
    if (estimate === undefined) return [];
    const kind = name === baseline.name ? "baseline" : beam === undefined ? "reference" : "variant";
    return [{ ...estimate, label: name, shown: share(estimate.value), kind }];
  };
  const panels = panelsOf(comparison).map(({ metric, beam }) => {
    const rowsAt = (beam: number) => variants.flatMap(({ name }) => dot(name, beam, metric));
    const beside = references.flatMap((name) => dot(name, undefined, metric));
    const others = beside.filter(({ label }) => label !== ORACLE); // a bound, far off
    const domain = domainOf([...beams.flatMap(rowsAt), ...others].flatMap(endsOf));
    const line = estimateOf(comparison, baseline.name, beam, metric)?.value;
    const spec = dots([...rowsAt(beam), ...beside], metric, domain, line);
    return { title: `${metric}, B = ${beam}`, spec };
  });
  const best = bestOf(comparison);
  const exact = METRICS.filter(({ k }) => k === 10).map(({ name }) => `exact ${name}`);
  const metrics = [...METRICS.map(({ name }) => name), ...exact];
  const rowOf = (ranking: string, beam?: number) => ({
    ranking,
    B: `${beam ?? ""}`,
    ...columns(
      metrics,
      (metric) => metric,
      (metric) => withInterval(estimateOf(comparison, ranking, beam, metric)),
    ),
  });
  return {
    name: "retrieval",
    title: best === undefined
      ? "HR and NDCG of each variant"
      : `Best ${mainMetric} at B = ${mainBeam}: ${best.variant}, ${share(best.value)}`,
    note: "Dot: mean over users and seeds. Bar: its 95 % interval. Square and dashed line: " +
      `${baseline.name}. Hollow: rankings that need no training. Arrow: off the scale, which all ` +
      "panels of a metric share.",
    panels,
    caption: "Means over users and seeds with 95 % intervals; blank where B is below k.",
    rows: [
      ...searches.map(({ variant, beam }) => rowOf(variant, beam)),
      ...references.map((name) => rowOf(name)),
    ],
  };
}

function endsOf({ value, low, high }: Dot): number[] {
  return [value, low, high];
}

/** Every difference of lists to the baseline: by width, metric and variant. */
export function baselineDifferences(comparison: Comparison): DifferenceRow[] {
  const { beams, variants } = comparison;
  return beams.flatMap((beam) =>
    METRICS.flatMap(({ name: metric }) =>
      variants.flatMap(({ name }) => differenceOf(comparison, name, beam, metric) ?? [])
    )
  );
}

/** Differences to rankings that need no training, in the metrics and widths of the figures. */
function referenceTable(comparison: Comparison): Table {
  const { variants, references } = comparison;
  return {
    caption: "Paired differences to rankings that need no training, with 95 % intervals over " +
      "users and seeds.",
    rows: panelsOf(comparison).flatMap(({ metric, beam }) =>
      variants.filter(({ name }) => estimateOf(comparison, name, beam, metric)).map(({ name }) => ({
        ...searchCells({ variant: name, beam }),
        metric,
        ...columns(
          references,
          (to) => `to ${to}`,
          (to) => signedInterval(differenceOf(comparison, name, beam, metric, to)),
        ),
      }))
    ),
  };
}

function differences(comparison: Comparison): Figure {
  const { baseline, readable } = comparison;
  const all = baselineDifferences(comparison);
  const panels = panelsOf(comparison).map((panel) => ({
    ...panel,
    found: all.filter(({ metric, beam }) => metric === panel.metric && beam === panel.beam),
  })).filter(({ found }) => found.length > 0);
  const shown = panels.flatMap(({ found }) => found);
  const read = shown.filter(({ variant, to }) =>
    readable.includes(variant) && readable.includes(to)
  );
  const dot = (row: DifferenceRow): Dot => (
    { ...row, label: row.variant, shown: signed(row.value), kind: "variant" }
  );
  return {
    name: "differences",
    title: read.length === 0
      ? `Differences to ${baseline.name}`
      : `Differences to ${baseline.name}: ${read.filter(excludesZero).length} of ${read.length} ` +
        "intervals exclude 0",
    note:
      "Dot: mean paired difference. Bar: its 95 % interval over users and seeds. Dashed line: " +
      "no difference.",
    panels: panels.map(({ metric, beam, found }) => {
      const ends = shown.filter((row) => row.metric === metric).map(dot).flatMap(endsOf);
      const spec = dots(found.map(dot), `difference in ${metric}`, domainOf(ends, true), 0);
      return { title: `${metric}, B = ${beam}`, spec };
    }),
    caption: `Paired differences to ${baseline.name} with 95 % intervals: over users and seeds; ` +
      "over users alone, for these trained models; over seeds alone, for these users.",
    rows: all.map((row) => {
      const { metric, seeds, tests } = row;
      const bySeed = seeds < 2 ? undefined : tests?.seeds;
      return {
        ...searchCells(row),
        metric,
        "users and seeds": signedInterval(row),
        users: signedInterval(tests?.users),
        "p (users)": pValue(tests?.users.p),
        seeds: signedInterval(bySeed),
        "p (seeds)": pValue(bySeed?.p),
        "least p": pValue(bySeed?.least),
      };
    }),
  };
}
