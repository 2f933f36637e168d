/**
 * Training on the page: a run for each loss, epoch by epoch in turn, so that their curves grow side
 * by side.
 *
 * @module
 */
import {
  BeamSearch,
  type Device,
  type DeviceTrie,
  lossNamed,
  TransformerDecoder,
  treeLeaves,
} from "beargrad";
import {
  type Dataset,
  evaluationCases,
  hitRate,
  ndcg,
  type Options,
  optionsOf,
  type Recipe,
  recipeOf,
  runFiles,
  trainableModel,
  Trainer,
} from "beargrad/lab";
import type { TrainSettings, ValidationPoint, WorkerEvent } from "./protocol.ts";

/** How many validation cases are searched after an epoch, and how wide. */
const VALIDATED = 200;
const BEAM = 10;

/** Thrown between two steps to end the training. */
class Stopped extends Error {}

/** A training that can be paused and stopped. */
export class Training {
  readonly #send: (event: WorkerEvent) => void;
  #isStopped = false;
  #paused: PromiseWithResolvers<void> | undefined;

  /** Events go to `send`. */
  constructor(send: (event: WorkerEvent) => void) {
    this.#send = send;
  }

  /**
   * Trains a model with each loss. Resolves when all epochs are done, or `stop` was called.
   *
   * @throws {ArgumentError} if there is no loss of a name, or a setting is out of range.
   * @throws {NonFiniteError} if a loss becomes NaN or infinite.
   */
  async run(
    device: Device,
    dataset: Dataset,
    trie: DeviceTrie,
    settings: TrainSettings,
  ): Promise<void> {
    using open = new DisposableStack();
    const runs: Run[] = [];
    for (const name of settings.losses) {
      const recipe = recipeOf(trainOptions(settings), lossNamed(name), dataset, device);
      runs.push(open.use(await Run.start(device, dataset, trie, recipe)));
    }
    const between = (): Promise<void> => this.#between();
    try {
      for (let epoch = 0; epoch < settings.epochs; epoch++) {
        for (const run of runs) {
          await run.epoch(between, this.#send);
          await run.snapshot(this.#send);
          if (dataset.validation.length === 0) continue;
          this.#send({ kind: "validation", point: await run.validate(between) });
        }
      }
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      for (const run of runs) if (run.isAhead) await run.snapshot(this.#send);
    }
  }

  /** Waits between two steps until `resume` or `stop`. */
  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }

  /** Goes on after `pause`. */
  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  /** Ends the training between two steps. */
  stop(): void {
    this.#isStopped = true;
    this.resume();
  }

  /** Lets messages in, waits while paused, and throws when stopped. */
  async #between(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    await this.#paused?.promise;
    if (this.#isStopped) throw new Stopped();
  }
}

/** The training of one model. */
class Run implements Disposable {
  readonly recipe: Recipe;
  readonly #dataset: Dataset;
  readonly #trie: DeviceTrie;
  readonly #trainer: Trainer;
  readonly #search: BeamSearch;
  /** Steps taken, as far as they were reported. */
  #step = 0;
  #saved = 0;
  #seconds = 0;

  static async start(
    device: Device,
    dataset: Dataset,
    trie: DeviceTrie,
    recipe: Recipe,
  ): Promise<Run> {
    const model = await trainableModel(device, dataset, recipe);
    return new Run(dataset, trie, recipe, new Trainer(dataset, trie, recipe, model));
  }

  private constructor(dataset: Dataset, trie: DeviceTrie, recipe: Recipe, trainer: Trainer) {
    this.recipe = recipe;
    this.#dataset = dataset;
    this.#trie = trie;
    this.#trainer = trainer;
    const decoder = new TransformerDecoder(trainer.model, trainer.weights);
    const { normalization } = lossNamed(recipe.loss);
    this.#search = new BeamSearch(decoder, trie, { beam: BEAM, normalization, tau: recipe.tau });
  }

  /** Trains for an epoch. */
  async epoch(between: () => Promise<void>, send: (event: WorkerEvent) => void): Promise<void> {
    const { loss } = this.recipe;
    const usersPerStep = this.#dataset.training.length / this.#trainer.stepsPerEpoch;
    let last = performance.now();
    await this.#trainer.runEpoch(({ step, steps, loss: value }) => {
      const now = performance.now();
      const seconds = (now - last) / 1000;
      const usersPerSecond = Math.round(((step - this.#step) * usersPerStep) / seconds);
      send({ kind: "loss", point: { loss, step, steps, value, usersPerSecond } });
      this.#seconds += seconds;
      this.#step = step;
      last = now;
    }, async () => {
      const began = performance.now();
      await between();
      last += performance.now() - began; // a pause is no training
    });
  }

  /** Searches the first validation cases. */
  async validate(between: () => Promise<void>): Promise<ValidationPoint> {
    const { recipe: { loss, history } } = this;
    const cases = evaluationCases(this.#dataset, "validation", history, VALIDATED);
    const { leafOf } = this.#trie.trie;
    const ranks: number[] = [];
    for (let at = 0; at < cases.length; at += 50) {
      const some = cases.slice(at, at + 50);
      const found = await this.#search.search(some.map((c) => this.#dataset.prompt(c.history)));
      found.forEach(({ ranking }, i) =>
        ranks.push(ranking.findIndex(({ leaf }) => leaf === leafOf[some[i].target]))
      );
      await between();
    }
    return { loss, epoch: this.#trainer.epoch, hr10: hitRate(ranks, 10), ndcg10: ndcg(ranks, 10) };
  }

  /** Whether it was trained since the last snapshot. */
  get isAhead(): boolean {
    return this.#step > this.#saved;
  }

  /** Sends the files of the run as it is now. */
  async snapshot(send: (event: WorkerEvent) => void): Promise<void> {
    const { epoch } = this.#trainer;
    const progress = { step: this.#step, epoch, seconds: this.#seconds };
    const files = await runFiles(this.#trainer, this.recipe, progress);
    this.#saved = this.#step;
    send({ kind: "snapshot", loss: this.recipe.loss, epoch, files });
  }

  /** Frees the model. */
  [Symbol.dispose](): void {
    const { optimizer, params } = this.#trainer;
    this.#search.dispose();
    this.#trainer[Symbol.dispose]();
    for (const tensor of treeLeaves({ params, m: optimizer.m, v: optimizer.v })) tensor.dispose();
  }
}

/** The options of a run. */
export function trainOptions({ flags, ...settings }: TrainSettings): Options {
  return optionsOf({ ...flags, ...settings });
}
