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
import { isRecord, parseJson, shown } from "../../models/json.ts";
import type { Options } from "./options.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import { bestAttainable, cooccurrence, oracle, popularity } from "../evaluate/baselines.ts";
import { evaluateBaseline } from "../evaluate/evaluate.ts";
import { TRAINING_ONLY } from "../evaluate/warnings.ts";
import { isPresent, makeFolder, readIfPresent, writeFileAtomic } from "../files.ts";
import {
  type ExperimentReport,
  type RunSummary,
  type Summary,
  SUMMARY_VERSION,
  summaryOf,
} from "./experiment_report.ts";
import { FolderLock } from "./folder_lock.ts";
import { type OpenLoss, openLoss } from "./loss_module.ts";
import { type Recipe, recipeOf, runName } from "./recipe.ts";
import {
  type FailedRun,
  type JudgedRun,
  type Observer,
  type RunSetting,
  trainAndJudge,
} from "./run.ts";
import { isSaved, RunFolder } from "./run_folder.ts";

/**
 * Trains one model per loss, judges all on the test targets, and writes what `--out` asks for. A
 * loss that becomes NaN or infinite is recorded as failed, and the others go on. If files can no
 * longer be written after a run was judged, the report is kept and has the error as `unwritten`.
 *
 * @throws {DataError} if a module with a loss cannot be used, the data cannot be read, another
 * process writes to `--out`, or the first checkpoint cannot be written.
 * @throws {DeviceError} if the device is not there.
 * @throws {CheckpointError} if `--out` holds runs and `--resume` is not given, is missing and it is
 * given, or holds runs of another recipe or a `summary.json` that cannot be added to.
 */
export async function runExperiment(
  options: Options,
  observer: Observer = {},
): Promise<ExperimentReport> {
  const losses: OpenLoss[] = [];
  for (const given of options.losses) losses.push(await openLoss(given)); // before data are read
  const dataset = await loadDataset(options.data, options, options.model, observer.preparing);
  const device = await openDevice(options.device, options.threads);
  const recipes = losses.map((loss) => recipeOf(options, loss, dataset, device));
  using folder = options.out === undefined
    ? undefined
    : new ExperimentFolder(options.out, recipes, options.resume, observer.note);
  const catalogue = new Trie(dataset.paths);
  observer.started?.(dataset, catalogue, device);

  using trie = catalogue.upload(device);
  const { beams, excludeHistory } = options;
  const setting: RunSetting = { dataset, device, trie, beams, excludeHistory, observer };
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

/** The baselines on the users that the models are judged on. */
export function judgeBaselines(
  dataset: Dataset,
  { history, excludeHistory }: Pick<Options, "history" | "excludeHistory">,
  onProgress?: Observer["preparing"],
): Pick<ExperimentReport, "baselines" | "best"> {
  const cases = evaluationCases(dataset, "test", history);
  const rankers = [
    popularity(dataset, "test", { excludeHistory }),
    cooccurrence(dataset, "test"),
    // The validation targets come before the test targets, but no model is trained on them.
    ...(dataset.validation.length > 0
      ? [{ ...cooccurrence(dataset, "validation"), name: TRAINING_ONLY }]
      : []),
    ...(dataset.oracle ? [oracle(dataset, { excludeHistory })] : []),
  ];
  return {
    baselines: rankers.map((ranker, i) => ({
      name: ranker.name,
      ...evaluateBaseline(ranker, cases, LIST_LENGTHS, (done) => {
        onProgress?.("judging baselines", i * cases.length + done, rankers.length * cases.length);
      }),
    })),
    best: dataset.oracle &&
      Object.fromEntries(LIST_LENGTHS.map((k) => [k, bestAttainable(dataset, cases, k)])),
  };
}

/**
 * The `--out` folder of an experiment, locked until it is disposed: a folder for each run, and
 * `summary.json`.
 */
class ExperimentFolder implements Disposable {
  readonly #summary: string;
  readonly #runs = new Map<string, RunFolder>();
  readonly #earlier: readonly RunSummary[];
  readonly #open: DisposableStack;

  /**
   * Opens and locks the folder: an empty or new one or, to resume, an existing one. `note` is
   * called with the runs that were never saved.
   *
   * @throws {CheckpointError} if it holds runs and `resume` is false, is missing and `resume` is
   * true, or holds a run of another recipe or a `summary.json` that cannot be added to.
   * @throws {DataError} if another process writes there, or the system refuses.
   */
  constructor(
    folder: string,
    recipes: readonly Recipe[],
    resume: boolean,
    note?: (text: string) => void,
  ) {
    if (resume && !isPresent(folder)) {
      throw new CheckpointError(`Cannot resume from ${folder}: the folder must exist, got none`);
    }
    makeFolder(folder);
    using open = new DisposableStack();
    open.use(new FolderLock(folder));
    const names = recipes.map(runName);
    const present = names.filter((name) => isSaved(join(folder, name)));
    const absent = names.filter((name) => !present.includes(name));
    if (present.length > 0 && !resume) {
      throw new CheckpointError(
        `Cannot start in ${folder}: it must not hold these runs already, got ${
          present.join(", ")
        }; go on with --resume, or name another --out`,
      );
    }
    this.#summary = join(folder, "summary.json");
    this.#earlier = readSummary(this.#summary); // before anything is trained
    for (const recipe of recipes) {
      const name = runName(recipe);
      this.#runs.set(name, open.use(new RunFolder(join(folder, name), recipe)));
    }
    if (resume) {
      for (const name of absent) note?.(`${name} starts afresh: it was not saved before`);
    }
    this.#open = open.move();
  }

  /** Unlocks the folder. */
  [Symbol.dispose](): void {
    this.#open.dispose();
  }

  /** The folder of a run. */
  of(recipe: Recipe): RunFolder {
    return this.#runs.get(runName(recipe)) as RunFolder;
  }

  /** Writes `summary.json`. Runs of earlier experiments in the same folder stay in it. */
  writeSummary(summary: Summary): void {
    const known = new Set(summary.runs.map(runName));
    const others = this.#earlier.filter((run) => !known.has(runName(run)));
    const all = { ...summary, runs: [...others, ...summary.runs] };
    writeFileAtomic(this.#summary, `${JSON.stringify(all, null, 2)}\n`);
  }
}

const summaryRuns = v.array(v.looseObject({ loss: v.string(), seed: v.number() }));

/**
 * The runs of a summary; none if there is no file. A file that cannot be read is refused: it would
 * be overwritten.
 */
function readSummary(path: string): readonly RunSummary[] {
  const bytes = readIfPresent(path);
  if (bytes === undefined) return [];
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(
      `Cannot add to ${path}: ${requirement}, got ${actual}; move it away, or name another --out`,
    );
  };
  const found = parseJson(bytes, "it", fail);
  const { version, runs } = isRecord(found) ? found : {};
  if (version !== SUMMARY_VERSION) {
    fail(`it must be a summary of version ${SUMMARY_VERSION}`, `version ${shown(version)}`);
  }
  if (!v.is(summaryRuns, runs)) fail("its runs must each have a loss and a seed", shown(runs));
  return runs as unknown as readonly RunSummary[];
}
