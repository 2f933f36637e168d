/**
 * What beam search loses of what the model ranks high: how much, why, and at which step.
 *
 * @module
 */
import type { BeamReport, Comparison, Variant } from "../comparison.ts";
import { type Figure, type Layer, type Section, type Table, text } from "../document.ts";
import {
  count,
  counted,
  listed,
  percentRange,
  share,
  signedInterval,
  withInterval,
} from "../format.ts";
import { type Line, linePanel, logDomain } from "../plots/lines.ts";
import { stackPanel } from "../plots/stacks.ts";
import { MOST_SERIES } from "../plots/style.ts";
import { type Estimate, shareInterval } from "../statistics.ts";
import { type Cause, CAUSES, type StepCounts } from "../step_counts.ts";
import { shownSteps } from "../../table.ts";
import { LEAST_TARGETS } from "../../evaluate/warnings.ts";
import { ofReadable, shownVariants } from "../variants.ts";
import { marginsFigure } from "./margins.ts";

/** The section on pruning. */
export function pruningSection(comparison: Comparison): Section {
  const many = comparison.variants.length > MOST_SERIES;
  return {
    title: "What the search prunes",
    blocks: [
      text(
        "A target is pruned at width B if it is among the model's exact best B items and the beam search of that width does not",
        "return it. The pruning rate is the pruned by the targets in the exact top B: a ratio of sums over users and seeds.",
        `There is none where these are fewer than ${LEAST_TARGETS} a run, too few to read it.`,
        "A step is violated if the target's token is not among the best B of its siblings, so that its margin is above 0;",
        "what is pruned without a violation was displaced by prefixes from other parts of the catalogue, or lost a tie.",
      ),
      ...[rateFigure(comparison), violationFigure(comparison), survivalFigure(comparison)]
        .map((figure) => ({ kind: "figure", figure }) as const),
      ...many
        ? [text(
          `Lines are drawn for the baseline and the ${MOST_SERIES - 1} variants that do best in`,
          "validation; the tables have all.",
        )]
        : [],
      { kind: "figure", figure: marginsFigure(comparison) },
    ],
  };
}

const NONE: Estimate = { value: NaN, low: NaN, high: NaN };

/** The reports of one width, without rates of too few targets. */
function reportsAt(
  variants: readonly Variant[],
  beam: number,
): { readonly name: string; readonly report: BeamReport }[] {
  return variants.flatMap(({ name, beams }) => {
    const report = beams.get(beam);
    if (report === undefined) return [];
    const isFew = report.steps.inTop < LEAST_TARGETS * report.outcomes.length;
    return [{ name, report: isFew ? { ...report, pruningRate: NONE } : report }];
  });
}

function isRated({ report }: { readonly report: BeamReport }): boolean {
  return Number.isFinite(report.pruningRate.value);
}

/** The widths that some of the variants were searched with. */
function shownBeams(shown: readonly Variant[], beams: readonly number[]): number[] {
  return beams.filter((beam) => reportsAt(shown, beam).length > 0);
}

/** Steps in at most five groups: the first ones alone, the others together. */
export function stepGroups(steps: number): { readonly name: string; readonly steps: number[] }[] {
  const all = Array.from({ length: steps }, (_, t) => t);
  if (steps <= 5) return all.map((t) => ({ name: `step ${t + 1}`, steps: [t] }));
  const bounds = [1, 2, 4, ...steps > 8 ? [8] : [], steps];
  return bounds.map((end, i) => {
    const from = i === 0 ? 0 : bounds[i - 1];
    const name = end - from === 1 ? `step ${end}` : `${from + 1}–${end}`;
    return { name, steps: all.slice(from, end) };
  }).filter(({ steps }) => steps.length > 0);
}

