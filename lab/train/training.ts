/**
 * A whole training run: epochs, saves, and, where the recipe stops by validation, the search for the best epoch.
 *
 * @module
 */
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { readTree, writeTree } from "../../models/checkpoint.ts";
import type { SafeTensors } from "../../models/safetensors.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { ValidationPoint } from "./checkpoint.ts";
import { type Dataset, evaluationCases } from "../data/dataset.ts";
import { normalizationOf } from "./loss_module.ts";
import { hitRate, ndcg } from "../evaluate/metrics.ts";
import { type MetricsLine, readMetrics } from "./metrics_file.ts";
import type { Recipe } from "./recipe.ts";
import type { RunFolder } from "./run_folder.ts";
import type { Trainer, TrainReport } from "./trainer.ts";
import { turn } from "../progress.ts";

/** The width of the beam in validation, whatever that of the loss, so that all losses are chosen alike. */
export const VALIDATION_BEAM = 10;

/** How many users are searched between two reports. */
const CHUNK = 256;

/** A finished training. The trainer has the weights of the best epoch. */
export interface Training {
  /** Epochs trained. */
  readonly epochs: number;
  /** The epoch, from 1, whose weights are kept: the best in validation, else the last. */
  readonly bestEpoch: number;
  /** Seconds of training, without validation. */
  readonly seconds: number;
  /** The loss as it fell: at each look its mean since the look before. */
  readonly curve: readonly MetricsLine[];
  /** Validation after each epoch; none where the recipe does not stop by it. */
  readonly validation: readonly ValidationPoint[];
}

/** How training tells what it is doing. */
export interface TrainingObserver {
  /** A look at the loss. */
  training(report: TrainReport & { readonly tokensPerSecond: number }): void;
  /** Cases validated, of how many. */
  validating(done: number, total: number): void;
  /** The run has been saved after an epoch, from 1, or was before. */
  saved?(epoch: number): void;
  /** Something worth a line, as the end of a sentence that begins with the run. */
  note?(text: string): void;
}

/** What is trained, on what. */
export interface TrainingSetting {
  /** The data set. */
  readonly dataset: Dataset;
  /** The trie of its paths. */
  readonly trie: DeviceTrie;
  /** Where it is saved after each epoch; nowhere unless told. */
  readonly folder?: RunFolder;
}

/**
 * Trains a run to its end, from where its folder has it. A recipe with `stopping` is validated after each epoch, ends when so many
 * epochs brought nothing better, and leaves the trainer with the weights of the best one.
 *
 * @throws {NonFiniteError} if the loss became NaN or infinite.
 * @throws {DataError} if the system refuses to write.
 */
export async function trainRun(
  trainer: Trainer,
  recipe: Recipe,
  { dataset, trie, folder }: TrainingSetting,
  observer: TrainingObserver,
): Promise<Training> {
  const saved = folder?.restore(trainer, observer.note);
  if (saved !== undefined) observer.saved?.(saved.epoch);
  let seconds = saved?.seconds ?? 0;
  let best: SafeTensors | undefined = saved?.best;
  const validation: ValidationPoint[] = [...saved?.validation ?? []];
  const curve = folder === undefined ? [] : readMetrics(folder.metrics);
  while (trainer.epoch < recipe.epochs && !isStopped(validation, recipe)) {
    const began = performance.now();
    let last = began;
    await trainer.runEpoch((report) => {
      const now = performance.now();
      const tokensPerSecond = Math.round(report.tokens / ((now - last) / 1000));
      last = now;
      observer.training({ ...report, tokensPerSecond });
      const { step, epoch, loss, rate } = report;
      curve.push({ step, epoch, loss, rate, tokensPerSecond });
      folder?.writeMetrics({ step, epoch, loss, rate, tokensPerSecond });
    });
    seconds += (performance.now() - began) / 1000;
    if (recipe.stopping) {
      validation.push(await validate(trainer, recipe, dataset, trie, observer));
      if (bestOf(validation) === trainer.epoch) best = await readTree(trainer.params);
    }
    const soFar = { epoch: trainer.epoch, seconds, ...(recipe.stopping && { validation, best }) };
    if (folder === undefined) continue;
    await folder.save(trainer, soFar);
    observer.saved?.(trainer.epoch);
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

function isStopped(validation: readonly ValidationPoint[], { stopping }: Recipe): boolean {
  const best = bestOf(validation);
  if (stopping === undefined || best === undefined) return false;
  return validation[validation.length - 1].epoch - best >= stopping.patience;
}

async function validate(
  { model, weights, epoch }: Trainer,
  recipe: Recipe,
  dataset: Dataset,
  trie: DeviceTrie,
  observer: TrainingObserver,
): Promise<ValidationPoint> {
  const began = performance.now();
  const { users, excludeHistory } = recipe.stopping as NonNullable<Recipe["stopping"]>;
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
    observer.validating(ranks.length, cases.length);
    await turn(); // for Ctrl-C
  }
  const seconds = (performance.now() - began) / 1000;
  return { epoch, hr: hitRate(ranks, 10), ndcg: ndcg(ranks, 10), seconds };
}
