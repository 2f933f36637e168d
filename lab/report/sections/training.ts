/**
 * How training went, and what each loss does to a token.
 *
 * @module
 */
import type { RunResult } from "../../compare/run_result.ts";
import { gradientWeights } from "../../train/loss_probe.ts";
import { isLossName, lossNamed } from "../../../models/losses/index.ts";
import type { Comparison, Variant } from "../comparison.ts";
import { type Block, type Figure, type Section, type Table, text } from "../document.ts";
import { namedOrCounted, number, share } from "../format.ts";
import {
  highlightPanel,
  type Line,
  linePanel,
  linesDomain,
  logDomain,
  type Marked,
  type Point,
} from "../plots/lines.ts";
import { ofReadable, shownVariants, trainedVariants, validated } from "../variants.ts";

/** Points of a training curve that are drawn. */
const MOST_POINTS = 60;

/** Up to this weight, 1 being msl's, curves about 1 can be told apart on a linear scale. */
const MOST_LINEAR = 4;

/** The section on training. */
export async function trainingSection(comparison: Comparison): Promise<Section> {
  const variants = trainedVariants(comparison.variants);
  const shown = shownVariants(variants);
  const validation = variants.some(({ runs }) => runs.some((run) => run.validation.length > 0))
    ? [validationFigure(comparison, variants, shown)]
    : [];
  const weights = await weightFigure(shown);
  const figures = [...weights === undefined ? [] : [weights], ...validation, lossFigure(shown)];
  return {
    title: "How the losses train",
    blocks: [
      ...figures.map((figure): Block => ({ kind: "figure", figure })),
      ...validation.length === 0
        ? [text("There were no validation cases: the weights of the last epoch were judged.")]
        : [],
    ],
  };
}

async function weightFigure(variants: readonly Variant[]): Promise<Figure | undefined> {
  const lines: Line[] = [];
  for (const { name, runs: [{ recipe, gradient }] } of variants) {
    const isKnown = recipe.lossModule === undefined && isLossName(recipe.loss);
    if (!isKnown && gradient === undefined) continue;
    const weights = gradient ??
      await gradientWeights(lossNamed(recipe.loss).make(recipe), recipe.beam);
    lines.push({ label: name, points: weights.map(({ margin: x, weight: y }) => ({ x, y })) });
  }
  if (lines.length === 0) return undefined;
  const drawn = lines.map(({ label, points }) => ({
    label,
    points: points.filter(({ y }) => Number.isFinite(y)),
  }));
  const safe = harder(drawn, (first, last) => first > last);
  const lost = harder(drawn, (first, last) => first < last);
  const say = (names: readonly string[], what: string): string[] =>
    names.length === 0
      ? []
      : [`${namedOrCounted(names, "variant")} ${names.length === 1 ? "pulls" : "pull"} ${what}`];
  const said = [
    ...say(safe, "harder on tokens that are already safe"),
    ...say(lost, "harder on tokens that would be pruned"),
  ];
  const all = drawn.flatMap(({ points }) => points.map(({ y }) => y));
  const log = Math.min(...all) > 0 && Math.max(...all) > MOST_LINEAR;
  const at = [-6, -4, -2, -1, 0, 1, 2, 4, 6];
  return {
    title: said.length > 0 ? said.join("; ") : "No loss weighs tokens by their margin",
    note:
      "The gradient at the label's logit by that of msl in the same batch, measured by automatic differentiation at the recipe's settings. " +
      "Left of 0 a token is safe at the width B that the loss aims at; right of 0 it would be pruned." +
      (log ? " The scale is logarithmic: equal distances are equal ratios." : ""),
    alt: "Lines of the gradient weight against the margin for each loss",
    panels: [
      linePanel(drawn, {
        ...{ title: "Weight of a token's gradient", xUnit: "margin log β − log p (nats)" },
        ...{ yUnit: "weight, 1 = msl", domain: log ? logDomain(drawn) : linesDomain(drawn, true) },
        ...{ log, marked: false },
        back: [{
          data: { values: [{ x: 0 }] },
          mark: { type: "rule", color: "#9aa1ac", strokeDash: [3, 3] },
          encoding: { x: { field: "x", type: "quantitative" } },
        }],
      }),
    ],
    table: {
      caption: "The weight of a token's gradient by its margin, relative to msl.",
      head: ["variant", ...at.map((margin) => `${margin}`.replace("-", "−"))],
      rows: lines.map(({ label, points }) => [
        label,
        ...at.map((margin) => number(points.find(({ x }) => x === margin)?.y ?? NaN)),
      ]),
    },
  };
}

