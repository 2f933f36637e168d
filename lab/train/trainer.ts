/**
 * The training loop: batches in, updated weights out, one captured step a batch shape. Logits are
 * made at target positions alone.
 *
 * @module
 */
import { capture, type HostTensor } from "../../core/capture.ts";
import { ArgumentError, NonFiniteError } from "../../core/errors.ts";
import { foldIn, keyOf } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Tree } from "../../core/tree.ts";
import { AdamW } from "../../models/adamw.ts";
import type { SpecialTokens } from "../../models/checkpoint_config.ts";
import type { BeamSearch } from "../../models/decode/beam_search.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { GradientMean } from "../../models/gradient_mean.ts";
import { type AnyLoss, lossNamed } from "../../models/losses/index.ts";
import { Meter } from "../../models/meter.ts";
import { cosineSchedule } from "../../models/schedule.ts";
import type { Transformer, TransformerParams } from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { type Batch, makeBatches, makeWindows, type Window } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { turn } from "../turn.ts";
import { hiddenOf, lossFeed, type LossInputs, searchOf } from "./loss_inputs.ts";
import type { Recipe } from "./recipe.ts";

/** AdamW's betas. */
const BETAS = [0.9, 0.98] as const;

/** Gradients are clipped to this global norm. */
const CLIP_NORM = 1;

/** The learning rate at the end, as a share of the peak. */
const LR_FLOOR = 0.05;

/** Steps between two reports of the loss. A report waits for the device. */
const REPORT_EVERY = 10;

/** Milliseconds between two turns of the event loop. A turn may take as long as a small step. */
const TURN_EVERY = 50;

/** A report of the running loss. */
export interface TrainReport {
  /** Steps done. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** Mean loss of a batch since the last report. */
  readonly loss: number;
  /** The learning rate of the last step. */
  readonly lr: number;
  /** Target tokens trained on since the last report. */
  readonly tokens: number;
}

/** A decoder and its parameters, which may be all of its weights or only an adapter. */
export interface TrainableModel<P extends Tree = Tree> {
  /** The decoder. */
  readonly model: Transformer;
  /** The parameters. They get gradients and optimiser state, and are updated in place. */
  readonly params: P;
  /** The weights that the decoder runs with, made of the parameters by ops. */
  weights(params: P): TransformerParams;
}

/** Options of {@link Trainer}. */
export interface TrainerOptions {
  /** The loss. Default: the one of this project that the recipe names. */
  readonly loss?: AnyLoss;
  /** Called with the number of training sequences prepared so far and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The tensors of a run that change: parameters, AdamW's moments, and the state of the loss if it
 * has one.
 */
export interface TrainerTensors {
  /** The parameters: the weights of a transformer, or an adapter. */
  readonly params: Tree;
  /** The first moments. */
  readonly m: Tree;
  /** The second moments. */
  readonly v: Tree;
  /** The state of the loss. */
  readonly state?: Tree;
}

/** A model in training: parameters, optimiser state, and the step that changes them. */
export class Trainer<P extends Tree = Tree> implements Disposable {
  /** The decoder. */
  readonly model: Transformer;
  /** The parameters, updated in place. */
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

  readonly #trainable: TrainableModel<P>;
  readonly #recipe: Recipe;
  readonly #windows: readonly Window[];
  readonly #meter: Meter;
  readonly #accumulate: number;
  readonly #state: Tensor | undefined;
  readonly #feed: (batch: Batch, number: number, step: number) => Promise<LossInputs>;
  readonly #search: BeamSearch | undefined;
  readonly #step: TrainStep;
  readonly #lrAt: (step: number) => number;
  #turned = 0;

