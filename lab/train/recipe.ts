/**
 * Everything that decides what a run computes. Two runs with equal recipes on equal data end with
 * equal bits.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import type { LoraConfig } from "../../models/lora.ts";
import type { LossSettings } from "../../models/losses/flags.ts";
import {
  type AnyLoss,
  type LossFlagName,
  lossFlagNames,
  lossNamed,
  type LossOptions,
} from "../../models/losses/index.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import type { Options } from "./options.ts";
import { wholeSpec } from "../codes/spec.ts";
import { type Dataset, paddedVocabulary } from "../data/dataset.ts";
import { isPlainCodes } from "../data/derived.ts";
import { digestOfParts, jsonParts } from "../digest.ts";
import type { Reading } from "../data/load.ts";
import { CheckpointError, UsageError } from "../../core/errors.ts";
import { readConfig } from "./model_folder.ts";

/** What a recipe holds of a user's own loss. */
export interface LossModule {
  /** A digest of the file's text. What the file imports is not part of it. */
  readonly digest: string;
  /** What it normalises over. */
  readonly normalization: Normalization;
}

/** A loss that a run can be trained with. */
export interface OpenLoss extends AnyLoss {
  /** What a recipe holds of it, if it is a user's own. */
  readonly module?: LossModule;
}

/** Early stopping: the epoch with the highest validation NDCG@10 is kept. */
export interface Stopping {
  /** Training ends after this many epochs without an improvement. */
  readonly patience: number;
  /** The number of validation cases, the first of the data set. */
  readonly users: number;
  /** Whether the history is taken out of the catalogue. */
  readonly excludeHistory: boolean;
}

/** A flag of losses that every recipe has, whether its loss reads it or not. */
export type CommonFlag = "beam" | "xi" | "lambda" | "tau";

const COMMON: readonly CommonFlag[] = ["beam", "xi", "lambda", "tau"];

const SIZES = ["layers", "dim", "heads", "kvHeads", "ffn"] as const;

/** The recipe of one run. Of the other flags of losses it has those that its loss reads. */
export interface Recipe
  extends
    LossSettings<CommonFlag>,
    Omit<LossOptions, CommonFlag>,
    Pick<Options, "seed" | "layers" | "dim" | "heads" | "kvHeads" | "ffn" | "dropout">,
    Pick<Options, "history" | "epochs" | "batch" | "lr" | "warmup" | "decay">,
    Partial<Pick<Options, "accumulate">> {
  /** The data set's name. */
  readonly data: string;
  /** A digest of the data set, which tells data sets of one name apart. */
  readonly digest: string;
  /** How the data were read. */
  readonly reading: Reading;
  /** The kind of device; bits differ between kinds. */
  readonly device: "cpu" | "webgpu";
  /** The name of the loss. */
  readonly loss: string;
  /** What identifies a user's own loss. */
  readonly lossModule?: LossModule;
  /** How the best epoch is found. Default: the last epoch is kept. */
  readonly stopping?: Stopping;
  /** The folder of the pretrained model that training starts from. */
  readonly model?: string;
  /** Whether the matrices of that model are in half precision. */
  readonly half?: true;
  /** The adapter, if it alone is trained. */
  readonly lora?: LoraConfig;
}

/** The part of a recipe that names its loss, and what it holds of a user's own. */
export type LossOfRecipe = {
  readonly loss: string;
  readonly lossModule?: Pick<LossModule, "normalization">;
};

/**
 * What the loss of a recipe normalises over. A model is searched as it was trained.
 *
 * @throws {ArgumentError} if no loss has the name.
 */
export function normalizationOf({ loss, lossModule }: LossOfRecipe): Normalization {
  return lossModule?.normalization ?? lossNamed(loss).normalization;
}

/** The name of a run and of its folder: `bear-seed0`. */
export function runName({ loss, seed }: Pick<Recipe, "loss" | "seed">): string {
  return `${loss}-seed${seed}`;
}

/** A digest of the items and all sequences, which is the same whatever the codes of the items. */
export function sequencesDigest({ items, training, validation, test }: Dataset): string {
  return digestOfParts(jsonParts([items, training, validation, test], 3));
}

/** A digest of the items, their tokens and paths, and all users' sequences. */
export function digestOf(dataset: Dataset): string {
  const { items, tokens, paths, training, validation, test, itemInput } = dataset;
  const users = test.values().map(({ id, history, target }) => [id, [...history, target]]);
  const content: unknown[] = [items, tokens, paths, users];
  // Leave-one-out data follow from their users. Other data do not.
  const isByUser = training.length === test.length && training.every((sequence, user) => {
    const items = test[user].history.slice(0, -1);
    return JSON.stringify(sequence) === JSON.stringify({ items, context: 0 });
  });
  if (!isByUser) content.push([training, validation, dataset.prompt([0, 0])]);
  if (itemInput !== undefined) content.push(itemInput);
  return digestOfParts(jsonParts(content, 3));
}

/** The options that say how data are read: those that are not defaults, and codes in full. */
export function readingOf(options: Reading): Reading {
  const { codes = "semantic" } = options;
  const reading: Reading = {
    ...pick(options, ["index", "tokenizer", "prompt", "targets", "holdOut"]),
    ...pick(options, ["limitItems", "limitUsers"]),
    ...pick(options, ["columns", "minRating", "duplicates", "kCore", "split"]),
    skipBadRows: options.skipBadRows || undefined,
    codes: codes === "semantic" ? undefined : isPlainCodes(codes) ? codes : wholeSpec(codes),
    input: options.input === "tokens" ? undefined : options.input,
    joinValidation: options.joinValidation || undefined,
  };
  return Object.fromEntries(Object.entries(reading).filter(([, value]) => value !== undefined));
}

