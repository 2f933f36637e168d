/**
 * Judges models of finished runs under other searches than they were trained for: at another temperature, or with probabilities
 * over something else. Nothing is trained, so what changes is what the search contributes.
 *
 * @module
 */
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { Dataset } from "../data/dataset.ts";
import { type DeviceChoice, openDevice } from "../devices.ts";
import { evaluate } from "../evaluate/evaluate.ts";
import { isPresent, makeFolder, writeFileAtomic } from "../files.ts";
import { normalizationOf } from "../train/loss_module.ts";
import { comparable, type SourcedRun } from "../report/comparable.ts";
import { readRun, readRuns } from "../report/read_results.ts";
import { LIST_LENGTHS } from "../train/run.ts";
import { checkRecipe } from "../train/run_state.ts";
import { openModel, readSavedRun } from "../train/saved_model.ts";
import { outcomesOf, untrainedPaths } from "./outcome.ts";
import {
  type Judging,
  RESULT,
  resultText,
  type RunResult,
  type SearchSetting,
} from "./run_result.ts";

/** What {@link judgeAgain} is told. */
export interface JudgeOptions {
  /** The folder of a comparison, with its runs. */
  readonly runs: string;
  /** What they were trained on: `synthetic`, or a folder. */
  readonly data: string;
  /** Of which variants; all unless told. */
  readonly variants?: readonly string[];
  /** Temperatures of the search; that of training unless told. */
  readonly taus?: readonly number[];
  /** What its probabilities are over; what those of training are unless told. */
  readonly over?: readonly Normalization[];
  /** Widths of the search; those that the runs were judged with unless told. */
  readonly beams?: readonly number[];
  /** Where results go, a folder for each run and search. */
  readonly out: string;
  /** Where to compute. */
  readonly device: DeviceChoice;
  /** Threads of a cpu device; one for each core unless told. */
  readonly threads?: number;
  /** What was typed, for the results. */
  readonly command?: string;
}

/** How {@link judgeAgain} tells what it is doing. */
export interface JudgeObserver {
  /** Data are read. */
  preparing?(what: string, done: number, total: number): void;
  /** A run is judged under a search, or is skipped because that was done before. */
  judging?(name: string, index: number, count: number, isFinished: boolean): void;
  /** A model as it was before training looks at users, for its margins. */
  untrained?(name: string, done: number, total: number): void;
  /** Users are judged. */
  evaluating?(name: string, done: number, total: number): void;
}

/** What {@link judgeAgain} has to do. */
export interface JudgePlan {
  /** The runs whose models are judged. */
  readonly trained: readonly SourcedRun[];
  /** Each under every other search. */
  readonly tasks: readonly JudgeTask[];
}

/** What {@link judgeAgain} finds. */
export interface JudgedAgain {
  /** The runs as they were trained and judged before. */
  readonly trained: readonly RunResult[];
  /** Their models under the other searches. */
  readonly judged: readonly RunResult[];
}

/** A run's model under a search. */
export interface JudgeTask extends SourcedRun {
  /** Its folder in the folder of results. */
  readonly name: string;
  /** What it is in reports. */
  readonly variant: string;
  /** The search. */
  readonly search: SearchSetting;
  /** How the test cases are searched. */
  readonly judging: Judging;
}

/**
 * What {@link judgeAgain} will do: all that is asked for, but for searches that the models were trained for.
 *
 * @throws {UsageError} if no run is of these variants, or no search is another one than they were trained for.
 * @throws {DataError} if runs cannot be read, or differ in more than variant and seed.
 */
export function planJudging(options: JudgeOptions): JudgePlan {
  const trained = chosenRuns(options);
  const tasks = trained.flatMap((run) => tasksOf(run, options));
  if (tasks.length === 0) {
    throw new UsageError(
      `Cannot judge the runs in ${options.runs}: the search must be another one than they were trained for, got ` +
        "theirs; other widths alone are judged by compare --beams",
    );
  }
  return { trained, tasks };
}

/**
 * Judges the models of a comparison's finished runs under other searches, and leaves a result of each that reports put beside the
 * runs. The search that a model was trained for is not repeated, and what is finished in `out` is not done again.
 *
 * @throws {UsageError} if no run is of these variants, or no search is another one than they were trained for.
 * @throws {DataError} if runs or data cannot be read, or results cannot be written.
 * @throws {CheckpointError} if a model is missing or malformed, the data are not those of the runs, or `out` holds a result of the same
 * name and of another recipe.
 * @throws {DeviceError} if the device is not there.
 *
 * @example
 * ```ts ignore
 * import { judgeAgain } from "beargrad/lab";
 *
 * const { judged } = await judgeAgain({
 *   ...{ runs: "runs/losses", data: "data/office", out: "runs/sharper", device: "cpu" },
 *   taus: [0.5],
 * });
 * console.log(judged.map(({ variant, test: { beams: [{ ranks }] } }) => [variant, ranks]));
 * ```
 */
