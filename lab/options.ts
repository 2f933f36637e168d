/**
 * The command line of train.ts. One table holds every option with its default, its domain and its help.
 *
 * @module
 */
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import { LORA_TARGETS, type LoraTarget } from "../models/lora.ts";
import { lossNames } from "../models/losses/loss_by_name.ts";
import type { DeviceChoice } from "./devices.ts";
import {
  choice,
  flagHelp,
  flagName,
  type Flags,
  givenFlags,
  integer,
  notNegative,
  parseFlags,
  positive,
  real,
  refuse,
  text,
  toggle,
} from "./flags.ts";
import { CODES, type Codes } from "./data/codes.ts";
import { isRate, readBeams, readLosses, readTargets } from "./option_values.ts";

/** What train.ts is told. */
export interface Options {
  /** `synthetic`, or the folder of a data set of semantic IDs or of item titles. */
  readonly data: string;
  /** What titles become tokens with: `r50k`, or a folder with a tokenizer.json; the model's own, or `r50k`, unless told. */
  readonly tokenizer: string | undefined;
  /** A file with the prompt that a history of titles is put into; titles alone unless told. */
  readonly prompt: string | undefined;
  /** Which items of a training sequence of titles are predicted; `all` unless told. */
  readonly targets: "all" | "last" | undefined;
  /** How many of the last training rows of titles, by time, are validation cases instead; none unless told. */
  readonly holdOut: number | undefined;
  /** Only the first so many items of the catalogue; all unless told. */
  readonly limitItems: number | undefined;
  /** Only the first so many users, in training and when judging; all unless told. */
  readonly limitUsers: number | undefined;
  /** What items are written as. */
  readonly codes: Codes;
  /** Whether the validation targets are training targets too, as for a recipe that they have chosen. */
  readonly joinValidation: boolean;
  /** The folder of a model to begin with, in Hugging Face's layout; a fresh one unless told. */
  readonly model: string | undefined;
  /** Whether its weights are kept in half precision. They must then be frozen, so `lora` says what is trained. */
  readonly half: boolean;
  /** The projections of the model that get low-rank adapters, which alone are trained; none unless told. */
  readonly lora: readonly LoraTarget[];
  /** Rank of the adapters. */
  readonly loraRank: number;
  /** Their scale is alpha / rank. */
  readonly loraAlpha: number;
  /** Dropout on what an adapter reads. */
  readonly loraDropout: number;
  /** The losses to compare, one run each: names, and paths of modules that `openLoss` opens. */
  readonly loss: readonly string[];
  /** Beam width B of the loss. */
  readonly beam: number;
  /** Beam widths to decode with; that of the loss unless told. */
  readonly beams: readonly number[];
  /** Temperature xi of the margin log beta - log p in the bear losses. */
  readonly xi: number;
  /**
   * Weight lambda of the beam term. In the released form, `bear`, it multiplies the weight of a token itself, so a
   * lambda of the paper is worth lambda / xi there.
   */
  readonly lambda: number;
  /** Temperature tau of the softmax. */
  readonly tau: number;
  /** Weight beta of the prefix losses in the apao losses. */
  readonly beta: number;
  /** How much the worst prefix stands out in the apao losses, eta. */
  readonly eta: number;
  /** Sampled items beside one target of each window in apao-pair. */
  readonly negatives: number;
  /** beam-exact searches in every so many steps. */
  readonly searchEvery: number;
  /** Layers of the decoder. */
  readonly layers: number;
  /** Channels C. */
  readonly dim: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; as many as `heads` unless told. */
  readonly kvHeads: number;
  /** Inner width of the SwiGLU. */
  readonly ffn: number;
  /** Items of history that the model sees. */
  readonly history: number;
  /** Passes over the training windows. */
  readonly epochs: number;
  /** Training ends after so many epochs without a better validation NDCG@10, and the best epoch is kept; never unless told. */
  readonly patience: number | undefined;
  /** The first so many validation cases are looked at. */
  readonly validateUsers: number;
  /** Windows a batch. */
  readonly batch: number;
  /** Batches whose gradients are averaged for one update. */
  readonly accumulate: number;
  /** Peak learning rate. */
  readonly lr: number;
  /** Warm-up steps. */
  readonly warmup: number;
  /** Dropout on the embedding and the residual branches. */
  readonly dropout: number;
  /** Decoupled weight decay of the matrices. */
  readonly decay: number;
  /** Seed of weights, batches and dropout. */
  readonly seed: number;
  /** Where to compute: `auto` is webgpu where a hardware adapter answers, else cpu. */
  readonly device: DeviceChoice;
  /** Threads of a cpu device; one for each core, at most 8, unless told. Results do not depend on it. */
  readonly threads: number | undefined;
  /** Whether a user's history is taken out of the catalogue when decoding. */
  readonly excludeHistory: boolean;
  /** Where metrics, checkpoints and the summary go; nothing is written unless told. */
  readonly out: string | undefined;
  /** Whether to go on with the checkpoints in `out`. */
  readonly resume: boolean;
  /** Whether to print {@link helpText} and stop. */
  readonly help: boolean;
}

