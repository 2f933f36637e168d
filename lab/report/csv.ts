/**
 * The numbers of a report as tidy CSV files, for pandas, R and the like.
 *
 * @module
 */
import { binStart } from "../compare/run_result.ts";
import { hitRate, ndcg } from "../evaluate/metrics.ts";
import { settingsOf } from "./comparable.ts";
import { type Comparison, runsOf } from "./comparison.ts";
import type { ExtraFile } from "./document.ts";
import { recipeValue } from "./format.ts";
import { inTopOf, prunedOf } from "./outcomes.ts";
import { lossCurve, type VariantWeights } from "./sections/training.ts";
import { sum } from "./statistics.ts";

/** A row by the names of its columns, which are written in snake case. */
type Row = Readonly<Record<string, string | number | undefined>>;

/** The columns of settings whose names are taken by what happened. */
const HEADS: Readonly<Record<string, string>> = { beam: "trainedBeam", epochs: "mostEpochs" };

/** The CSV files of a comparison. */
export function csvFiles(
  { variants, metrics, runMetrics, differences, searches }: Comparison,
  weights: readonly VariantWeights[],
): ExtraFile[] {
  const runs = runsOf(variants);
  const seedsOf = (name: string): number | undefined =>
    variants.find((variant) => variant.name === name)?.runs.length;
  const outcomes = searches.flatMap(({ variant, beam, seeds, outcomes }) =>
    outcomes.map((outcome, s) => ({ key: { variant, seed: seeds[s], beam }, outcome }))
  );
  const settings = settingsOf(runs);
  return [
    csvFile(
      "metrics",
      "a metric of a variant over users and seeds, or of one run over users if there is a " +
        "seed; k is the length of the list, or the step of survival; low and high are a 95 % " +
        "interval",
      [
        ...metrics.map((row) => ({ ...row, seed: undefined, seeds: seedsOf(row.variant) })),
        ...runMetrics.map((row) => ({ ...row, seeds: 1 })),
      ].map(({ variant, seed, seeds, beam, metric, value: mean, low, high }) => (
        { variant, seed, seeds, beam, ...nameAndLength(metric), mean, low, high }
      )),
    ),
    csvFile(
      "differences",
      "a paired difference of two variants, or to a ranking that needs no training; " +
        "intervals and sign-flip p values over users and seeds, users alone, and seeds alone",
      differences.map((row) => ({
        variant: row.variant,
        minus: row.to,
        seeds: row.seeds,
        beam: row.beam,
        ...nameAndLength(row.metric),
        mean: row.value,
        low: row.low,
        high: row.high,
        usersLow: row.tests?.users.low,
        usersHigh: row.tests?.users.high,
        usersP: row.tests?.users.p,
        seedsLow: row.tests?.seeds.low,
        seedsHigh: row.tests?.seeds.high,
        seedsP: row.tests?.seeds.p,
      })),
    ),
    csvFile(
      "runs",
      "a run",
      runs.map(({ variant, recipe, seconds, ...run }) => ({
        variant,
        seed: recipe.seed,
        ...Object.fromEntries(
          settings.filter((field) => field !== "lossModule")
            .map((field) => [HEADS[field] ?? field, recipeValue(recipe[field])]),
        ),
        codes: recipe.reading.codes ?? "semantic",
        index: recipe.reading.index,
        input: recipe.reading.input ?? "tokens",
        parameters: run.parameters,
        epochs: run.epochs,
        bestEpoch: run.bestEpoch,
        steps: run.steps,
        trainingSeconds: seconds.training,
        validationSeconds: seconds.validation,
        judgingSeconds: seconds.judging,
        tokensPerSecond: run.tokensPerSecond,
        adapter: run.adapter,
      })),
    ),
    csvFile(
      "searches",
      "the test targets of a run, counted at one width",
      outcomes.map(({ key, outcome }) => ({
        ...key,
        targets: outcome.ranks.length,
        retrieved: outcome.ranks.filter((rank) => rank >= 0).length,
        inExactTop: inTopOf(outcome),
        pruned: sum(prunedOf(outcome)),
        certifiedRetrieved: outcome.certificates.retrieved,
        certifiedPruned: outcome.certificates.pruned,
        certifiedNeither: outcome.certificates.undecided,
        exactLists: outcome.exactLists,
      })),
    ),
    csvFile(
      "search-cost",
      "lists of up to 10 items for some test cases of a run by a search, and what it took: rows " +
        "of the model and milliseconds, the means over cases",
      runs.flatMap(({ variant, recipe: { seed }, costs }) =>
        (costs?.searches ?? []).map(({ ranks, certified, ...search }) => ({
          variant,
          seed,
          search: search.method,
          beam: search.beam,
          cases: ranks.length,
          hr: hitRate(ranks, 10),
          ndcg: ndcg(ranks, 10),
          exactLists: certified,
          rows: search.rows,
          milliseconds: search.milliseconds,
        }))
      ),
    ),
    csvFile(
      "steps",
      "the test targets of a run, counted at one width and step",
      outcomes.flatMap(({ key, outcome: { reached, violated, vacuous, pruned } }) =>
        reached.map((targets, t) => ({
          ...key,
          step: t + 1,
          targets,
          violated: violated[t],
          vacuous: vacuous[t],
          prunedByViolation: pruned.violation[t],
          prunedByDisplacement: pruned.displacement[t],
          prunedByLength: pruned.length[t],
          prunedByTie: pruned.tie[t],
        }))
      ),
    ),
    csvFile(
      "curves",
      "the training loss or the validation of a run at one time",
      runs.flatMap((run) => {
        const { variant, recipe: { seed }, validation } = run;
        const rowOf = (quantity: string, epoch: number, value: number): Row => (
          { variant, seed, quantity, epoch, value }
        );
        return [
          ...lossCurve(run).map(({ x, y }) => rowOf("training loss", x, y)),
          ...validation.map(({ epoch, hr }) => rowOf("validation HR@10", epoch, hr)),
          ...validation.map(({ epoch, ndcg }) => rowOf("validation NDCG@10", epoch, ndcg)),
        ];
      }),
    ),
    csvFile(
      "margins",
      "the margins of all runs of a variant from low to low + 0.5 nats, counted",
      searches.flatMap(({ variant, beam, pooled: { margins: { before, after } } }) =>
        before.flatMap((bins, t) =>
          bins.map((count, bin) => (
            { variant, beam, step: t + 1, low: binStart(bin), before: count, after: after[t][bin] }
          )).filter(({ before, after }) => before + after > 0)
        )
      ),
    ),
    csvFile(
      "weights",
      "the weight of a token's gradient at a margin, relative to msl",
      weights.flatMap(({ name: variant, weights }) =>
        weights.map(({ margin, weight }) => ({ variant, margin, weight }))
      ),
    ),
    csvFile(
      "theorems",
      "the instances of a theorem on the first users of a run, counted",
      runs.flatMap(({ variant, recipe: { seed }, verification }) =>
        Object.entries(verification?.counts ?? {}).map(([theorem, counts]) => (
          { variant, seed, theorem, ...counts }
        ))
      ),
    ),
  ];
}

function nameAndLength(of: string): Row {
  const [metric, k] = of.split("@");
  return { metric, k };
}

/** A CSV file, with what a row is; without content if there are no rows. */
function csvFile(name: string, row: string, rows: readonly Row[]): ExtraFile {
  const columns = Object.keys(rows[0] ?? {});
  const heads = columns.map((column) =>
    column.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  );
  const lines = [heads, ...rows.map((row) => columns.map((column) => cell(row[column])))];
  return {
    name: `report-${name}.csv`,
    about: `${heads.join(", ")}. A row is ${row}.`,
    content: rows.length === 0 ? undefined : lines.map((line) => `${line.join(",")}\n`).join(""),
  };
}

/** A number in full, nothing if it is not finite, and text in quotes if it needs them. */
function cell(value: Row[string]): string {
  if (typeof value === "number") return Number.isFinite(value) ? `${value}` : "";
  const text = value ?? "";
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
