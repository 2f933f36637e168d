/**
 * The numbers of a report as tidy CSV files, for pandas, R and the like.
 *
 * @module
 */
import type { RunResult } from "../compare/run_result.ts";
import { OWN } from "./comparable.ts";
import type { Comparison } from "./comparison.ts";
import { lossCurve, type VariantWeights } from "./sections/training.ts";
import { sum } from "./statistics.ts";

/** The names of the files that a report may have. */
export const CSV_NAMES = [
  "metrics",
  "differences",
  "runs",
  "searches",
  "steps",
  "curves",
  "margins",
  "weights",
  "theorems",
] as const;

/** A tidy table. */
export interface CsvTable {
  /** Its name in the name of its file. */
  readonly name: typeof CSV_NAMES[number];
  /** What each row is. */
  readonly row: string;
  /** Its rows by the names of the columns. */
  readonly rows: readonly Row[];
}

/** A row by the names of its columns. */
type Row = Readonly<Record<string, string | number | undefined>>;

/** The tables of a comparison; some may have no rows. */
export function csvTables(
  { variants, metrics, differences, searches }: Comparison,
  weights: readonly VariantWeights[],
): CsvTable[] {
  const runs = variants.flatMap(({ runs }) => runs);
  const nameOf = ({ variant, recipe: { seed } }: RunResult) => ({ variant, seed });
  const outcomes = runs.flatMap((run) =>
    run.test.beams.map((outcome) => ({ ...nameOf(run), ...outcome }))
  );
  const metricOf = (name: string) => {
    const [metric, k] = name.split("@");
    return { metric, k };
  };
  return [
    {
      name: "metrics",
      row:
        "each metric (k: list length, or step of survival) of a variant over users and seeds, or of one run over users where seed is given, with a 95 % interval",
      rows: metrics.map(({ variant, seed, beam, metric, value, low, high }) => (
        { variant, seed, beam, ...metricOf(metric), mean: value, low, high }
      )),
    },
    {
      name: "differences",
      row:
        "each paired difference of a variant to another or to a ranking, with 95 % intervals over users and seeds, users alone and seeds alone, and p values of sign flips",
      rows: differences.map((row) => ({
        variant: row.variant,
        minus: row.to,
        beam: row.beam,
        ...metricOf(row.metric),
        mean: row.value,
        low: row.low,
        high: row.high,
        seeds: row.seeds,
        users_low: row.tests?.users.low,
        users_high: row.tests?.users.high,
        users_p: row.tests?.usersP,
        seeds_low: row.tests?.seeds.low,
        seeds_high: row.tests?.seeds.high,
        seeds_p: row.tests?.seedsP,
        seeds_least_p: row.tests?.seedsLeastP,
      })),
    },
    {
      name: "runs",
      row: "each run",
      rows: runs.map((run) => ({
        ...nameOf(run),
        ...Object.fromEntries(
          OWN.filter((field) => field !== "lossModule").map((field) => [
            field === "beam" ? "trained_beam" : field,
            run.recipe[field] as string | number | undefined,
          ]),
        ),
        parameters: run.parameters,
        epochs: run.epochs,
        best_epoch: run.bestEpoch,
        steps: run.steps,
        training_seconds: run.seconds.training,
        validation_seconds: run.seconds.validation,
        judging_seconds: run.seconds.judging,
        tokens_per_second: run.tokensPerSecond,
        adapter: run.adapter,
      })),
    },
    {
      name: "searches",
      row: "each run and width, with counts of targets",
      rows: outcomes.map(({ variant, seed, beam, ranks, exactRanks, certificates, ...rest }) => ({
        variant,
        seed,
        beam,
        targets: ranks.length,
        returned: ranks.filter((rank) => rank >= 0).length,
        in_exact_top: exactRanks.filter((rank) => rank >= 0).length,
        pruned: sum(Object.values(rest.pruned).flat()),
        certified_retrieved: certificates.retrieved,
        certified_pruned: certificates.pruned,
        undecided: certificates.undecided,
        exact_lists: rest.exactLists,
      })),
    },
    {
      name: "steps",
      row: "each run, width and step, with counts of targets",
      rows: outcomes.flatMap(({ variant, seed, beam, reached, violated, vacuous, pruned }) =>
        reached.map((targets, t) => ({
          variant,
          seed,
          beam,
          step: t + 1,
          targets,
          violated: violated[t],
          vacuous: vacuous[t],
          pruned_by_violation: pruned.violation[t],
          pruned_by_displacement: pruned.displacement[t],
          pruned_by_length: pruned.length[t],
          pruned_by_tie: pruned.tie[t],
        }))
      ),
    },
    {
      name: "curves",
      row: "each point of a run's training loss or validation",
      rows: runs.flatMap((run) => {
        const point = (epoch: number, quantity: string, value: number) => (
          { ...nameOf(run), epoch, quantity, value }
        );
        return [
          ...lossCurve(run).map(({ x, y }) => point(x, "training loss", y)),
          ...run.validation.flatMap(({ epoch, hr, ndcg }) => [
            point(epoch, "validation HR@10", hr),
            point(epoch, "validation NDCG@10", ndcg),
          ]),
        ];
      }),
    },
    {
      name: "margins",
      row: "each bin of margins, half a nat wide, of all runs of a variant",
      rows: searches.flatMap(({ variant, beam, pooled: { margins: { before, after } } }) =>
        before.flatMap((bins, t) =>
          bins.map((count, bin) => (
            { variant, beam, step: t + 1, above: bin / 2 - 12, before: count, after: after[t][bin] }
          )).filter(({ before, after }) => before + after > 0)
        )
      ),
    },
    {
      name: "weights",
      row: "each margin, with the weight of a token's gradient relative to msl",
      rows: weights.flatMap(({ name: variant, weights }) =>
        weights.map(({ margin, weight }) => ({ variant, margin, weight }))
      ),
    },
    {
      name: "theorems",
      row: "each run and theorem, with counts of instances",
      rows: runs.flatMap((run) =>
        Object.entries(run.verification?.counts ?? {}).map(([theorem, counts]) => (
          { ...nameOf(run), theorem, ...counts }
        ))
      ),
    },
  ];
}

/** Rows as CSV with a header: numbers in full, nothing where there is no finite number. */
export function renderCsv(rows: readonly Row[]): string {
  const columns = Object.keys(rows[0]);
  const cell = (value: Row[string]): string => {
    if (typeof value === "number") return Number.isFinite(value) ? `${value}` : "";
    const text = value ?? "";
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))]
    .map((cells) => `${cells.map(cell).join(",")}\n`).join("");
}