/** Every option. The defaults suit the synthetic data. */
export const FLAGS: Flags<Options> = {
  data: text("DATA", "synthetic", "synthetic, or a folder of semantic ids or of titles"),
  tokenizer: {
    ...text("NAME", undefined, "of titles: r50k, or a folder with a tokenizer.json"),
    shown: "the model's, else r50k",
  },
  prompt: { ...text("FILE", undefined, "a prompt for histories of titles"), shown: "titles alone" },
  targets: {
    ...choice<"all" | "last", undefined>(
      ["all", "last"],
      undefined,
      "items predicted of a sequence of titles",
    ),
    shown: "all",
  },
  holdOut: {
    ...integer(1, undefined, "the last N training rows of titles become validation cases"),
    shown: "none",
  },
  limitItems: {
    ...integer(1, undefined, "only the first N items of the catalogue"),
    shown: "all",
  },
  limitUsers: {
    ...integer(1, undefined, "only the first N users, in training and when judging"),
    shown: "all",
  },
  joinValidation: toggle("train on the validation targets too, once they have chosen a recipe"),
  codes: choice(CODES, "semantic", "of items: the data's own, one token an item, or shuffled ones"),
  loss: {
    value: "LIST",
    default: ["sft", "msl", "bear"],
    shown: "sft,msl,bear",
    help: `one run each: ${lossNames.join(", ")}, or the path of a module with a loss of yours`,
    read: readLosses,
  },
  beam: integer(1, 10, "beam width B of the loss"),
  beams: {
    value: "LIST",
    default: [],
    shown: "that of the loss",
    help: "beam widths to decode with, such as 5,10,20",
    read: readBeams,
  },
  xi: positive(1, "temperature of the margin in the bear losses"),
  lambda: notNegative(1, "weight of the beam term; in bear it is the paper's lambda / xi"),
  tau: positive(1, "temperature of the softmax"),
  beta: notNegative(0.1, "weight of the prefix losses in apao-point and apao-pair"),
  eta: notNegative(0, "how much the worst prefix stands out in apao-point and apao-pair"),
  negatives: integer(1, 4, "sampled items beside one target a window in apao-pair", 1000),
  searchEvery: integer(1, 1, "beam-exact searches in every so many steps, else it is msl"),
  model: {
    ...text("FOLDER", undefined, "begin with a Llama model in Hugging Face's layout"),
    shown: "a fresh one",
  },
  half: toggle("keep the weights of --model in half precision, with --lora"),
  lora: {
    value: "LIST",
    default: [],
    shown: "none, all weights are trained",
    help: `adapters, of ${LORA_TARGETS.join(", ")}; q,v is usual`,
    read: readTargets,
  },
  loraRank: integer(1, 8, "rank of the adapters", 65536),
  loraAlpha: positive(16, "scale of the adapters, times the rank"),
  loraDropout: real(0.05, "dropout on what an adapter reads", "in [0, 1)", isRate),
  layers: integer(1, 2, "layers of the decoder", 1000),
  dim: integer(1, 64, "channels of the decoder", 16384),
  heads: integer(1, 2, "query heads; dim / heads must be a multiple of 4"),
  kvHeads: { ...integer(1, NaN, "key and value heads; heads must be a multiple"), shown: "heads" },
  ffn: integer(1, 256, "inner width of the SwiGLU, channels", 65536),
  history: integer(1, 20, "items of history that the model sees", 10000),
  epochs: integer(1, 8, "passes over the training data"),
  patience: {
    ...integer(
      1,
      undefined,
      "stop after N epochs without a better validation NDCG@10, keep the best",
    ),
    shown: "the last epoch is kept",
  },
  validateUsers: integer(1, 1000, "validation cases looked at after an epoch, with --patience"),
  batch: integer(1, 32, "windows a batch", 65536),
  accumulate: integer(1, 1, "batches an update, their gradients averaged", 65536),
  lr: { ...positive(NaN, "peak learning rate"), shown: "0.004; 0.0001 with --model" },
  warmup: integer(0, 50, "steps of linear warm-up, then a cosine"),
  dropout: {
    ...real(NaN, "dropout on the embedding and the residual branches", "in [0, 1)", isRate),
    shown: "0.1; 0 with --model",
  },
  decay: notNegative(0.05, "weight decay of the matrices, times the learning rate a step"),
  seed: integer(0, 0, "seed of weights, batches and dropout", Number.MAX_SAFE_INTEGER),
  device: choice<DeviceChoice, DeviceChoice>(
    ["auto", "webgpu", "cpu"],
    "auto",
    "where to compute; auto is webgpu on a hardware adapter, else cpu",
  ),
  threads: { ...integer(1, undefined, "threads of the cpu device", 64), shown: "cores" },
  excludeHistory: toggle("take the history that the model sees out of the catalogue when decoding"),
  out: {
    ...text("FOLDER", undefined, "write metrics, checkpoints and summary.json"),
    shown: "none",
  },
  resume: toggle("go on with the checkpoints in --out"),
  help: toggle("print this and stop"),
};

