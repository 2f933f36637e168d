/**
 * How codes are to be made, as a line of text: `hierarchical:64x16,seed=1,from=vectors.npy`.
 *
 * @module
 */
import { UsageError } from "../../core/errors.ts";

/** Ways to make codes; see {@link parseSpec}. */
export const MADE_KINDS = ["hierarchical", "residual", "product", "rqvae", "random"] as const;

/** One of {@link MADE_KINDS}. */
export type MadeKind = typeof MADE_KINDS[number];

/** Where vectors of items come from. */
export interface VectorSource {
  /** Training interactions; titles through a pretrained model; a file. */
  readonly kind: "behaviour" | "titles" | "file";
  /** The folder of the model, or the file. */
  readonly place: string;
  /** The name of the tensor in a safetensors file that has several. */
  readonly tensor?: string;
  /** Its weight in a mixture. */
  readonly weight: number;
}

/** How codes are to be made. */
export interface CodeSpec {
  /** The way. */
  readonly kind: MadeKind;
  /** The number of codes at each level. */
  readonly sizes: readonly number[];
  /** The seed of what is drawn. */
  readonly seed: number;
  /** What vectors are made of. */
  readonly from: readonly VectorSource[];
  /** Dimensions of vectors from behaviour. */
  readonly dim: number;
  /** Items of a sequence that are at most this far apart occur together. */
  readonly window: number;
  /** The shift of the PPMI: its logarithm is subtracted. */
  readonly shift: number;
  /** The power of the singular values. */
  readonly power: number;
  /** By what share a cluster may be larger than the mean; Infinity without a limit. */
  readonly slack: number;
  /** Whether a node's children have tokens of their own, or share them with those of others. */
  readonly tokens: "own" | "shared";
  /** Passes over the items that an RQ-VAE is trained for. */
  readonly epochs: number;
  /** How items with equal codes are told apart. */
  readonly duplicates: "last" | "free";
}

/** The most codes of a level. */
const MOST_CODES = 65536;
/** The most levels, so that each has a letter, and one is left for duplicates. */
const MOST_LEVELS = 25;

type OptionName = Exclude<keyof CodeSpec, "kind" | "sizes">;

type Defaults = Pick<CodeSpec, OptionName>;

const DEFAULTS: Defaults = {
  seed: 0,
  from: [{ kind: "behaviour", place: "", weight: 1 }],
  dim: 64,
  window: 8,
  shift: 1,
  power: 0.5,
  slack: Infinity,
  tokens: "own",
  epochs: 200,
  duplicates: "last",
};

/** An option: how its value is read, or undefined if it is not possible, and what it must be. */
type Option<T> = {
  readonly read: (text: string) => T | undefined;
  readonly must: string;
  readonly write?: (value: T) => string;
};

const OPTIONS: { readonly [K in OptionName]: Option<Defaults[K]> } = {
  seed: integerOption(0, Number.MAX_SAFE_INTEGER),
  from: {
    read: readSources,
    must: "behaviour, titles:FOLDER, a .npy, .csv or .safetensors file, or several of them with " +
      "+ between, each with a weight from 1e-6 to 1e6 such as @0.5 after it",
    write: (sources) => sources.map(writeSource).join("+"),
  },
  dim: integerOption(1, 4096),
  window: integerOption(1, 1000),
  shift: { read: (text) => readNumber(text, isScale), must: "a number from 1e-6 to 1e6" },
  // Powers that every runtime computes with the same bits.
  power: {
    read: (text) => [0, 0.5, 1].find((x) => `${x}` === text),
    must: "0, 0.5 or 1",
  },
  slack: {
    read: (text) => text === "none" ? Infinity : readNumber(text, (x) => x >= 0),
    must: "a number of at least 0, or none",
    write: (slack) => slack === Infinity ? "none" : `${slack}`,
  },
  tokens: {
    read: (text) => (["own", "shared"] as const).find((x) => x === text),
    must: "own or shared",
  },
  epochs: integerOption(1, 1e5),
  duplicates: {
    read: (text) => (["last", "free"] as const).find((x) => x === text),
    must: "last or free",
  },
};

/** The options that only vectors from behaviour have. */
const BEHAVIOUR: readonly OptionName[] = ["dim", "window", "shift", "power"];

/**
 * Reads a specification: `KIND:SIZES`, and options after commas.
 *
 * - `hierarchical:64x16`: k-means of all items into 64 clusters, and of each cluster into 16.
 * - `residual:256x256`: k-means of all items, then of what is left after the nearest centre.
 * - `product:256x256`: k-means of each part of the dimensions.
 * - `rqvae:256x256`: the codes of an autoencoder that is trained on the vectors.
 * - `random:64x16`: drawn at random, each code as often as the others.
 *
 * The options are `seed`, `from`, `dim`, `window`, `shift`, `power`, `slack`, `tokens`,
 * `epochs` and `duplicates`; docs/codes.md describes them.
 *
 * @throws {UsageError} if it is malformed, or an option does not go with the others.
 */