/**
 * The recipe that options ask for. The sizes of a pretrained model are those of its folder.
 *
 * @throws {CheckpointError} if the config.json of that folder is missing, malformed or not
 * supported.
 * @throws {UsageError} if epochs are to be chosen by validation and the data have no cases for it.
 */
export function recipeOf(
  options: Options,
  { name: loss, flags, module: lossModule }: OpenLoss,
  dataset: Dataset,
  device: Device,
): Recipe {
  const { patience, validateUsers: users, excludeHistory, model, half, lora: targets } = options;
  const { loraRank: rank, loraAlpha: alpha, loraDropout: dropout } = options;
  if (patience !== undefined && dataset.validation.length === 0) {
    throw new UsageError(
      `Cannot use --patience ${patience}: ${dataset.name} must have validation cases, got none; ` +
        "titles have them with --hold-out",
    );
  }
  const common: readonly LossFlagName[] = COMMON;
  const ownFlags = lossFlagNames.filter((name) => name in flags && !common.includes(name));
  return {
    data: dataset.name,
    digest: digestOf(dataset),
    reading: readingOf(options),
    device: device.kind,
    loss,
    ...pick(options, COMMON),
    seed: options.seed,
    ...pick(model === undefined ? options : readConfig(model), SIZES),
    ...pick(options, ["dropout", "history", "epochs", "batch", "accumulate"]),
    ...pick(options, ["lr", "warmup", "decay"]),
    ...pick<LossOptions, LossFlagName>(options, ownFlags),
    ...(lossModule && { lossModule }),
    ...(patience !== undefined && { stopping: { patience, users, excludeHistory } }),
    ...(model !== undefined && { model }),
    ...(half && { half }),
    ...(targets.length > 0 && { lora: { targets, rank, alpha, dropout } }),
  };
}

function pick<T, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** A recipe or a line of metrics as files hold it: there the learning rate is `rate`. */
export function toJson(value: object): Record<string, unknown> {
  return renamed(value, "lr", "rate");
}

/** What {@link toJson} made of it, read from a file. */
export function fromJson(json: object): Record<string, unknown> {
  return renamed(json, "rate", "lr");
}

/** An object with another name for one key, in the same order. */
function renamed(object: object, from: string, to: string): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key === from ? to : key, value]),
  );
}

/** The decoder of a recipe. */
export function transformerConfig(recipe: Recipe, dataset: Dataset): TransformerConfig {
  return {
    vocabSize: paddedVocabulary(dataset.tokens.length),
    dim: recipe.dim,
    layers: recipe.layers,
    heads: recipe.heads,
    kvHeads: recipe.kvHeads,
    headDim: recipe.dim / recipe.heads,
    ffn: recipe.ffn,
    ropeTheta: 10000,
    normEps: 1e-5,
    maxLength: longestInput(dataset, recipe.history),
    dropout: recipe.dropout,
    tiedEmbeddings: true,
    ...(dataset.itemInput !== undefined && { itemCodes: dataset.paths }),
    ...(dataset.itemInput === "items-parallel" && { codeHeads: longestOf(dataset.paths) }),
  };
}

/**
 * The longest input that a model sees of a data set: in training, in searches and in teacher-forced
 * passes.
 */
export function longestInput(dataset: Dataset, historyLength: number): number {
  const { paths, training, validation, test, promptPerTarget } = dataset;
  const none = dataset.prompt([]).length;
  // What an item adds to a prompt, before other items and as the last one. Its path may be shorter.
  const added = paths.map((_, item) => (dataset.prompt([item, item]).length - none) / 2);
  let most = 0;
  /** Takes every history that ends in `items` at `from` or later into account. */
  const take = (items: readonly number[], from: number): void => {
    let sum = 0;
    items.forEach((item, i) => {
      sum += added[item];
      if (i >= historyLength) sum -= added[items[i - historyLength]];
      if (i >= from) most = Math.max(most, sum);
    });
  };
  for (const { items } of training) take(items, 0);
  for (const { history } of [...validation, ...test]) take(history, history.length - 1);
  // The tokens of a text are not quite the sum of those of its parts.
  const prompt = none + Math.ceil(most) + (promptPerTarget ? historyLength : 0);
  const longest = longestOf(paths);
  return Math.ceil((prompt + longest) / 8) * 8 + longest;
}

function longestOf(paths: Dataset["paths"]): number {
  return paths.reduce((most, { length }) => Math.max(most, length), 0);
}

/**
 * Checks that the run in a folder was saved with the given recipe.
 *
 * @throws {CheckpointError} naming the first field that differs, and both values.
 */
export function checkRecipe(
  folder: string,
  saved: object,
  recipe: object,
): void {
  const difference = firstDifference(saved, JSON.parse(JSON.stringify(recipe)), "");
  if (difference === undefined) return;
  const [path, was, is] = difference;
  const field = path === "digest" ? "the data's digest" : path;
  throw new CheckpointError(
    `Cannot resume ${folder}: ${field} must be that of its checkpoint, ${was}, got ${is}`,
  );
}

/** The path of the first difference between two JSON values, and what each has there. */
function firstDifference(
  a: unknown,
  b: unknown,
  path: string,
): [path: string, a: string, b: string] | undefined {
  if (!isNested(a) || !isNested(b)) {
    return a === b ? undefined : [path, JSON.stringify(a) ?? "none", JSON.stringify(b) ?? "none"];
  }
  for (const key of new Set([...Object.keys(b), ...Object.keys(a)])) {
    const inner = firstDifference(a[key], b[key], path === "" ? key : `${path}.${key}`);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function isNested(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
