/**
 * What an experiment finds, for machines (`summary.json`) and for people (tables).
 *
 * @module
 */
import type { DataError } from "../../core/errors.ts";
import type { Options } from "./options.ts";
import type { Dataset } from "../data/dataset.ts";
import type { BeamEvaluation, Evaluation, ListScores } from "../evaluate/evaluate.ts";
import { hitRate, ndcg, standardError } from "../evaluate/metrics.ts";
import { LEAST_WIDTH, type SearchCost, type SearchCosts } from "../evaluate/search_costs.ts";
import { historyNote, LEAST_TARGETS, unreadable, warningsOf } from "../evaluate/warnings.ts";
import { decimal, lineWidth, listed, renderTable, shownSteps, wrapped } from "../table.ts";
import type { FailedRun, JudgedRun } from "./run.ts";

/** The scores of a baseline. */
export interface BaselineScores extends ListScores {
  /** The name of the baseline. */
  readonly name: string;
}

/** What an experiment finds. */
export interface ExperimentReport {
  /** The data set. */
  readonly dataset: Dataset;
  /** The device's kind. */
  readonly device: "cpu" | "webgpu";
  /** The device's adapter. */
  readonly adapter: string;
  /** The options of the experiment. */
  readonly options: Options;
  /**
   * Popularity; co-occurrence and, if there are validation targets, that of the training data
   * alone; the oracle, if the truth is known.
   */
  readonly baselines: readonly BaselineScores[];
  /** The expected HR@k of the best possible model, if the truth is known. */
  readonly best: Readonly<Record<number, number>> | undefined;
  /** One run a loss, in the order asked for, without those that failed. */
  readonly runs: readonly JudgedRun[];
  /** Runs whose loss or weights became NaN or infinite. */
  readonly failed: readonly FailedRun[];
  /**
   * The last error of the file system. If it was `summary.json` that could not be written, training
   * went on; if it was a run, the later losses were not trained.
   */
  readonly unwritten?: DataError;
}

/** One run in `summary.json`. */
export interface RunSummary
  extends
    Pick<JudgedRun, "loss" | "steps" | "tokensPerSecond">,
    Pick<ExperimentReport, "device" | "adapter">,
    Pick<Options, "seed"> {
  /** Seconds of training. */
  readonly trainSeconds: number;
  /** What lists of up to 10 items cost, by search, if it was measured. */
  readonly costs?: {
    readonly cases: number;
    readonly searches: readonly CostSummary[];
    /** The widths of {@link SearchCosts}. */
    readonly widths: SearchCosts["widths"];
  };
  /** What it retrieves, by beam width. */
  readonly test: Pick<Evaluation, "users" | "absent"> & { readonly beams: readonly BeamSummary[] };
}

/**
 * What a search of one width retrieves, in `summary.json`. HR and NDCG are those of its list, of at
 * most `beam` items; `exact` ones are those of the exact ranking.
 */
export type BeamSummary =
  & { readonly [metric in `${"" | "exact "}${"HR" | "NDCG"}@${5 | 10}`]: number }
  & Omit<BeamEvaluation, "hr" | "ndcg" | "ranks" | "exact">;

/** What one search returned and took, in `summary.json`. */
export type CostSummary =
  & Omit<SearchCost, "ranks">
  & {
    readonly [metric in "HR@10" | "NDCG@10"]: number;
  };

/** The version of the layout of `summary.json`. */
export const SUMMARY_VERSION = 2;

/** The content of `summary.json`. */
export interface Summary {
  /** The version of this layout. */
  readonly version: typeof SUMMARY_VERSION;
  /** The data set. */
  readonly data: { readonly name: string; readonly users: number; readonly items: number };
  /** The finished runs. */
  readonly runs: readonly RunSummary[];
}

/** The data set as `summary.json` names it. */
export function dataOf({ name, test, items }: Dataset): Summary["data"] {
  return { name, users: test.length, items: items.length };
}

/** The content of `summary.json` for a report. */
export function summaryOf(report: ExperimentReport): Summary {
  const { dataset, device, adapter, options: { seed }, runs } = report;
  return {
    version: SUMMARY_VERSION,
    data: dataOf(dataset),
    runs: runs.map(({ loss, steps, training, tokensPerSecond, test, costs }) => ({
      loss,
      seed,
      device,
      adapter,
      steps,
      trainSeconds: training.seconds,
      tokensPerSecond,
      ...(costs && { costs: { ...costs, searches: costs.searches.map(costSummary) } }),
      test: { users: test.users, absent: test.absent, beams: test.beams.map(beamSummary) },
    })),
  };
}

function costSummary({ ranks, ...rest }: SearchCost): CostSummary {
  return { "HR@10": hitRate(ranks, 10), "NDCG@10": ndcg(ranks, 10), ...rest };
}