  /**
   * Trains `trainable` on a data set. `trie` must hold the paths of the data set.
   *
   * @throws {ArgumentError} if `accumulate` is not a positive integer, or for the reasons of the
   * loss.
   */
  constructor(
    dataset: Dataset,
    trie: DeviceTrie,
    recipe: Recipe,
    trainable: TrainableModel<P>,
    { loss: definition = lossNamed(recipe.loss), onProgress }: TrainerOptions = {},
  ) {
    const { model, params } = trainable;
    const { device, config } = model;
    const { needs } = definition;
    this.model = model;
    this.params = params;
    this.optimizer = new AdamW(params, {
      betas: BETAS,
      weightDecay: recipe.decay,
      clipNorm: CLIP_NORM,
    });
    this.#meter = new Meter(device);
    const loss = definition.make(recipe);

    this.tokens = { bos: dataset.bos, eos: dataset.eos };
    this.#trainable = trainable;
    this.#recipe = recipe;
    this.#windows = makeWindows(dataset, trie.trie, recipe.history, onProgress);
    this.targetsPerEpoch = this.#windows.reduce((sum, window) => sum + window.targets, 0);
    const accumulate = recipe.accumulate ?? 1;
    if (!Number.isInteger(accumulate) || accumulate < 1) {
      throw new ArgumentError(
        `Cannot train: accumulate must be a positive integer, got ${accumulate}`,
      );
    }
    this.#accumulate = accumulate;
    const batches = makeBatches(this.#windows, { ...recipe, epoch: 0 }).length;
    this.stepsPerEpoch = Math.ceil(batches / this.#accumulate);
    this.#lrAt = cosineSchedule({
      peak: recipe.lr,
      warmup: recipe.warmup,
      steps: this.stepsPerEpoch * recipe.epochs,
      floor: LR_FLOOR,
    });
    const state = needs.state && device.tensor(needs.state);
    this.#state = state;
    this.#search = needs.thresholds &&
      searchOf(new TransformerDecoder(model, this.weights), trie, recipe);
    this.#feed = lossFeed(needs, recipe, trie.trie, this.#search, config.codeHeads !== undefined);
    const differentiate = (batch: BatchTensors): { value: Tensor; grads: P } => {
      const { tokens, chains, rows, nodes, labels, thresholds } = batch;
      return valueAndGrad((p: P) => {
        const weights = trainable.weights(p);
        const { hidden: all, negatives } = hiddenOf(model, weights, batch);
        const isWhole = !chains && rows.size === tokens.size;
        const hidden = isWhole ? all : take(all, rows); // (N, C)
        const head = weights.head ?? weights.embed; // (V, C)
        return loss({ hidden, head }, { trie, nodes, labels, negatives, thresholds, state });
      })(params);
    };
    this.#step = trainStep(device, differentiate, this.optimizer, this.#meter, this.#accumulate);
  }

  /** The weights that the decoder runs with now. */
  get weights(): TransformerParams {
    return this.#trainable.weights(this.params);
  }

