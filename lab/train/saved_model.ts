/**
 * A model out of a run folder, ready to be searched and judged.
 *
 * @module
 */
import * as v from "valibot";
import type { Device } from "../../core/device.ts";
import { CheckpointError } from "../../core/errors.ts";
import { type DeviceTrie, Trie } from "../../models/decode/trie.ts";
import { lossNames } from "../../models/losses/loss_by_name.ts";
import { Transformer, type TransformerParams } from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { withLora } from "../../models/lora.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { holdsAdapter, loadAdapter } from "./adapter_folder.ts";
import { loadRun } from "./checkpoint.ts";
import { CODES } from "../data/derived.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset, type ReadingProgress } from "../data/load.ts";
import { normalizationOf } from "./loss_module.ts";
import { loadModel, readConfig } from "./model_folder.ts";
import { digestOf, longestInput } from "./recipe.ts";
import { TeacherForcing, type TeacherForcingOptions } from "../evaluate/teacher_forcing.ts";

const count = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)));
const Schema = v.object({
  loss: v.string(),
  lossModule: v.optional(v.object({ normalization: v.picklist(["children", "vocabulary"]) })),
  beam: v.number(),
  tau: v.number(),
  history: v.number(),
  digest: v.string(),
  reading: v.object({
    tokenizer: v.optional(v.string()),
    prompt: v.optional(v.string()),
    targets: v.optional(v.picklist(["all", "last"])),
    holdOut: count,
    limitItems: count,
    limitUsers: count,
    codes: v.optional(v.picklist(CODES)),
    joinValidation: v.optional(v.boolean()),
  }),
  model: v.optional(v.string()),
  half: v.optional(v.literal(true)),
});

/** A model on a device, ready for searches and teacher-forced passes. */
export interface OpenModel extends Disposable {
  readonly decoder: TransformerDecoder;
  readonly forcing: TeacherForcing;
  readonly trie: DeviceTrie;
}

/** What judging a run needs of its recipe. */
export type JudgedRecipe = v.InferOutput<typeof Schema>;

/**
 * What judging a run needs of its recipe.
 *
 * @throws {CheckpointError} if there is no such run, or it is malformed.
 */
export function readRecipe(folder: string): JudgedRecipe {
  const { recipe } = loadRun(folder);
  const parsed = v.safeParse(Schema, recipe);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new CheckpointError(
      `Cannot judge ${folder}: its recipe's ${v.getDotPath(issue)} must be ${issue.expected}, ` +
        `got ${issue.received}`,
    );
  }
  const { loss, lossModule } = parsed.output;
  if (lossModule === undefined && !lossNames.some((name) => name === loss)) {
    throw new CheckpointError(
      `Cannot judge ${folder}: its recipe's loss must be one of ${
        lossNames.join(", ")
      }, got ${loss}`,
    );
  }
  return parsed.output;
}

/** Throws {@link CheckpointError} unless a data set is the one that a run was trained on. */
export function checkData(folder: string, { digest }: JudgedRecipe, dataset: Dataset): void {
  const found = digestOf(dataset);
  if (found === digest) return;
  throw new CheckpointError(
    `Cannot judge ${folder}: the data must be what it was trained on, of digest ${digest}, got ${found}`,
  );
}

/** A run's recipe and its data. */
export interface SavedRun {
  /** What judging it needs of its recipe. */
  readonly recipe: JudgedRecipe;
  /** What it was trained on, read as it was then. */
  readonly dataset: Dataset;
  /** What its loss, and so its search, normalises over. */
  readonly normalization: Normalization;
}

/**
 * The recipe of the run in a folder, and the data that it was trained on: `synthetic`, or a folder.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it was trained on another data set.
 * @throws {DataError} if the data cannot be read.
 */
export async function readSavedRun(
  folder: string,
  data: string,
  onProgress?: ReadingProgress,
): Promise<SavedRun> {
  const recipe = readRecipe(folder);
  const dataset = await loadDataset(data, recipe.reading, recipe.model, onProgress);
  checkData(folder, recipe, dataset);
  return { recipe, dataset, normalization: normalizationOf(recipe) };
}

/**
 * Puts a run's model on a device, which it then owns, to be judged under a normalisation and a temperature. The weights are those
 * of `model.safetensors`, or, where the run trained an adapter, those of the model that it adapts, in half
 * precision where the run had them so, and of `adapter_model.safetensors`. `onProgress` is told how many bytes of it are
 * read, of how many.
 *
 * @throws {CheckpointError} if a file is missing, malformed or not of such a model.
 * @throws {DataError} if the system refuses to read.
 */
export async function openModel(
  device: Device,
  folder: string,
  dataset: Dataset,
  options: TeacherForcingOptions,
  onProgress?: (done: number, total: number) => void,
): Promise<OpenModel> {
  const { model, params } = await modelIn(device, folder, dataset, onProgress);
  const trie = new Trie(dataset.paths).upload(device);
  return {
    decoder: new TransformerDecoder(model, params),
    forcing: new TeacherForcing(device, model, params, trie, options),
    trie,
    [Symbol.dispose]: () => device.dispose(),
  };
}

async function modelIn(
  device: Device,
  folder: string,
  dataset: Dataset,
  onProgress?: (done: number, total: number) => void,
): Promise<{ readonly model: Transformer; readonly params: TransformerParams }> {
  if (!holdsAdapter(folder)) {
    const { maxLength } = readConfig(folder);
    const { config, params } = await loadModel(device, folder, { maxLength, onProgress });
    return { model: new Transformer(device, config), params };
  }
  const { model: base, half, history } = readRecipe(folder);
  if (base === undefined) {
    throw new CheckpointError(
      `Cannot judge ${folder}: its recipe's model must be the folder of the model that it adapts, ` +
        "got none",
    );
  }
  const weights = half ? "float16" : "float32";
  const maxLength = longestInput(dataset, history);
  const { config, params } = await loadModel(device, base, { weights, maxLength, onProgress });
  const { lora, adapter } = loadAdapter(device, folder, config);
  return { model: new Transformer(device, config, lora), params: withLora(params, adapter) };
}