function beamSummary({ hr, ndcg, ranks: _, exact, ...rest }: BeamEvaluation): BeamSummary {
  return {
    "HR@5": hr[5],
    "HR@10": hr[10],
    "NDCG@5": ndcg[5],
    "NDCG@10": ndcg[10],
    "exact HR@5": exact.hr[5],
    "exact HR@10": exact.hr[10],
    "exact NDCG@5": exact.ndcg[5],
    "exact NDCG@10": exact.ndcg[10],
    ...rest,
  };
}

/**
 * The tables at the end of train.ts: what was retrieved, what was pruned and why, and the beam step
 * by step. Failures and warnings come first. Lines have at most `width` characters, by default
 * those of the terminal.
 *
 * @example
 * ```ts
 * import { parseOptions, renderReport, runExperiment } from "beargrad/lab";
 *
 * const options = parseOptions(["--loss", "msl", "--epochs", "1", "--limit-users", "10"]);
 * console.log(renderReport(await runExperiment(options)));
 * ```
 */
export function renderReport(report: ExperimentReport, width: number = lineWidth()): string {
  const { runs, failed } = report;
  const text = (line: string): string => wrapped(line, width);
  const failures = failed.map(({ name, reason }) => text(`Failed: ${name}: ${reason}.`));
  if (runs.length === 0) return [...failures, "", renderScores(report, width)].join("\n");
  const { absent, beams } = runs[0].test;
  const one = beams.length === 1 ? beams[0].beam : undefined;
  const warnings = [...failures, ...warningsIn(report).map(text)];
  const widths = beams.map(({ beam }) => beam).join(", ");
  const pruned = `Of the targets among the exact ${one ?? "B"} most probable, beam search with ` +
    `B = ${widths} pruned:`;
  return [
    ...warnings.length > 0 ? [...warnings, ""] : [],
    text(`Retrieved, ${setting(report)}`),
    renderScores(report, width),
    ...notes(report).map(text),
    "",
    text(pruned),
    renderPruning(runs, width),
    ...(absent > 0
      ? [text(`${absent} targets are in their user's history and were excluded.`)]
      : []),
    ...renderCosts(report, width),
    ...beams.flatMap(({ beam }, b) => {
      const at = one === undefined ? `, B = ${beam}` : "";
      const title = `Share of targets whose prefix is still in the beam${at}. Last row: share of ` +
        "tokens that no violation can hit:";
      return ["", text(title), renderSteps(runs, b, width)];
    }),
  ].join("\n");
}

/** Warnings, at the beam width of the losses if it was searched with, else at the widest. */
function warningsIn({ runs, baselines, options }: ExperimentReport): string[] {
  const { beams } = runs[0].test;
  const aimed = beams.findIndex(({ beam }) => beam === options.beam);
  const b = aimed < 0 ? beams.length - 1 : aimed;
  const { beam } = beams[b];
  const k = beam < 10 ? Math.min(beam, 5) : 10; // as long as the lists, for baselines as well
  const scores = ({ hr, ndcg: gains, ranks }: ListScores): number[] =>
    k in hr ? [hr[k], gains[k]] : [hitRate(ranks, k), ndcg(ranks, k)];
  const models = runs.map(({ loss: name, training, test: { users, beams } }) => ({
    name,
    scores: scores(beams[b]),
    hits: Math.round(scores(beams[b])[0] * users),
    inExactTop: beams[b].inExactTop,
    runs: [training],
  }));
  const references = baselines.map((one) => ({ name: one.name, scores: scores(one) }));
  return warningsOf(unreadable(models, references), k);
}

function setting({ dataset, options, runs, device, adapter }: ExperimentReport): string {
  const { users, beams } = runs[0].test;
  return `${dataset.name}: ${users} test users, ${dataset.items.length} items` +
    `${dataset.codes === undefined ? "" : ` with codes "${dataset.codes}"`}, ` +
    `${beams.length === 1 ? "beam" : "beams"} ${beams.map(({ beam }) => beam).join(", ")}, ` +
    `seed ${options.seed}, ${device} (${adapter})`;
}

/** A row for each run and beam. The beam is named if there are several. */
function rowsByBeam(
  runs: readonly JudgedRun[],
  rowOf: (found: BeamEvaluation) => readonly (string | number)[],
): (string | number)[][] {
  return runs.flatMap(({ loss, test: { beams } }) =>
    beams.map((found) => [
      beams.length > 1 ? `${loss}, B = ${found.beam}` : loss,
      ...rowOf(found),
    ])
  );
}

/** The scores. A search of width B returns B items, so longer lists have none. */
function renderScores({ baselines, runs }: ExperimentReport, width: number): string {
  const scores = ({ hr, ndcg }: ListScores, longest = Infinity): string[] =>
    [hr, ndcg].flatMap((by) => [5, 10].map((k) => (k > longest ? "" : decimal(by[k]))));
  return renderTable(["", "HR@5", "HR@10", "NDCG@5", "NDCG@10", "exact\nHR@10"], [
    ...baselines.map((baseline) => [baseline.name, ...scores(baseline), ""]),
    ...rowsByBeam(runs, (found) => [
      ...scores(found, found.beam),
      found.beam < 10 ? "" : decimal(found.exact.hr[10]),
    ]),
  ], width);
}

