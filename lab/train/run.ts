/**
 * One run: a model is trained by a recipe, epoch by epoch, with saves and, if the recipe stops by
 * validation, the search for the best epoch; then it is judged on the test cases.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { treeLeaves } from "../../core/tree.ts";
import { readTree, writeTree } from "../../models/checkpoint.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { DeviceTrie, Trie } from "../../models/decode/trie.ts";
import type { SafeTensors } from "../../models/safetensors.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import { measureSearches, type SearchCosts } from "../evaluate/search_costs.ts";
import type { Evaluation } from "../evaluate/evaluate.ts";
import { hitRate, ndcg } from "../evaluate/metrics.ts";
import { turn } from "../turn.ts";
import { normalizationOf, type OpenLoss, type Recipe, runName, type Stopping } from "./recipe.ts";
import type { MetricsLine, RunFolder } from "./run_folder.ts";
import type { ValidationPoint } from "./saved_run.ts";
import { judgeModel, searchableModel, trainableModel } from "./models.ts";
import { Trainer, type TrainReport } from "./trainer.ts";

/** The beam width of validation, the same for all losses, so that epochs are chosen alike. */
const VALIDATION_BEAM = 10;

/** Users between two reports of validation. */
const CHUNK = 256;

/** The history of a finished training. The trainer has the weights of the best epoch. */
export interface TrainHistory {
  /** Epochs trained. */
  readonly epochs: number;
  /** The epoch, from 1, whose weights are kept: the best in validation, else the last. */
  readonly bestEpoch: number;
  /** Seconds of training, without validation. */
  readonly seconds: number;
  /** The loss: in each report its mean since the report before. */
  readonly curve: readonly MetricsLine[];
  /** Validation after each epoch; empty if the recipe does not stop by it. */
  readonly validation: readonly ValidationPoint[];
}

/**
 * Called as an experiment, a comparison or a judging of runs goes on. `run` is the name of a run.
 */
export interface Observer {
  /** Data or a model are read: what is being done, and how much of it is done. */
  preparing?(what: string, done: number, total: number): void;
  /** The data are read, and the runs are about to begin. */
  started?(dataset: Dataset, trie: Trie, device: Device): void;
  /** A run of a comparison begins, or is skipped as it was finished before. */
  running?(run: string, index: number, count: number, isFinished: boolean): void;
  /** A run trains. */
  training?(run: string, report: TrainReport & { readonly tokensPerSecond: number }): void;
  /** A run is validated between two epochs: the cases done and all. */
  validating?(run: string, done: number, total: number): void;
  /** A run is trained. */
  trained?(run: string, training: TrainHistory): void;
  /** A run has been saved after an epoch, from 1, or goes on from there. */
  saved?(run: string, epoch: number, epochs: number): void;
  /** A run is judged: the users done and all. */
  evaluating?(run: string, done: number, total: number): void;
  /**
   * The model as it was before training is applied to users, for its margins: the users done and
   * all.
   */
  untrained?(run: string, done: number, total: number): void;
  /** Searches are compared in quality and cost on a run's model: the searches done and all. */
  measuring?(run: string, done: number, total: number): void;
  /** The theorems are checked on the model of a run: the users done and all. */
  verifying?(run: string, done: number, total: number): void;
  /** Something worth a line, such as where a run goes on. */
  note?(text: string): void;
}

/** What {@link trainRun} trains on. */
export interface TrainSetting {
  /** The data set. */
  readonly dataset: Dataset;
  /** The trie of its paths. */
  readonly trie: DeviceTrie;
  /** Called as it goes on. */
  readonly observer?: Observer;
  /** Where the run is saved after each epoch, and resumes from. Default: it is not saved. */
  readonly folder?: RunFolder;
  /** The name of the run for the observer. Default `bear-seed0`, by loss and seed. */
  readonly name?: string;
}

/**
 * Trains a run to its end, from where its folder has it. A recipe with `stopping` is validated
 * after each epoch and ends when `patience` epochs brought no improvement. The trainer is left with
 * the best weights.
 *
 * @throws {NonFiniteError} if the loss becomes NaN or infinite.
 * @throws {DataError} if the system refuses to write.
 */
export async function trainRun(
  trainer: Trainer,
  recipe: Recipe,
  { dataset, trie, folder, name = runName(recipe), observer = {} }: TrainSetting,
): Promise<TrainHistory> {
  const saved = folder?.restore(trainer, (text) => observer.note?.(`${name} ${text}`));
  if (saved?.epoch !== undefined) observer.saved?.(name, saved.epoch, recipe.epochs);
  let seconds = saved?.seconds ?? 0;
  let best: SafeTensors | undefined = saved?.best;
  const validation: ValidationPoint[] = [...saved?.validation ?? []];
  const curve = [...saved?.curve ?? []];
  while (trainer.epoch < recipe.epochs && !isStopped(validation, recipe.stopping)) {
    const began = performance.now();
    let last = began;
    await trainer.runEpoch((report) => {
      const now = performance.now();
      const tokensPerSecond = Math.round(report.tokens / ((now - last) / 1000));
      last = now;
      observer.training?.(name, { ...report, tokensPerSecond });
      const { step, epoch, loss, lr } = report;
      const line = { step, epoch, loss, lr, tokensPerSecond };
      curve.push(line);
      folder?.writeMetrics(line);
    });
    seconds += (performance.now() - began) / 1000;
    if (recipe.stopping) {
      validation.push(
        await validate(trainer, recipe, recipe.stopping, dataset, trie, (done, total) => {
          observer.validating?.(name, done, total);
        }),
      );
      if (bestOf(validation) === trainer.epoch) best = await readTree(trainer.params);
    }
    if (folder === undefined) continue;
    const progress = { epoch: trainer.epoch, seconds, ...(recipe.stopping && { validation }) };
    await folder.save(trainer, progress, best);
    observer.saved?.(name, trainer.epoch, recipe.epochs);
  }
  if (best !== undefined) writeTree(trainer.params, best);
  const epochs = trainer.epoch;
  return { epochs, bestEpoch: bestOf(validation) ?? epochs, seconds, curve, validation };
}

