/**
 * The training loop: batches in, updated weights out, one captured step per batch shape. Logits are made at target positions alone.
 *
 * @module
 */
import type { HostTensor } from "../../core/capture.ts";
import type { Device } from "../../core/device.ts";
import { ArgumentError, NonFiniteError } from "../../core/errors.ts";
import { foldIn, keyOf } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Tree } from "../../core/tree.ts";
import { AdamW } from "../../models/adamw.ts";
import type { SpecialTokens } from "../../models/checkpoint_config.ts";
import type { BeamSearch } from "../../models/decode/beam_search.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { type AnyLoss, lossNamed } from "../../models/losses/index.ts";
import { Meter } from "../../models/meter.ts";
import { cosineSchedule } from "../../models/schedule.ts";
import {
  initTransformer,
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { reshape } from "../../ops/layout.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { type Batch, makeBatches, makeWindows, type Window } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import type { RunTensors } from "./checkpoint.ts";
import { hiddenWithNegatives, lossFeed, type LossInputs, searchOf } from "./loss_inputs.ts";
import { BETAS, CLIP_NORM, RATE_FLOOR, type Recipe, transformerConfig } from "./recipe.ts";
import { type BatchInputs, type BatchTensors, type TrainStep, trainStep } from "./train_step.ts";
import { turn } from "../progress.ts";

/** Steps between two looks at the loss: a look waits for the device. */
const LOOK_EVERY = 10;

/** Milliseconds between two turns of the event loop, which may take as long as a small step. */
const TURN_EVERY = 50;

/** What a look at the running loss shows. */
export interface TrainReport {
  /** Steps done, of `steps`. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** Mean loss of a batch since the last report. */
  readonly loss: number;
  /** The learning rate of the last step. */
  readonly rate: number;
  /** Target tokens trained on since the last report. */
  readonly tokens: number;
}

/** What is trained: all weights of a decoder, or a part of what they are made of. */
export interface Trained<P extends Tree> {
  /** The decoder. */
  readonly model: Transformer;
  /** What gets gradients and optimiser state, and is updated in place. */
  readonly params: P;
  /** The weights that the decoder runs with, by ops on the parameters. */
  weights(params: P): TransformerParams;
}

/** A new decoder of a recipe, all of whose weights are trained. They are drawn from the recipe's seed. */
export function fromScratch(
  device: Device,
  dataset: Dataset,
  recipe: Recipe,
): Trained<TransformerParams> {
  const config = transformerConfig(recipe, dataset);
  return allOf(device, { config, params: initTransformer(device, config, recipe.seed) });
}

/** A decoder all of whose weights are trained. */
export function allOf(
  device: Device,
  { config, params }: { readonly config: TransformerConfig; readonly params: TransformerParams },
): Trained<TransformerParams> {
  return { model: new Transformer(device, config), params, weights: (params) => params };
}

/** What a {@link Trainer} can be told. */
export interface TrainerOptions {
  /** The recipe's loss; of this project's the one that has its name unless told. */
  readonly loss?: AnyLoss;
  /** Told of how many training sequences what the model reads is made, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A model in training: parameters, optimiser state, and the step that changes them. */
export class Trainer<P extends Tree = Tree> implements Disposable {
  /** The decoder. */
  readonly model: Transformer;
  /** What is trained, updated in place. */
  readonly params: P;
  /** The optimiser, with its moments. */
  readonly optimizer: AdamW<P>;
  /** Steps of one epoch. */
  readonly stepsPerEpoch: number;
  /** Target tokens of one epoch. */
  readonly targetsPerEpoch: number;
  /** The tokens that sequences of the data begin with and items end with. */
  readonly tokens: SpecialTokens;
  /** Epochs finished. */
  epoch = 0;

  readonly #trained: Trained<P>;
  readonly #recipe: Recipe;
  readonly #windows: readonly Window[];
  readonly #meter: Meter;
  readonly #accumulate: number;
  readonly #state: Tensor | undefined;
  readonly #feed: (batch: Batch, number: number, step: number) => Promise<LossInputs>;
  readonly #search: BeamSearch | undefined;
  readonly #step: TrainStep;
  readonly #rate: (step: number) => number;
  #turned = 0;

  /**
   * Trains `trained` on a data set, whose paths `trie` must hold.
   *
   * @throws {ArgumentError} if `accumulate` is not a positive integer, or for the reasons of the loss.
   */
  constructor(
    dataset: Dataset,
    trie: DeviceTrie,
    recipe: Recipe,
    trained: Trained<P>,
    { loss: named = lossNamed(recipe.loss), onProgress }: TrainerOptions = {},
  ) {
    const { model, params } = trained;
    const { device, config } = model;
    const optimizer = new AdamW(params, {
      betas: BETAS,
      weightDecay: recipe.decay,
      clipNorm: CLIP_NORM,
    });
    const meter = new Meter(device);
    const loss = named.make(recipe);

    const { bos, eos } = dataset;
    this.tokens = { bos, eos };
    this.model = model;
    this.params = params;
    this.#trained = trained;
    this.optimizer = optimizer;
    this.#recipe = recipe;
    this.#windows = makeWindows(dataset, trie.trie, recipe.history, onProgress);
    this.#meter = meter;
    this.targetsPerEpoch = this.#windows.reduce((sum, window) => sum + window.targets, 0);
    this.#accumulate = recipe.accumulate ?? 1;
    checkAccumulate(this.#accumulate);
    const batches = makeBatches(this.#windows, { ...recipe, epoch: 0 }).length;
    this.stepsPerEpoch = Math.ceil(batches / this.#accumulate);
    this.#rate = cosineSchedule({
      peak: recipe.rate,
      warmup: recipe.warmup,
      steps: this.stepsPerEpoch * recipe.epochs,
      floor: RATE_FLOOR,
    });
    const { needs } = named;
    const state = needs.state && device.tensor(needs.state);
    this.#state = state;
    this.#search = needs.thresholds &&
      searchOf(new TransformerDecoder(model, this.weights), trie, recipe);
    this.#feed = lossFeed(needs, recipe, trie.trie, this.#search);
    const differentiate = (batch: BatchTensors): { value: Tensor; grads: P } => {
      const { tokens, rows, nodes, labels, key, thresholds } = batch;
      return valueAndGrad((p: P) => {
        const weights = trained.weights(p);
        const { hidden: all, negatives } = needs.negatives
          ? hiddenWithNegatives(model, weights, { tokens, key }, batch)
          : { hidden: reshape(model.hidden(weights, tokens, key), [-1, config.dim]) }; // (B T, C)
        const hidden = rows.size === tokens.size ? all : take(all, rows); // (N, C)
        const head = weights.head ?? weights.embed; // (V, C)
        return loss({ hidden, head }, { trie, nodes, labels, negatives, thresholds, state });
      })(params);
    };
    this.#step = trainStep(device, differentiate, optimizer, meter, this.#accumulate);
  }

  /** The weights that the decoder runs with now. */
  get weights(): TransformerParams {
    return this.#trained.weights(this.params);
  }

  /** What changes as it trains. */
  get tensors(): RunTensors {
    const { params, optimizer: { m, v } } = this;
    return { params, m, v, ...(this.#state && { state: this.#state }) };
  }

  /**
   * One pass over the windows.
   *
   * @throws {NonFiniteError} if the loss became NaN or infinite.
   */
  async runEpoch(onReport: (report: TrainReport) => void): Promise<void> {
    const { seed, epochs } = this.#recipe;
    const batches = makeBatches(this.#windows, { ...this.#recipe, epoch: this.epoch });
    this.optimizer.steps = this.epoch * this.stepsPerEpoch; // where a run goes on
    let tokens = 0;
    let counted = 0;
    for (let i = 0; i < this.stepsPerEpoch; i++) {
      const from = i * this.#accumulate;
      const group = batches.slice(from, from + this.#accumulate);
      const step = this.epoch * this.stepsPerEpoch + i + 1;
      const rate = this.#rate(step);
      const inputs: BatchInputs[] = [];
      for (const [j, { targets, ...batch }] of group.entries()) {
        const number = this.epoch * batches.length + from + j + 1;
        const more = await this.#feed(group[j], number, step);
        inputs.push({ ...batch, ...more, key: keyInput(seed, number) });
        tokens += targets;
        counted++;
      }
      if (performance.now() - this.#turned > TURN_EVERY) {
        await turn(); // a cpu device never waits, and Ctrl-C would not be heard
        this.#turned = performance.now();
      }
      this.#step(inputs, { data: Float64Array.of(rate), shape: [] });
      if ((i + 1) % LOOK_EVERY === 0 || i === this.stepsPerEpoch - 1) {
        const loss = await this.#meter.take(counted);
        this.#checkFinite(loss, step);
        const steps = this.stepsPerEpoch * epochs;
        onReport({ step, steps, epoch: this.epoch, loss, rate, tokens });
        tokens = 0;
        counted = 0;
      }
    }
    this.epoch++;
  }

  /** Gives the recorded steps back; the weights live on. */
  [Symbol.dispose](): void {
    this.#step[Symbol.dispose]();
    this.#meter[Symbol.dispose]();
    this.#search?.dispose();
    this.#state?.dispose();
  }

  #checkFinite(loss: number, step: number): void {
    if (Number.isFinite(loss)) return;
    const { loss: name, rate } = this.#recipe;
    throw new NonFiniteError(
      `Cannot go on training ${name} at step ${step}: the loss must be finite, got ${loss}; ` +
        `a smaller --lr than ${rate}, or less extreme --tau, --xi and --lambda, may help`,
    );
  }
}

/** The dropout key of a batch, which are counted from 1. */
function keyInput(seed: number, batch: number): HostTensor {
  return { data: Int32Array.from(foldIn(foldIn(keyOf(seed), 1), batch)), shape: [2] };
}

function checkAccumulate(accumulate: number): void {
  if (Number.isInteger(accumulate) && accumulate >= 1) return;
  throw new ArgumentError(
    `Cannot train: accumulate must be a positive integer, got ${accumulate}`,
  );
}
