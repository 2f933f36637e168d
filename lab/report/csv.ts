/**
 * The numbers of a report as tidy CSV files, for pandas, R and the like.
 *
 * @module
 */
import { OWN } from "./comparable.ts";
import { type Comparison, runsOf } from "./comparison.ts";
import type { ExtraFile } from "./document.ts";
import { inTopOf, prunedOf } from "./outcomes.ts";
import { lossCurve, type VariantWeights } from "./sections/training.ts";
import { sum } from "./statistics.ts";

/** The files that a report may have, and what a row of each is. */
const FILES = {
  metrics: "a metric of a variant over users and seeds, or of one run over users if there is a " +
    "seed; k is the length of the list, or the step of survival; low and high are a 95 % interval",
  differences: "a paired difference of two variants, or to a ranking that needs no training; " +
    "intervals and sign-flip p values over users and seeds, users alone, and seeds alone",
  runs: "a run",
  searches: "the test targets of a run, counted at one width",
  steps: "the test targets of a run, counted at one width and step",
  curves: "the training loss or the validation of a run at one time",
  margins: "the margins of all runs of a variant from low to low + 0.5 nats, counted",
  weights: "the weight of a token's gradient at a margin, relative to msl",
  theorems: "the instances of a theorem on the first users of a run, counted",
};

/** The name of a CSV file. */
type CsvName = keyof typeof FILES;

/** A row by the names of its columns. */
type Row = Readonly<Record<string, string | number | undefined>>;

/** The CSV files of a comparison. */
export function csvFiles(
  comparison: Comparison,
  weights: readonly VariantWeights[],
): ExtraFile[] {
  const tables = rowsOf(comparison, weights);
  return Object.entries(FILES).map(([name, row]) => {
    const rows = tables[name as CsvName];
    const columns = Object.keys(rows[0] ?? {});
    const lines = [
      columns.map(snake),
      ...rows.map((row) => columns.map((name) => cell(row[name]))),
    ];
    return {
      name: `report-${name}.csv`,
      about: `${columns.map(snake).join(", ")}. A row is ${row}.`,
      content: rows.length === 0 ? undefined : lines.map((line) => `${line.join(",")}\n`).join(""),
    };
  });
}

function rowsOf(
  { variants, metrics, runMetrics, differences, searches }: Comparison,
  weights: readonly VariantWeights[],
): Readonly<Record<CsvName, readonly Row[]>> {
  const runs = runsOf(variants);
  const nameAndLength = (metric: string) => {
    const [name, k] = metric.split("@");
    return { metric: name, k };
  };
  const seedsOf = (name: string): number | undefined =>
    variants.find((variant) => variant.name === name)?.runs.length;
  const outcomes = searches.flatMap(({ variant, beam, seeds, outcomes }) =>
    outcomes.map((outcome, s) => ({ key: { variant, seed: seeds[s], beam }, outcome }))
  );
  return {
    metrics: [
      ...metrics.map((row) => ({ ...row, seed: undefined, seeds: seedsOf(row.variant) })),
      ...runMetrics.map((row) => ({ ...row, seeds: 1 })),
    ].map(({ variant, seed, seeds, beam, metric, value: mean, low, high }) => (
      { variant, seed, seeds, beam, ...nameAndLength(metric), mean, low, high }
    )),
    differences: differences.map((row) => {
      const { variant, to, beam, metric, seeds, value: mean, low, high, tests } = row;
      return {
        variant,
        minus: to,
        seeds,
        beam,
        ...nameAndLength(metric),
        mean,
        low,
        high,
        usersLow: tests?.users.low,
        usersHigh: tests?.users.high,
        usersP: tests?.usersP,
        seedsLow: tests?.seeds.low,
        seedsHigh: tests?.seeds.high,
        seedsP: tests?.seedsP,
      };
    }),
    runs: runs.map(({ variant, recipe, seconds, ...run }) => ({
      variant,
      seed: recipe.seed,
      ...Object.fromEntries(
        OWN.filter((field) => field !== "lossModule").map((field) => [
          field === "beam" ? "trainedBeam" : field,
          recipe[field],
        ]),
      ),
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
    searches: outcomes.map(({ key, outcome }) => ({
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
    steps: outcomes.flatMap(({ key, outcome: { reached, violated, vacuous, pruned } }) =>
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
    curves: runs.flatMap((run) => {
      const { variant, recipe: { seed } } = run;
      const points = [
        ...lossCurve(run).map(({ x, y }) => ["training loss", x, y] as const),
        ...run.validation.map(({ epoch, hr }) => ["validation HR@10", epoch, hr] as const),
        ...run.validation.map(({ epoch, ndcg }) => ["validation NDCG@10", epoch, ndcg] as const),
      ];
      return points.map(([quantity, epoch, value]) => ({ variant, seed, quantity, epoch, value }));
    }),
    margins: searches.flatMap(({ variant, beam, pooled: { margins: { before, after } } }) =>
      before.flatMap((bins, t) =>
        bins.map((count, bin) => (
          { variant, beam, step: t + 1, low: bin / 2 - 12, before: count, after: after[t][bin] }
        )).filter(({ before, after }) => before + after > 0)
      )
    ),
    weights: weights.flatMap(({ name: variant, weights }) =>
      weights.map(({ margin, weight }) => ({ variant, margin, weight }))
    ),
    theorems: runs.flatMap(({ variant, recipe: { seed }, verification }) =>
      Object.entries(verification?.counts ?? {}).map(([theorem, counts]) => (
        { variant, seed, theorem, ...counts }
      ))
    ),
  };
}

/** A number in full, nothing if it is not finite, and text in quotes if it needs them. */
function cell(value: Row[string]): string {
  if (typeof value === "number") return Number.isFinite(value) ? `${value}` : "";
  const text = value ?? "";
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** `bestEpoch` as `best_epoch`. */
function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
