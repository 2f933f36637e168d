/**
 * How training went, what each loss does to a token, and which width it aims at.
 *
 * @module
 */
import { isLossName, lossNamed } from "../../../models/losses/index.ts";
import type { RunResult } from "../../compare/run_result.ts";
import { type GradientWeight, gradientWeights } from "../../train/loss_probe.ts";
import type { Recipe } from "../../train/recipe.ts";
import { codesOf, hasSeveralCodes, LOSS_SETTINGS, settingsOf } from "../comparable.ts";
import {
  type Comparison,
  estimateOf,
  runsOf,
  shownVariants,
  trainedVariants,
  validated,
  type Variant,
} from "../comparison.ts";
import { columns, type Figure, type Section, section, type Table } from "../document.ts";
import { namedOrCounted, number, share } from "../format.ts";
import { highlights, type Line, lines, type Point, pointsOf } from "../line_plots.ts";
import { dashed, domainOf, heatMap } from "../plots.ts";
import { mean } from "../statistics.ts";

/** The weight of a token's gradient by its margin, of a variant. */
export type VariantWeights = {
  readonly name: string;
  readonly weights: readonly GradientWeight[];
};

/** The most points of a training curve that are drawn. */
const MOST_POINTS = 60;

/** Up to this weight, 1 being that of msl, curves near 1 can be told apart on a linear scale. */
const MOST_LINEAR = 4;

/**
 * The gradient weights of the variants of figures, where they are known. Those of one loss are the
 * same with all codes and settings of training, and are there once.
 */
export async function weightsOf(comparison: Comparison): Promise<VariantWeights[]> {
  const found: VariantWeights[] = [];
  const shown = shownVariants(trainedVariants(comparison));
  const settings = shown.map((variant) =>
    LOSS_SETTINGS.map((field) => settingOf(variant, field)).join()
  );
  for (const [i, { name, runs: [{ recipe, gradient }] }] of shown.entries()) {
    if (settings.indexOf(settings[i]) < i) continue;
    const { loss, lossModule, beam } = recipe;
    if (gradient !== undefined) found.push({ name, weights: gradient });
    else if (lossModule === undefined && isLossName(loss)) {
      found.push({ name, weights: await gradientWeights(lossNamed(loss).make(recipe), beam) });
    }
  }
  return found;
}

/** The section on training. */
export function trainingSection(
  comparison: Comparison,
  weights: readonly VariantWeights[],
): Section {
  const variants = trainedVariants(comparison);
  const shown = shownVariants(variants);
  const isValidated = runsOf(variants).some(({ validation }) => validation.length > 0);
  return section(
    "How the losses train",
    weights.length > 0 && weightFigure(weights),
    isValidated && validationFigure(comparison, variants, shown),
    lossFigure(shown),
    !isValidated && "There are no validation cases: the last epoch was judged.",
  );
}

function weightFigure(weights: readonly VariantWeights[]): Figure {
  const drawn = weights.map(({ name, weights }): Line => ({
    label: name,
    points: weights.map(({ margin: x, weight: y }) => ({ x, y }))
      .filter(({ y }) => Number.isFinite(y)),
  }));
  /** The variants whose weights fall (-1) or rise (1) with the margin by more than rounding. */
  const trending = (sign: number): string =>
    namedOrCounted(
      drawn.filter(({ points }) => sign * rise(points) > 0.01).map(({ label }) => label),
    );
  const all = pointsOf(drawn).map(({ y }) => y);
  const log = Math.min(...all) > 0 && Math.max(...all) > MOST_LINEAR;
  const axes = { x: "margin log β − log p (nats)", y: "weight, 1 = msl", log };
  const spec = lines(drawn, axes, { marked: false, back: [dashed(0)] });
  return {
    name: "weights",
    title: `Losses that pull harder on safe tokens: ${trending(-1)}; on tokens that would be ` +
      `pruned: ${trending(1)}`,
    note: "The gradient at the label's logit divided by that of msl in the same batch, at the " +
      "recipe's settings. Left of 0 a token is safe at the width B that the loss aims at; right " +
      `of 0 it would be pruned.${log ? " The scale is logarithmic." : ""}`,
    panels: [{ title: "Weight of a token's gradient", spec }],
    caption: "The weight of a token's gradient by its margin, relative to msl.",
    rows: [-6, -4, -2, -1, 0, 1, 2, 4, 6].map((at) => ({
      margin: `${at}`.replace("-", "−"),
      ...columns(
        weights,
        ({ name }) => name,
        ({ weights }) => number(weights.find(({ margin }) => margin === at)?.weight ?? NaN),
      ),
    })),
  };
}

