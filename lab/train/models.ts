/**
 * The model of a run: what it trains, which is a new model, a pretrained one or an adapter of one,
 * and what its folder has of it, ready to be searched and judged.
 *
 * @module
 */
import * as v from "valibot";
import type { Device } from "../../core/tensor.ts";
import { CheckpointError, DataError, UsageError } from "../../core/errors.ts";
import { type DeviceTrie, Trie } from "../../models/decode/trie.ts";
import { initLora, type LoraConfig, type LoraParams, withLora } from "../../models/lora.ts";
import { isLossName, lossNames } from "../../models/losses/index.ts";
import {
  initTransformer,
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { DUPLICATES } from "../data/cleaning.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset, type ReadingProgress } from "../data/load.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { evaluate, type EvaluateOptions, type Evaluation } from "../evaluate/evaluate.ts";
import { TeacherForcing, type TeacherForcingOptions } from "../evaluate/teacher_forcing.ts";
import {
  holdsAdapter,
  loadAdapter,
  type LoadedModel,
  loadModel,
  readConfig,
} from "./model_folder.ts";
import {
  digestOf,
  longestInput,
  type LossOfRecipe,
  normalizationOf,
  type Recipe,
  transformerConfig,
} from "./recipe.ts";
import { loadRecipe } from "./saved_run.ts";
import type { TrainableModel } from "./trainer.ts";

/**
 * The model that a recipe trains, before its first step: a new one, or that of the folder
 * `recipe.model`, or an adapter `recipe.lora` of the latter. `onProgress` is called with the bytes
 * read and the total.
 *
 * @throws {CheckpointError} if the folder of the model is malformed or asks for what is not
 * supported.
 * @throws {DataError} if it reads items, its vocabulary or its length is too small for the data, or
 * a file cannot be read.
 *
 * @example
 * ```ts ignore
 * import { Trainer, trainableModel } from "beargrad/lab";
 *
 * const model = await trainableModel(device, dataset, recipe);
 * using trainer = new Trainer(dataset, trie, recipe, model);
 * ```
 */
export async function trainableModel(
  device: Device,
  dataset: Dataset,
  recipe: Recipe,
  onProgress?: (done: number, total: number) => void,
): Promise<TrainableModel> {
  const { model: folder, lora, dropout, seed, history } = recipe;
  if (folder === undefined) return newModel(device, dataset, recipe);
  checkBase(folder, readConfig(folder), dataset, history); // before gigabytes are read
  const { config, params } = await loadBase(device, folder, recipe, dataset, onProgress);
  const base = { config: { ...config, dropout }, params };
  return lora ? newAdapter(device, base, lora, seed) : wholeModel(device, base);
}

/** A new decoder of a recipe. Its weights are drawn from the recipe's seed. */
export function newModel(
  device: Device,
  dataset: Dataset,
  recipe: Recipe,
): TrainableModel<TransformerParams> {
  const config = transformerConfig(recipe, dataset);
  return wholeModel(device, { config, params: initTransformer(device, config, recipe.seed) });
}

/**
 * A new adapter of a model whose own weights stay as they are, which may be in half precision. It
 * is drawn from `seed`.
 *
 * @throws {ArgumentError} if the model or the adapter is not possible.
 */
export function newAdapter(
  device: Device,
  base: LoadedModel,
  lora: LoraConfig,
  seed: number,
): TrainableModel<LoraParams> {
  return {
    model: new Transformer(device, base.config, lora),
    params: initLora(device, base.config, lora, seed),
    weights: (adapter) => withLora(base.params, adapter),
  };
}

function wholeModel(
  device: Device,
  { config, params }: LoadedModel,
): TrainableModel<TransformerParams> {
  return { model: new Transformer(device, config), params, weights: (params) => params };
}

/** A model must read tokens, know all of the data's, and take inputs as long as the data's. */
function checkBase(
  folder: string,
  { vocabSize, maxLength, itemCodes }: TransformerConfig,
  dataset: Dataset,
  history: number,
): void {
  const tokens = dataset.tokens.length;
  const longest = longestInput(dataset, history);
  const refuse = (requirement: string): never => {
    throw new DataError(`Cannot train ${folder} on ${dataset.name}: ${requirement}`);
  };
  if (itemCodes !== undefined) {
    refuse("a pretrained model must read tokens, got one that reads items");
  }
  if (tokens > vocabSize) {
    refuse(
      `its vocabulary must have the data's ${tokens} tokens, got ${vocabSize}; --tokenizer may ` +
        "name the one that it was trained with",
    );
  }
  if (longest > maxLength) {
    refuse(
      `its max_position_embeddings must be at least ${longest}, the length of the longest input, ` +
        `got ${maxLength}; a lower --history makes inputs shorter`,
    );
  }
}

/** The pretrained model in a folder, as a run starts from it. */
function loadBase(
  device: Device,
  folder: string,
  { half, history }: Pick<Recipe, "half" | "history">,
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
): Promise<LoadedModel> {
  const weights = half ? "float16" : "float32";
  const maxLength = longestInput(dataset, history);
  return loadModel(device, folder, { weights, maxLength, onProgress });
}

const count = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)));
const Schema = v.object({
  data: v.optional(v.string()),
  loss: v.string(),
  lossModule: v.optional(v.object({ normalization: v.picklist(["children", "vocabulary"]) })),
  beam: v.number(),
  tau: v.number(),
  history: v.number(),
  digest: v.string(),
  reading: v.object({
    index: v.optional(v.string()),
    tokenizer: v.optional(v.string()),
    prompt: v.optional(v.string()),
    targets: v.optional(v.picklist(["all", "last"])),
    holdOut: count,
    columns: v.optional(v.object({
      user: v.string(),
      item: v.string(),
      time: v.optional(v.string()),
      rating: v.optional(v.string()),
    })),
    minRating: v.optional(v.number()),
    duplicates: v.optional(v.picklist(DUPLICATES)),
    kCore: count,
    split: v.optional(v.union([
      v.literal("leave-one-out"),
      v.object({ time: v.tuple([v.number(), v.number()]) }),
    ])),
    skipBadRows: v.optional(v.boolean()),
    limitItems: count,
    limitUsers: count,
    codes: v.optional(v.string()),
    input: v.optional(v.picklist(["tokens", "items", "items-parallel"])),
    joinValidation: v.optional(v.boolean()),
  }),
  model: v.optional(v.string()),
  half: v.optional(v.literal(true)),
});