  /** The tensors that change as it trains. */
  get tensors(): TrainerTensors {
    const { params, optimizer: { m, v } } = this;
    return { params, m, v, ...(this.#state && { state: this.#state }) };
  }

  /**
   * One pass over the windows. About every 50 ms `between` is awaited between two steps: it may
   * wait, to pause, or throw, to stop. Default a turn of the event loop.
   *
   * @throws {NonFiniteError} if the loss became NaN or infinite.
   */
  async runEpoch(
    onReport: (report: TrainReport) => void,
    between: () => Promise<void> = turn,
  ): Promise<void> {
    const { seed, epochs } = this.#recipe;
    const batches = makeBatches(this.#windows, { ...this.#recipe, epoch: this.epoch });
    this.optimizer.steps = this.epoch * this.stepsPerEpoch; // a resumed run sets `epoch`
    let tokens = 0;
    let counted = 0;
    for (let i = 0; i < this.stepsPerEpoch; i++) {
      const from = i * this.#accumulate;
      const group = batches.slice(from, from + this.#accumulate);
      const step = this.epoch * this.stepsPerEpoch + i + 1;
      const lr = this.#lrAt(step);
      const inputs: BatchInputs[] = [];
      for (const [j, { targets, ...batch }] of group.entries()) {
        const number = this.epoch * batches.length + from + j + 1;
        const more = await this.#feed(group[j], number, step);
        inputs.push({ ...batch, ...more, key: dropoutKey(seed, number) });
        tokens += targets;
        counted++;
      }
      if (performance.now() - this.#turned > TURN_EVERY) {
        await between(); // a cpu device never waits, and Ctrl-C would not be heard
        this.#turned = performance.now();
      }
      this.#step(inputs, { data: Float64Array.of(lr), shape: [] });
      if ((i + 1) % REPORT_EVERY === 0 || i === this.stepsPerEpoch - 1) {
        const loss = await this.#meter.take(counted);
        if (!Number.isFinite(loss)) {
          const { loss: name, lr } = this.#recipe;
          throw new NonFiniteError(
            `Cannot go on training ${name} at step ${step}: the loss must be finite, got ` +
              `${loss}; a smaller --lr than ${lr}, or less extreme --tau, --xi and --lambda, ` +
              "may help",
          );
        }
        const steps = this.stepsPerEpoch * epochs;
        onReport({ step, steps, epoch: this.epoch, loss, lr, tokens });
        tokens = 0;
        counted = 0;
      }
    }
    this.epoch++;
  }

  /** Gives the memory of the recorded steps back. The parameters stay. */
  [Symbol.dispose](): void {
    this.#step[Symbol.dispose]();
    this.#meter[Symbol.dispose]();
    this.#search?.dispose();
    this.#state?.dispose();
  }
}

/** The dropout key of a batch. Batches are counted from 1. */
function dropoutKey(seed: number, batch: number): HostTensor {
  return { data: Int32Array.from(foldIn(foldIn(keyOf(seed), 1), batch)), shape: [2] };
}

/** A batch as a step takes it. All batches of a run have the same keys. */
export type BatchInputs = LossInputs & {
  readonly tokens: HostTensor; // int32 (B, T)
  readonly chains?: HostTensor; // int32 (B, T (D - 1)), see `Batch`
  readonly rows: HostTensor; // int32 (N)
  readonly nodes: HostTensor; // int32 (N)
  readonly labels: HostTensor; // int32 (N)
  readonly key: HostTensor; // int32 (2): its dropout key
};

/** The same on the device. */
export type BatchTensors = { readonly [K in keyof BatchInputs]: Tensor };

/**
 * Takes a step on batches with a learning rate, float (): updates the parameters, and adds the loss
 * of each batch to the meter.
 */
export type TrainStep =
  & Disposable
  & ((batches: readonly BatchInputs[], lr: HostTensor) => void);

/**
 * A step that updates the parameters by the mean gradient of its batches. One batch a step is one
 * captured program. Several are one program each and one for the update, with one more copy of the
 * gradients.
 */
export function trainStep<P extends Tree>(
  device: Device,
  differentiate: (batch: BatchTensors) => { readonly value: Tensor; readonly grads: P },
  optimizer: AdamW<P>,
  meter: Meter,
  accumulate: number,
): TrainStep {
  if (accumulate === 1) {
    const whole = capture(device, ({ lr, ...batch }: BatchTensors & { lr: Tensor }) => {
      const { value, grads } = differentiate(batch);
      optimizer.step(grads, lr);
      meter.add(value);
      return { value };
    });
    const step = ([batch]: readonly BatchInputs[], lr: HostTensor): void => {
      whole({ ...(batch as Required<BatchInputs>), lr });
    };
    return Object.assign(step, { [Symbol.dispose]: () => whole.dispose() });
  }
  const mean = new GradientMean(optimizer.m);
  const add = capture(device, (batch: BatchTensors) => {
    const { value, grads } = differentiate(batch);
    mean.add(grads);
    meter.add(value);
    return { value };
  });
  const update = capture(device, ({ lr }: { lr: Tensor }) => optimizer.step(mean.total, lr));
  const step = (batches: readonly BatchInputs[], lr: HostTensor): void => {
    mean.begin(batches.length);
    for (const batch of batches) add(batch as Required<BatchInputs>);
    update({ lr });
  };
  const dispose = (): void => {
    add.dispose();
    update.dispose();
    mean[Symbol.dispose]();
  };
  return Object.assign(step, { [Symbol.dispose]: dispose });
}
