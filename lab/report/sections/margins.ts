/**
 * How training moves the margins.
 *
 * @module
 */
import type { BeamOutcome, Histogram } from "../../compare/run_result.ts";
import type { Comparison } from "../comparison.ts";
import type { Figure, Panel } from "../document.ts";
import { count, percent, share } from "../format.ts";
import { reachOf, ridgePanel } from "../plots/ridges.ts";

/** Steps that are drawn. */
const MOST_STEPS = 4;

/** The bin where margins above 0 begin. */
const ZERO = 24;

/** Histograms of one width, before and after training. */
export function marginsFigure({ variants, mainBeam }: Comparison): Figure {
  const reports = variants.flatMap(({ name, beams }) => {
    const report = beams.get(mainBeam);
    return report === undefined ? [] : [{ name, outcomes: report.outcomes }];
  });
  const all = reports.flatMap(({ outcomes }) => outcomes);
  const steps = drawnSteps(all);
  const reach = reachOf(
    all.flatMap(({ margins }) => steps.flatMap((t) => [margins.before[t], margins.after[t]])),
  );
  const panels = steps.length === 0 ? [] : reports.map(({ name, outcomes }): Panel =>
    ridgePanel(
      steps.map((t) => ({
        label: `step ${t + 1}`,
        before: added(outcomes.map(({ margins }) => margins.before[t])),
        after: added(outcomes.map(({ margins }) => margins.after[t])),
      })),
      name,
      reach,
    )
  );
  const rows = reports.flatMap(({ name, outcomes }) =>
    steps.map((t) => {
      const before = added(outcomes.map(({ margins }) => margins.before[t]));
      const after = added(outcomes.map(({ margins }) => margins.after[t]));
      return [
        ...[name, `${t + 1}`, count(sum(after))],
        ...[above(before), above(after)].map((x) => share(x, 3)),
        ...[before, after].flatMap((h) => [0.1, 0.5, 0.9].map((q) => quantile(h, q))),
      ];
    })
  );
  const [t] = steps;
  const moved = t === undefined ? undefined : all.map(({ margins }) => margins);
  const before = moved && above(added(moved.map((m) => m.before[t])));
  const after = moved && above(added(moved.map((m) => m.after[t])));
  return {
    title: before === undefined || after === undefined
      ? "No target has a choice"
      : `Training moves margins: at step ${t + 1} and B = ${mainBeam}, ${
        percent(before)
      } of the targets had one above 0 before and ${percent(after)} have after`,
    note:
      "Pale area: margins of the untrained model. Line: after training. Each row is scaled to its own height. " +
      "Targets right of the dashed line are pruned; a margin of exactly 0, of the B-th best itself or the last " +
      "of at most B siblings, stands left of it. " +
      "Only targets with more than one sibling; all seeds together.",
    alt: "Histograms of margins before and after training",
    panels,
    table: {
      caption:
        `Margins log β − log p at B = ${mainBeam}, nats, of targets with more than one sibling: ` +
        "the share above 0, and the upper ends of the bins (of half a nat) in which the 10th, 50th and 90th percentile lie.",
      head: [
        ...["variant", "step", "targets", "above 0 before", "after"],
        ...["before", "after"].flatMap((when) =>
          ["10 %", "50 %", "90 %"].map((q) => `${when} ${q}`)
        ),
      ],
      rows,
    },
  };
}

/** The steps with the most margins, in order. */
function drawnSteps(outcomes: readonly BeamOutcome[]): number[] {
  const { length } = outcomes[0]?.reached ?? [];
  const counts = Array.from(
    { length },
    (_, t) => sum(outcomes.map((o) => sum(o.margins.after[t]))),
  );
  return [...counts.keys()].filter((t) => counts[t] > 0)
    .sort((a, b) => counts[b] - counts[a] || a - b).slice(0, MOST_STEPS).sort((a, b) => a - b);
}

function added(histograms: readonly Histogram[]): Histogram {
  return histograms[0].map((_, bin) => sum(histograms.map((h) => h[bin])));
}

function above(histogram: Histogram): number {
  return sum(histogram.slice(ZERO)) / sum(histogram);
}

/** The bin that a quantile lies in, by its upper end. */
function quantile(histogram: Histogram, q: number): string {
  const total = sum(histogram);
  let seen = 0;
  const bin = histogram.findIndex((n) => (seen += n) >= q * total && total > 0);
  if (bin < 0) return "–";
  const text = `${-12 + (bin + 1) / 2}`.replace("-", "−");
  return bin === 0 ? "≤ −11.5" : bin === histogram.length - 1 ? "> 11.5" : text;
}

function sum(given: readonly number[]): number {
  return given.reduce((total, n) => total + n, 0);
}
