/**
 * What beam search loses of what the model ranks high: how much, why, and at which step,
 * and how training moves the margins.
 *
 * @module
 */
import { type BeamOutcome, BINS, binStart, type Histogram } from "../../compare/run_result.ts";
import { survivalCurve } from "../../evaluate/metrics.ts";
import { LEAST_TARGETS } from "../../evaluate/warnings.ts";
import { listed, shownSteps } from "../../table.ts";
import {
  byCodes,
  type Comparison,
  differenceOf,
  estimateOf,
  MOST_LINES,
  panelsByBeam,
  panelsByTrie,
  PRUNING_RATE,
  type Search,
  searchCells,
  shownVariants,
} from "../comparison.ts";
import { type Cells, columns, type Figure, type Section, section, text } from "../document.ts";
import {
  count,
  counted,
  percent,
  percentRange,
  share,
  signedInterval,
  withInterval,
} from "../format.ts";
import { lines, type Point, reachOf, ridges } from "../line_plots.ts";
import { inTopOf, pooled, prunedOf } from "../outcomes.ts";
import { type Bar, bars } from "../plots.ts";
import { shareInterval, sum } from "../statistics.ts";

/** The most steps of which margins are drawn. */
const MOST_STEPS = 4;

/** The section on pruning. */
export function pruningSection(comparison: Comparison): Section {
  return section(
    "What the search prunes",
    text(
      "A target is pruned at width B if it is among the model's exact best B items and the beam",
      "search of that width does not return it. The pruning rate is the number of pruned targets",
      "divided by the number of targets in the exact top B, both over users and seeds. There is",
      `no rate of fewer than ${LEAST_TARGETS} targets a run. A step is violated if the target's`,
      "token is not among the best B of its siblings, so that its margin is above 0. What is",
      "pruned without a violation was displaced by prefixes from other parts of the catalogue,",
      "or lost a tie.",
    ),
    rateFigure(comparison),
    violationFigure(comparison),
    survivalFigure(comparison),
    marginsFigure(comparison),
    comparison.variants.length > MOST_LINES && text(
      `Lines are drawn for the baseline and the ${MOST_LINES - 1} variants that do best in`,
      "validation; the tables have all.",
    ),
  );
}

/** Steps in at most five groups: the first ones alone, the others together. */
function stepGroups(steps: number): { readonly name: string; readonly steps: readonly number[] }[] {
  const ends = steps <= 5
    ? Array.from({ length: steps }, (_, t) => t + 1)
    : [1, 2, 4, ...steps > 8 ? [8] : [], steps];
  return ends.map((end, i) => {
    const from = i === 0 ? 0 : ends[i - 1];
    const name = end - from === 1 ? `${end}` : `${from + 1}–${end}`;
    return {
      name: i === 0 ? `step ${name}` : name,
      steps: Array.from({ length: end - from }, (_, n) => from + n),
    };
  });
}

/** An estimate of a search and its difference to the baseline, as cells of a table. */
function estimates(
  comparison: Comparison,
  { variant, beam }: Search,
  head: string,
  metric: string,
): Cells {
  const minus = differenceOf(comparison, variant, beam, metric);
  return {
    [head]: withInterval(estimateOf(comparison, variant, beam, metric), 3),
    [`minus ${comparison.baseline.name}`]: signedInterval(minus, 3),
  };
}

