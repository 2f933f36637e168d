/**
 * One run: a model that is trained by a recipe, then judged on the test cases.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { treeLeaves } from "../../core/tree.ts";
import type { DeviceTrie, Trie } from "../../models/decode/trie.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { Dataset } from "../data/dataset.ts";
import { evaluate, type Evaluation } from "../evaluate/evaluate.ts";
import type { OpenLoss } from "./loss_module.ts";
import type { Recipe } from "./recipe.ts";
import type { RunFolder } from "./run_folder.ts";
import { runName } from "./run_folders.ts";
import { TeacherForcing } from "../evaluate/teacher_forcing.ts";
import { openTrained } from "./trained.ts";
import { Trainer, type TrainReport } from "./trainer.ts";
import { type Training, trainRun } from "./training.ts";

/** One trained and judged model. */
export interface Run {
  /** The loss it was trained with. */
  readonly loss: string;
  /** What the search normalises over: what the loss does. */
  readonly normalization: Normalization;
  /** Numbers trained. */
  readonly parameters: number;
  /** Steps trained. */
  readonly steps: number;
  /** How training went. */
  readonly training: Training;
  /** Target tokens a second in training. */
  readonly tokensPerSecond: number;
  /** What it retrieves. */
  readonly test: Evaluation;
  /** Seconds of judging. */
  readonly judgingSeconds: number;
}

/** What all runs of an experiment share. */
export interface RunSetting {
  /** The data set. */
  readonly dataset: Dataset;
  /** Where to compute. */
  readonly device: Device;
  /** The trie of its paths. */
  readonly trie: DeviceTrie;
  /** The beam widths to decode with. */
  readonly beams: readonly number[];
  /** Whether a user's history is taken out of the catalogue when decoding. */
  readonly excludeHistory: boolean;
  /** Called with what is being done. */
  readonly observer: Observer;
}

/** Called with what an experiment, a comparison or a judging of runs is doing. */
export interface Observer {
  /** Data or a model are read, or prepared: what is done, and how much of it. */
  preparing?(what: string, done: number, total: number): void;
  /** All is read, and the runs begin. */
  started?(dataset: Dataset, trie: Trie, device: Device): void;
  /** A run of a comparison begins, or was finished before and is skipped. */
  running?(run: string, index: number, count: number, isFinished: boolean): void;
  /** A run trains. */
  training?(run: string, report: TrainReport & { readonly tokensPerSecond: number }): void;
  /** A run is validated between two epochs. */
  validating?(run: string, done: number, total: number): void;
  /** A run has been saved after an epoch, from 1; or it was before, and goes on from there. */
  saved?(run: string, epoch: number, epochs: number): void;
  /** A run is trained. */
  trained?(run: string, training: Training): void;
  /** The model of a run as it was before training is applied to users, for its margins. */
  untrained?(run: string, done: number, total: number): void;
  /** A run is judged. */
  evaluating?(run: string, done: number, total: number): void;
  /** The theorems are checked on a run's users. */
  verifying?(run: string, done: number, total: number): void;
  /** Something worth a line, such as where a run goes on. */
  note?(text: string): void;
}

/** List lengths of reports. */
export const KS = [5, 10] as const;

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
): Promise<Run> {
  const { dataset, device, trie, observer } = setting;
  using _scope = device.arena();
  const trained = await openTrained(
    device,
    dataset,
    recipe,
    (done, total) => observer.preparing?.(`loading ${recipe.model}`, done, total),
  );
  // A slow tokenizer may take a minute for all prompts.
  const writing = (done: number, total: number): void =>
    observer.preparing?.("writing prompts", done, total);
  const onProgress = dataset.promptPerTarget ? writing : undefined;
  using trainer = new Trainer(dataset, trie, recipe, trained, { loss, onProgress });
  const training = await trainRun(trainer, recipe, { dataset, trie, folder }, {
    training: (report) => observer.training?.(name, report),
    validating: (done, total) => observer.validating?.(name, done, total),
    saved: (epoch) => observer.saved?.(name, epoch, recipe.epochs),
    note: (text) => observer.note?.(`${name} ${text}`),
  });
  observer.trained?.(name, training);
  const began = performance.now();
  const test = await judge(trainer, recipe, loss.normalization, setting, name);
  return {
    loss: recipe.loss,
    normalization: loss.normalization,
    parameters: treeLeaves(trainer.params).reduce((sum, { size }) => sum + size, 0),
    steps: trainer.stepsPerEpoch * training.epochs,
    training,
    tokensPerSecond: Math.round((trainer.targetsPerEpoch * training.epochs) / training.seconds),
    test,
    judgingSeconds: (performance.now() - began) / 1000,
  };
}

async function judge(
  { model, weights }: Trainer,
  { history, tau }: Recipe,
  normalization: Normalization,
  { dataset, device, trie, beams, excludeHistory, observer }: RunSetting,
  name: string,
): Promise<Evaluation> {
  using forcing = new TeacherForcing(device, model, weights, trie, { normalization, tau });
  return await evaluate({
    decoder: new TransformerDecoder(model, weights),
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    ...{ trie, dataset, split: "test", beams, excludeHistory, normalization, tau, ks: KS },
    historyLength: history,
    onProgress: (done, total) => observer.evaluating?.(name, done, total),
  });
}
