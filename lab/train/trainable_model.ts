/**
 * What a run trains: a new model, a pretrained one, or an adapter of a pretrained one.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { DataError } from "../../core/errors.ts";
import type { Tree } from "../../core/tree.ts";
import { initLora, type LoraConfig, type LoraParams, withLora } from "../../models/lora.ts";
import {
  initTransformer,
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import type { Dataset } from "../data/dataset.ts";
import { type LoadedModel, loadModel, readConfig } from "./model_folder.ts";
import { longestInput, type Recipe, transformerConfig } from "./recipe.ts";

/** A decoder and its parameters, which may be all of its weights or only an adapter. */
export interface TrainableModel<P extends Tree = Tree> {
  /** The decoder. */
  readonly model: Transformer;
  /** The parameters. They get gradients and optimiser state, and are updated in place. */
  readonly params: P;
  /** The weights that the decoder runs with, made of the parameters by ops. */
  weights(params: P): TransformerParams;
}

/**
 * The model that a recipe trains, before its first step: a new one, or that of the folder
 * `recipe.model`, or an adapter `recipe.lora` of the latter. `onProgress` is called with the bytes
 * read and the total.
 *
 * @throws {CheckpointError} if the folder of the model is malformed or asks for what is not
 * supported.
 * @throws {DataError} if its vocabulary is too small for the data, or a file cannot be read.
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
  const { model: folder, half, lora, dropout, seed } = recipe;
  if (folder === undefined) return newModel(device, dataset, recipe);
  checkVocabulary(folder, readConfig(folder), dataset); // before gigabytes are read
  const { config, params } = await loadModel(device, folder, {
    weights: half ? "float16" : "float32",
    maxLength: longestInput(dataset, recipe.history),
    onProgress,
  });
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

/** Every token of the data must have a row of the embedding. */
function checkVocabulary(
  folder: string,
  { vocabSize }: TransformerConfig,
  { name, tokens }: Dataset,
): void {
  if (tokens.length <= vocabSize) return;
  throw new DataError(
    `Cannot train ${folder} on ${name}: its vocabulary must have the data's ${tokens.length} ` +
      `tokens, got ${vocabSize}; --tokenizer may name the one that it was trained with`,
  );
}