function rateFigure(comparison: Comparison): Figure {
  const { variants, beams, mainBeam, readable } = comparison;
  const groups = stepGroups(variants[0].runs[0].test.beams[0].reached.length);
  const most = Math.max(
    0.01,
    ...beams.flatMap((beam) => reportsAt(variants, beam)).map(({ report: { pruningRate } }) =>
      Math.max(...[pruningRate.value, pruningRate.high].filter(Number.isFinite), 0)
    ),
  );
  const ranked = reportsAt(readable, mainBeam)
    .filter(isRated)
    .sort((a, b) => a.report.pruningRate.value - b.report.pruningRate.value);
  const [least, worst] = [ranked[0], ranked[ranked.length - 1]];
  const rate = ({ report }: typeof least): string => share(report.pruningRate.value, 3);
  return {
    title: least === undefined
      ? reportsAt(variants, mainBeam).some(({ report }) => report.steps.inTop > 0)
        ? "Pruning rates, which the warnings above call into question"
        : `At B = ${mainBeam} no target is in the exact top B`
      : least === worst
      ? `At B = ${mainBeam}, ${least.name} loses ${rate(least)} of the targets in the exact top B`
      : `At B = ${mainBeam}, ${least.name} loses least of the targets in the exact top B, ${
        rate(least)
      }, and ${worst.name} most${ofReadable(comparison)}, ${rate(worst)}`,
    note: "Length of a bar: pruning rate. Shades: the step that lost the target. " +
      "Thin line with ends: 95 % interval of the rate over users and seeds.",
    alt: `Bars of the pruning rates of ${listed(variants.map(({ name }) => name))}`,
    panels: beams.map((beam) =>
      stackPanel(
        reportsAt(variants, beam).map(({ name, report: { steps, pruningRate } }) => ({
          label: name,
          parts: groups.map((group) =>
            Number.isNaN(pruningRate.value)
              ? 0
              : group.steps.reduce((sum, t) => sum + steps.pruned[t], 0) / steps.inTop
          ),
          shown: share(pruningRate.value, 3),
          sum: pruningRate,
        })),
        {
          ...{ title: `B = ${beam}`, unit: "pruning rate (share of the exact top B)" },
          ...{ most: most * 1.03, legend: groups.map(({ name }) => name) },
        },
      )
    ),
    table: rateTable(comparison),
  };
}

function rateTable({ variants, beams, baseline }: Comparison): Table {
  const sum = (given: readonly number[]): number => given.reduce((total, n) => total + n, 0);
  return {
    caption:
      "Pruned targets, counted over all runs, with 95 % intervals of the rate over users and seeds. " +
      "The interval of the violation share is Wilson's at the mean count of one run, as the same users come again with every seed.",
    head: [
      ...["variant", "B", "in exact top B", "pruned", "pruning rate", `less ${baseline.name}`],
      ...["violation share", ...CAUSES],
    ],
    rows: beams.flatMap((beam) =>
      reportsAt(variants, beam).map(({ name, report }) => {
        const { steps, pruningRate, pruningDifference, outcomes } = report;
        const isKnown = [...reportsAt([baseline], beam), { report }].every(isRated);
        const pruned = sum(steps.pruned);
        const violations = sum(steps.causes.violation);
        return [
          ...[name, `${beam}`, count(steps.inTop), count(pruned), withInterval(pruningRate, 3)],
          pruningDifference === undefined
            ? ""
            : signedInterval(isKnown ? pruningDifference : NONE, 3),
          withInterval(shareInterval(violations / pruned, pruned / outcomes.length), 3),
          ...CAUSES.map((cause: Cause) => count(sum(steps.causes[cause]))),
        ];
      })
    ),
  };
}