/** How much the last point of a line is above the first. */
function rise(points: readonly Point[]): number {
  return points.length === 0 ? 0 : points[points.length - 1].y - points[0].y;
}

function validationFigure(
  { readable }: Comparison,
  variants: readonly Variant[],
  shown: readonly Variant[],
): Figure {
  const lineOf = (run: RunResult): Line => ({
    label: nameOf(run),
    points: run.validation.map(({ epoch: x, ndcg: y }) => ({ x, y })),
  });
  const all = runsOf(shown).map(lineOf);
  const domain = domainOf(pointsOf(all).map(({ y }) => y), true);
  const axes = { x: "epoch", y: "NDCG@10 on validation", domain };
  const [best] = variants.filter(({ name }) => readable.includes(name))
    .sort((a, b) => validated(b) - validated(a));
  return {
    name: "validation",
    title: best === undefined
      ? "NDCG@10 in validation by epoch"
      : `Best NDCG@10 in validation: ${best.name}, ${share(validated(best))}`,
    note: "One panel per variant: its runs dark, one dash per seed, all others pale. Dot: the " +
      "epoch that was judged.",
    panels: shown.map(({ name, runs }) => {
      const marks = runs.flatMap((run) =>
        lineOf(run).points.filter(({ x }) => x === run.bestEpoch)
      );
      return { title: name, spec: highlights(runs.map(lineOf), all, marks, axes) };
    }),
    ...epochTable(
      "NDCG@10 on validation by epoch and seed.",
      variants,
      ({ validation }, epoch) => validation.find((point) => point.epoch === epoch)?.ndcg ?? NaN,
    ),
  };
}

function lossFigure(shown: readonly Variant[]): Figure {
  const lineOf = (run: RunResult): Line => (
    { label: nameOf(run), points: thinned(lossCurve(run)) }
  );
  const all = runsOf(shown).map(lineOf);
  const fallen = all.filter(({ points }) => rise(points) < 0).length;
  return {
    name: "loss",
    title: `${fallen} of ${all.length} training losses fall`,
    note: "One panel per variant, one dash per seed, each with its own scale: only shapes can be " +
      "compared. Each point is a mean over some steps.",
    panels: shown.map(({ name, runs }) => {
      const own = runs.map(lineOf);
      const domain = domainOf(pointsOf(own).map(({ y }) => y));
      const axes = { x: "epoch", y: "training loss", domain };
      return { title: name, spec: highlights(own, [], [], axes) };
    }),
    ...epochTable("Mean training loss by epoch and seed.", shown, (run, epoch) => {
      const within = lossCurve(run).filter(({ x }) => x > epoch - 1 && x <= epoch);
      return mean(within.map(({ y }) => y));
    }),
  };
}

function nameOf({ variant, recipe }: RunResult): string {
  return `${variant}, seed ${recipe.seed}`;
}

/** The training loss by epochs, with parts of epochs. */
export function lossCurve({ curve, steps, epochs }: RunResult): Point[] {
  return curve.map(({ step, loss }) => ({ x: step * epochs / steps, y: loss }));
}

/** At most {@link MOST_POINTS} points, each the mean of neighbours. */
function thinned(curve: readonly Point[]): Point[] {
  const size = Math.ceil(curve.length / MOST_POINTS);
  return Array.from({ length: Math.ceil(curve.length / size) }, (_, i) => {
    const part = curve.slice(i * size, (i + 1) * size);
    return { x: mean(part.map(({ x }) => x)), y: mean(part.map(({ y }) => y)) };
  });
}

