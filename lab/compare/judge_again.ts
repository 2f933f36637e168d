/**
 * Judges models of finished runs under other searches than those they were trained for: at another
 * temperature, with probabilities over something else, or by another method. Nothing is trained, so
 * what changes is what the search contributes.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { nameOfSearch, type SearchChoice } from "../analysis/searches.ts";
import type { Dataset } from "../data/dataset.ts";
import { type DeviceChoice, openDevice } from "../devices.ts";
import { measureSearches } from "../evaluate/search_costs.ts";
import { makeFolder, writeFileAtomic } from "../files.ts";
import { comparable, hasSeveralCodes, type SourcedRun } from "../report/comparable.ts";
import { readRuns } from "../report/read_results.ts";
import { normalizationOf } from "../train/recipe.ts";
import type { Observer } from "../train/run.ts";
import { judgeModel, openModel, readSavedRun } from "../train/models.ts";
import { baselinesOf, readFinished } from "./compare.ts";
import { outcomesOf } from "./outcome.ts";
import {
  type BaselineResults,
  BASELINES,
  type JudgedSearch,
  type Judging,
  RESULT,
  resultText,
  type RunResult,
} from "./run_result.ts";

/** Options of {@link judgeAgain}. */
export interface JudgeAgainOptions {
  /** The folder of a comparison, with its runs. */
  readonly runs: string;
  /** What they were trained on: `synthetic`, or a folder. */
  readonly data: string;
  /** The variants to judge. Default all. */
  readonly variants?: readonly string[];
  /** Temperatures of the search. Default that of training. */
  readonly taus?: readonly number[];
  /** What the probabilities of the search are over. Default as in training. */
  readonly over?: readonly Normalization[];
  /** How to search. Default a beam, as in training. */
  readonly search?: SearchChoice;
  /**
   * Whether to take the history out of the catalogue. Runs that were judged with it in are then
   * searched again in their own way, too, and reports leave their earlier results out. Default, and
   * `false`: as the runs were judged.
   */
  readonly excludeHistory?: boolean;
  /** Beam widths, the lengths of lists. Default those that the runs were judged with. */
  readonly beams?: readonly number[];
  /**
   * Test cases on which searches are compared, in quality and cost, unless only the method is
   * another one. Default 0: they are not.
   */
  readonly costUsers?: number;
  /** Where results go: a folder for each run and search. */
  readonly out: string;
  /** Where to compute. */
  readonly device: DeviceChoice;
  /** Threads of a cpu device. Default one for each core. */
  readonly threads?: number;
  /** The command, for the results. */
  readonly command?: string;
}

/** The model of a run under another search: the name of its folder, its name in reports. */
export type JudgeTask = SourcedRun & {
  readonly name: string;
  readonly variant: string;
  readonly judging: Judging & { readonly search: JudgedSearch };
};

/**
 * What {@link judgeAgain} has to do: the runs, unless they were judged by another rule for the
 * history, and the model of each under every other search.
 */
export type JudgePlan = {
  readonly trained: readonly SourcedRun[];
  readonly tasks: readonly JudgeTask[];
};

/** What {@link judgeAgain} returns. */
export interface JudgedAgain {
  /** The runs as they were trained and judged before, by the same rule for the history. */
  readonly trained: readonly RunResult[];
  /** Their models under the other searches. */
  readonly judged: readonly RunResult[];
  /** The rankings that need no training, by this rule, if it is another one than before. */
  readonly baselines?: BaselineResults;
}

/**
 * What {@link judgeAgain} will do: all that is asked for, except the searches that the models were
 * judged by.
 *
 * @throws {UsageError} if no run is of these variants, no other search is asked for, or results by
 * another rule for the history would lie among the runs.
 * @throws {DataError} if runs cannot be read or compared.
 */
export function planJudging(options: JudgeAgainOptions): JudgePlan {
  const { runs: folder, variants } = options;
  const all = readRuns([folder]).filter(({ run }) => run.judging.search === undefined);
  const names = [...new Set(all.map(({ run }) => run.variant))];
  const unknown = variants?.find((name) => !names.includes(name));
  if (unknown !== undefined || all.length === 0) {
    const requirement = all.length === 0
      ? "some must have been trained"
      : `variants must be of ${names.join(", ")}`;
    throw new UsageError(
      `Cannot judge the runs in ${folder}: ${requirement}, got ${unknown ?? "none"}`,
    );
  }
  const trained = all.filter(({ run }) => variants?.includes(run.variant) ?? true);
  if (hasSeveralCodes(comparable(trained))) {
    throw new UsageError(
      `Cannot judge the runs in ${folder}: they must have the same codes, got several`,
    );
  }
  const tasks = trained.flatMap((run) => tasksOf(run, options));
  const isAlike = !isRuledAnew(trained[0], options);
  if (!isAlike && resolve(options.out) === resolve(folder)) {
    throw new UsageError(
      `Cannot judge the runs in ${folder} without their histories: results must go to another ` +
        "folder, got the same; name another --out",
    );
  }
  if (tasks.length > 0) return { trained: isAlike ? trained : [], tasks };
  throw new UsageError(
    `Cannot judge the runs in ${folder}: the search must be another one than they were trained for, ` +
      "got theirs; other widths alone are judged by compare --beams",
  );
}

/** Whether the history is to be taken out of the catalogue and was not before. */
function isRuledAnew({ run }: SourcedRun, { excludeHistory }: JudgeAgainOptions): boolean {
  return excludeHistory === true && !run.judging.excludeHistory;
}

