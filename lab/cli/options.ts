/**
 * The options of `train`, which the other commands share.
 *
 * @module
 */
import process from "node:process";
import { MAX_HEAD_SIZE } from "../../kernels/attention.ts";
import { LORA_TARGETS } from "../../models/lora.ts";
import { domainOf, fitsFlag, type LossSettings } from "../../models/losses/flags.ts";
import {
  isLossName,
  type LossFlagName,
  lossFlagNames,
  lossFlags,
  lossNames,
  readersOf,
} from "../../models/losses/index.ts";
import { CODES } from "../data/derived.ts";
import type { Reading } from "../data/load.ts";
import type { DeviceChoice } from "../devices.ts";
import { print } from "../terminal.ts";
import { runExperiment } from "../train/experiment.ts";
import { renderReport } from "../train/experiment_report.ts";
import { isLossPath, lossNameOf } from "../train/loss_module.ts";
import { defaults, type DependentOption, type Options, optionsOf } from "../train/options.ts";
import { Display } from "./display.ts";
import {
  type CommandLine,
  didYouMean,
  type Fail,
  type Flag,
  flagName,
  type Flags,
  parse,
  refuse,
} from "./flags.ts";
import {
  ascending,
  choice,
  flag,
  integer,
  list,
  notNegative,
  optional,
  positive,
  rate,
  real,
  required,
  text,
  toggle,
} from "./kinds.ts";

/** Options as they are given: undefined where they are not and the default depends on others. */
export type GivenOptions =
  & Omit<Options, DependentOption>
  & { readonly [K in DependentOption]: Options[K] | undefined };

/** A loss: a name, or the path of a module. */
const loss = {
  read: (given: string, fail: Fail): string =>
    isLossPath(given) || isLossName(given) ? given : fail(
      `one of ${lossNames.join(", ")} or the path of a module`,
      didYouMean(given, lossNames),
    ),
};

/** The losses that a command trains. */
export function lossesFlag(usual: readonly string[]): Flag<readonly string[]> {
  const names = lossNames.join(", ");
  const help = `losses to train, of ${names}, and paths of modules with losses of your own`;
  return { ...flag(list(loss, lossNameOf), help, usual), alias: "loss" };
}

/** The flags of the losses. */
const settingFlags = Object.fromEntries(lossFlagNames.map((name) => {
  const setting = lossFlags[name];
  const kind = setting.kind === "integer"
    ? integer(setting.least, setting.most)
    : real(domainOf(setting).replace(/^a number (of )?/, ""), (x) => fitsFlag(setting, x));
  const readers = readersOf(name);
  const isOfFew = readers.length < lossNames.length / 2;
  const help = isOfFew ? `in ${readers.join(", ")}: ${setting.help}` : setting.help;
  return [name, flag(kind, help, setting.default)];
})) as Flags<LossSettings<LossFlagName>>;

/** Every option of `train`. The defaults suit the synthetic data. */
export const trainFlags: Flags<GivenOptions> = {
  data: flag(
    text("<data>"),
    "data set: synthetic, or a folder of semantic ids or of titles",
    defaults.data,
  ),
  tokenizer: optional(
    text("<name>"),
    "tokenizer of titles: r50k, or a folder with a tokenizer.json",
    "default the model's, else r50k",
  ),
  prompt: optional(text("<file>"), "prompt for histories of titles", "default titles alone"),
  targets: optional(
    choice(["all", "last"]),
    "items to predict in a sequence of titles",
    "default all",
  ),
  holdOut: optional(
    integer(1),
    "make the last n training rows of titles validation cases",
    "default none",
  ),
  limitItems: optional(integer(1), "use the first n items of the catalogue", "default all"),
  limitUsers: optional(integer(1), "use the first n users, to train and to judge", "default all"),
  joinValidation: toggle("train on the validation targets too, once they have chosen a recipe"),
  codes: flag(
    choice(CODES),
    "codes of items: the data's own, one token an item, or shuffled ones",
    defaults.codes,
  ),
  losses: lossesFlag(defaults.losses),
  ...settingFlags,
  beams: optional(ascending, "beam widths to decode with, such as 5,10,20", "default --beam"),
  model: optional(
    text("<folder>"),
    "start from a Llama model in Hugging Face's layout",
    "default a new model",
  ),
  half: toggle("keep the weights of --model in half precision; needs --lora"),
  lora: flag(
    list(choice(LORA_TARGETS)),
    "projections that get adapters, usually q,v",
    defaults.lora,
    "default none: all weights are trained",
  ),
  loraRank: flag(integer(1, 65536), "rank of the adapters", defaults.loraRank),
  loraAlpha: flag(positive, "scale of the adapters, times the rank", defaults.loraAlpha),
  loraDropout: flag(rate, "dropout on the input of the adapters", defaults.loraDropout),
  layers: flag(integer(1, 1000), "layers of the decoder", defaults.layers),
  dim: flag(integer(1, 16384), "channels of the decoder", defaults.dim),
  heads: flag(integer(1), "query heads; dim / heads must be a multiple of 4", defaults.heads),
  kvHeads: optional(integer(1), "key and value heads, a divisor of --heads", "default --heads"),
  ffn: flag(integer(1, 65536), "inner width of the SwiGLU", defaults.ffn),
  history: flag(integer(1, 10000), "items of history that the model sees", defaults.history),
  epochs: flag(integer(1), "passes over the training data", defaults.epochs),
  patience: optional(
    integer(1),
    "stop after n epochs without a better validation NDCG@10, and keep the best",
    "default none: the last epoch is kept",
  ),
  validateUsers: flag(
    integer(1),
    "validation cases after each epoch, with --patience",
    defaults.validateUsers,
  ),
  batch: flag(integer(1, 65536), "windows of a batch", defaults.batch),
  accumulate: flag(
    integer(1, 65536),
    "batches whose gradients are averaged for one update",
    defaults.accumulate,
  ),
  lr: optional(positive, "peak learning rate", "default 0.004, with --model 0.0001"),
  warmup: flag(integer(0), "steps of linear warm-up, before a cosine", defaults.warmup),
  dropout: optional(
    rate,
    "dropout on the embedding and the residual branches",
    "default 0.1, with --model 0",
  ),
  decay: flag(
    notNegative,
    "weight decay of the matrices, times the learning rate each step",
    defaults.decay,
  ),
  seed: flag(
    integer(0, Number.MAX_SAFE_INTEGER),
    "seed of weights, batches and dropout",
    defaults.seed,
  ),
  device: flag(
    choice<DeviceChoice>(["auto", "webgpu", "cpu"]),
    "where to compute; auto is webgpu on a hardware adapter, else cpu",
    defaults.device,
  ),
  threads: optional(integer(1, 64), "threads of the cpu device", "default one a core, at most 8"),
  excludeHistory: toggle("take the history that the model sees out of the catalogue when decoding"),
  out: optional(
    text("<folder>"),
    "where to write metrics, checkpoints and summary.json",
    "default nowhere",
  ),
  resume: toggle("go on from the checkpoints in --out"),
};

