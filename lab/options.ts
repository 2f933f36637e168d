/**
 * The command line of train.ts. One table holds every option with its default, its domain and its help.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { UsageError } from "../core/errors.ts";
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import type { LossName } from "../models/losses/loss.ts";
import { lossNames } from "../models/losses/loss_by_name.ts";
import type { DeviceChoice } from "./devices.ts";

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

/** One option. */
interface Flag<T> {
  /** What stands for the value in the help; absent for a switch. */
  readonly value?: string;
  /** Unless told. */
  readonly default: T;
  /** How the help writes the default, where it is not the value itself. */
  readonly shown?: string;
  /** One line of help. */
  readonly help: string;
  /** The value that a text stands for; `fail` is told what it must be. */
  read(text: string, fail: Fail): T;
}

type Token = NonNullable<ReturnType<typeof parseArgs>["tokens"]>[number];
type Fail = (requirement: string) => never;
type Flags = { readonly [K in keyof Options]: Flag<Options[K]> };

const devices: readonly DeviceChoice[] = ["auto", "webgpu", "cpu"];

/** What an integer is at most unless told: sizes beyond it fit no machine. */
const MOST = 1e6;

/** Every option. The defaults suit the synthetic data. */
const FLAGS: Flags = {
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
  device: {
    value: devices.join("|"),
    default: "auto",
    help: "where to compute; auto is webgpu on a hardware adapter, else cpu",
    read: (given, fail) =>
      devices.find((device) => device === given) ?? fail(`one of ${devices.join(", ")}`),
  },
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
  const given: Record<string, unknown> = {};
  for (const token of tokenize(args)) {
    const key = token.kind === "option" ? KEYS.get(token.name) : undefined;
    if (token.kind !== "option" || key === undefined) {
      const shown = token.kind === "option" ? token.rawName : args[token.index];
      refuse("the command line", "options must be among those that --help lists", shown);
    }
    if (key in given) refuse(`--${token.name}`, "it must be given once", "it twice");
    const swallowed = !token.inlineValue && token.value?.startsWith("--");
    given[key] = readFlag(token.name, FLAGS[key], swallowed ? undefined : token.value);
  }
  const defaults = Object.fromEntries([...KEYS.values()].map((key) => [key, FLAGS[key].default]));
  const options = { ...defaults, ...given } as unknown as Options;
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
  const rows = [...KEYS].map(([name, key]) => {
    const { value, shown, help, default: usual } = FLAGS[key];
    const left = value === undefined ? `--${name}` : `--${name} ${value}`;
    return [left, value === undefined ? help : `${help} (${shown ?? usual})`];
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    "Trains a small decoder with each of some losses and compares what beam search retrieves.",
    "",
    "  deno run train.ts [options]",
    "",
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
  ].join("\n");
}

/** The key of each option by its name on the command line: `kv-heads` is `kvHeads`. */
const KEYS: ReadonlyMap<string, keyof Options> = new Map(
  (Object.keys(FLAGS) as (keyof Options)[]).map((key) => [
    key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    key,
  ]),
);

/** Not `strict`, whose errors are worded by the runtime, and which refuses a value such as -1 before it can be judged. */
function tokenize(args: readonly string[]): readonly Token[] {
  const options = Object.fromEntries(
    [...KEYS].map(([name, key]) => [
      name,
      { type: FLAGS[key].value === undefined ? "boolean" : "string" } as const,
    ]),
  );
  return parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens;
}

function readFlag(name: string, flag: Flag<unknown>, text: string | undefined): unknown {
  if (flag.value === undefined) {
    if (text !== undefined) refuse(`--${name}`, "it must stand without a value", text);
  } else if (text === undefined) {
    refuse(`--${name}`, `it must have a value, as in --${name} ${flag.value}`);
  }
  return flag.read(
    text ?? "",
    (requirement) => refuse(`--${name}`, `it must be ${requirement}`, text),
  );
}

function refuse(what: string, requirement: string, actual?: string): never {
  const shown = actual === "" ? "an empty text" : actual ?? "none";
  throw new UsageError(`Cannot use ${what}: ${requirement}, got ${shown}`);
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

function text<T extends string | undefined>(
  value: string,
  usual: T,
  help: string,
): Flag<T | string> {
  return {
    value,
    default: usual,
    help,
    read: (given, fail) => given === "" ? fail("a name") : given,
  };
}

function toggle(help: string): Flag<boolean> {
  return { default: false, help, read: () => true };
}

function integer<T extends number | undefined>(
  least: number,
  usual: T,
  help: string,
  most: number = MOST,
): Flag<T | number> {
  return {
    value: "N",
    default: usual,
    help,
    read(given, fail): number {
      const n = readNumber(given);
      const holds = Number.isSafeInteger(n) && n >= least && n <= most;
      return holds ? n : fail(`an integer from ${least} to ${most}`);
    },
  };
}

function positive(usual: number, help: string): Flag<number> {
  return real(usual, help, "above 0", (x) => x > 0);
}

function notNegative(usual: number, help: string): Flag<number> {
  return real(usual, help, "of at least 0", (x) => x >= 0);
}

function real(
  usual: number,
  help: string,
  domain: string,
  holds: (x: number) => boolean,
): Flag<number> {
  return {
    value: "X",
    default: usual,
    help,
    read(given, fail): number {
      const x = readNumber(given);
      return holds(x) ? x : fail(`a number ${domain}`);
    },
  };
}

function isRate(x: number): boolean {
  return x >= 0 && x < 1;
}

/** A decimal number, or NaN for any other text. */
function readNumber(given: string): number {
  const x = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(given) ? Number(given) : NaN;
  return Number.isFinite(x) ? x : NaN;
}

function readLosses(given: string, fail: Fail): LossName[] {
  const names = given.split(",").map((name) =>
    lossNames.find((known) => known === name.trim()) ?? fail(`a list of ${lossNames.join(", ")}`)
  );
  return new Set(names).size === names.length ? names : fail("a list without repetition");
}