/** The lines whose ends stand in some order, by more than rounding. */
function harder(
  lines: readonly Line[],
  holds: (first: number, last: number) => boolean,
): string[] {
  return lines.filter(({ points }) => {
    const [first, last] = [points[0]?.y ?? 0, points[points.length - 1]?.y ?? 0];
    return Math.abs(first - last) > 0.01 && holds(first, last);
  }).map(({ label }) => label);
}

function validationFigure(
  comparison: Comparison,
  variants: readonly Variant[],
  shown: readonly Variant[],
): Figure {
  const lineOf = (run: RunResult): Line => ({
    label: "",
    points: run.validation.map(({ epoch: x, ndcg: y }) => ({ x, y })),
  });
  const all = shown.flatMap(({ runs }) => runs.map(lineOf));
  const domain = linesDomain(all, true);
  const [best] = variants.filter((variant) => comparison.readable.includes(variant))
    .sort((a, b) => validated(b) - validated(a));
  return {
    title: best === undefined
      ? "NDCG@10 in validation by epoch"
      : `In validation ${best.name} reaches the highest NDCG@10${ofReadable(comparison)}: ${
        share(validated(best))
      }`,
    note:
      "One panel a variant: its runs dark, a dash a seed, those of all others pale. Dot: the epoch whose weights were judged.",
    alt: "Validation NDCG@10 by epoch for each variant",
    panels: shown.map(({ name, runs }) =>
      highlightPanel(
        runs.map((run): Marked => {
          const line = lineOf(run);
          return { ...line, marks: line.points.filter(({ x }) => x === run.bestEpoch) };
        }),
        all,
        { title: name, xUnit: "epoch", yUnit: "NDCG@10 on validation", domain, whole: true },
      )
    ),
    table: epochTable(
      "NDCG@10 on validation by epoch and seed.",
      variants,
      ({ validation }, epoch) => validation.find((point) => point.epoch === epoch)?.ndcg ?? NaN,
    ),
  };
}

function lossFigure(shown: readonly Variant[]): Figure {
  const lines = (runs: readonly RunResult[]): Line[] =>
    runs.map((run) => ({ label: "", points: thinned(curveOf(run)) }));
  const runs = shown.flatMap(({ runs }) => runs);
  const fallen =
    lines(runs).filter(({ points: [first, ...rest] }) =>
      rest.length > 0 && rest[rest.length - 1].y < first.y
    ).length;
  return {
    title: `${
      fallen === runs.length
        ? "All training losses fall"
        : `${fallen} of ${runs.length} training losses fall`
    }; their scales differ, so only shapes can be compared`,
    note:
      "One panel a variant, a dash a seed, each with its own scale. Each point is a mean over some steps.",
    alt: "Training loss by epoch for each variant",
    panels: shown.map(({ name, runs }) => {
      const own = lines(runs);
      return highlightPanel(own.map((line) => ({ ...line, marks: [] })), [], {
        ...{ title: name, xUnit: "epoch", yUnit: "training loss" },
        domain: linesDomain(own, false),
      });
    }),
    table: epochTable("Mean training loss by epoch and seed.", shown, (run, epoch) => {
      const within = curveOf(run).filter(({ x }) => x > epoch - 1 && x <= epoch);
      return within.reduce((sum, { y }) => sum + y, 0) / within.length;
    }),
  };
}

/** The loss by epochs trained, parts of epochs included. */
function curveOf({ curve, steps, epochs }: RunResult): Point[] {
  return curve.map(({ step, loss }) => ({ x: step * epochs / steps, y: loss }));
}

/** At most so many points, each the mean of neighbours. */
function thinned(curve: readonly Point[]): Point[] {
  const size = Math.ceil(curve.length / MOST_POINTS);
  const mean = (given: readonly number[]): number =>
    given.reduce((sum, x) => sum + x, 0) / given.length;
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
  const runs = variants.flatMap(({ runs }) => runs);
  const epochs = Math.max(...runs.map(({ epochs }) => epochs));
  return {
    caption,
    head: ["epoch", ...runs.map(({ variant, recipe }) => `${variant}, seed ${recipe.seed}`)],
    rows: Array.from({ length: epochs }, (_, e) => [
      `${e + 1}`,
      ...runs.map((run) => {
        const x = value(run, e + 1);
        return Number.isFinite(x) ? share(x) : "";
      }),
    ]),
  };
}
