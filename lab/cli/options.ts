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
import { type SearchChoice, SEARCHES } from "../analysis/searches.ts";
import { formatSpec, parseSpec } from "../codes/spec.ts";
import { isPlainCodes } from "../data/derived.ts";
import { DUPLICATES } from "../data/cleaning.ts";
import type { InteractionOptions } from "../data/interaction_dataset.ts";
import { type Columns, ROLES } from "../data/interactions.ts";
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
  type Kind,
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

/** Codes: a name, or how to make them. */
export const codesKind: Kind<string> = {
  value: "<spec>",
  read: (given) => isPlainCodes(given) ? given : formatSpec(parseSpec(given)),
};

/** Columns such as user=reviewer,item=asin,time=3. */
const columnsOf: Kind<Columns> = {
  value: "<list>",
  domain: "such as user=uid,item=sku,time=at",
  read(given, fail): Columns {
    const entries = given.split(",").map((part) => part.trim().split("="));
    const columns: { [role: string]: string } = Object.fromEntries(entries);
    const isWhole = entries.every(([role, name, ...more]) =>
      ROLES.some((one) => one === role) && name && more.length === 0
    );
    const { user, item, ...others } = columns;
    const isRepeated = Object.keys(columns).length < entries.length;
    if (!isWhole || isRepeated || !user || !item) {
      return fail("user=NAME,item=NAME and, if there are, time=NAME and rating=NAME");
    }
    return { user, item, ...others };
  },
};

/** `leave-one-out`, `time`, or `time:0.8,0.9`. */
const splitOf: Kind<NonNullable<InteractionOptions["split"]>> = {
  value: "<name>",
  domain: "leave-one-out or time:0.8,0.9",
  read(given, fail) {
    if (given === "leave-one-out") return given;
    if (given === "time") return { time: [0.8, 0.9] };
    const shares = /^time:([\d.]+),([\d.]+)$/.exec(given)?.slice(1).map(Number) ?? [];
    const [first, second] = shares;
    const fits = 0 < first && first <= second && second < 1;
    return fits ? { time: [first, second] } : fail(
      "leave-one-out, time, or time:A,B with shares 0 < A <= B < 1",
      didYouMean(given, ["leave-one-out", "time"]),
    );
  },
};

/** The losses that a command trains. */
export function lossesFlag(usual: readonly string[]): Flag<readonly string[]> {
  const names = lossNames.join(", ");
  const help =
    `losses to train, also as --loss, of ${names}, and paths of modules with losses of your own`;
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
    "data set: synthetic, or a folder or file of semantic ids, titles or interactions",
    defaults.data,
  ),
  index: optional(
    text("<name>"),
    "file of codes in the folder, such as X.index.json",
    "default index.json, or the only one",
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
  columns: optional(
    columnsOf,
    "columns of interactions, by name or number",
    "default those of known names",
  ),
  minRating: optional(
    real("finite", Number.isFinite),
    "use interactions of at least this rating",
    "default all",
  ),
  duplicates: optional(
    choice(DUPLICATES),
    "which interactions of a user with the same item to keep",
    "default all",
  ),
  kCore: optional(
    integer(1),
    "drop users and items with fewer than n interactions until none is left",
    "default 5",
  ),
  split: optional(
    splitOf,
    "what to hold out of interactions: the last two of a user, or all after two points in time",
    "default leave-one-out",
  ),
  skipBadRows: toggle("skip and count malformed rows of interactions instead of refusing them"),
  limitItems: optional(integer(1), "use the first n items of the catalogue", "default all"),
  limitUsers: optional(integer(1), "use the first n training sequences and cases", "default all"),
  joinValidation: toggle("train on the validation targets too, once they have chosen a recipe"),
  codes: flag(
    codesKind,
    "codes of items: the data's own, item for one token an item, random for shuffled ones, or " +
      "made ones such as hierarchical:64x16, see docs/codes.md",
    defaults.codes,
  ),
  input: flag(
    choice<NonNullable<Reading["input"]>>(["tokens", "items", "items-parallel"]),
    "what the model reads of a history: the codes of its items, or one position an item, after " +
      "which the codes of the next are predicted in turn or at once",
    defaults.input,
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
  costUsers: flag(
    integer(0),
    "compare what beams and exact searches find and cost on n test cases",
    defaults.costUsers,
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
export const readingFlags: Flags<
  Pick<GivenOptions, Exclude<keyof Reading, "joinValidation" | "input">>
> = {
  index: trainFlags.index,
  tokenizer: trainFlags.tokenizer,
  prompt: trainFlags.prompt,
  targets: trainFlags.targets,
  holdOut: trainFlags.holdOut,
  limitItems: trainFlags.limitItems,
  limitUsers: trainFlags.limitUsers,
  columns: trainFlags.columns,
  minRating: trainFlags.minRating,
  duplicates: trainFlags.duplicates,
  kCore: trainFlags.kCore,
  split: trainFlags.split,
  skipBadRows: trainFlags.skipBadRows,
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
    help: "data set of the run: synthetic, or a folder or file",
  },
  beam: optional(integer(1), "beam width to decode with", "default that of the run"),
};

/** How lists are searched for, as given. */
export type GivenSearch = {
  readonly search: SearchChoice["method"] | undefined;
  readonly budget: number | undefined;
  readonly lengthPenalty: number | undefined;
};

/** The flags of {@link GivenSearch}. */
export const searchFlags: Flags<GivenSearch> = {
  search: optional(
    choice(SEARCHES),
    "how to search: adaptive and best-first find the exact best items, huggingface is a beam by " +
      "the rules of transformers",
    "default beam",
  ),
  budget: optional(
    integer(1),
    "end best-first after n rows of the model for a user",
    "default no limit",
  ),
  lengthPenalty: optional(
    real("finite", Number.isFinite),
    "rank by log P / length^x, with huggingface",
    "default 1",
  ),
};

/** The search that is given, undefined if none is. */
export function searchOf(
  { search: method, budget, lengthPenalty }: GivenSearch,
): SearchChoice | undefined {
  if (budget !== undefined && method !== "best-first") {
    refuse("--budget", "it must come with --search best-first", method ?? "beam");
  }
  if (lengthPenalty !== undefined && method !== "huggingface") {
    refuse("--length-penalty", "it must come with --search huggingface", method ?? "beam");
  }
  return method && {
    method,
    ...(budget !== undefined && { budget }),
    ...(lengthPenalty !== undefined && { lengthPenalty }),
  };
}

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