/** How the data of a command are read that needs no run: as `train` reads them. */
export const readingFlags: Flags<Pick<GivenOptions, Exclude<keyof Reading, "joinValidation">>> = {
  tokenizer: trainFlags.tokenizer,
  prompt: trainFlags.prompt,
  targets: trainFlags.targets,
  holdOut: trainFlags.holdOut,
  limitItems: trainFlags.limitItems,
  limitUsers: trainFlags.limitUsers,
  codes: trainFlags.codes,
};

/** What `verify`, `explain` and `recommend` are given of a trained model. */
export const savedRunFlags = {
  checkpoint: required(
    text("<folder>"),
    "folder of a run of train or compare, such as runs/first/bear-seed0",
  ),
  data: {
    ...trainFlags.data,
    help: "data set of the run: synthetic, or a folder",
  },
  beam: optional(integer(1), "beam width to decode with", "default that of the run"),
};

/** The command line of `train`. */
export const trainLine: CommandLine<GivenOptions, Options> = {
  name: "train",
  usage: "[options]",
  does: "Trains a small decoder with each of some losses and compares what beam search retrieves.",
  flags: trainFlags,
  complete: ({ options, given }) => completeOptions(options, given),
  async run(options): Promise<void> {
    using display = new Display();
    const again = options.out === undefined ? undefined : "--resume";
    const report = await runExperiment(options, display.runs(again));
    if (report.failed.length > 0) process.exitCode = 1;
    print(renderReport(report));
    if (report.unwritten) throw report.unwritten;
  },
};

/**
 * Reads the arguments of `train`.
 *
 * @throws {UsageError} if an option is unknown, given twice, without its value or outside its
 * domain, or if options contradict each other.
 *
 * @example
 * ```ts
 * import { parseOptions } from "beargrad/lab";
 *
 * const options = parseOptions(["--losses", "msl,bear", "--dim", "128", "--heads", "4"]);
 * console.log(options.losses, options.kvHeads, options.batch); // ["msl", "bear"] 4 32
 * ```
 */
export function parseOptions(args: readonly string[]): Options {
  return parse(trainLine, args);
}

/**
 * Fills in the defaults that depend on other options.
 *
 * @throws {UsageError} if options contradict each other.
 */
export function completeOptions(options: GivenOptions, given: ReadonlySet<string>): Options {
  const complete = optionsOf(options);
  checkTogether(complete, given);
  return complete;
}

/** Checks what no option can know alone. */
function checkTogether(options: Options, given: ReadonlySet<string>): void {
  const { dim, heads, kvHeads, out, resume, model, half, lora, joinValidation } = options;
  const firstGiven = (...keys: readonly (keyof Options)[]): string | undefined => {
    const key = keys.find((key) => given.has(key));
    return key && flagName(key);
  };
  if (model === undefined) {
    if (half) refuse("--half", "it must come with --model");
    if (lora.length > 0) refuse("--lora", "it must come with --model");
  } else {
    const size = firstGiven("layers", "dim", "heads", "kvHeads", "ffn");
    if (size) refuse(size, "it must come without --model, which has it", "both");
    if (half && lora.length === 0) {
      refuse("--half", "it must come with --lora, as half-precision weights are not trained");
    }
  }
  const ofAdapters = firstGiven("loraRank", "loraAlpha", "loraDropout");
  if (ofAdapters && lora.length === 0) refuse(ofAdapters, "it must come with --lora");
  const size = dim / heads;
  if (size % 4 !== 0 || size > MAX_HEAD_SIZE) {
    const requirement = `dim / heads must be a multiple of 4, at most ${MAX_HEAD_SIZE}`;
    refuse("--dim with --heads", requirement, `${dim} / ${heads} = ${size}`);
  }
  if (heads % kvHeads !== 0) {
    refuse("--kv-heads", "heads must be a multiple of it", `${heads} heads and ${kvHeads}`);
  }
  if (joinValidation && given.has("patience")) {
    const requirement =
      "it must come without --join-validation, which leaves nothing to validate by";
    refuse("--patience", requirement, "both");
  }
  if (resume && out === undefined) refuse("--resume", "--out must name the folder of the run");
}
