/**
 * One experiment: a data set, some losses, one trained and judged model for each, and the baselines beside them.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { type DeviceTrie, Trie } from "../models/decode/trie.ts";
import { TransformerDecoder } from "../models/transformer_decoder.ts";
import type { Normalization } from "../ops/trie_log_prob.ts";
import { bestAttainable, cooccurrence, oracle, popularity } from "./baselines.ts";
import { type Dataset, evaluationCases } from "./data/dataset.ts";
import { loadDataset } from "./data/load.ts";
import { openDevice } from "./devices.ts";
import { evaluate, evaluateBaseline, type Evaluation, type ListScores } from "./evaluate.ts";
import type { Options } from "./options.ts";
import { type OpenLoss, openLoss } from "./loss_module.ts";
import { type Recipe, recipeOf } from "./recipe.ts";
import { RunFolders, runName } from "./run_folders.ts";
import { summaryOf } from "./summary.ts";
import { TeacherForcing } from "./teacher_forcing.ts";
import { openTrained } from "./trained.ts";
import { Trainer, type TrainReport } from "./trainer.ts";

/** One trained and judged model. */
export interface Run {
  /** The loss it was trained with. */
  readonly loss: string;
  /** What the search normalises over: what the loss does. */
  readonly normalization: Normalization;
  /** Steps trained. */
  readonly steps: number;
  /** Seconds of training. */
  readonly trainSeconds: number;
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** What it retrieves. */
  readonly test: Evaluation;
}

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
  /** Popularity, co-occurrence and, where the truth is known, the oracle. */
  readonly baselines: readonly BaselineScores[];
  /** The expected HR@k of the best possible model, where the truth is known. */
  readonly best: Readonly<Record<number, number>> | undefined;
  /** One run a loss, in the order asked for. */
  readonly runs: readonly Run[];
}

/** How an experiment tells what it is doing. */
export interface Observer {
  /** Data or a model are read: what is being done, and how much of it is done. */
  preparing(what: string, done: number, total: number): void;
  /** The experiment is about to start. */
  started(dataset: Dataset, trie: Trie, device: Device): void;
  /** A run trains. */
  training(run: string, report: TrainReport & { readonly tokensPerSecond: number }): void;
  /** A run is judged. */
  evaluating(run: string, done: number, total: number): void;
}

/** List lengths of the report. */
const KS = [5, 10] as const;

/**
 * Trains one model per loss, judges all on the test targets, and writes what `--out` asks for.
 *
 * @throws {DataError} if a module with a loss cannot be used.
 * @throws {DataError} if the data cannot be read or the results cannot be written.
 * @throws {DeviceError} if the device is not there.
 * @throws {CheckpointError} if `--out` holds runs and `--resume` is not given, or the other way round, or they are of
 * another recipe.
 * @throws {NonFiniteError} if a loss becomes NaN or infinite.
 */
export async function runExperiment(options: Options, observer: Observer): Promise<Report> {
  const losses: OpenLoss[] = [];
  for (const given of options.loss) losses.push(await openLoss(given)); // before data are read
  const dataset = await loadDataset(options.data, options, options.model, observer.preparing);
  const device = await openDevice(options.device, options.threads);
  const recipes = losses.map((loss) => recipeOf(options, loss, dataset, device));
  const folders = options.out === undefined
    ? undefined
    : new RunFolders(options.out, recipes, options.resume);
  const catalogue = new Trie(dataset.paths);
  observer.started(dataset, catalogue, device);

  using trie = catalogue.upload(device);
  const setting: Setting = { options, dataset, device, trie, folders, observer };
  const report = {
    dataset,
    device: device.kind,
    adapter: device.adapter,
    options,
    ...judgeBaselines(dataset, options),
  };
  const runs: Run[] = [];
  for (const [i, recipe] of recipes.entries()) {
    runs.push(await trainAndJudge(recipe, losses[i], setting));
    folders?.writeSummary(summaryOf({ ...report, runs }));
  }
  return { ...report, runs };
}

/** What all runs of an experiment share. */
interface Setting {
  readonly options: Options;
  readonly dataset: Dataset;
  readonly device: Device;
  readonly trie: DeviceTrie;
  readonly folders: RunFolders | undefined;
  readonly observer: Observer;
}

async function trainAndJudge(recipe: Recipe, loss: OpenLoss, setting: Setting): Promise<Run> {
  const { dataset, device, trie, observer, folders } = setting;
  using _scope = device.arena();
  const trained = await openTrained(
    device,
    dataset,
    recipe,
    (done, total) => observer.preparing(`loading ${recipe.model}`, done, total),
  );
  // A slow tokenizer may take a minute for all prompts.
  const writing = (done: number, total: number): void =>
    observer.preparing("writing prompts", done, total);
  const onProgress = dataset.promptPerTarget ? writing : undefined;
  using trainer = new Trainer(dataset, trie, recipe, trained, { loss, onProgress });
  let seconds = folders?.restore(recipe, trainer) ?? 0;
  while (trainer.epoch < recipe.epochs) {
    const began = performance.now();
    let last = began;
    await trainer.runEpoch((report) => {
      const now = performance.now();
      const tokensPerSecond = Math.round(report.tokens / ((now - last) / 1000));
      last = now;
      observer.training(runName(recipe), { ...report, tokensPerSecond });
      folders?.writeMetrics(recipe, { ...report, tokensPerSecond });
    });
    seconds += (performance.now() - began) / 1000;
    await folders?.save(recipe, trainer, seconds);
  }
  const run: Run = {
    loss: recipe.loss,
    normalization: loss.normalization,
    steps: trainer.stepsPerEpoch * recipe.epochs,
    trainSeconds: seconds,
    tokensPerSecond: Math.round((trainer.targetsPerEpoch * recipe.epochs) / seconds),
    test: await judge(trainer, recipe, loss.normalization, setting),
  };
  return run;
}

async function judge(
  { model, weights }: Trainer,
  recipe: Recipe,
  normalization: Normalization,
  { options, dataset, device, trie, observer }: Setting,
): Promise<Evaluation> {
  const { tau } = options;
  using forcing = new TeacherForcing(device, model, weights, trie, { normalization, tau });
  return await evaluate({
    decoder: new TransformerDecoder(model, weights),
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    trie,
    dataset,
    split: "test",
    beams: options.beams,
    historyLength: options.history,
    ks: KS,
    excludeHistory: options.excludeHistory,
    normalization,
    tau,
    onProgress: (done, total) => observer.evaluating(runName(recipe), done, total),
  });
}

/** The baselines on the users that the models are judged on. */
function judgeBaselines(
  dataset: Dataset,
  { history, excludeHistory }: Options,
): Pick<Report, "baselines" | "best"> {
  const cases = evaluationCases(dataset, "test", history);
  const rankers = [
    popularity(dataset, "test", { excludeHistory }),
    cooccurrence(dataset, "test"),
    ...(dataset.oracle ? [oracle(dataset)] : []),
  ];
  return {
    baselines: rankers.map((ranker) => ({
      name: ranker.name,
      ...evaluateBaseline(ranker, cases, KS),
    })),
    best: dataset.oracle &&
      Object.fromEntries(KS.map((k) => [k, bestAttainable(dataset, cases, k)])),
  };
}
