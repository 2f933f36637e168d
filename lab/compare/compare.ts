/**
 * Comparisons: many runs under one recipe, each trained and judged once, whose folders reports are
 * made of.
 *
 * @module
 */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { CheckpointError, DataError, NonFiniteError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { Trie } from "../../models/decode/trie.ts";
import { type LossFlagName, lossFlagNames, lossFlags } from "../../models/losses/index.ts";
import type { TheoremCounts } from "../analysis/user_theorems.ts";
import { verifyModel } from "../analysis/verify_model.ts";
import { keepCodes } from "../codes/coded_dataset.ts";
import { describeCodes } from "../codes/describe.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import { isPresent, makeFolder, removeFile, writeFileAtomic } from "../files.ts";
import { namedBySettings } from "../report/comparable.ts";
import { readBaselines, readFailure, readResult } from "../report/read_results.ts";
import { type BaselineSetting, judgeBaselines } from "../train/experiment.ts";
import { openLoss } from "../train/loss_module.ts";
import { gradientWeights } from "../train/loss_probe.ts";
import type { Options } from "../train/options.ts";
import {
  checkRecipe,
  digestOf,
  type OpenLoss,
  type Recipe,
  recipeOf,
  sequencesDigest,
  toJson,
} from "../train/recipe.ts";
import { type Observer, type RunSetting, trainAndJudge } from "../train/run.ts";
import { RunFolder } from "../train/run_folder.ts";
import { outcomesOf } from "./outcome.ts";
import {
  type BaselineResults,
  BASELINES,
  type FailedRun,
  FAILURE,
  type Judging,
  RESULT,
  resultText,
  type RunResult,
} from "./run_result.ts";

/** A part of the runs, for one of several machines. */
export interface Shard {
  /** Which part, from 0. */
  readonly index: number;
  /** The number of parts. */
  readonly count: number;
}

/** What a comparison runs, and where. */
export interface CompareOptions {
  /** The seeds. */
  readonly seeds: readonly number[];
  /**
   * Ways to write the items, one comparison each, in a folder of its own in `out`. Default that of
   * the options, in `out` itself.
   */
  readonly codes?: readonly string[];
  /** Values of settings of the losses. Default those of the options. */
  readonly over: { readonly [S in LossFlagName]?: readonly number[] };
  /** What all runs share. The losses are `options.losses`. */
  readonly options: Options;
  /** The folder of runs and reports. */
  readonly out: string;
  /** The number of users on which the theorems are checked. Default 0: they are not. */
  readonly verifyUsers?: number;
  /** Whether to refuse data without validation cases. Default false: the last epoch is kept. */
  readonly mustValidate?: boolean;
  /** The part of the grid to run. Default all of it. */
  readonly shard?: Shard;
  /** The command, for the results. */
  readonly command?: string;
}

/** The folder of the runs with some codes, where a comparison has several. */
export function folderOfCodes(out: string, codes: string): string {
  return join(out, codes.replaceAll(/[^\w.=]+/g, "-"));
}

/** What a comparison returns. */
export interface FinishedGrid {
  /** The finished runs of its shard, in the order of the grid. */
  readonly results: readonly RunResult[];
  /** The runs whose loss or weights became NaN or infinite, now or before. */
  readonly failed: readonly FailedRun[];
  /** Whether the data have validation cases to choose epochs by. If not, the last epoch is kept. */
  readonly isValidated: boolean;
}

/**
 * Trains and judges every variant with every seed and all codes. A run that is finished in `out` is
 * not repeated, and one that was interrupted goes on from its last epoch. A run whose loss becomes
 * NaN or infinite is recorded as failed in its folder, in `failed.json`, and not tried again while
 * that file is there; the other runs go on.
 *
 * @throws {DataError} if a module with a loss cannot be used, the data cannot be read, another
 * process trains one of the runs, or results cannot be written.
 * @throws {DeviceError} if the device is not available.
 * @throws {CheckpointError} if `out` holds a run of the same name with another recipe, or runs on
 * other data.
 *
 * @example
 * ```ts ignore
 * import { compareLosses, parseGridOptions } from "beargrad/lab";
 *
 * const options = parseGridOptions("compare", ["--losses", "msl,bear", "--out", "runs/two"]);
 * const { results } = await compareLosses(options);
 * console.log(results.map(({ variant, recipe, bestEpoch }) => [variant, recipe.seed, bestEpoch]));
 * ```
 */
export async function compareLosses(
  grid: CompareOptions,
  observer: Observer = {},
): Promise<FinishedGrid> {
  const { out, codes = [], shard = { index: 0, count: 1 } } = grid;
  if (codes.length > 1) return await compareCodes(grid, codes, observer);
  const losses: OpenLoss[] = [];
  for (const loss of grid.options.losses) losses.push(await openLoss(loss)); // before data are read
  const dataset = await loadData(grid, observer);
  const device = await openDevice(grid.options.device, grid.options.threads);
  const isValidated = dataset.validation.length > 0;
  if (grid.mustValidate && !isValidated) {
    throw new DataError(
      `Cannot rank runs on ${dataset.name}: it must have validation cases, got none; titles have ` +
        "them with --hold-out",
    );
  }
  const options = isValidated ? grid.options : { ...grid.options, patience: undefined };
  const { beams, excludeHistory, costUsers } = options;
  const runs = gridOf(options, grid, losses, dataset, device)
    .filter((_, i) => i % shard.count === shard.index);
  const finished = runs.map(({ name, recipe }) =>
    readFinished(join(out, name), recipe, { beams, excludeHistory })
  );
  const catalogue = new Trie(dataset.paths);
  observer.started?.(dataset, catalogue, device);
  openFolder(out, baselinesOf(dataset, options, observer), shard);
  keepCodes(out, dataset);

  using trie = catalogue.upload(device);
  const setting: RunSetting = { dataset, device, trie, beams, excludeHistory, costUsers, observer };
  const results: RunResult[] = [];
  const failed: FailedRun[] = [];
  const asked = [grid.verifyUsers ?? 0, costUsers].map((n) => Math.min(n, dataset.test.length));
  for (const [i, run] of runs.entries()) {
    observer.running?.(run.name, i, runs.length, finished[i] !== undefined);
    const measured = finished[i] && measuredUsers(finished[i]);
    if (measured && asked.some((count, m) => measured[m] < count)) {
      observer.note?.(
        `${run.name} was finished with fewer --verify-users or --cost-users; it is judged again ` +
          `if ${join(out, run.name, RESULT)} is removed`,
      );
    }
    const found = finished[i] ?? await finish(run, grid, setting);
    if ("reason" in found) failed.push(found);
    else results.push(found);
  }
  return { results, failed, isValidated };
}

/** The numbers of users on which the theorems of a run were checked and its searches timed. */
function measuredUsers({ verification, costs }: RunResult): number[] {
  return [verification?.users ?? 0, costs?.cases ?? 0];
}

function loadData({ options, out }: CompareOptions, { preparing }: Observer): Promise<Dataset> {
  const { data, model, device, threads } = options;
  const reading = { ...options, keptCodes: out, openDevice: () => openDevice(device, threads) };
  return loadDataset(data, reading, model, preparing);
}

/** Compares the losses with several codes, on the same users and targets. */
async function compareCodes(
  grid: CompareOptions,
  codes: readonly string[],
  observer: Observer,
): Promise<FinishedGrid> {
  const { out, options, shard = { index: 0, count: 1 } } = grid;
  const parts = codes.map((one, i): CompareOptions => ({
    ...grid,
    codes: undefined,
    options: { ...options, codes: one },
    out: folderOfCodes(out, one),
    // Another index with each, so that shards that outnumber the runs of one have work, too.
    shard: { ...shard, index: (shard.index + i) % shard.count },
  }));
  // All codes are made before anything is trained.
  for (const part of parts) keepCodes(part.out, await loadData(part, observer));
  const finished: FinishedGrid[] = [];
  for (const part of parts) finished.push(await compareLosses(part, observer));
  return {
    results: namedBySettings(finished.flatMap(({ results }) => results)),
    failed: finished.flatMap(({ failed }, i) =>
      failed.map(({ name, reason }) => ({ name: `${name} with codes ${codes[i]}`, reason }))
    ),
    isValidated: finished.every(({ isValidated }) => isValidated),
  };
}

/** One run of a grid: its name in reports, that of its folder, its loss, its recipe. */
type GridRun = {
  readonly variant: string; // `bear`, or `bear B=5 xi=2`
  readonly name: string; // `bear-B5-xi2-seed0`
  readonly loss: OpenLoss;
  readonly recipe: Recipe;
};

/**
 * The runs of a grid. All variants of the first seed come first, so that an interrupted comparison
 * has about as many seeds of each. Values of a setting that a loss does not read make no variants
 * of it.
 */
function gridOf(
  options: Options,
  { seeds, over }: CompareOptions,
  losses: readonly OpenLoss[],
  dataset: Dataset,
  device: Device,
): GridRun[] {
  const first = lossFlagNames.map((name) => [name, over[name]?.[0] ?? options[name]]);
  const shared = { ...options, ...Object.fromEntries(first) };
  const variants = losses.flatMap((loss) => {
    let ways: (readonly [LossFlagName, number])[][] = [[]];
    for (const name of lossFlagNames) {
      const values = over[name] ?? [];
      if (values.length < 2 || !(name in loss.flags)) continue;
      ways = ways.flatMap((way) => values.map((value) => [...way, [name, value] as const]));
    }
    return ways.map((settings) => ({ loss, settings }));
  });
  return seeds.flatMap((seed) =>
    variants.map(({ loss, settings }): GridRun => {
      const labels = settings.map(([name, value]) => [lossFlags[name].symbol ?? name, value]);
      const own = { ...shared, ...Object.fromEntries(settings), seed };
      return {
        variant: [loss.name, ...labels.map((label) => label.join("="))].join(" "),
        name: [loss.name, ...labels.map((label) => label.join("")), `seed${seed}`].join("-"),
        loss,
        recipe: recipeOf(own, loss, dataset, device),
      };
    })
  );
}

/**
 * The result in a folder, if it was judged as asked for.
 *
 * @throws {CheckpointError} if it has another recipe.
 */
export function readFinished(
  folder: string,
  recipe: Recipe,
  judging: Judging,
): RunResult | undefined {
  if (!isPresent(join(folder, RESULT))) return undefined;
  const result = readResult(folder);
  checkRecipe(folder, result.recipe, recipe);
  return isDeepStrictEqual(result.judging, judging) ? result : undefined;
}

/** Trains and judges a run, unless another process has just done so or it failed before. */
async function finish(
  run: GridRun,
  grid: CompareOptions,
  setting: RunSetting,
): Promise<RunResult | FailedRun> {
  const { name, recipe } = run;
  const path = join(grid.out, name);
  const { beams, excludeHistory, observer: { note } } = setting;
  using folder = new RunFolder(path, recipe);
  const done = readFinished(path, recipe, { beams, excludeHistory });
  if (done !== undefined) return done;
  const failure = join(path, FAILURE);
  const before = readFailure(path);
  const asked = JSON.parse(JSON.stringify(toJson(recipe)));
  if (before !== undefined && isDeepStrictEqual(before.recipe, asked)) {
    note?.(`${name} failed before, and is tried again if ${failure} is removed: ${before.reason}`);
    return { name, reason: before.reason };
  }
  removeFile(failure);
  try {
    const result = await trainJudgeAndVerify(run, folder, grid, setting);
    writeFileAtomic(join(path, RESULT), resultText(result));
    return result;
  } catch (error) {
    if (!(error instanceof NonFiniteError)) throw error;
    const reason = error.message;
    writeFileAtomic(failure, `${JSON.stringify({ version: 1, recipe: asked, reason })}\n`);
    note?.(`${name} failed: ${reason}`);
    return { name, reason };
  }
}

async function trainJudgeAndVerify(
  { variant, name, recipe, loss }: GridRun,
  folder: RunFolder,
  { options: { data }, verifyUsers = 0, command }: CompareOptions,
  setting: RunSetting,
): Promise<RunResult> {
  const { dataset, device, trie, beams, excludeHistory, observer } = setting;
  const found = await trainAndJudge(recipe, loss, setting, folder, name);
  const { training, test } = found;
  const { normalization } = loss;
  const search = { normalization, tau: recipe.tau };
  const evaluated = { device, dataset, trie, recipe, excludeHistory, ...search };
  const outcomes = await outcomesOf(test, evaluated, (done, total) => {
    observer.untrained?.(name, done, total);
  });
  // A loss that pulls on nothing at a margin has no weight there.
  const gradient = recipe.lossModule && (await gradientWeights(loss.make(recipe), recipe.beam))
    .filter(({ weight }) => Number.isFinite(weight));
  const verification = verifyUsers === 0 ? undefined : await verifyModel({
    checkpoint: folder.path,
    data,
    beam: recipe.beam,
    limitUsers: verifyUsers,
    onProgress: (done, total) => observer.verifying?.(name, done, total),
  });
  return {
    version: 1,
    variant,
    ...(command !== undefined && { command }),
    recipe,
    adapter: device.adapter,
    data: {
      name: dataset.name,
      users: test.users,
      items: dataset.items.length,
      sequences: sequencesDigest(dataset),
    },
    codes: describeCodes(dataset.paths, { beam: recipe.beam, sequences: dataset.training }).levels,
    parameters: found.parameters,
    epochs: training.epochs,
    bestEpoch: training.bestEpoch,
    steps: found.steps,
    seconds: {
      training: training.seconds,
      validation: training.validation.reduce((sum, { seconds }) => sum + seconds, 0),
      judging: found.judgingSeconds,
    },
    tokensPerSecond: found.tokensPerSecond,
    curve: training.curve.map(({ step, epoch, loss }) => ({ step, epoch, loss })),
    validation: training.validation,
    judging: { beams, excludeHistory },
    test: outcomes,
    ...(found.costs && { costs: found.costs }),
    ...(gradient && { gradient }),
    ...(verification && {
      verification: {
        users: verification.users,
        counts: Object.fromEntries(
          verification.theorems.map(({ id, statement: _, ...counts }) => [id, counts]),
        ) as TheoremCounts,
      },
    }),
  };
}

/**
 * The rankings that need no training, and whose cases are one user's where some users have several.
 */
export function baselinesOf(
  dataset: Dataset,
  options: BaselineSetting,
  { preparing }: Observer,
): BaselineResults {
  const { baselines } = judgeBaselines(dataset, options, preparing);
  const numbers = new Map<string, number>();
  const userOf = dataset.test.map(({ id, user = id }) => {
    const number = numbers.get(user) ?? numbers.size;
    numbers.set(user, number);
    return number;
  });
  return {
    version: 1,
    digest: digestOf(dataset),
    ...(numbers.size < dataset.test.length && { userOf }),
    baselines: baselines.map(({ name, ranks }) => ({ name, ranks })),
  };
}

/**
 * Checks that what is in a folder is of the same data, and writes the baselines there. Several
 * shards may share the folder; the first one writes.
 */
function openFolder(out: string, baselines: BaselineResults, { index }: Shard): void {
  const before = isPresent(join(out, BASELINES)) ? readBaselines(out) : undefined;
  if (before !== undefined && before.digest !== baselines.digest) {
    throw new CheckpointError(
      `Cannot compare in ${out}: its runs must be of the same data, of digest ${baselines.digest}, ` +
        `got ${before.digest}; name another --out`,
    );
  }
  makeFolder(out);
  if (index === 0 && !isDeepStrictEqual(before, baselines)) {
    writeFileAtomic(join(out, BASELINES), `${JSON.stringify(baselines)}\n`);
  }
}