export function parseSpec(text: string): CodeSpec {
  const [head, ...rest] = text.split(",");
  const [, name, sizes] = /^([a-z]+):(.*)$/.exec(head) ?? [];
  const kind = MADE_KINDS.find((kind) => kind === name);
  if (kind === undefined) {
    refuse(`it must be semantic, item, random, or one of ${KINDS_SHOWN}`, text);
  }
  const given = new Map(rest.map((part) => {
    const [, key, value] = /^([a-z]+)=(.*)$/.exec(part) ?? [];
    if (!isOption(key)) {
      refuse(`options must be of ${Object.keys(OPTIONS).join(", ")}, as in seed=1`, part);
    }
    return [key, value] as const;
  }));
  if (given.size < rest.length) refuse("each option must be given once", text);
  const read = <K extends OptionName>(key: K): Defaults[K] => {
    const value = given.get(key);
    if (value === undefined) return DEFAULTS[key];
    const option: Option<Defaults[K]> = OPTIONS[key];
    return option.read(value) ?? refuse(`${key} must be ${option.must}`, value);
  };
  const spec: CodeSpec = {
    kind,
    sizes: readSizes(sizes),
    seed: read("seed"),
    from: read("from"),
    dim: read("dim"),
    window: read("window"),
    shift: read("shift"),
    power: read("power"),
    slack: read("slack"),
    tokens: read("tokens"),
    epochs: read("epochs"),
    duplicates: read("duplicates"),
  };
  for (const key of given.keys()) {
    const missing = missingFor(key, spec);
    if (missing !== undefined) refuse(`${key} must come ${missing}`, text);
  }
  return spec;
}

/** What an option must come with, if a specification does not have that. */
function missingFor(key: OptionName, { kind, from }: CodeSpec): string | undefined {
  const isShared = key === "seed" || key === "duplicates"; // by all kinds
  if (kind === "random") return isShared ? undefined : "without random, which has no vectors";
  if (key === "slack" || key === "tokens") {
    return kind === "hierarchical" ? undefined : "with hierarchical";
  }
  if (key === "epochs") return kind === "rqvae" ? undefined : "with rqvae";
  const hasBehaviour = from.some(({ kind }) => kind === "behaviour");
  return BEHAVIOUR.includes(key) && !hasBehaviour ? "with vectors from behaviour" : undefined;
}

const KINDS_SHOWN = MADE_KINDS.map((kind) => `${kind}:64x16`).join(", ");

/** A specification as text, without defaults. */
export function formatSpec(spec: CodeSpec): string {
  return formatWith(spec, (key) => written(key, spec[key]) !== written(key, DEFAULTS[key]));
}

/** A specification with all of its options, which means the same when defaults change. */
export function wholeSpec(text: string): string {
  const spec = parseSpec(text);
  return formatWith(spec, (key) => missingFor(key, spec) === undefined);
}

function formatWith(spec: CodeSpec, isShown: (key: OptionName) => boolean): string {
  const options = (Object.keys(OPTIONS) as OptionName[]).filter(isShown)
    .map((key) => `,${key}=${written(key, spec[key])}`);
  return `${spec.kind}:${spec.sizes.join("x")}${options.join("")}`;
}

function written<K extends OptionName>(key: K, value: Defaults[K]): string {
  const { write = String }: Option<Defaults[K]> = OPTIONS[key];
  return write(value);
}

function isOption(key: string): key is OptionName {
  return Object.hasOwn(OPTIONS, key ?? "");
}

function readSizes(text: string): number[] {
  const sizes = text.split("x").map((part) => /^\d{1,6}$/.test(part) ? Number(part) : NaN);
  const isPossible = sizes.every((size) => size >= 2 && size <= MOST_CODES);
  if (isPossible && sizes.length <= MOST_LEVELS) return sizes;
  return refuse(
    `sizes must be 1 to ${MOST_LEVELS} integers from 2 to ${MOST_CODES} with x between, such as ` +
      "64x16",
    text,
  );
}

function readSources(text: string): readonly VectorSource[] | undefined {
  const sources = text.split("+").map((part): VectorSource | undefined => {
    const [, what, share = "1"] = /^(.+?)(?:@([\d.e+-]+))?$/.exec(part) ?? [];
    const weight = readNumber(share, isScale);
    if (what === undefined || weight === undefined) return undefined;
    if (what === "behaviour") return { kind: "behaviour", place: "", weight };
    if (/^titles:./.test(what)) return { kind: "titles", place: what.slice(7), weight };
    const [, place, tensor] = /^(.+\.safetensors)#(.+)$/.exec(what) ?? [];
    if (tensor !== undefined) return { kind: "file", place, tensor, weight };
    return /.\.(npy|csv|safetensors)$/.test(what)
      ? { kind: "file", place: what, weight }
      : undefined;
  });
  const known = sources.filter((source) => source !== undefined);
  return known.length === sources.length ? known : undefined;
}

function writeSource({ kind, place, tensor, weight }: VectorSource): string {
  const what = kind === "behaviour" ? kind : kind === "titles" ? `titles:${place}` : place;
  return `${what}${tensor === undefined ? "" : `#${tensor}`}${weight === 1 ? "" : `@${weight}`}`;
}

function integerOption(least: number, most: number): Option<number> {
  return {
    read: (text) => readNumber(text, (x) => Number.isSafeInteger(x) && x >= least && x <= most),
    must: `an integer of at least ${least}${most < 1e6 ? ` and at most ${most}` : ""}`,
  };
}

/** Whether a factor keeps squares well within float64. */
function isScale(x: number): boolean {
  return x >= 1e-6 && x <= 1e6;
}

/** A decimal number, if it fits. */
function readNumber(text: string, fits: (x: number) => boolean): number | undefined {
  const x = /^\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? Number(text) : NaN;
  return Number.isFinite(x) && fits(x) ? x : undefined;
}

function refuse(requirement: string, actual: string): never {
  throw new UsageError(`Cannot use --codes: ${requirement}, got ${actual || "an empty text"}`);
}
