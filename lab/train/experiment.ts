/**
 * An experiment: a data set, some losses, a trained and judged model for each, and the baselines
 * beside them.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { CheckpointError, DataError, NonFiniteError } from "../../core/errors.ts";
import { Trie } from "../../models/decode/trie.ts";
import { keepCodes } from "../codes/coded_dataset.ts";
import type { Options } from "./options.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import {
  bestAttainable,
  cooccurrence,
  oracle,
  popularity,
  WITH_VALIDATION,
} from "../evaluate/baselines.ts";
import { evaluateBaseline } from "../evaluate/evaluate.ts";
import { ORACLE } from "../evaluate/warnings.ts";
import { isPresent, makeFolder, writeFileAtomic } from "../files.ts";
import { readJson } from "../read_file.ts";
import {
  dataOf,
  type ExperimentReport,
  type RunSummary,
  type Summary,
  SUMMARY_VERSION,
  summaryOf,
} from "./experiment_report.ts";
import { FolderLock } from "./folder_lock.ts";
import { openLoss } from "./loss_module.ts";
import { type OpenLoss, type Recipe, recipeOf, runName } from "./recipe.ts";
import {
  type FailedRun,
  type JudgedRun,
  type Observer,
  type RunSetting,
  trainAndJudge,
} from "./run.ts";
import { RunFolder } from "./run_folder.ts";
import { isSaved } from "./saved_run.ts";

const SUMMARY = "summary.json";

/**
 * Trains one model per loss, judges all on the test targets, and writes what `--out` asks for. A
 * loss that becomes NaN or infinite is recorded as failed, and the others go on. If files can no
 * longer be written after a run was judged, the report is kept and has the error as `unwritten`.
 *
 * @throws {DataError} if a module with a loss cannot be used, the data cannot be read, another
 * process writes to `--out`, or the first checkpoint cannot be written.
 * @throws {DeviceError} if the device is not there.
 * @throws {UsageError} if an option does not fit the data.
 * @throws {CheckpointError} if `--out` holds these runs and `--resume` is not given; if `--resume`
 * is given and `--out` does not exist; or if `--out` holds runs of another recipe, or a
 * `summary.json` that cannot be added to.
 */
export async function runExperiment(
  options: Options,
  observer: Observer = {},
): Promise<ExperimentReport> {
  const losses: OpenLoss[] = [];
  for (const given of options.losses) losses.push(await openLoss(given)); // before data are read
  const dataset = await loadDataset(
    options.data,
    {
      ...options,
      keptCodes: options.out,
      openDevice: () => openDevice(options.device, options.threads),
    },
    options.model,
    observer.preparing,
  );
  const device = await openDevice(options.device, options.threads);
  const recipes = losses.map((loss) => recipeOf(options, loss, dataset, device));
  using folder = options.out === undefined
    ? undefined
    : new ExperimentFolder(options.out, dataset, recipes, options.resume, observer.note);
  if (options.out !== undefined) keepCodes(options.out, dataset);
  const catalogue = new Trie(dataset.paths);
  observer.started?.(dataset, catalogue, device);

  using trie = catalogue.upload(device);
  const { beams, excludeHistory, costUsers } = options;
  const setting: RunSetting = { dataset, device, trie, beams, excludeHistory, costUsers, observer };
  const report = {
    dataset,
    device: device.kind,
    adapter: device.adapter,
    options,
    ...judgeBaselines(dataset, options, observer.preparing),
  };
  const runs: JudgedRun[] = [];
  const failed: FailedRun[] = [];
  let unwritten: DataError | undefined;
  for (const [i, recipe] of recipes.entries()) {
    const count = runs.length;
    try {
      runs.push(await trainAndJudge(recipe, losses[i], setting, folder?.of(recipe)));
      folder?.writeSummary(summaryOf({ ...report, runs, failed }));
      unwritten = undefined;
    } catch (error) {
      if (error instanceof NonFiniteError) {
        const { message: reason } = error;
        failed.push({ name: runName(recipe), reason });
        observer.note?.(`${runName(recipe)} failed: ${reason}`);
        continue;
      }
      if (!(error instanceof DataError) || runs.length + failed.length === 0) throw error;
      unwritten = error;
      if (runs.length === count) break; // the run itself, not the summary
    }
  }
  return { ...report, runs, failed, ...(unwritten && { unwritten }) };
}

/** The lengths of lists that reports are about. */
const LIST_LENGTHS = [5, 10];

/** What the baselines depend on, beside the data. */
export type BaselineSetting = Pick<Options, "history" | "excludeHistory" | "joinValidation">;