function rateFigure(comparison: Comparison): Figure {
  const { searches, mainBeam, readable } = comparison;
  const groups = stepGroups(Math.max(...searches.map(({ pooled }) => pooled.reached.length)));
  const rateOf = (name: string, beam: number) => estimateOf(comparison, name, beam, PRUNING_RATE);
  const rates = searches.map(({ variant, beam }) => rateOf(variant, beam));
  const ends = rates.flatMap((rate) => [rate?.value ?? NaN, rate?.high ?? NaN]);
  const most = 1.03 * Math.max(0.01, ...ends.filter(Number.isFinite));
  const bar = ({ variant, beam, pooled }: Search): Bar => {
    const rate = rateOf(variant, beam);
    const isRated = Number.isFinite(rate?.value);
    const [pruned, inTop] = [prunedOf(pooled), inTopOf(pooled)];
    return {
      label: variant,
      parts: groups.map(({ steps }) => isRated ? sum(steps.map((t) => pruned[t] ?? 0)) / inTop : 0),
      shown: share(rate?.value ?? NaN, 3),
      sum: rate,
    };
  };
  const said = readable.flatMap((name) => rateOf(name, mainBeam) ?? [])
    .filter(({ value }) => Number.isFinite(value)).sort((a, b) => a.value - b.value)
    .map(({ variant, value }) => `${variant} (${share(value, 3)})`);
  const legend = groups.map(({ name }) => name);
  return {
    name: "pruning",
    title: said.length === 0
      ? "Pruning rates"
      : `Pruning rates at B = ${mainBeam}, from ${said[0]} to ${said[said.length - 1]}`,
    note: "Length of a bar: pruning rate. Shades: the step that lost the target. Thin line: the " +
      "95 % interval of the rate over users and seeds.",
    panels: panelsByBeam(
      searches,
      (found) => bars(found.map(bar), "pruning rate (share of the exact top B)", most, legend),
    ),
    caption:
      "Pruned targets over all runs, with 95 % intervals of the rate over users and seeds. " +
      "The interval of the violation share is Wilson's at the mean count of one run, as the same " +
      "users come again with every seed.",
    rows: searches.map((search) => {
      const { outcomes, pooled } = search;
      const { violation, displacement, length, tie } = pooled.pruned;
      const pruned = sum(prunedOf(pooled));
      const violated = shareInterval(sum(violation) / pruned, pruned / outcomes.length);
      return {
        ...searchCells(search),
        "in exact top B": count(inTopOf(pooled)),
        pruned: count(pruned),
        ...estimates(comparison, search, "pruning rate", PRUNING_RATE),
        "violation share": withInterval(violated, 3),
        violation: count(sum(violation)),
        displacement: count(sum(displacement)),
        length: count(sum(length)),
        tie: count(sum(tie)),
      };
    }),
  };
}

/** A row for each search and step, with cells for step t + 1. */
function stepRows(
  searches: readonly Search[],
  cells: (search: Search, t: number) => Cells,
): Cells[] {
  return searches.flatMap((search) =>
    shownSteps(search.pooled.reached.length).map((step) => (
      { ...searchCells(search), step: `${step}`, ...cells(search, step - 1) }
    ))
  );
}

/** The searches of the variants that figures of lines show. */
function drawnSearches({ searches, variants }: Comparison): Search[] {
  const shown = shownVariants(variants).map(({ name }) => name);
  return searches.filter(({ variant }) => shown.includes(variant));
}

function violationFigure(comparison: Comparison): Figure {
  const { searches, mainBeam } = comparison;
  const shares = (pooled: BeamOutcome, of: "violated" | "vacuous"): Point[] =>
    pooled.reached.flatMap((n, t) => n === 0 ? [] : [{ x: t + 1, y: pooled[of][t] / n }]);
  const tries = byCodes(searches.filter(({ beam }) => beam === mainBeam));
  const vacuous = tries.map(([codes, [{ pooled }]]) => {
    const few = shares(pooled, "vacuous").filter(({ y }) => y > 0.9).length;
    const steps = `${few} of ${counted(pooled.reached.length, "step")}`;
    return tries.length === 1 ? steps : `${steps} (${codes})`;
  });
  return {
    name: "violations",
    title: `At B = ${mainBeam}, over 90 % of the targets have at most ${mainBeam} siblings at ` +
      listed(vacuous),
    note:
      "Lines: the share of the targets with a token at the step whose margin is above 0. Pale " +
      "bars: the share with at most B siblings, where no margin can be above 0.",
    panels: panelsByTrie(drawnSearches(comparison), (found) => {
      const back = {
        data: {
          values: shares(found[0].pooled, "vacuous")
            .map(({ x, y }) => ({ from: x - 0.35, to: x + 0.35, y })),
        },
        mark: { type: "rect", color: "#e1e5eb" },
        encoding: { x: { field: "from" }, x2: { field: "to" }, y2: { datum: 0 } },
      };
      const drawn = found.map(({ variant: label, pooled }) => (
        { label, points: shares(pooled, "violated") }
      ));
      return lines(drawn, { x: "step", y: "share of targets", domain: [0, 1] }, { back: [back] });
    }),
    caption: "By step, over all runs: targets of the exact top B that were lost there; of all " +
      "targets with a token there, the shares with a margin above 0 and with at most B siblings.",
    rows: stepRows(searches, ({ pooled }, t) => ({
      pruned: count(prunedOf(pooled)[t]),
      "by a violation": count(pooled.pruned.violation[t]),
      violated: share(pooled.violated[t] / pooled.reached[t], 3),
      vacuous: share(pooled.vacuous[t] / pooled.reached[t], 3),
    })),
  };
}

