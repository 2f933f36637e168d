/**
 * Comparisons: many runs under one recipe, each finished once, whose folders reports are made of.
 *
 * @module
 */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { CheckpointError, NonFiniteError } from "../../core/errors.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import { type ExperimentObserver, judgeBaselines } from "../train/experiment.ts";
import { isPresent, makeFolder, removeFile, writeFileAtomic } from "../files.ts";
import { gradientWeights } from "../train/loss_probe.ts";
import { type OpenLoss, openLoss } from "../train/loss_module.ts";
import type { TheoremCounts } from "../analysis/user_theorems.ts";
import type { Options } from "../cli/options.ts";
import { digestOf, type Recipe, toJson } from "../train/recipe.ts";
import { type RunSetting, trainAndJudge } from "../train/run.ts";
import { readBaselines, readFailure, readRun } from "../report/read_results.ts";
import { RunFolder } from "../train/run_folder.ts";
import { checkRecipe } from "../train/run_state.ts";
import { verifyModel } from "../analysis/verify_model.ts";
import { gridOf, type GridOptions, type GridRun, type Shard, shardOf } from "./grid.ts";
import { outcomesOf, untrainedPaths } from "./outcome.ts";
import {
  type BaselineResults,
  BASELINES,
  type FailedRun,
  FAILURE,
  RESULT,
  resultText,
  type RunResult,
} from "./run_result.ts";

/** What a comparison is told. */
export interface CompareOptions extends GridOptions {
  /** What all runs share. */
  readonly options: Options;
  /** Where runs and reports go. */
  readonly out: string;
  /** On how many users the theorems are checked; 0 for none. */
  readonly verifyUsers?: number;
  /** Which part of the grid to run; all of it unless told. */
  readonly shard?: Shard;
  /** What was typed, for the results. */
  readonly command?: string;
}

/** How a comparison tells what it is doing. */
export interface CompareObserver extends ExperimentObserver {
  /** A run begins, or is skipped because it is finished. */
  running(run: GridRun, index: number, count: number, isFinished: boolean): void;
  /** A run's model as it was before training looks at users, for its margins. */
  untrained?(run: string, done: number, total: number): void;
  /** The theorems are checked on a run's users. */
  verifying?(run: string, done: number, total: number): void;
}

/** What all runs share. */
interface CompareSetting extends RunSetting {
  readonly data: string;
  readonly command: string | undefined;
  readonly observer: CompareObserver;
}

/** What a comparison leaves. */
export interface FinishedGrid {
  /** The finished runs of its shard, in the grid's order. */
  readonly results: readonly RunResult[];
  /** Those whose loss or weights became NaN or infinite, now or before. */
  readonly failed: readonly FailedRun[];
  /** The rankings beside them. */
  readonly baselines: BaselineResults;
  /** Whether the data have cases to choose epochs by. Where they have none, the last epoch is kept. */
  readonly isValidated: boolean;
}

/**
 * Trains and judges every variant with every seed. What is finished in `out` is not done again, what was interrupted goes on from its
 * last epoch. A run whose loss becomes NaN or infinite is recorded as failed in its folder, in `failed.json`, and the others go on; it is
 * not tried again as long as that file is there.
 *
 * @throws {DataError} if a module with a loss cannot be used, the data cannot be read, another process is at one of the runs, or results
 * cannot be written.
 * @throws {DeviceError} if the device is not there.
 * @throws {CheckpointError} if `out` holds a run of the same name and another recipe, or of other data.
 *
 * @example
 * ```ts ignore
 * import { compareLosses, parseGridOptions } from "beargrad/lab";
 *
 * const quiet = { preparing() {}, started() {}, running() {}, training() {}, evaluating() {} };
 * const options = parseGridOptions("compare", ["--losses", "msl,bear", "--out", "runs/two"]);
 * const { results } = await compareLosses(options, quiet);
 * console.log(results.map(({ variant, recipe, bestEpoch }) => [variant, recipe.seed, bestEpoch]));
 * ```
 */
export async function compareLosses(
  told: CompareOptions,
  observer: CompareObserver,
): Promise<FinishedGrid> {
  const { options: asked, out, verifyUsers = 0, shard = { index: 0, count: 1 } } = told;
  const losses: OpenLoss[] = [];
  for (const one of told.losses) losses.push(await openLoss(one)); // before data are read
  const dataset = await loadDataset(asked.data, asked, asked.model, observer.preparing);
  const device = await openDevice(asked.device, asked.threads);
  const isValidated = dataset.validation.length > 0;
  const options = isValidated ? asked : { ...asked, patience: undefined };
  const runs = shardOf(gridOf(options, told, losses, dataset, device), shard);
  const folders = runs.map(({ name }) => join(out, name));
  const finished = runs.map((run, i) => readFinished(folders[i], run, options));
  const catalogue = new Trie(dataset.paths);
  observer.started?.(dataset, catalogue, device);

  const baselines = baselinesOf(dataset, options, observer);
  openFolder(out, baselines, shard);
  using trie = catalogue.upload(device);
  const { beams, excludeHistory } = options;
  const setting: CompareSetting = {
    ...{ data: options.data, dataset, device, trie, beams, excludeHistory, observer },
    command: told.command,
  };
  const results: RunResult[] = [];
  const failed: FailedRun[] = [];
  for (const [i, run] of runs.entries()) {
    const before = finished[i];
    observer.running(run, i, runs.length, before !== undefined);
    const found = before ?? await finish(run, folders[i], setting, verifyUsers);
    if ("reason" in found) failed.push(found);
    else results.push(found);
  }
  return { results, failed, baselines, isValidated };
}