/** The first epoch with the highest NDCG. */
function bestOf(validation: readonly ValidationPoint[]): number | undefined {
  const most = Math.max(...validation.map((point) => point.ndcg));
  return validation.find((point) => point.ndcg === most)?.epoch;
}

function isStopped(validation: readonly ValidationPoint[], stopping?: Stopping): boolean {
  const best = bestOf(validation);
  if (stopping === undefined || best === undefined) return false;
  return validation[validation.length - 1].epoch - best >= stopping.patience;
}

async function validate(
  { model, weights, epoch }: Trainer,
  recipe: Recipe,
  { users, excludeHistory }: Stopping,
  dataset: Dataset,
  trie: DeviceTrie,
  onProgress: (done: number, total: number) => void,
): Promise<ValidationPoint> {
  const began = performance.now();
  const cases = evaluationCases(dataset, "validation", recipe.history, users)
    .map((one) => ({ ...one, prompt: dataset.prompt(one.history) }))
    .sort((a, b) => b.prompt.length - a.prompt.length); // few shapes at a time
  using _scope = model.device.arena();
  using search = new BeamSearch(new TransformerDecoder(model, weights), trie, {
    beam: VALIDATION_BEAM,
    normalization: normalizationOf(recipe),
    tau: recipe.tau,
  });
  const ranks: number[] = [];
  for (let at = 0; at < cases.length; at += CHUNK) {
    const some = cases.slice(at, at + CHUNK);
    const excluded = some.map(({ history }) => (excludeHistory ? history : []));
    const found = await search.search(some.map(({ prompt }) => prompt), excluded);
    found.forEach(({ ranking }, i) => {
      const { target } = some[i];
      const absent = excluded[i].includes(target);
      ranks.push(absent ? -1 : ranking.findIndex(({ leaf }) => leaf === trie.trie.leafOf[target]));
    });
    onProgress(ranks.length, cases.length);
    await turn(); // for Ctrl-C
  }
  const seconds = (performance.now() - began) / 1000;
  return { epoch, hr: hitRate(ranks, 10), ndcg: ndcg(ranks, 10), seconds };
}

/** A trained and judged model. */
export interface JudgedRun extends Pick<Recipe, "loss"> {
  /** What the search normalises over: what the loss does. */
  readonly normalization: Normalization;
  /** The number of trained parameters. */
  readonly parameters: number;
  /** Steps trained. */
  readonly steps: number;
  /** How training went. */
  readonly training: TrainHistory;
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** What it retrieves. */
  readonly test: Evaluation;
  /** Seconds of judging. */
  readonly judgingSeconds: number;
  /** What lists cost, if it was measured. */
  readonly costs?: SearchCosts;
}

/** A run that cannot be finished: the name of its folder, and why. */
export type FailedRun = { readonly name: string; readonly reason: string };

/** What all runs of an experiment share. */
export type RunSetting = Required<Pick<TrainSetting, "dataset" | "trie" | "observer">> & {
  readonly device: Device;
  readonly beams: readonly number[];
  readonly excludeHistory: boolean;
  readonly costUsers: number;
};

/**
 * Trains a model by a recipe, from where `folder` has it, and judges it.
 *
 * @throws {NonFiniteError} if a loss becomes NaN or infinite.
 * @throws {DataError} if something cannot be read or written.
 * @throws {CheckpointError} if a pretrained model is malformed.
 */
export async function trainAndJudge(
  recipe: Recipe,
  loss: OpenLoss,
  setting: RunSetting,
  folder?: RunFolder,
  name: string = runName(recipe),
): Promise<JudgedRun> {
  const { dataset, device, trie, beams, excludeHistory, costUsers, observer } = setting;
  using _scope = device.arena();
  const trainable = await trainableModel(device, dataset, recipe, (done, total) => {
    observer.preparing?.(`loading ${recipe.model}`, done, total);
  });
  using trainer = new Trainer(dataset, trie, recipe, trainable, {
    loss,
    onProgress: (done, total) => { // a slow tokenizer may take a minute for all prompts
      if (dataset.promptPerTarget) observer.preparing?.("writing prompts", done, total);
    },
  });
  const training = await trainRun(trainer, recipe, { dataset, trie, folder, name, observer });
  observer.trained?.(name, training);
  const began = performance.now();
  const { model, weights, params } = trainer;
  const search = { normalization: loss.normalization, tau: recipe.tau };
  using searchable = searchableModel(model, weights, trie, search);
  const test = await judgeModel(searchable, {
    dataset,
    beams,
    excludeHistory,
    historyLength: recipe.history,
    onProgress: (done, total) => observer.evaluating?.(name, done, total),
  });
  const judgingSeconds = (performance.now() - began) / 1000;
  const costs = costUsers === 0 ? undefined : await measureSearches({
    ...searchable,
    dataset,
    excludeHistory,
    cases: costUsers,
    beam: recipe.beam,
    historyLength: recipe.history,
    onProgress: (done, total) => observer.measuring?.(name, done, total),
  });
  return {
    loss: recipe.loss,
    normalization: loss.normalization,
    parameters: treeLeaves(params).reduce((sum, { size }) => sum + size, 0),
    steps: trainer.stepsPerEpoch * training.epochs,
    training,
    tokensPerSecond: Math.round((trainer.targetsPerEpoch * training.epochs) / training.seconds),
    test,
    judgingSeconds,
    ...(costs && { costs }),
  };
}