/** What the rows are, how far the numbers can be trusted, and how high they could be. */
function notes({ best, runs, options: { excludeHistory } }: ExperimentReport): string[] {
  const { users } = runs[0].test;
  const hr = Math.max(...runs.flatMap(({ test }) => test.beams.map((found) => found.hr[10])));
  const seconds = runs.map(({ loss, training }) => `${loss} ${training.seconds.toFixed(0)}`);
  return [
    historyNote(excludeHistory),
    'The "exact" column is what a search that prunes nothing would retrieve.',
    `One standard error of a hit rate of ${decimal(hr)} here is ${
      decimal(standardError(hr, users))
    }.`,
    ...best === undefined ? [] : [
      `The best that any model can expect: HR@5 ${decimal(best[5])}, HR@10 ${decimal(best[10])}; ` +
      "the oracle row is what that gives on these users.",
    ],
    `Seconds of training: ${seconds.join(", ")}.`,
  ];
}

/**
 * What beam search pruned, by cause: a `violation` is local (some margin is above 0), the others
 * are not. A rate of few targets is not shown.
 */
function renderPruning(runs: readonly JudgedRun[], width: number): string {
  const counts = runs.flatMap(({ test }) => test.beams.map(({ causes }) => causes));
  const rare = (["length", "tie"] as const).filter((cause) => counts.some((of) => of[cause] > 0));
  const causes = ["violation", "displacement", ...rare] as const;
  return renderTable(
    ["", "targets", "pruned", "rate", ...causes, "exact\nlists"],
    rowsByBeam(runs, (found) => [
      found.inExactTop,
      found.pruned,
      decimal(found.inExactTop < LEAST_TARGETS ? NaN : found.pruningRate, 3),
      ...causes.map((cause) => found.causes[cause]),
      decimal(found.certifiedShare, 3),
    ]),
    width,
  );
}

/** What lists of 10 cost by the beam of the losses and by exact searches, and B*. */
function renderCosts({ runs, options }: ExperimentReport, width: number): string[] {
  const rows = runs.flatMap(({ loss, costs }) => {
    if (costs === undefined) return [];
    const { cases, searches } = costs;
    const widths = costs.widths.map((w) => w ?? Infinity).sort((a, b) => a - b);
    const at = (share: number): string => {
      const found = widths[Math.floor(share * (cases - 1))];
      return Number.isFinite(found) ? `${found}` : `> ${LEAST_WIDTH}`;
    };
    return searches.filter(({ method, beam }) => method !== "beam" || beam === options.beam).map((
      { method, beam, ranks, rows, milliseconds, certified },
    ) => [
      `${loss}, ${method === "beam" ? `beam ${beam}` : method}`,
      decimal(hitRate(ranks, 10)),
      decimal(ndcg(ranks, 10)),
      threeDigits(rows),
      threeDigits(milliseconds),
      decimal(certified / cases, 3),
      method === "best-first" ? `${at(0.5)} / ${at(0.9)}` : "",
    ]);
  });
  const cases = runs[0].costs?.cases;
  const title =
    `What lists of 10 find and cost, for ${cases} of the users: generated tokens that ` +
    "the model reads (rows) and milliseconds per user. B* is the least width of a beam that is " +
    "certified to be exact, its median and 90 % quantile over users:";
  const heads = ["HR@10", "NDCG@10", "rows", "ms", "exact\nlists", "B*"];
  const ended = runs.filter(({ costs }) =>
    costs?.searches.every(({ method }) => method !== "adaptive")
  ).map(({ loss }) => loss);
  return rows.length === 0 ? [] : [
    "",
    wrapped(title, width),
    renderTable(["", ...heads], rows, width),
    ...ended.length === 0 ? [] : [
      wrapped(
        `Best-first search of ${listed(ended)} ended at its budget for some users, so adaptive ` +
          "search was left out.",
        width,
      ),
    ],
  ];
}

function threeDigits(x: number): string {
  return x.toFixed(x < 10 ? 2 : x < 100 ? 1 : 0);
}

/** Step by step: the share of targets in the beam, and of tokens that cannot be violated. */
function renderSteps(runs: readonly JudgedRun[], b: number, width: number): string {
  const { beam, survival, vacuousShare } = runs[0].test.beams[b];
  const steps = shownSteps(survival.length);
  const shares = (values: readonly number[]): string[] =>
    steps.map((t) => decimal(values[t - 1], 3));
  return renderTable(
    ["", ...steps.map((t) => `step ${t}`)],
    [
      ...runs.map(({ loss, test }) => [loss, ...shares(test.beams[b].survival)]),
      [`at most ${beam} children`, ...shares(vacuousShare)],
    ],
    width,
  );
}