/**
 * Reads the arguments of train.ts, those after its name.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or if options
 * contradict each other.
 *
 * @example
 * ```ts
 * import { parseOptions } from "beargrad";
 *
 * const options = parseOptions(["--loss", "msl,bear", "--dim", "128", "--heads", "4"]);
 * console.log(options.loss, options.kvHeads, options.batch); // ["msl", "bear"] 4 32
 * ```
 */
export function parseOptions(args: readonly string[]): Options {
  return completeOptions(parseFlags(args, FLAGS), givenFlags(args, FLAGS));
}

/**
 * Options with what depends on others filled in, of which `given` were told.
 *
 * @throws {UsageError} if they contradict each other.
 */
export function completeOptions(options: Options, given: ReadonlySet<keyof Options>): Options {
  const { model, beam, beams, heads, kvHeads, lr, dropout } = options;
  const fresh = model === undefined;
  const complete = { // NaN: not told
    ...options,
    beams: beams.length > 0 ? beams : [beam],
    kvHeads: kvHeads || heads,
    lr: lr || (fresh ? 0.004 : 0.0001),
    dropout: Number.isNaN(dropout) ? (fresh ? 0.1 : 0) : dropout,
  };
  checkTogether(complete, given);
  return complete;
}

/**
 * The help of train.ts: every option with its default.
 *
 * @example
 * ```ts
 * import { helpText } from "beargrad";
 *
 * console.log(helpText());
 * ```
 */
export function helpText(): string {
  return flagHelp(
    "Trains a small decoder with each of some losses and compares what beam search retrieves.",
    "deno run train.ts [options]",
    FLAGS,
  );
}

/** What a model's folder says. */
const OF_MODEL = ["layers", "dim", "heads", "kvHeads", "ffn"] as const;

/** What no option can know alone. */
function checkTogether(options: Options, given: ReadonlySet<keyof Options>): void {
  const { dim, heads, kvHeads, out, resume, model, half, lora } = options;
  if (model !== undefined) {
    const size = OF_MODEL.find((key) => given.has(key));
    if (size !== undefined) {
      refuse(flagName(size), "it must come without --model, which has it", "both");
    }
    if (half && lora.length === 0) {
      refuse("--half", "it must come with --lora, as half-precision weights are not trained");
    }
  } else {
    if (half) refuse("--half", "it must come with --model");
    if (lora.length > 0) refuse("--lora", "it must come with --model");
  }
  const setting = lora.length > 0
    ? undefined
    : (["loraRank", "loraAlpha", "loraDropout"] as const).find((key) => given.has(key));
  if (setting !== undefined) refuse(flagName(setting), "it must come with --lora");
  const size = dim / heads;
  if (size % 4 !== 0 || size > MAX_HEAD_SIZE) {
    const requirement = `dim / heads must be a multiple of 4, at most ${MAX_HEAD_SIZE}`;
    refuse("--dim with --heads", requirement, `${dim} / ${heads} = ${size}`);
  }
  if (heads % kvHeads !== 0) {
    refuse("--kv-heads", "heads must be a multiple of it", `${heads} heads and ${kvHeads}`);
  }
  if (options.joinValidation && options.patience !== undefined && given.has("patience")) {
    refuse(
      "--patience",
      "it must come without --join-validation, which leaves nothing to validate by",
    );
  }
  if (resume && out === undefined) refuse("--resume", "--out must name the folder of the run");
}
