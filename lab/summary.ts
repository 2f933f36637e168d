/**
 * A report for machines (`summary.json`) and for people (a table).
 *
 * @module
 */
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
  /** Metrics by name; `pruningRate@B` and `violationShare@B` for the beam width B. */
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
    data: { name: dataset.name, users: dataset.users.length, items: dataset.items.length },
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

/** The standard error of a share of n. */
function standardError(share: number, n: number): number {
  return Math.sqrt((share * (1 - share)) / n);
}

/** The tables that train.ts ends with. */
export function renderReport(report: Report): string {
  const { dataset, options, baselines, best, runs } = report;
  const users = runs[0].test.users;
  const rows = [
    ...baselines.map(({ name, hr, ndcg }) => [
      name,
      ...[hr[5], hr[10], ndcg[10]].map((x) => decimal(x)),
      ...Array(5).fill(""),
    ]),
    ...runs.map((run) => modelRow(run)),
  ];
  const head = [
    "",
    "HR@5",
    "HR@10",
    "NDCG@10",
    "exact HR@10",
    "pruned / exact top B",
    "rate",
    "of these violated",
    "s",
  ];
  const notes = [
    `${dataset.name}: ${users} test users, ${dataset.items.length} items, beam B = ${options.beam}; ` +
    `the standard error of an HR@10 is about ${
      decimal(standardError(runs[0].test.hr[10], users))
    }.`,
  ];
  if (best !== undefined) {
    notes.push(
      `No model can expect more than HR@5 ${decimal(best[5])}, HR@10 ${decimal(best[10])}.`,
    );
  }
  return [renderTable(head, rows), ...notes, "", renderSteps(runs, options.beam)].join("\n");
}

function modelRow({ loss, trainSeconds, test }: Run): string[] {
  return [
    loss,
    ...[test.hr[5], test.hr[10], test.ndcg[10], test.exact.hr[10]].map((x) => decimal(x)),
    `${test.pruned} / ${test.inExactTop}`,
    decimal(test.pruningRate, 3),
    decimal(test.violationShare, 2),
    trainSeconds.toFixed(0),
  ];
}

/** Step by step: whose prefix is still in the beam, and where the local condition cannot fail. */
function renderSteps(runs: readonly Run[], beam: number): string {
  const steps = runs[0].test.survival.length;
  const head = ["share of targets", ...Array.from({ length: steps }, (_, t) => `step ${t + 1}`)];
  const rows = [
    ...runs.map(({ loss, test }) => [
      `${loss}: in the beam after`,
      ...test.survival.map((x) => decimal(x, 3)),
    ]),
    [
      `at most ${beam} children (vacuous)`,
      ...runs[0].test.vacuousShare.map((x) => decimal(x, 3)),
    ],
  ];
  return renderTable(head, rows);
}