/** The searches that are asked for, except the one that the run was judged by. */
function tasksOf({ source, run }: SourcedRun, options: JudgeAgainOptions): JudgeTask[] {
  const { taus, over, search: choice, beams } = options;
  const isNew = isRuledAnew({ source, run }, options);
  const own = { normalization: normalizationOf(run.recipe), tau: run.recipe.tau };
  const method = choice?.method === "beam" ? undefined : choice; // which results do not name
  const others = (over ?? [own.normalization]).flatMap((normalization) =>
    (taus ?? [own.tau]).map((tau): JudgedSearch => ({ normalization, tau, ...method }))
  ).filter((search) => !isDeepStrictEqual(search, own));
  return [...(isNew ? [own] : []), ...others].map((search: JudgedSearch): JudgeTask => {
    const { normalization, tau } = search;
    const how = [
      ...(normalization === own.normalization ? [] : [`over ${normalization}`]),
      ...(tau === own.tau ? [] : [`at tau=${tau}`]),
      ...(method && search.method ? [`by ${nameOfSearch(method)}`] : []),
    ];
    const name = [basename(source), ...(isNew ? ["without-history"] : []), ...how].join("-");
    return {
      source,
      run,
      name: name.replaceAll(/[ =]/g, "-"),
      variant: [run.variant, ...how].join(" "),
      judging: {
        beams: beams ?? run.judging.beams,
        excludeHistory: isNew || run.judging.excludeHistory,
        search,
      },
    };
  });
}

/**
 * Judges the models of a comparison's finished runs under other searches. Each leaves a result that
 * reports put beside the runs. The search that a model was judged by is not repeated, nor what is
 * finished in `out`.
 *
 * @throws {UsageError} if no run is of these variants, no other search is asked for, or results by
 * another rule for the history would lie among the runs.
 * @throws {DataError} if runs or data cannot be read, or results cannot be written.
 * @throws {CheckpointError} if a model is missing or malformed, the data are not those of the runs,
 * or `out` holds a result of the same name with another recipe.
 * @throws {DeviceError} if the device is not available.
 *
 * @example
 * ```ts ignore
 * import { judgeAgain } from "beargrad/lab";
 *
 * const { judged } = await judgeAgain({
 *   runs: "runs/losses",
 *   data: "data/office",
 *   taus: [0.5],
 *   out: "runs/sharper",
 *   device: "cpu",
 * });
 * console.log(judged.map(({ variant, test: { beams: [{ ranks }] } }) => [variant, ranks]));
 * ```
 */
export async function judgeAgain(
  options: JudgeAgainOptions,
  observer: Observer = {},
): Promise<JudgedAgain> {
  const { data, out } = options;
  const { trained, tasks } = planJudging(options);
  const finished = tasks.map(({ name, run, judging }) =>
    readFinished(join(out, name), run.recipe, judging)
  );
  const { dataset } = await readSavedRun(tasks[0].source, data, observer.preparing); // that of all
  makeFolder(out);
  const judged: RunResult[] = [];
  for (const [i, task] of tasks.entries()) {
    observer.running?.(task.name, i, tasks.length, finished[i] !== undefined);
    const result = finished[i] ?? await judge(task, dataset, options, observer);
    judged.push(result);
    if (finished[i] !== undefined) continue;
    const folder = join(out, task.name);
    makeFolder(folder);
    writeFileAtomic(join(folder, RESULT), resultText(result));
  }
  if (trained.length > 0) return { trained: trained.map(({ run }) => run), judged };
  const { history, reading: { joinValidation = false } } = tasks[0].run.recipe;
  const rule = { history, excludeHistory: true, joinValidation };
  const baselines = baselinesOf(dataset, rule, observer);
  writeFileAtomic(join(out, BASELINES), `${JSON.stringify(baselines)}\n`);
  return { trained: [], judged, baselines };
}

async function judge(
  { source, run, name, variant, judging }: JudgeTask,
  dataset: Dataset,
  { device: choice, threads, costUsers = 0, command }: JudgeAgainOptions,
  { evaluating, untrained, measuring }: Observer,
): Promise<RunResult> {
  const { recipe } = run;
  const { beams, excludeHistory, search: { method, budget, lengthPenalty, ...over } } = judging;
  const device = await openDevice(choice, threads);
  using model = await openModel(device, source, dataset, over);
  const began = performance.now();
  const test = await judgeModel(model, {
    dataset,
    search: method && { method, budget, lengthPenalty },
    beams,
    excludeHistory,
    historyLength: recipe.history,
    onProgress: (done, total) => evaluating?.(name, done, total),
  });
  const seconds = { ...run.seconds, judging: (performance.now() - began) / 1000 };
  const evaluated = { device, dataset, trie: model.trie, recipe, excludeHistory, ...over };
  const outcomes = await outcomesOf(test, evaluated, (done, total) => {
    untrained?.(name, done, total);
  });
  const isOwn = excludeHistory === run.judging.excludeHistory &&
    over.normalization === normalizationOf(recipe) && over.tau === recipe.tau;
  const costs = isOwn || costUsers === 0 ? undefined : await measureSearches({
    ...model,
    dataset,
    excludeHistory,
    cases: costUsers,
    beam: recipe.beam,
    historyLength: recipe.history,
    onProgress: (done, total) => measuring?.(name, done, total),
  });
  const { verification: _v, costs: _ofItsOwnSearch, command: _ofTraining, ...rest } = run;
  return {
    ...rest,
    ...(command !== undefined && { command }),
    variant,
    adapter: device.adapter,
    seconds,
    judging,
    test: outcomes,
    ...(costs && { costs }),
  };
}