export async function judgeAgain(
  options: JudgeOptions,
  observer: JudgeObserver = {},
): Promise<JudgedAgain> {
  const { data, out } = options;
  const { trained, tasks } = planJudging(options);
  const finished = tasks.map((task) => readFinished(join(out, task.name), task));
  const { dataset } = await readSavedRun(tasks[0].source, data, observer.preparing); // that of all
  makeFolder(out);
  const judged: RunResult[] = [];
  for (const [i, task] of tasks.entries()) {
    const before = finished[i];
    observer.judging?.(task.name, i, tasks.length, before !== undefined);
    if (before !== undefined) {
      judged.push(before);
      continue;
    }
    const result = await judge(task, dataset, options, observer);
    const folder = join(out, task.name);
    makeFolder(folder);
    writeFileAtomic(join(folder, RESULT), resultText(result));
    judged.push(result);
  }
  return { trained: trained.map(({ run }) => run), judged };
}

/** The runs that are asked for: those that were trained, not what was judged again before. */
function chosenRuns({ runs: folder, variants }: JudgeOptions): SourcedRun[] {
  const all = readRuns(folder).filter(({ run }) => run.judging.search === undefined);
  const names = [...new Set(all.map(({ run }) => run.variant))];
  const unknown = (variants ?? []).find((name) => !names.includes(name));
  if (unknown !== undefined || all.length === 0) {
    throw new UsageError(
      `Cannot judge the runs in ${folder}: ${
        all.length === 0 ? "some must have been trained" : `variants must be of ${names.join(", ")}`
      }, got ${unknown ?? "none"}`,
    );
  }
  const chosen = all.filter(({ run }) => variants?.includes(run.variant) ?? true);
  comparable(chosen);
  return chosen;
}

/** The searches that are asked for, but for the one that the run was trained for. */
function tasksOf({ source, run }: SourcedRun, { taus, over, beams }: JudgeOptions): JudgeTask[] {
  const own = { normalization: normalizationOf(run.recipe), tau: run.recipe.tau };
  return (over ?? [own.normalization]).flatMap((normalization) =>
    (taus ?? [own.tau]).flatMap((tau): JudgeTask[] => {
      const search = { normalization, tau };
      if (isDeepStrictEqual(search, own)) return [];
      const how = [
        ...normalization === own.normalization ? [] : [`over ${normalization}`],
        ...tau === own.tau ? [] : [`at tau=${tau}`],
      ].join(" ");
      const judging = { ...run.judging, beams: beams ?? run.judging.beams, search };
      const name = `${basename(source)}-${how.replaceAll(/[ =]/g, "-")}`;
      return [{ source, run, name, variant: `${run.variant} ${how}`, search, judging }];
    })
  );
}

/** The result of a task that was finished before. */
function readFinished(folder: string, { run, judging }: JudgeTask): RunResult | undefined {
  if (!isPresent(join(folder, RESULT))) return undefined;
  const result = readRun(folder);
  checkRecipe({ folder, recipe: { ...result.recipe } }, run.recipe);
  return isDeepStrictEqual(result.judging, judging) ? result : undefined;
}

async function judge(
  { source, run, name, variant, search, judging }: JudgeTask,
  dataset: Dataset,
  { device: choice, threads, command }: JudgeOptions,
  { evaluating, untrained }: JudgeObserver,
): Promise<RunResult> {
  const { recipe } = run;
  const { beams, excludeHistory } = judging;
  const device = await openDevice(choice, threads);
  using model = await openModel(device, source, dataset, search);
  const { decoder, forcing, trie } = model;
  const before = await untrainedPaths(
    ...[device, dataset, trie, recipe, search, beams] as const,
    (done, total) => untrained?.(name, done, total),
  );
  const began = performance.now();
  const test = await evaluate({
    ...{
      decoder,
      trie,
      dataset,
      split: "test",
      beams,
      excludeHistory,
      ks: LIST_LENGTHS,
      ...search,
    },
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    historyLength: recipe.history,
    onProgress: (done, total) => evaluating?.(name, done, total),
  });
  const seconds = { ...run.seconds, judging: (performance.now() - began) / 1000 };
  const { verification: _ofItsOwnSearch, command: _ofTraining, ...rest } = run;
  return {
    ...{ ...rest, variant, adapter: device.adapter, seconds, judging },
    ...(command !== undefined && { command }),
    test: outcomesOf(test, before, trie.trie.maxDepth),
  };
}