function survivalFigure(comparison: Comparison): Figure {
  const { searches, mainBeam } = comparison;
  const curve = ({ pooled: { lostAt, reached } }: Search) => survivalCurve(lostAt, reached.length);
  const first = searches.filter(({ beam }) => beam === mainBeam).map((one) => curve(one)[0]);
  return {
    name: "survival",
    title: `After the first step the beam of ${mainBeam} still holds ${percentRange(first)} of ` +
      "the targets",
    note: "The share of all targets, ranked high or not, whose prefix the beam still holds after " +
      "each step, on a logarithmic scale.",
    panels: panelsByTrie(drawnSearches(comparison), (found) => {
      const drawn = found.map((one) => ({
        label: one.variant,
        points: curve(one).map((y, t) => ({ x: t + 1, y })).filter(({ y }) => y > 0),
      }));
      return lines(drawn, { x: "step", y: "share of targets surviving", log: true });
    }),
    caption: "The share of targets whose prefix the beam still holds after a step, with 95 % " +
      "intervals over users and seeds.",
    rows: stepRows(
      searches,
      (search, t) => estimates(comparison, search, "surviving", `survival@${t + 1}`),
    ),
  };
}

/** Histograms of margins at the main width, before and after training. */
function marginsFigure({ searches, mainBeam }: Comparison): Figure {
  const main = searches.filter(({ beam }) => beam === mainBeam);
  const tries = byCodes(main).map(([codes, own]) => {
    const { margins } = pooled(own.map((search) => search.pooled));
    return { codes, margins, steps: drawnSteps(margins.after) };
  });
  const stepsOf = (search: Search): number[] =>
    tries.find(({ codes }) => codes === search.codes)?.steps ?? [];
  const reach = reachOf(
    tries.flatMap(({ margins, steps }) =>
      steps.flatMap((t) => [margins.before[t], margins.after[t]])
    ),
  );
  const at = ({ margins: { before, after } }: BeamOutcome, t: number) => (
    { label: `step ${t + 1}`, before: before[t], after: after[t] }
  );
  const [first] = tries.filter(({ steps }) => steps.length > 0);
  const titleOf = ({ codes, margins: { before, after }, steps: [t] }: typeof first): string =>
    `At step ${t + 1} and B = ${mainBeam}, ${percent(above(before[t]))} of the margins ` +
    `${tries.length > 1 ? `with ${codes} ` : ""}are above 0 before training and ` +
    `${percent(above(after[t]))} after`;
  return {
    name: "margins",
    title: first === undefined ? "No target has a choice" : titleOf(first),
    note:
      "Pale area: margins of the untrained model, of the first 1,000 test cases. Line: after training. Each row has its own " +
      "height. Targets right of the dashed line are pruned; a margin of exactly 0, of the B-th " +
      "best itself or the last of at most B siblings, stands left of it. Only targets with more " +
      "than one sibling; all seeds together.",
    panels: main.flatMap((search) => {
      const rows = stepsOf(search).map((t) => at(search.pooled, t));
      return rows.length === 0 ? [] : [{ title: search.variant, spec: ridges(rows, reach) }];
    }),
    caption: `Margins log β − log p at B = ${mainBeam}, nats, of targets with more than one ` +
      "sibling: the share above 0, and the upper ends of the bins (of half a nat) of the 10th, " +
      "50th and 90th percentile.",
    rows: main.flatMap((search) =>
      stepsOf(search).map((t) => {
        const { before, after } = at(search.pooled, t);
        const percentiles = (when: string, histogram: Histogram) =>
          columns([10, 50, 90], (p) => `${when} ${p} %`, (p) => quantile(histogram, p / 100));
        return {
          variant: search.variant,
          step: `${t + 1}`,
          targets: count(sum(after)),
          "above 0 before": share(above(before), 3),
          after: share(above(after), 3),
          ...percentiles("before", before),
          ...percentiles("after", after),
        };
      })
    ),
  };
}

/** The steps with the most margins, ascending. */
function drawnSteps(histograms: readonly Histogram[]): number[] {
  const counts = histograms.map(sum);
  return [...counts.keys()].filter((t) => counts[t] > 0)
    .sort((a, b) => counts[b] - counts[a] || a - b).slice(0, MOST_STEPS).sort((a, b) => a - b);
}

function above(histogram: Histogram): number {
  return sum(histogram.slice(BINS / 2)) / sum(histogram);
}

/** The upper end of the bin that a quantile lies in. */
function quantile(histogram: Histogram, q: number): string {
  const total = sum(histogram);
  let seen = 0;
  const bin = histogram.findIndex((n) => (seen += n) >= q * total && total > 0);
  if (bin < 0) return "–";
  const end = binStart(bin === BINS - 1 ? bin : bin + 1);
  return `${bin === 0 ? "≤ " : bin === BINS - 1 ? "> " : ""}${end}`.replace("-", "−");
}
