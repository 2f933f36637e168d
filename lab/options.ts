/**
 * The command line of train.ts. One table holds every option with its default, its domain and its help.
 *
 * @module
 */
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import type { LossName } from "../models/losses/loss.ts";
import { lossNames } from "../models/losses/loss_by_name.ts";
import type { DeviceChoice } from "./devices.ts";
import {
  choice,
  type Fail,
  flagHelp,
  type Flags,
  integer,
  notNegative,
  parseFlags,
  positive,
  real,
  refuse,
  text,
  toggle,
} from "./flags.ts";

/** What train.ts is told. */
export interface Options {
  /** `synthetic`, or the folder of a data set of semantic IDs. */
  readonly data: string;
  /** The losses to compare, one run each. */
  readonly loss: readonly LossName[];
  /** Beam width B, in the loss and in decoding. */
  readonly beam: number;
  /** Temperature xi of the margin log beta - log p in the bear losses. */
  readonly xi: number;
  /**
   * Weight lambda of the beam term. In the released form, `bear`, it multiplies the weight of a token itself, so a
   * lambda of the paper is worth lambda / xi there.
   */
  readonly lambda: number;
  /** Temperature tau of the softmax. */
  readonly tau: number;
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
  /** Windows a batch. */
  readonly batch: number;
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
  /** Only the first so many users; all unless told. */
  readonly limitUsers: number | undefined;
  /** Where metrics, checkpoints and the summary go; nothing is written unless told. */
  readonly out: string | undefined;
  /** Whether to go on with the checkpoints in `out`. */
  readonly resume: boolean;
  /** Whether to print {@link helpText} and stop. */
  readonly help: boolean;
}

const devices: readonly DeviceChoice[] = ["auto", "webgpu", "cpu"];

/** Every option. The defaults suit the synthetic data. */
const FLAGS: Flags<Options> = {
  data: text("DATA", "synthetic", "synthetic, or a folder with inter.json and index.json"),
  loss: {
    value: "LIST",
    default: ["sft", "msl", "bear"],
    shown: "sft,msl,bear",
    help: `one run each: ${lossNames.join(", ")}`,
    read: readLosses,
  },
  beam: integer(1, 10, "beam width B, in the loss and in decoding"),
  xi: positive(1, "temperature of the margin in the bear losses"),
  lambda: notNegative(1, "weight of the beam term; in bear it is the paper's lambda / xi"),
  tau: positive(1, "temperature of the softmax"),
  layers: integer(1, 2, "layers of the decoder", 1000),
  dim: integer(1, 64, "channels of the decoder", 16384),
  heads: integer(1, 2, "query heads; dim / heads must be a multiple of 4"),
  kvHeads: { ...integer(1, NaN, "key and value heads; heads must be a multiple"), shown: "heads" },
  ffn: integer(1, 256, "inner width of the SwiGLU, channels", 65536),
  history: integer(1, 20, "items of history that the model sees", 10000),
  epochs: integer(1, 8, "passes over the training data"),
  batch: integer(1, 32, "windows a batch", 65536),
  lr: positive(0.004, "peak learning rate"),
  warmup: integer(0, 50, "steps of linear warm-up, then a cosine"),
  dropout: real(0.1, "dropout on the embedding and the residual branches", "in [0, 1)", isRate),
  decay: notNegative(0.05, "weight decay of the matrices, times the learning rate a step"),
  seed: integer(0, 0, "seed of weights, batches and dropout", Number.MAX_SAFE_INTEGER),
  device: choice(
    devices,
    "auto",
    "where to compute; auto is webgpu on a hardware adapter, else cpu",
  ),
  threads: { ...integer(1, undefined, "threads of the cpu device", 64), shown: "cores" },
  excludeHistory: toggle("take the history that the model sees out of the catalogue when decoding"),
  limitUsers: {
    ...integer(1, undefined, "judge the first N users only; training uses all"),
    shown: "all",
  },
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
  const options = parseFlags(args, FLAGS);
  const complete = { ...options, kvHeads: options.kvHeads || options.heads }; // NaN: as many
  checkTogether(complete);
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

/** What no option can know alone. */
function checkTogether({ dim, heads, kvHeads, out, resume }: Options): void {
  const size = dim / heads;
  if (size % 4 !== 0 || size > MAX_HEAD_SIZE) {
    const requirement = `dim / heads must be a multiple of 4, at most ${MAX_HEAD_SIZE}`;
    refuse("--dim with --heads", requirement, `${dim} / ${heads} = ${size}`);
  }
  if (heads % kvHeads !== 0) {
    refuse("--kv-heads", "heads must be a multiple of it", `${heads} heads and ${kvHeads}`);
  }
  if (resume && out === undefined) refuse("--resume", "--out must name the folder of the run");
}

function isRate(x: number): boolean {
  return x >= 0 && x < 1;
}

function readLosses(given: string, fail: Fail): LossName[] {
  const names = given.split(",").map((name) =>
    lossNames.find((known) => known === name.trim()) ?? fail(`a list of ${lossNames.join(", ")}`)
  );
  return new Set(names).size === names.length ? names : fail("a list without repetition");
}