/** A row an epoch, a column a run. */
function epochTable(
  caption: string,
  variants: readonly Variant[],
  value: (run: RunResult, epoch: number) => number,
): Table {
  const runs = runsOf(variants);
  const epochs = Math.max(...runs.map(({ epochs }) => epochs));
  const rows = Array.from({ length: epochs }, (_, e) => ({
    epoch: `${e + 1}`,
    ...columns(runs, nameOf, (run) => {
      const x = value(run, e + 1);
      return Number.isFinite(x) ? share(x) : "";
    }),
  }));
  return { caption, rows };
}

/** The section on widths. */
export function widthSection(comparison: Comparison): Section {
  const groups = groupsOf(trainedVariants(comparison));
  return section(
    "The beam in training and the beam in search",
    groups.length > 0
      ? widthFigure(comparison, groups)
      : "Every loss aims at one width here. Runs with several values of --beam give a map of B " +
        "in training against B in search.",
  );
}

/** Variants that differ in the width only. */
type Group = { readonly name: string; readonly variants: readonly Variant[] };

function groupsOf(variants: readonly Variant[]): Group[] {
  const fields = settingsOf(runsOf(variants)).filter((field) => field !== "beam");
  const codes = ({ runs: [run] }: Variant): string => codesOf(run);
  const isMixed = hasSeveralCodes(runsOf(variants));
  const keyOf = (variant: Variant) =>
    [...fields.map((field) => settingOf(variant, field)), codes(variant)].join();
  const groups = [...Map.groupBy(variants, keyOf).values()]
    .filter((group) => new Set(group.map(beamOf)).size > 1)
    .map((group) => group.toSorted((a, b) => beamOf(a) - beamOf(b)));
  /** The settings that distinguish the groups, besides the loss. */
  const differing = fields.filter((field) =>
    field !== "loss" && new Set(groups.map(([first]) => settingOf(first, field))).size > 1
  );
  return groups.map((variants) => {
    const { loss } = variants[0].runs[0].recipe;
    const settings = [
      ...differing.map((field) => `${field} ${settingOf(variants[0], field)}`),
      ...isMixed ? [codes(variants[0])] : [],
    ];
    return { name: [loss, ...settings].join(", ").replaceAll('"', ""), variants };
  });
}

function settingOf({ runs: [{ recipe }] }: Variant, field: keyof Recipe): string {
  return JSON.stringify(recipe[field] ?? "–");
}

/** The width that a variant aims at. */
function beamOf({ runs: [{ recipe }] }: Variant): number {
  return recipe.beam;
}

function widthFigure(comparison: Comparison, groups: readonly Group[]): Figure {
  const { beams, readable } = comparison;
  const metric = beams[0] < 10 ? "NDCG@5" : "NDCG@10"; // one that all widths have
  const maps = groups.map(({ name, variants }) => {
    const cells = beams.flatMap((beam) => {
      const found = variants.flatMap((variant) => {
        const value = estimateOf(comparison, variant.name, beam, metric)?.value;
        const row = `${beamOf(variant)}`;
        return value === undefined ? [] : [{ row, column: `${beam}`, value, shown: share(value) }];
      });
      const highest = Math.max(...found.map(({ value }) => value));
      return found.map((cell) => ({ ...cell, best: cell.value === highest }));
    });
    return { name, cells };
  });
  const aimed = maps.flatMap(({ cells }) => cells).filter(({ row, column }) => row === column);
  const matched = aimed.filter(({ best }) => best).length;
  const isReadable = groups.every(({ variants }) =>
    variants.every(({ name }) => readable.includes(name))
  );
  return {
    name: "widths",
    title: isReadable && aimed.length > 0
      ? `Training for the width of the search is best in ${matched} of ${aimed.length} columns`
      : `${metric} by the width in training and in search`,
    note: "Darker is higher. Frame: the best of its column. Means over users and seeds, whose " +
      "intervals are in the section on retrieval: differences within a column may be chance.",
    panels: maps.map(({ name, cells }) => (
      { title: name, spec: heatMap(cells, "B in search", `B in training · ${metric}`) }
    )),
    caption: `${metric} by the width that the loss aims at and the width of the search.`,
    rows: maps.flatMap(({ name, cells }) =>
      cells.map(({ row, column, shown }) => (
        { loss: name, "B in training": row, "B in search": column, [metric]: shown }
      ))
    ),
  };
}
