/**
 * The options of an experiment.
 *
 * @module
 */
import type { LoraTarget } from "../../models/lora.ts";
import type { LossSettings } from "../../models/losses/flags.ts";
import type { LossFlagName } from "../../models/losses/index.ts";
import type { Reading } from "../data/load.ts";
import type { DeviceChoice } from "../devices.ts";

/**
 * What an experiment trains, on what, and how it judges it. `parseOptions` fills in the defaults.
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
