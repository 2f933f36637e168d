/**
 * How training moves the margins.
 *
 * @module
 */
import type { BeamOutcome, Histogram } from "../../compare/run_result.ts";
import type { Comparison } from "../comparison.ts";
import { columns, type Figure } from "../document.ts";
import { count, percent, share } from "../format.ts";
import { pooled } from "../outcomes.ts";
import { reachOf, ridges } from "../line_plots.ts";
import { sum } from "../statistics.ts";

/** The most steps that are drawn. */
const MOST_STEPS = 4;

/** The bin where margins above 0 begin. */
const ZERO = 24;

/** Histograms of margins at the main width, before and after training. */
export function marginsFigure({ searches, mainBeam }: Comparison): Figure {
  const main = searches.filter(({ beam }) => beam === mainBeam);
  const all = pooled(main.map((search) => search.pooled));
  const steps = drawnSteps(all);
  const at = ({ margins }: BeamOutcome, t: number) => (
    { label: `step ${t + 1}`, before: margins.before[t], after: margins.after[t] }
  );
  const reach = reachOf(steps.flatMap((t) => [all.margins.before[t], all.margins.after[t]]));
  const [t] = steps;
  return {
    name: "margins",
    title: t === undefined
      ? "No target has a choice"
      : `At step ${t + 1} and B = ${mainBeam}, ${percent(above(all.margins.before[t]))} of the ` +
        `margins are above 0 before training and ${percent(above(all.margins.after[t]))} after`,
    note: "Pale area: margins of the untrained model. Line: after training. Each row has its own " +
      "height. Targets right of the dashed line are pruned; a margin of exactly 0, of the B-th " +
      "best itself or the last of at most B siblings, stands left of it. Only targets with more " +
      "than one sibling; all seeds together.",
    panels: t === undefined ? [] : main.map(({ variant, pooled }) => (
      { title: variant, spec: ridges(steps.map((t) => at(pooled, t)), reach) }
    )),
    caption: `Margins log β − log p at B = ${mainBeam}, nats, of targets with more than one ` +
      "sibling: the share above 0, and the upper ends of the bins (of half a nat) of the 10th, " +
      "50th and 90th percentile.",
    rows: main.flatMap(({ variant, pooled }) =>
      steps.map((t) => {
        const { before, after } = at(pooled, t);
        const percentiles = (when: string, histogram: Histogram) =>
          columns([10, 50, 90], (p) => `${when} ${p} %`, (p) => quantile(histogram, p / 100));
        return {
          variant,
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
function drawnSteps({ margins }: BeamOutcome): number[] {
  const counts = margins.after.map(sum);
  return [...counts.keys()].filter((t) => counts[t] > 0)
    .sort((a, b) => counts[b] - counts[a] || a - b).slice(0, MOST_STEPS).sort((a, b) => a - b);
}

function above(histogram: Histogram): number {
  return sum(histogram.slice(ZERO)) / sum(histogram);
}

/** The upper end of the bin that a quantile lies in. */
function quantile(histogram: Histogram, q: number): string {
  const total = sum(histogram);
  let seen = 0;
  const bin = histogram.findIndex((n) => (seen += n) >= q * total && total > 0);
  if (bin < 0) return "–";
  if (bin === 0) return "≤ −11.5";
  return bin === histogram.length - 1 ? "> 11.5" : `${-12 + (bin + 1) / 2}`.replace("-", "−");
}
