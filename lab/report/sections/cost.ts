/**
 * What training costs, and what was trained.
 *
 * @module
 */
import { sampleStandardDeviation } from "simple-statistics";
import type { RunResult } from "../../compare/run_result.ts";
import { codesOf, hasSeveralCodes, OWN, withoutCodes } from "../comparable.ts";
import { type Comparison, runsOf, trainedVariants, type Variant } from "../comparison.ts";
import { columns, type Figure, type Section, section, type Table, text } from "../document.ts";
import { count, countRange, number, share } from "../format.ts";
import { domainOf, type Dot, dots } from "../plots.ts";
import { mean } from "../statistics.ts";

/** The section on cost. */
export function costSection(comparison: Comparison): Section {
  return section(
    "What it costs",
    text(
      "The machine may have done other work at the same time, so small ratios are noise. The",
      "time of a step is the cost of a loss; the time of training also depends on when it",
      "stopped.",
    ),
    costFigure(comparison),
  );
}

function costFigure(comparison: Comparison): Figure {
  const { baseline } = comparison;
  /** Milliseconds a step, by seed. */
  const stepTimes = ({ runs }: Variant): number[] =>
    runs.map(({ seconds, steps }) => 1000 * seconds.training / steps);
  const base = mean(stepTimes(baseline));
  const dotOf = (variant: Variant): Dot => {
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
  };
  const drawn = trainedVariants(comparison).map(dotOf);
  const domain = domainOf([...drawn.flatMap(({ low, high }) => [low, high]), 1]);
  const spec = dots(drawn, `relative to ${baseline.name}`, domain, 1);
  return {
    name: "cost",
    title: "Time of a training step",
    note: "Dot: mean over seeds. Bar: from the fastest to the slowest seed.",
    panels: [{ title: "Time of a step", spec }],
    caption: "Means over seeds ± standard deviation.",
    rows: trainedVariants(comparison).map((variant) => {
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
  const runs = runsOf(comparison.variants);
  const items = [...new Set(runs.flatMap(({ command }) => command ?? []))];
  const isAll = runs.every(({ command }) => command !== undefined);
  return section(
    "Recipe and runs",
    items.length > 0 && `${isAll ? "The" : "Some of the"} runs were made by`,
    items.length > 0 && { kind: "commands", items },
    recipeTable(comparison),
    variantTable(comparison),
    runTable(runs),
  );
}

function recipeTable({ variants, users }: Comparison): Table {
  const runs = runsOf(variants);
  const [{ recipe, data, test, judging }] = runs;
  const common = hasSeveralCodes(runs)
    ? { ...withoutCodes(recipe), "digest without codes": data.sequences }
    : recipe;
  const shared = Object.entries(common)
    .filter(([field]) => field !== "seed" && !OWN.some((own) => own === field))
    .map(([setting, value]) => ({ setting, value: plain(value) }))
    .filter(({ value }) => value !== "");
  return {
    caption: "The recipe of all runs, and their data.",
    rows: [
      ...shared,
      {
        setting: "trained parameters",
        value: countRange(runs.map(({ parameters }) => parameters)),
      },
      { setting: "users", value: count(users) },
      { setting: "items", value: count(data.items) },
      { setting: "test cases", value: count(test.users) },
      { setting: "history excluded when judged", value: judging.excludeHistory ? "yes" : "no" },
      { setting: "targets excluded", value: count(test.absent) },
    ],
  };
}

/** A value of a recipe; fields of objects with their names. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return `${value ?? ""}`;
  return Object.entries(value).map(([name, inner]) => `${name} ${plain(inner)}`).join(", ");
}

function variantTable({ variants }: Comparison): Table {
  const runs = runsOf(variants);
  const fields = OWN.filter((field) => runs.some(({ recipe }) => recipe[field] !== undefined));
  const isMixed = hasSeveralCodes(runs);
  const isSearched = runs.some(({ judging }) => judging.search !== undefined);
  return {
    caption: "The variants' own settings. A loss uses those that it knows.",
    rows: variants.map(({ name, runs }) => {
      const { recipe, parameters, judging: { search } } = runs[0];
      const searched = search ? `over ${search.normalization}, tau ${search.tau}` : "as trained";
      return {
        variant: name,
        ...columns(fields, (field) => field, (field) => plain(recipe[field])),
        ...isMixed
          ? { codes: codesOf(runs[0]), digest: recipe.digest, parameters: count(parameters) }
          : {},
        ...isSearched ? { searched } : {},
        seeds: runs.map(({ recipe }) => recipe.seed).join(" "),
      };
    }),
  };
}

function runTable(runs: readonly RunResult[]): Table {
  return {
    caption: "Every run: the epoch that was judged, and its validation.",
    rows: runs.map(({ variant, recipe, epochs, bestEpoch, steps, validation, adapter }) => {
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
  };
}
