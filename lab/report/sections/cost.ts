/**
 * What training costs, and what was trained.
 *
 * @module
 */
import { mean as meanOf, sampleStandardDeviation } from "simple-statistics";
import type { SearchSetting } from "../../compare/run_result.ts";
import { OWN } from "../comparable.ts";
import type { Comparison, Variant } from "../comparison.ts";
import { type Block, type Figure, type Section, type Table, text } from "../document.ts";
import { count, number, share } from "../format.ts";
import { dotPanel, type DotRow } from "../plots/dots.ts";
import { domainOf } from "../plots/style.ts";
import { trainedVariants } from "../variants.ts";

/** The section on cost. */
export function costSection(comparison: Comparison): Section {
  return {
    title: "What it costs",
    blocks: [
      text(
        "Seconds are those of a machine that may have done other work at the same time, so small ratios are noise.",
        "Time a step is what a loss costs; the whole of training also depends on when it stopped.",
      ),
      { kind: "figure", figure: costFigure(comparison) },
    ],
  };
}

/** The section on recipe and runs. */
export function recipeSection(comparison: Comparison): Section {
  return {
    title: "Recipe and runs",
    blocks: [
      ...commands(comparison),
      text("All runs share this recipe."),
      { kind: "table", table: recipeTable(comparison) },
      { kind: "table", table: variantTable(comparison) },
      { kind: "table", table: runTable(comparison) },
    ],
  };
}

/** What was typed, where results say it. */
function commands({ variants }: Comparison): Block[] {
  const runs = variants.flatMap(({ runs }) => runs);
  const lines = [...new Set(runs.flatMap(({ command }) => command ?? []))];
  if (lines.length === 0) return [];
  const all = runs.every(({ command }) => command !== undefined);
  const from = all ? "The runs were" : "Some of the runs were";
  return [text(`${from} made by`), { kind: "commands", lines }];
}

function mean(given: readonly number[]): number {
  return meanOf([...given]);
}

/** Milliseconds a step, by seed. */
function perStep({ runs }: Variant): number[] {
  return runs.map(({ seconds, steps }) => 1000 * seconds.training / steps);
}

function costFigure({ variants: all, baseline }: Comparison): Figure {
  const variants = trainedVariants(all);
  const own = perStep(baseline);
  const base = mean(own);
  const rows = variants.map((variant): DotRow => {
    const times = perStep(variant).map((time) => time / base);
    return {
      label: variant.name,
      estimate: { value: mean(times), low: Math.min(...times), high: Math.max(...times) },
      shown: `${mean(times).toFixed(2)} ×`,
      kind: variant === baseline ? "baseline" : "variant",
    };
  });
  const dearest = rows.reduce((a, b) => b.estimate.value > a.estimate.value ? b : a);
  const others = rows.filter(({ kind }) => kind !== "baseline");
  const isApart = own.length > 1 &&
    (dearest.kind === "baseline"
      ? others.length > 0 && others.every(({ estimate }) => estimate.high < Math.min(...own) / base)
      : dearest.estimate.low > Math.max(...own) / base);
  const ends = rows.flatMap(({ estimate: { low, high } }) => [low, high]);
  return {
    title: !isApart
      ? "Time of a training step" // the seeds differ as much as the variants, or are too few to tell
      : dearest.kind === "baseline"
      ? `No step is slower than that of ${baseline.name}`
      : `A step of ${dearest.label} takes ${
        dearest.shown.replace(" ×", "")
      } times as long as one of ${baseline.name}`,
    note: "Dot: mean over seeds. Bar: from the fastest to the slowest seed.",
    alt: "Dots of the time of a training step relative to the baseline",
    panels: [dotPanel(rows, {
      ...{ title: "Time of a training step", unit: `relative to ${baseline.name}` },
      ...{ domain: domainOf([...ends, 1], false), line: 1 },
    })],
    table: costTable(variants, base),
  };
}

function costTable(variants: readonly Variant[], base: number): Table {
  return {
    caption: "Means over seeds ± standard deviation.",
    head: [
      ...["variant", "ms a step", "× baseline", "tokens a second", "epochs", "training s"],
      ...["validation s", "judging s"],
    ],
    rows: variants.map((variant) => {
      const { name, runs } = variant;
      const times = perStep(variant);
      const of = (given: readonly number[], digits = 3): string =>
        given.length < 2
          ? number(mean(given), digits)
          : `${number(mean(given), digits)} ± ${number(sampleStandardDeviation([...given]), 2)}`;
      return [
        ...[name, of(times), (mean(times) / base).toFixed(2)],
        of(runs.map((run) => run.tokensPerSecond), 4),
        of(runs.map((run) => run.epochs)),
        ...(["training", "validation", "judging"] as const).map((part) =>
          of(runs.map(({ seconds }) => seconds[part]))
        ),
      ];
    }),
  };
}

function recipeTable({ variants: [{ runs: [run] }], users }: Comparison): Table {
  const { recipe, parameters } = run;
  const rows = Object.entries(recipe)
    .filter(([field, value]) => !["seed", ...OWN].includes(field) && value !== undefined)
    .map(([field, value]) => [field, plain(value)])
    .filter(([, value]) => value !== "");
  return {
    caption: "The recipe, and what it was applied to.",
    head: ["setting", "value"],
    rows: [
      ...rows,
      ["trained parameters", count(parameters)],
      ["users", count(users)],
      ["items", count(run.data.items)],
      ["test cases", count(run.test.users)],
      ["history excluded when judged", run.judging.excludeHistory ? "yes" : "no"],
      ["targets excluded", count(run.test.absent)],
    ],
  };
}

/** A value of a recipe; fields of objects with their names. */
function plain(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return `${value}`;
  return Object.entries(value).map(([name, inner]) => `${name} ${plain(inner)}`).join(", ");
}

function variantTable({ variants }: Comparison): Table {
  const recipes = variants.map(({ runs: [{ recipe }] }) => recipe);
  const fields = OWN.filter((field) => recipes.some((recipe) => recipe[field] !== undefined));
  const searches = variants.map(({ runs: [{ judging }] }) => judging.search);
  const isOther = searches.some((search) => search !== undefined);
  return {
    caption: "What is the variants' own. A loss takes of these what it knows.",
    head: ["variant", ...fields, ...isOther ? ["searched"] : [], "seeds"],
    rows: variants.map(({ name, runs }, i) => [
      name,
      ...fields.map((field) => plain(recipes[i][field] ?? "")),
      ...isOther ? [searchOf(searches[i])] : [],
      runs.map(({ recipe }) => recipe.seed).join(" "),
    ]),
  };
}

/** How a model was searched, where that is not as it was trained for. */
function searchOf(search: SearchSetting | undefined): string {
  if (search === undefined) return "as trained";
  return `over ${search.normalization}, tau ${search.tau}`;
}

function runTable({ variants }: Comparison): Table {
  return {
    caption: "Every run: the epoch that was judged, and its validation.",
    head: ["variant", "seed", "epochs", "best", "steps", "validation HR@10", "NDCG@10", "adapter"],
    rows: variants.flatMap((variant) =>
      variant.runs.map((run) => {
        const { recipe, epochs, bestEpoch, steps, validation, adapter } = run;
        const best = validation.find(({ epoch }) => epoch === bestEpoch);
        return [
          ...[variant.name, `${recipe.seed}`, `${epochs}`, `${bestEpoch}`, count(steps)],
          ...[best?.hr, best?.ndcg].map((x) => share(x ?? NaN)),
          adapter,
        ];
      })
    ),
  };
}
