/**
 * What train.ts is told on its command line.
 *
 * @module
 */
import { MAX_HEAD_SIZE } from "../../kernels/attention.ts";
import type { LossSettings } from "../../models/losses/flags.ts";
import type { LossFlagName } from "../../models/losses/index.ts";
import type { LoraTarget } from "../../models/lora.ts";
import type { Codes } from "../data/codes.ts";
import type { DeviceChoice } from "../devices.ts";
import { flagHelp, flagName, givenFlags, parseFlags, refuse } from "./flags.ts";
import { FLAGS } from "./train_flags.ts";

/** The options of train.ts, with the flags of losses as `models/losses/index.ts` has them. */
export interface Options extends LossSettings<LossFlagName> {
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
  /** Beam widths to decode with; that of the loss unless told. */
  readonly beams: readonly number[];
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

/**
 * Reads the arguments of train.ts, those after its name.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its domain, or if options
 * contradict each other.
 *
 * @example
 * ```ts
 * import { parseOptions } from "beargrad/lab";
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
 * import { helpText } from "beargrad/lab";
 *
 * console.log(helpText());
 * ```
 */
export function helpText(): string {
  return flagHelp(
    "Trains a small decoder with each of some losses and compares what beam search retrieves. " +
      "Without --data, --out and the like `deno run train.ts` does the same and needs no permission.",
    "deno task train [options]",
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
      "both",
    );
  }
  if (resume && out === undefined) refuse("--resume", "--out must name the folder of the run");
}