function violationFigure(comparison: Comparison): Figure {
  const { variants, beams, mainBeam } = comparison;
  const shown = shownVariants(variants);
  const violatedAt = ({ violated, reached }: StepCounts): { x: number; y: number }[] =>
    violated.flatMap((n, t) => reached[t] === 0 ? [] : [{ x: t + 1, y: n / reached[t] }]);
  const main = reportsAt(variants, mainBeam)[0]?.report.steps;
  const vacuous = main?.vacuous.map((n, t) => n / main.reached[t]) ?? [];
  const empty = vacuous.filter((x) => x > 0.9).length;
  return {
    title: empty === 0
      ? `At B = ${mainBeam} every step can violate the local condition`
      : `At B = ${mainBeam} the local condition says next to nothing at ${empty} of ${
        counted(vacuous.length, "step")
      }: over 90 % of the targets have at most ${mainBeam} siblings there`,
    note:
      "Lines: of all targets with a token at that step, the share whose margin is above 0. Pale bars: the share with at most B siblings, " +
      "where no margin can be above 0.",
    alt: "Lines of the share of violated steps over bars of the share of vacuous ones",
    panels: shownBeams(shown, beams).map((beam) => {
      const lines = reportsAt(shown, beam).map(({ name, report }): Line => ({
        label: name,
        points: violatedAt(report.steps),
      }));
      const { steps } = reportsAt(shown, beam)[0].report;
      const back: Layer = {
        data: {
          values: steps.vacuous.flatMap((n, t) =>
            steps.reached[t] === 0
              ? []
              : [{ x0: t + 0.65, x1: t + 1.35, y: n / steps.reached[t], base: 0 }]
          ),
        },
        mark: { type: "rect", color: "#e1e5eb" },
        encoding: {
          x: { field: "x0", type: "quantitative" },
          x2: { field: "x1" },
          y: { field: "y", type: "quantitative" },
          y2: { field: "base" },
        },
      };
      return linePanel(lines, {
        ...{ title: `B = ${beam}`, xUnit: "step", yUnit: "share of targets", domain: [0, 1] },
        ...{ whole: true, back: [back], room: 0.15 },
      });
    }),
    table: stepTable(comparison),
  };
}

function stepTable({ variants, beams }: Comparison): Table {
  return {
    caption: "By step, counted over all runs: targets of the exact top B that were lost there; " +
      "of all targets with a token there, the shares with a margin above 0 and with at most B siblings.",
    head: ["variant", "B", "step", "pruned", "by a violation", "violated", "vacuous"],
    rows: beams.flatMap((beam) =>
      reportsAt(variants, beam).flatMap(({ name, report: { steps } }) =>
        shownSteps(steps.reached.length).map((step) => {
          const t = step - 1;
          return [
            ...[name, `${beam}`, `${step}`, count(steps.pruned[t])],
            count(steps.causes.violation[t]),
            share(steps.violated[t] / steps.reached[t], 3),
            share(steps.vacuous[t] / steps.reached[t], 3),
          ];
        })
      )
    ),
  };
}

function survivalFigure(comparison: Comparison): Figure {
  const { variants, beams, mainBeam } = comparison;
  const shown = shownVariants(variants);
  const linesAt = (beam: number): Line[] =>
    reportsAt(shown, beam).map(({ name, report: { steps } }) => ({
      label: name,
      points: steps.survival.flatMap((y, t) => y > 0 ? [{ x: t + 1, y }] : []),
    }));
  const first = reportsAt(variants, mainBeam).map(({ report }) => report.steps.survival[0]);
  return {
    title: `After the first step the beam of ${mainBeam} still holds ${
      percentRange(first)
    } of the targets`,
    note:
      "The share of all targets, ranked high or not, whose prefix the beam still holds after each step. " +
      "The scale is logarithmic: equal distances are equal ratios.",
    alt: "Survival curves by step",
    panels: shownBeams(shown, beams).map((beam) =>
      linePanel(linesAt(beam), {
        ...{ title: `B = ${beam}`, xUnit: "step", yUnit: "share of targets surviving" },
        ...{ domain: logDomain(linesAt(beam)), whole: true, log: true },
      })
    ),
    table: survivalTable(comparison),
  };
}

function survivalTable({ variants, beams, baseline }: Comparison): Table {
  return {
    caption:
      "The share of targets whose prefix the beam still holds after a step, with 95 % intervals over users and seeds.",
    head: ["variant", "B", "step", "surviving", `less ${baseline.name}`],
    rows: beams.flatMap((beam) =>
      reportsAt(variants, beam).flatMap(({ name, report: { survival } }) =>
        survival.map(({ step, value, difference }) => [
          ...[name, `${beam}`, `${step}`, withInterval(value, 3)],
          difference === undefined ? "" : signedInterval(difference, 3),
        ])
      )
    ),
  };
}