/** What a search normalises over, and its temperature. */
export type SearchOver = Required<Pick<TeacherForcingOptions, "normalization" | "tau">>;

/** A model on its device, ready to be searched and explained. */
export interface SearchableModel extends SearchOver, Disposable {
  /** The model, for searches. */
  readonly decoder: TransformerDecoder;
  /** The model, for what it says along given items. */
  readonly forcing: TeacherForcing;
  /** The trie of the data's paths. */
  readonly trie: DeviceTrie;
}

/**
 * A model in memory, ready to be searched under a normalisation and a temperature. Disposing it
 * frees what it recorded; the weights and the trie stay.
 *
 * @example
 * ```ts ignore
 * import { searchableModel } from "beargrad/lab";
 *
 * using model = searchableModel(trainer.model, trainer.weights, trie, {
 *   normalization: "children",
 *   tau: recipe.tau,
 * });
 * ```
 */
export function searchableModel(
  model: Transformer,
  weights: TransformerParams,
  trie: DeviceTrie,
  { normalization, tau }: SearchOver,
): SearchableModel {
  const forcing = new TeacherForcing(model.device, model, weights, trie, { normalization, tau });
  return {
    decoder: new TransformerDecoder(model, weights),
    forcing,
    trie,
    normalization,
    tau,
    [Symbol.dispose]: () => forcing[Symbol.dispose](),
  };
}

/** Judges a model on the test cases. */
export function judgeModel(
  { decoder, forcing, trie, normalization, tau }: SearchableModel,
  judging: Omit<
    EvaluateOptions,
    "decoder" | "teacherForced" | "trie" | "split" | "normalization" | "tau"
  >,
): Promise<Evaluation> {
  return evaluate({
    decoder,
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    trie,
    split: "test",
    normalization,
    tau,
    ...judging,
  });
}

/** The part of a recipe that judging a run needs. */
export type JudgedRecipe =
  & LossOfRecipe
  & Partial<Pick<Recipe, "data">>
  & Pick<Recipe, "beam" | "tau" | "history" | "digest" | "reading" | "model" | "half">;

/**
 * The part of a run's recipe that judging it needs.
 *
 * @throws {CheckpointError} if there is no such run, or it is malformed.
 */
