/**
 * What training and searching cost, and what was trained.
 *
 * @module
 */
import { quantileSorted, sampleStandardDeviation } from "simple-statistics";
import { nameOfSearch } from "../../analysis/searches.ts";
import type { RunResult } from "../../compare/run_result.ts";
import { LEAST_WIDTH } from "../../evaluate/search_costs.ts";
import { codesOf, hasSeveralCodes, settingsOf, withoutCodes } from "../comparable.ts";
import {
  type Comparison,
  type CostRow,
  runsOf,
  searchName,
  shownVariants,
  trainedVariants,
  type Variant,
} from "../comparison.ts";
import { columns, type Figure, type Section, section, type Table, text } from "../document.ts";
import {
  count,
  countRange,
  number,
  percent,
  recipeValue,
  share,
  signedInterval,
  withInterval,
} from "../format.ts";
import { highlights, type Line, type Mark, type Point } from "../line_plots.ts";
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

/** The section on the cost of searches, where it was measured. */
export function searchCostSection({ costs, ...comparison }: Comparison): Section {
  const cases = [...new Set(costs.map((row) => row.cases))].map(count).join(" or ");
  return section(
    "What exact lists cost",
    text(
      `Lists of 10 items for ${cases} test cases, spread evenly over all. Adaptive and`,
      "best-first search return the exact best 10 by the model, which in a weak model need not be",
      "better ones. A row is one generated token that the model reads for a user. Times are of one search for all of these cases after a warm-up, whatever",
      "else the machine did: rows can be compared, small differences of times cannot.",
      costs.some(({ widths }) => widths.includes(Infinity))
        ? "Best-first search ended at 1,000 rows, or 100 for each step if that is more; adaptive " +
          "search is left out where that happened to more than 1 % of the users."
        : "",
    ),
    searchCostFigure({ costs, ...comparison }),
    widthTable(costs),
  );
}

function searchCostFigure({ costs, variants }: Comparison): Figure {
  const lineOf = (variant: string): Line => ({
    label: variant,
    points: costs.filter((row) => row.variant === variant && row.method === "beam").map(pointOf),
  });
  const shown = shownVariants(variants).filter(({ name }) => lineOf(name).points.length > 0);
  const all = shown.map(({ name }) => lineOf(name));
  const domain = domainOf(costs.map(({ ndcg }) => ndcg.value), true);
  const rows = costs.map((row) => pointOf(row).x);
  const logX = [0.8 * Math.min(...rows), 1.5 * Math.max(...rows)] as const;
  const axes = { x: "rows of the model per user", y: "NDCG@10", domain, logX };
  const rowsOf = (holds: (row: CostRow) => boolean): string => {
    const [low, high] = [Math.min, Math.max].map((of) =>
      number(of(...costs.filter(holds).map(({ rows }) => rows)))
    );
    return low === high ? low : `${low} to ${high}`;
  };
  const beams = costs.some(({ method, beam }) => method === "beam" && beam === 10)
    ? `; a beam of 10 takes ${rowsOf(({ method, beam }) => method === "beam" && beam === 10)}`
    : "";
  const found = Math.min(
    ...costs.filter(({ method }) => method === "best-first").map(({ certified }) => certified),
  );
  const most = found === 1 ? "" : ` for at least ${percent(found, 1)} of the users`;
  return {
    name: "search-cost",
    title: `Best-first search finds the exact list of 10${most} in ` +
      `${rowsOf(({ method }) => method === "best-first")} rows of the model a user${beams}`,
    note: "One panel per variant. Dark: its beams, one dot per width, means over seeds; pale: " +
      "those of the others. Hollow: exact searches. Rows are on a logarithmic scale.",
    panels: shown.map(({ name }) => {
      const exact = costs.filter((row) => row.variant === name && row.method !== "beam")
        .map((row): Mark => ({ ...pointOf(row), label: row.method }));
      const own = lineOf(name);
      return { title: name, spec: highlights([own], all, [...own.points, ...exact], axes) };
    }),
    caption: "Lists of 10 by search: means over users and seeds with 95 % intervals, paired " +
      "differences to the beam of the width B that the loss aims at, rows of the model and " +
      "milliseconds a user, and the share of lists that are certified to be exact (T9). A beam " +
      "narrower than 10 has a list of its width: short lists are easier to certify.",
    rows: costs.map((row) => ({
      variant: row.variant,
      search: searchName(row),
      "HR@10": withInterval(row.hr),
      "HR@10 minus B": signedInterval(row.gains?.hr),
      "NDCG@10": withInterval(row.ndcg),
      "NDCG@10 minus B": signedInterval(row.gains?.ndcg),
      rows: number(row.rows),
      ms: number(row.milliseconds),
      "exact lists": percent(row.certified, 1),
    })),
  };
}

/** A search in the figure; one that needs no rows, as of items of one token, stands at 1. */
function pointOf({ rows, ndcg: { value: y } }: CostRow): Point {
  return { x: Math.max(1, rows), y };
}

function widthTable(costs: readonly CostRow[]): Table {
  const width = (x: number): string => Number.isFinite(x) ? number(x) : `> ${LEAST_WIDTH}`;
  return {
    caption: "B*, by user: the smallest width whose beam is certified to return the exact list " +
      "of 10 (T15). It says how hard a model is to search, whatever B.",
    rows: costs.filter(({ method }) => method === "best-first").map(({ variant, widths }) => ({
      variant,
      lists: count(widths.length),
      mean: widths.includes(Infinity)
        ? `> ${number(mean(widths.map((w) => Number.isFinite(w) ? w : LEAST_WIDTH)))}`
        : number(mean(widths)),
      median: width(quantileSorted([...widths], 0.5)),
      "90 %": width(quantileSorted([...widths], 0.9)),
      "above 100": percent(widths.filter((w) => w > LEAST_WIDTH).length / widths.length, 1),
    })),
  };
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
  const own: readonly string[] = ["seed", ...settingsOf(runs)];
  const shared = Object.entries(common)
    .filter(([field]) => !own.includes(field))
    .map(([setting, value]) => ({ setting, value: recipeValue(value) }))
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

function variantTable({ variants }: Comparison): Table {
  const runs = runsOf(variants);
  const fields = settingsOf(runs).filter((field) =>
    runs.some(({ recipe }) => recipe[field] !== undefined)
  );
  const isMixed = hasSeveralCodes(runs);
  const isSearched = runs.some(({ judging }) => judging.search !== undefined);
  return {
    caption: "The variants' own settings. A loss uses those that it knows.",
    rows: variants.map(({ name, runs }) => {
      const { recipe, parameters, judging: { search } } = runs[0];
      const { method = "beam" } = search ?? {};
      const by = method === "beam" ? "" : `, ${nameOfSearch({ ...search, method })}`;
      const searched = search
        ? `over ${search.normalization}, tau ${search.tau}${by}`
        : "as trained";
      return {
        variant: name,
        ...columns(fields, (field) => field, (field) => recipeValue(recipe[field])),
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
