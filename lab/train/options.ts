/**
 * The options of an experiment.
 *
 * @module
 */
import type { LoraTarget } from "../../models/lora.ts";
import type { LossSettings } from "../../models/losses/flags.ts";
import { type LossFlagName, lossFlagNames, lossFlags } from "../../models/losses/index.ts";
import type { Reading } from "../data/load.ts";
import type { DeviceChoice } from "../devices.ts";

/**
 * What an experiment trains, on what, and how it judges it. `optionsOf` fills in the defaults, and
 * `parseOptions` those of a command line.
 */
export interface Options extends Reading, LossSettings<LossFlagName> {
  /** `synthetic`, or the folder of a data set of semantic ids or of item titles. */
  readonly data: string;
  /** The losses to compare, one run each: names, and paths of modules that `openLoss` opens. */
  readonly losses: readonly string[];
  /** Beam widths to decode with, ascending. Default the one that the loss aims at, `beam`. */
  readonly beams: readonly number[];
  /** The folder of a pretrained model in Hugging Face's layout. Default none: a new model. */
  readonly model: string | undefined;
  /**
   * Whether its weights are kept in half precision. They are then frozen, so `lora` is required.
   */
  readonly half: boolean;
  /**
   * The projections of the model that get low-rank adapters, which alone are trained. Default none.
   */
  readonly lora: readonly LoraTarget[];
  /** Rank of the adapters. */
  readonly loraRank: number;
  /** The scale of the adapters is alpha / rank. */
  readonly loraAlpha: number;
  /** Dropout on the input of an adapter. */
  readonly loraDropout: number;
  /** Layers of the decoder. */
  readonly layers: number;
  /** Channels C. */
  readonly dim: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads. Default `heads`. */
  readonly kvHeads: number;
  /** Inner width of the SwiGLU. */
  readonly ffn: number;
  /** Items of history that the model sees. */
  readonly history: number;
  /** Passes over the training windows. */
  readonly epochs: number;
  /**
   * Training ends after this many epochs without a better validation NDCG@10, and the best epoch is
   * kept. Default never: the last epoch is kept.
   */
  readonly patience: number | undefined;
  /** Validation cases that are searched after each epoch: the first ones. */
  readonly validateUsers: number;
  /**
   * Test cases on which beams of some widths and exact searches are compared, in quality and cost,
   * after judging; 0 for none.
   */
  readonly costUsers: number;
  /** Windows of a batch. */
  readonly batch: number;
  /** Batches whose gradients are averaged for one update. */
  readonly accumulate: number;
  /** Peak learning rate. Default 0.004, or 0.0001 with a pretrained model. */
  readonly lr: number;
  /** Warm-up steps. */
  readonly warmup: number;
  /**
   * Dropout on the embedding and the residual branches. Default 0.1, or 0 with a pretrained model.
   */
  readonly dropout: number;
  /** Decoupled weight decay of the matrices. */
  readonly decay: number;
  /** Seed of weights, batches and dropout. */
  readonly seed: number;
  /** Where to compute. `auto` is webgpu where a hardware adapter answers, else cpu. */
  readonly device: DeviceChoice;
  /** Threads of a cpu device. Default one for each core, at most 8. Results do not depend on it. */
  readonly threads: number | undefined;
  /** Whether a user's history is taken out of the catalogue when decoding. */
  readonly excludeHistory: boolean;
  /** The folder of metrics, checkpoints and the summary. Default none: nothing is written. */
  readonly out: string | undefined;
  /** Whether to resume from the checkpoints in `out`. */
  readonly resume: boolean;
}

/** Options whose defaults depend on others. */
export type DependentOption = "beams" | "kvHeads" | "lr" | "dropout";

/** The defaults of the other options. They suit the synthetic data. */
export const defaults: Omit<Options, DependentOption> = {
  data: "synthetic",
  losses: ["sft", "msl", "bear"],
  ...Object.fromEntries(lossFlagNames.map((name) => [name, lossFlags[name].default])) as Record<
    LossFlagName,
    number
  >,
  codes: "semantic",
  input: "tokens",
  joinValidation: false,
  skipBadRows: false,
  model: undefined,
  half: false,
  lora: [],
  loraRank: 8,
  loraAlpha: 16,
  loraDropout: 0.05,
  layers: 2,
  dim: 64,
  heads: 2,
  ffn: 256,
  history: 20,
  epochs: 8,
  patience: undefined,
  validateUsers: 1000,
  costUsers: 250,
  batch: 32,
  accumulate: 1,
  warmup: 50,
  decay: 0.05,
  seed: 0,
  device: "auto",
  threads: undefined,
  excludeHistory: false,
  out: undefined,
  resume: false,
};

/**
 * Options with the defaults of the command line where they are not given. Whether they fit together
 * is not checked.
 *
 * @example
 * ```ts
 * import { optionsOf } from "beargrad/lab";
 *
 * const { epochs, heads, kvHeads, lr } = optionsOf({ epochs: 3, heads: 4 });
 * console.log(epochs, heads, kvHeads, lr); // 3 4 4 0.004
 * ```
 */
export function optionsOf(given: Partial<Options>): Options {
  const options = { ...defaults, ...given };
  const isNew = options.model === undefined;
  return {
    ...options,
    beams: given.beams ?? [options.beam],
    kvHeads: given.kvHeads ?? options.heads,
    lr: given.lr ?? (isNew ? 0.004 : 0.0001),
    dropout: given.dropout ?? (isNew ? 0.1 : 0),
  };
}