/** The result of a run that was finished before, if it is of this recipe and was judged as asked for. */
function readFinished(
  folder: string,
  { recipe }: GridRun,
  { beams, excludeHistory }: Pick<Options, "beams" | "excludeHistory">,
): RunResult | undefined {
  if (!isPresent(join(folder, RESULT))) return undefined;
  const result = readRun(folder);
  checkRecipe({ folder, recipe: { ...result.recipe } }, recipe);
  return isDeepStrictEqual(result.judging, { beams, excludeHistory }) ? result : undefined;
}

/** Trains and judges a run, unless another process has just done so or it has failed before. */
async function finish(
  run: GridRun,
  path: string,
  setting: CompareSetting,
  verifyUsers: number,
): Promise<RunResult | FailedRun> {
  const { name, recipe } = run;
  const { note } = setting.observer;
  using folder = new RunFolder(path, recipe);
  const done = readFinished(path, run, setting);
  if (done !== undefined) return done;
  const failure = join(path, FAILURE);
  const before = readFailure(path);
  if (before !== undefined && isDeepStrictEqual(before.recipe, plain(recipe))) {
    note?.(`${name} failed before, and is tried again if ${failure} is removed: ${before.reason}`);
    return { name, reason: before.reason };
  }
  removeFile(failure);
  try {
    return await trainJudgeAndWrite(run, folder, setting, verifyUsers);
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    const { message: reason } = error;
    writeFileAtomic(failure, `${JSON.stringify({ version: 1, recipe: toJson(recipe), reason })}\n`);
    note?.(`${name} failed: ${reason}`);
    return { name, reason };
  }
}

/** As a file has it. */
function plain(recipe: Recipe): unknown {
  return JSON.parse(JSON.stringify(toJson(recipe)));
}

async function trainJudgeAndWrite(
  run: GridRun,
  folder: RunFolder,
  setting: CompareSetting,
  verifyUsers: number,
): Promise<RunResult> {
  const { variant, name, recipe, loss } = run;
  const { dataset, device, trie, beams, excludeHistory, observer, command } = setting;
  const { parameters, steps, training, tokensPerSecond, test, judgingSeconds } =
    await trainAndJudge(recipe, loss, setting, folder, name);
  const search = { normalization: loss.normalization, tau: recipe.tau };
  const before = await untrainedPaths(
    ...[device, dataset, trie, recipe, search, beams] as const,
    (done, total) => observer.untrained?.(name, done, total),
  );
  const result: RunResult = {
    version: 1,
    variant,
    ...(command !== undefined && { command }),
    ...{ recipe, adapter: device.adapter },
    data: { name: dataset.name, users: test.users, items: dataset.items.length },
    ...{ parameters, epochs: training.epochs, bestEpoch: training.bestEpoch, steps },
    seconds: {
      training: training.seconds,
      validation: training.validation.reduce((sum, { seconds }) => sum + seconds, 0),
      judging: judgingSeconds,
    },
    tokensPerSecond,
    curve: training.curve.map(({ step, epoch, loss }) => ({ step, epoch, loss })),
    validation: training.validation,
    judging: { beams, excludeHistory },
    test: outcomesOf(test, before, trie.trie.maxDepth),
    ...(recipe.lossModule && {
      gradient: (await gradientWeights(loss.make(recipe), recipe.beam))
        .filter(({ weight }) => Number.isFinite(weight)), // a loss that pulls on nothing there has none
    }),
    ...(verifyUsers > 0 &&
      { verification: await verified(run, folder.path, setting, verifyUsers) }),
  };
  writeFileAtomic(join(folder.path, RESULT), resultText(result));
  return result;
}

/** What `verify` counts on a run's first users. */
async function verified(
  { name, recipe }: GridRun,
  checkpoint: string,
  { data, observer }: CompareSetting,
  limitUsers: number,
): Promise<RunResult["verification"]> {
  const { users, theorems } = await verifyModel({
    ...{ checkpoint, data, beam: recipe.beam, limitUsers },
    onProgress: (done, total) => observer.verifying?.(name, done, total),
  });
  const counts = theorems.map(({ id, instances, holds, undecided, violations }) => [
    id,
    { instances, holds, undecided, violations },
  ]);
  return { users, counts: Object.fromEntries(counts) as TheoremCounts };
}

/** The rankings that need no training. */
function baselinesOf(
  dataset: Dataset,
  options: Options,
  { preparing }: CompareObserver,
): BaselineResults {
  const { baselines } = judgeBaselines(dataset, options, preparing);
  return {
    version: 1,
    digest: digestOf(dataset),
    ...usersOf(dataset),
    baselines: baselines.map(({ name, ranks }) => ({ name, ranks })),
  };
}

/** Each test case's user, where some have several cases. */
function usersOf({ test }: Dataset): Pick<BaselineResults, "userOf"> {
  const numbers = new Map<string, number>();
  const userOf = test.map(({ id, user = id }) => {
    const number = numbers.get(user) ?? numbers.size;
    numbers.set(user, number);
    return number;
  });
  return numbers.size === test.length ? {} : { userOf };
}

/**
 * Makes sure that what is in a folder is of the same data, and writes the baselines there. Only the first shard does: several may
 * share the folder.
 */
function openFolder(out: string, baselines: BaselineResults, { index }: Shard): void {
  const before = isPresent(join(out, BASELINES)) ? readBaselines(out) : undefined;
  if (before !== undefined && before.digest !== baselines.digest) {
    throw new CheckpointError(
      `Cannot compare in ${out}: its runs must be of the same data, of digest ${baselines.digest}, got ` +
        `${before.digest}; name another --out`,
    );
  }
  makeFolder(out);
  if (index === 0 && !isDeepStrictEqual(before, baselines)) {
    writeFileAtomic(join(out, BASELINES), `${JSON.stringify(baselines)}\n`);
  }
}
