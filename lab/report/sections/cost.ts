/**
 * What training costs, and what was trained.
 *
 * @module
 */
import { mean, sampleStandardDeviation } from "simple-statistics";
import type { RunResult } from "../../compare/run_result.ts";
import { OWN } from "../comparable.ts";
import { type Comparison, trainedVariants, type Variant } from "../comparison.ts";
import {
  type Block,
  columns,
  type Figure,
  figures,
  type Section,
  table,
  text,
} from "../document.ts";
import { count, number, share } from "../format.ts";
import { domainOf, type Dot, dots } from "../plots.ts";

/** The section on cost. */
export function costSection(comparison: Comparison): Section {
  return {
    title: "What it costs",
    blocks: [
      text(
        "The machine may have done other work at the same time, so small ratios are noise. The",
        "time of a step is the cost of a loss; the time of training also depends on when it",
        "stopped.",
      ),
      ...figures(costFigure(comparison)),
    ],
  };
}

/** Milliseconds a step, by seed. */
function stepTimes({ runs }: Variant): number[] {
  return runs.map(({ seconds, steps }) => 1000 * seconds.training / steps);
}

function costFigure(comparison: Comparison): Figure {
  const { baseline } = comparison;
  const variants = trainedVariants(comparison);
  const base = mean(stepTimes(baseline));
  const rows = variants.map((variant): Dot => {
    const times = stepTimes(variant).map((time) => time / base);
    const value = mean(times);
    return {
      label: variant.name,
      value,
      low: Math.min(...times),
      high: Math.max(...times),
      shown: `${value.toFixed(2)} ×`,
      kind: variant === baseline ? "baseline" : "variant",
    };
  });
  const ends = rows.flatMap(({ low, high }) => [low, high]);
  return {
    name: "cost",
    title: "Time of a training step",
    note: "Dot: mean over seeds. Bar: from the fastest to the slowest seed.",
    panels: [{
      title: "Time of a step",
      spec: dots(rows, `relative to ${baseline.name}`, domainOf([...ends, 1]), 1),
    }],
    caption: "Means over seeds ± standard deviation.",
    rows: variants.map((variant) => {
      const over = (of: (run: RunResult) => number, digits = 3): string =>
        withDeviation(variant.runs.map(of), digits);
      return {
        variant: variant.name,
        "ms a step": withDeviation(stepTimes(variant), 3),
        "× baseline": (mean(stepTimes(variant)) / base).toFixed(2),
        "tokens a second": over((run) => run.tokensPerSecond, 4),
        epochs: over((run) => run.epochs),
        "training s": over((run) => run.seconds.training),
        "validation s": over((run) => run.seconds.validation),
        "judging s": over((run) => run.seconds.judging),
      };
    }),
  };
}

function withDeviation(given: number[], digits: number): string {
  const value = number(mean(given), digits);
  return given.length < 2 ? value : `${value} ± ${number(sampleStandardDeviation(given), 2)}`;
}

/** The section on recipe and runs. */
export function recipeSection(comparison: Comparison): Section {
  const runs = comparison.variants.flatMap(({ runs }) => runs);
  const lines = [...new Set(runs.flatMap(({ command }) => command ?? []))];
  const isAll = runs.every(({ command }) => command !== undefined);
  const commands: Block[] = lines.length === 0 ? [] : [
    text(`${isAll ? "The" : "Some of the"} runs were made by`),
    { kind: "commands", lines },
  ];
  return {
    title: "Recipe and runs",
    blocks: [...commands, recipeTable(comparison), variantTable(comparison), runTable(runs)],
  };
}

function recipeTable({ variants: [{ runs: [run] }], users }: Comparison): Block {
  const { recipe, parameters, data, test, judging } = run;
  const shared = Object.entries(recipe)
    .filter(([field]) => field !== "seed" && !OWN.some((own) => own === field))
    .map(([field, value]) => [field, plain(value)])
    .filter(([, value]) => value !== "");
  const rows = [
    ...shared,
    ["trained parameters", count(parameters)],
    ["users", count(users)],
    ["items", count(data.items)],
    ["test cases", count(test.users)],
    ["history excluded when judged", judging.excludeHistory ? "yes" : "no"],
    ["targets excluded", count(test.absent)],
  ];
  return table(
    "The recipe of all runs, and their data.",
    rows.map(([setting, value]) => ({ setting, value })),
  );
}

/** A value of a recipe; fields of objects with their names. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return `${value ?? ""}`;
  return Object.entries(value).map(([name, inner]) => `${name} ${plain(inner)}`).join(", ");
}

function variantTable({ variants }: Comparison): Block {
  const runs = variants.flatMap(({ runs }) => runs);
  const fields = OWN.filter((field) => runs.some(({ recipe }) => recipe[field] !== undefined));
  const isSearched = runs.some(({ judging }) => judging.search !== undefined);
  return table(
    "The variants' own settings. A loss uses those that it knows.",
    variants.map(({ name, runs }) => {
      const { recipe, judging: { search } } = runs[0];
      const searched = search === undefined
        ? "as trained"
        : `over ${search.normalization}, tau ${search.tau}`;
      return {
        variant: name,
        ...columns(fields, (field) => field, (field) => plain(recipe[field])),
        ...isSearched ? { searched } : {},
        seeds: runs.map(({ recipe }) => recipe.seed).join(" "),
      };
    }),
  );
}

function runTable(runs: readonly RunResult[]): Block {
  return table(
    "Every run: the epoch that was judged, and its validation.",
    runs.map(({ variant, recipe, epochs, bestEpoch, steps, validation, adapter }) => {
      const best = validation.find(({ epoch }) => epoch === bestEpoch);
      return {
        variant,
        seed: `${recipe.seed}`,
        epochs: `${epochs}`,
        best: `${bestEpoch}`,
        steps: count(steps),
        "validation HR@10": share(best?.hr ?? NaN),
        "NDCG@10": share(best?.ndcg ?? NaN),
        adapter,
      };
    }),
  );
}
