/**
 * A report for machines (`summary.json`) and for people (a table).
 *
 * @module
 */
import type { ListScores } from "./evaluate.ts";
import type { Report, Run } from "./experiment.ts";
import { renderTable } from "./table.ts";

/** One run in `summary.json`. */
export interface RunSummary {
  /** The loss. */
  readonly loss: string;
  /** The seed. */
  readonly seed: number;
  /** The device's kind. */
  readonly device: string;
  /** Its adapter. */
  readonly adapter: string;
  /** Steps trained. */
  readonly steps: number;
  /** Seconds of training. */
  readonly trainSeconds: number;
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** Metrics by name, of lists of at most B items; `pruningRate@B` and `violationShare@B` for the beam width B. */
  readonly test: Readonly<Record<string, number>>;
}

/** The content of `summary.json`. */
export interface Summary {
  /** The version of this layout. */
  readonly version: 1;
  /** The data set. */
  readonly data: { readonly name: string; readonly users: number; readonly items: number };
  /** The finished runs. */
  readonly runs: readonly RunSummary[];
}

/** The content of `summary.json` for a report. */
export function summaryOf({ dataset, device, adapter, options, runs }: Report): Summary {
  const { beam, seed } = options;
  return {
    version: 1,
    data: { name: dataset.name, users: dataset.test.length, items: dataset.items.length },
    runs: runs.map(({ loss, steps, trainSeconds, tokensPerSecond, test }) => ({
      loss,
      seed,
      device,
      adapter,
      steps,
      trainSeconds,
      tokensPerSecond,
      test: {
        users: test.users,
        "HR@5": test.hr[5],
        "HR@10": test.hr[10],
        "NDCG@5": test.ndcg[5],
        "NDCG@10": test.ndcg[10],
        [`pruningRate@${beam}`]: test.pruningRate,
        [`violationShare@${beam}`]: test.violationShare,
      },
    })),
  };
}

/** A share as people write it: `.0679`. */
function decimal(share: number, digits = 4): string {
  return Number.isNaN(share) ? "-" : share.toFixed(digits).replace(/^0\./, ".");
}

/**
 * The tables that train.ts ends with: what was retrieved, what was pruned and why, and step by step.
 *
 * @example
 * ```ts
 * import { parseOptions, renderReport, runExperiment } from "beargrad";
 *
 * const quiet = { started() {}, training() {}, evaluating() {} };
 * const options = parseOptions(["--loss", "msl", "--epochs", "1", "--limit-users", "10"]);
 * console.log(renderReport(await runExperiment(options, quiet)));
 * ```
 */
export function renderReport(report: Report): string {
  const { runs, options: { beam } } = report;
  const absent = runs[0].test.absent;
  return [
    `Retrieved, ${setting(report)}`,
    renderScores(report),
    ...bounds(report),
    "",
    `Of the targets among the exact ${beam} most probable, beam search with B = ${beam} pruned:`,
    renderPruning(runs),
    ...(absent > 0 ? [`${absent} targets are in their user's history and were excluded.`] : []),
    "",
    "Share of targets whose prefix is still in the beam; last, of tokens that no violation can hit:",
    renderSteps(runs, beam),
  ].join("\n");
}

function setting({ dataset, options, runs, device, adapter }: Report): string {
  return `${dataset.name}: ${runs[0].test.users} test users, ${dataset.items.length} items, ` +
    `beam ${options.beam}, seed ${options.seed}, ${device} (${adapter})`;
}

/** A search of width B returns B items, so nothing is said of longer lists. */
function renderScores({ baselines, runs, options: { beam } }: Report): string {
  const scores = ({ hr, ndcg }: ListScores, longest = Infinity): string[] =>
    [hr, ndcg].flatMap((by) => [5, 10].map((k) => (k > longest ? "" : decimal(by[k]))));
  return renderTable(
    ["", "HR@5", "HR@10", "NDCG@5", "NDCG@10", "HR@10 of the exact ranking", "seconds"],
    [
      ...baselines.map((baseline) => [baseline.name, ...scores(baseline), "", ""]),
      ...runs.map(({ loss, trainSeconds, test }) => [
        loss,
        ...scores(test, beam),
        beam < 10 ? "" : decimal(test.exact.hr[10]),
        trainSeconds.toFixed(0),
      ]),
    ],
  );
}

/** How far the numbers can be trusted, and how high they could be. */
function bounds({ best, runs }: Report): string[] {
  const { hr, users } = runs[0].test;
  const error = Math.sqrt((hr[10] * (1 - hr[10])) / users);
  const lines = [
    `One standard error of a hit rate of ${decimal(hr[10])} here is ${decimal(error)}.`,
  ];
  if (best !== undefined) {
    lines.push(
      `The best that any model can expect: HR@5 ${decimal(best[5])}, HR@10 ${decimal(best[10])}; ` +
        "the oracle row is what came of it for these users.",
    );
  }
  return lines;
}

/** What beam search lost, by cause: `violation` is a local one (some margin above 0), the others are not. */
function renderPruning(runs: readonly Run[]): string {
  return renderTable(
    ["", "targets", "pruned", "rate", "violation", "displacement", "length", "tie", "exact lists"],
    runs.map(({ loss, test: { causes, ...test } }) => [
      loss,
      test.inExactTop,
      test.pruned,
      decimal(test.pruningRate, 3),
      ...[causes.violation, causes.displacement, causes.length, causes.tie],
      decimal(test.certifiedShare, 3),
    ]),
  );
}

/** Step by step: whose prefix is still in the beam, and where the local condition cannot fail. */
function renderSteps(runs: readonly Run[], beam: number): string {
  const shares = (values: readonly number[]): string[] => values.map((x) => decimal(x, 3));
  return renderTable(
    ["", ...runs[0].test.survival.map((_, t) => `step ${t + 1}`)],
    [
      ...runs.map(({ loss, test }) => [loss, ...shares(test.survival)]),
      [`at most ${beam} children`, ...shares(runs[0].test.vacuousShare)],
    ],
  );
}