export function readRecipe(folder: string | Folder): JudgedRecipe {
  const fail = (field: string, requirement: string, actual: string): never => {
    throw new CheckpointError(
      `Cannot use ${
        folderAt(folder).path
      }: its recipe's ${field} must be ${requirement}, got ${actual}`,
    );
  };
  const parsed = v.safeParse(Schema, loadRecipe(folder));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    return fail(`${v.getDotPath(issue)}`, `${issue.expected}`, issue.received);
  }
  const { loss, lossModule } = parsed.output;
  if (lossModule === undefined && !isLossName(loss)) {
    fail("loss", `one of ${lossNames.join(", ")}`, loss);
  }
  return parsed.output;
}

/** A run's recipe, the data that it was trained on, and what its search normalises over. */
export type SavedRun = {
  readonly recipe: JudgedRecipe;
  readonly dataset: Dataset;
  readonly normalization: Normalization;
};

/**
 * The recipe of the run in a folder, and the data that it was trained on: `synthetic`, or a folder.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on other
 * data.
 * @throws {DataError} if the data cannot be read.
 */
export async function readSavedRun(
  folder: string | Folder,
  data: string | Folder,
  onProgress?: ReadingProgress,
): Promise<SavedRun> {
  const { reading, model } = readRecipe(folder);
  const keptCodes = typeof folder === "string" ? `${folder}/..` : undefined; // of all runs beside it
  try {
    return readRun(folder, await loadDataset(data, { ...reading, keptCodes }, model, onProgress));
  } catch (error) {
    if (data !== "synthetic" || !(error instanceof UsageError)) throw error;
    // Its options do not fit synthetic data, which the user may not have named.
    throw refusedData(folder, "what it was trained on, got synthetic, the default of --data");
  }
}

/**
 * The recipe of the run in a folder, and data that are open.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on other
 * data.
 */
export function readRun(folder: string | Folder, dataset: Dataset): SavedRun {
  const recipe = readRecipe(folder);
  const digest = digestOf(dataset);
  if (digest === recipe.digest) {
    return { recipe, dataset, normalization: normalizationOf(recipe) };
  }
  const { data: name = dataset.name, digest: trained, reading } = recipe;
  if (name !== dataset.name) {
    throw refusedData(folder, `${name}, which it was trained on, got ${dataset.name}`);
  }
  const how = Object.keys(reading).length > 0 ? ` read with ${JSON.stringify(reading)}` : "";
  throw refusedData(folder, `what it was trained on, of digest ${trained}${how}, got ${digest}`);
}

function refusedData(folder: string | Folder, expected: string): CheckpointError {
  const { path } = folderAt(folder);
  return new CheckpointError(`Cannot use ${path}: the data must be ${expected}`);
}

/**
 * Loads the model of a run onto a device, which it then owns, to be judged under a normalisation
 * and a temperature. The weights are those of `model.safetensors`. If the run trained an adapter,
 * they are those of the model that it adapts, in half precision if they were so in the run, and of
 * `adapter_model.safetensors`. `onProgress` is called with the bytes read and the total.
 *
 * @throws {CheckpointError} if a file is missing, malformed or not of such a model.
 * @throws {DataError} if the system refuses to read.
 */
export async function openModel(
  device: Device,
  folder: string | Folder,
  dataset: Dataset,
  options: SearchOver,
  onProgress?: (done: number, total: number) => void,
): Promise<SearchableModel> {
  const { model, params } = await modelIn(device, folder, dataset, onProgress);
  const trie = new Trie(dataset.paths).upload(device);
  return {
    ...searchableModel(model, params, trie, options),
    [Symbol.dispose]: () => device.dispose(),
  };
}

async function modelIn(
  device: Device,
  folder: string | Folder,
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
): Promise<{ readonly model: Transformer; readonly params: TransformerParams }> {
  if (!holdsAdapter(folder)) {
    const { maxLength } = readConfig(folder);
    const { config, params } = await loadModel(device, folder, { maxLength, onProgress });
    return { model: new Transformer(device, config), params };
  }
  const recipe = readRecipe(folder);
  if (recipe.model === undefined) {
    throw new CheckpointError(
      `Cannot use ${
        folderAt(folder).path
      }: its recipe's model must be the folder of the model that it ` +
        "adapts, got none",
    );
  }
  const { config, params } = await loadBase(device, recipe.model, recipe, dataset, onProgress);
  const { lora, adapter } = loadAdapter(device, folder, config);
  return { model: new Transformer(device, config, lora), params: withLora(params, adapter) };
}