/** The baselines on the users that the models are judged on. */
export function judgeBaselines(
  dataset: Dataset,
  { history, excludeHistory, joinValidation }: BaselineSetting,
  onProgress?: Observer["preparing"],
): Pick<ExperimentReport, "baselines" | "best"> {
  const cases = evaluationCases(dataset, "test", history);
  const whole = evaluationCases(dataset, "test", Infinity); // the truth needs the whole history
  const rankers = [
    popularity(dataset, "test", { excludeHistory }),
    {
      ...cooccurrence(dataset, "test", { excludeHistory }),
      ...(joinValidation && { name: WITH_VALIDATION }), // as the models are trained
    },
    // The validation targets come before the test targets, but no model is trained on them.
    ...(dataset.validation.length > 0
      ? [cooccurrence(dataset, "validation", { excludeHistory })]
      : []),
    ...(dataset.oracle ? [oracle(dataset, { excludeHistory })] : []),
  ];
  return {
    baselines: rankers.map((ranker, i) => ({
      name: ranker.name,
      ...evaluateBaseline(ranker, ranker.name === ORACLE ? whole : cases, LIST_LENGTHS, (done) => {
        const judged = Math.floor((i * cases.length + done) / rankers.length);
        onProgress?.("judging baselines", judged, cases.length);
      }),
    })),
    best: dataset.oracle &&
      Object.fromEntries(LIST_LENGTHS.map((k) => [k, bestAttainable(dataset, whole, k)])),
  };
}

/** The `--out` folder of an experiment, locked until it is disposed. */
class ExperimentFolder implements Disposable {
  readonly #path: string;
  readonly #runs = new Map<Recipe, RunFolder>();
  readonly #earlier: readonly RunSummary[];
  readonly #open: Disposable[] = [];

  /**
   * Opens and locks the folder: an empty or new one or, to resume, an existing one. `note` is
   * called with the runs that were never saved.
   *
   * @throws {CheckpointError} if it holds runs and `resume` is false, is missing and `resume` is
   * true, or holds a run of another recipe or a `summary.json` that cannot be added to.
   * @throws {DataError} if another process writes there, or the system refuses.
   */
  constructor(
    path: string,
    dataset: Dataset,
    recipes: readonly Recipe[],
    resume: boolean,
    note?: (text: string) => void,
  ) {
    if (resume && !isPresent(path)) {
      throw new CheckpointError(`Cannot resume from ${path}: the folder must exist, got none`);
    }
    makeFolder(path);
    this.#path = path;
    try {
      this.#open.push(new FolderLock(path));
      const { present = [], absent = [] } = Object.groupBy(
        recipes.map(runName),
        (name) => isSaved(join(path, name)) ? "present" : "absent",
      );
      if (present.length > 0 && !resume) {
        throw new CheckpointError(
          `Cannot start in ${path}: it must not hold these runs already, got ` +
            `${present.join(", ")}; go on with --resume, or name another --out`,
        );
      }
      this.#earlier = earlierRuns(path, dataOf(dataset)); // before anything is trained
      for (const recipe of recipes) {
        const run = new RunFolder(join(path, runName(recipe)), recipe);
        this.#open.push(run);
        this.#runs.set(recipe, run);
      }
      if (resume) {
        for (const name of absent) note?.(`${name} starts afresh: it was not saved before`);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Unlocks the folder. */
  [Symbol.dispose](): void {
    for (const part of this.#open.toReversed()) part[Symbol.dispose]();
  }

  /** The folder of a run. */
  of(recipe: Recipe): RunFolder | undefined {
    return this.#runs.get(recipe);
  }

  /** Writes `summary.json`. Runs of earlier experiments in the same folder stay in it. */
  writeSummary(summary: Summary): void {
    const known = new Set(summary.runs.map(runName));
    const others = this.#earlier.filter((run) => !known.has(runName(run)));
    const all = { ...summary, runs: [...others, ...summary.runs] };
    writeFileAtomic(join(this.#path, SUMMARY), `${JSON.stringify(all, null, 2)}\n`);
  }
}

const summarySchema = v.looseObject({
  version: v.literal(SUMMARY_VERSION),
  runs: v.array(v.looseObject({ loss: v.string(), seed: v.number() })),
  data: v.looseObject({ name: v.string(), users: v.number(), items: v.number() }),
});

/**
 * The runs of the summary in a folder. A file that cannot be read or is of other data must not be
 * overwritten.
 */
function earlierRuns(folder: string, data: Summary["data"]): readonly RunSummary[] {
  try {
    const summary = readJson(folder, SUMMARY, summarySchema, CheckpointError);
    const other = summary &&
      (["name", "users", "items"] as const).find((key) => summary.data[key] !== data[key]);
    if (summary && other) {
      throw new CheckpointError(
        `Cannot add to ${join(folder, SUMMARY)}: its data must have the ${other} ${data[other]}, ` +
          `got ${summary.data[other]}`,
      );
    }
    return (summary?.runs ?? []) as unknown as readonly RunSummary[];
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CheckpointError(`${error.message}; move it away, or name another --out`);
  }
}
