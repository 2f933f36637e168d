/**
 * What a run trains: a new model, one that others have trained before, or an adapter of one.
 *
 * @module
 */
import type { Device } from "../../core/device.ts";
import { DataError } from "../../core/errors.ts";
import type { Tree } from "../../core/tree.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import { adapterOf } from "./adapter_training.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadModel, readConfig } from "./model_folder.ts";
import { longestInput, type Recipe } from "./recipe.ts";
import { allOf, fromScratch, type Trained } from "./trainer.ts";

/**
 * What a recipe trains, on a device: all weights of a new model or of that in the folder `recipe.model`, or only an adapter,
 * `recipe.lora`, of the latter. `onProgress` is told how many bytes of a model are read, of how many.
 *
 * @throws {CheckpointError} if the model's folder is malformed or asks for what is not supported.
 * @throws {DataError} if its vocabulary or its longest sequence is too small for the data, or a file cannot be read.
 *
 * @example
 * ```ts ignore
 * import { openTrained, Trainer } from "beargrad/lab";
 *
 * using trainer = new Trainer(dataset, trie, recipe, await openTrained(device, dataset, recipe));
 * ```
 */
export async function openTrained(
  device: Device,
  dataset: Dataset,
  recipe: Recipe,
  onProgress?: (done: number, total: number) => void,
): Promise<Trained<Tree>> {
  const { model: folder, half, lora, dropout, seed } = recipe;
  if (folder === undefined) return fromScratch(device, dataset, recipe);
  checkVocabulary(folder, readConfig(folder), dataset); // before gigabytes are read
  const { config: stored, params } = await loadModel(device, folder, {
    weights: half ? "float16" : "float32",
    maxLength: longestInput(dataset, recipe.history),
    onProgress,
  });
  const config = { ...stored, dropout };
  const base = { config, params };
  return lora ? adapterOf(device, base, lora, seed) : allOf(device, base);
}

/** Every token of the data must have a row of the embedding. */
function checkVocabulary(
  folder: string,
  { vocabSize }: TransformerConfig,
  { name, tokens }: Dataset,
): void {
  if (tokens.length <= vocabSize) return;
  throw new DataError(
    `Cannot train ${folder} on ${name}: its vocabulary must have the data's ${tokens.length} tokens, ` +
      `got ${vocabSize}; --tokenizer may name the one that it was trained with`,
  );
}
