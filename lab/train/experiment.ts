/**
 * One experiment: a data set, some losses, one trained and judged model for each, and the baselines beside them.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { DataError, NonFiniteError } from "../../core/errors.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { FailedRun } from "../compare/run_result.ts";
import { bestAttainable, cooccurrence, oracle, popularity } from "../evaluate/baselines.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import { loadDataset } from "../data/load.ts";
import { openDevice } from "../devices.ts";
import { evaluateBaseline, type ListScores } from "../evaluate/evaluate.ts";
import type { Options } from "./options.ts";
import { type OpenLoss, openLoss } from "./loss_module.ts";
import { recipeOf } from "./recipe.ts";
import { KS, type Observer, type Run, type RunSetting, trainAndJudge } from "./run.ts";
import { RunFolders, runName } from "./run_folders.ts";
import { summaryOf } from "./summary.ts";
import { TRAINING_ONLY } from "../evaluate/warnings.ts";

/** A baseline's name and scores. */
export interface BaselineScores extends ListScores {
  /** What it is. */
  readonly name: string;
}

/** What an experiment finds. */
export interface Report {
  /** The data set. */
  readonly dataset: Dataset;
  /** The device's kind. */
  readonly device: "cpu" | "webgpu";
  /** Its adapter. */
  readonly adapter: string;
  /** The options it was run with. */
  readonly options: Options;
  /**
   * Popularity; co-occurrence, and where there are validation targets, that of the training data alone; and, where the truth is
   * known, the oracle.
   */
  readonly baselines: readonly BaselineScores[];
  /** The expected HR@k of the best possible model, where the truth is known. */
  readonly best: Readonly<Record<number, number>> | undefined;
  /** One run a loss, in the order asked for, without those that failed. */
  readonly runs: readonly Run[];
  /** Runs whose loss or weights became NaN or infinite. */
  readonly failed: readonly FailedRun[];
  /** Why `summary.json` could not be written, or a run not go on; no later loss was trained then. */
  readonly unwritten?: DataError;
}

/**
 * Trains one model per loss, judges all on the test targets, and writes what `--out` asks for. A loss that becomes NaN or infinite is
 * recorded as failed, and the others go on.
 *
 * @throws {DataError} if a module with a loss cannot be used.
 * @throws {DataError} if the data cannot be read, another process writes to `--out`, or the first checkpoint cannot be written. What
 * has been judged is not thrown away because of files that cannot be written: see `unwritten` of the report.
 * @throws {DeviceError} if the device is not there.
 * @throws {CheckpointError} if `--out` holds runs and `--resume` is not given, is not there and it is given, holds runs of another
 * recipe, or a `summary.json` that cannot be added to.
 */
export async function runExperiment(
  options: Options,
  observer: Observer = {},
): Promise<Report> {
  const losses: OpenLoss[] = [];
  for (const given of options.losses) losses.push(await openLoss(given)); // before data are read
  const dataset = await loadDataset(options.data, options, options.model, observer.preparing);
  const device = await openDevice(options.device, options.threads);
  const recipes = losses.map((loss) => recipeOf(options, loss, dataset, device));
  using folders = options.out === undefined
    ? undefined
    : new RunFolders(options.out, recipes, options.resume, observer.note);
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
  const runs: Run[] = [];
  const failed: FailedRun[] = [];
  let unwritten: DataError | undefined;
  for (const [i, recipe] of recipes.entries()) {
    const count = runs.length;
    try {
      runs.push(await trainAndJudge(recipe, losses[i], setting, folders?.of(recipe)));
      folders?.writeSummary(summaryOf({ ...report, runs, failed }));
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
      if (runs.length === count) break; // the run itself
    }
  }
  return { ...report, runs, failed, ...(unwritten && { unwritten }) };
}

/** The baselines on the users that the models are judged on. */
export function judgeBaselines(
  dataset: Dataset,
  { history, excludeHistory }: Pick<Options, "history" | "excludeHistory">,
  onProgress?: Observer["preparing"],
): Pick<Report, "baselines" | "best"> {
  const cases = evaluationCases(dataset, "test", history);
  const rankers = [
    popularity(dataset, "test", { excludeHistory }),
    cooccurrence(dataset, "test"),
    // The validation targets are before the test targets, but no model is trained on them: here they are not counted either.
    ...(dataset.validation.length > 0
      ? [{ ...cooccurrence(dataset, "validation"), name: TRAINING_ONLY }]
      : []),
    ...(dataset.oracle ? [oracle(dataset, { excludeHistory })] : []),
  ];
  return {
    baselines: rankers.map((ranker, i) => ({
      name: ranker.name,
      ...evaluateBaseline(ranker, cases, KS, (done) => {
        onProgress?.("judging baselines", i * cases.length + done, rankers.length * cases.length);
      }),
    })),
    best: dataset.oracle &&
      Object.fromEntries(KS.map((k) => [k, bestAttainable(dataset, cases, k)])),
  };
}
