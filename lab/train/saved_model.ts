/**
 * The model of a run folder, ready to be searched and judged.
 *
 * @module
 */
import * as v from "valibot";
import type { Device } from "../../core/tensor.ts";
import { CheckpointError } from "../../core/errors.ts";
import { type DeviceTrie, Trie } from "../../models/decode/trie.ts";
import { withLora } from "../../models/lora.ts";
import { isLossName, lossNames } from "../../models/losses/index.ts";
import { Transformer, type TransformerParams } from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { CODES } from "../data/derived.ts";
import type { Dataset } from "../data/dataset.ts";
import { loadDataset, type ReadingProgress } from "../data/load.ts";
import { evaluate, type EvaluateOptions, type Evaluation } from "../evaluate/evaluate.ts";
import { TeacherForcing, type TeacherForcingOptions } from "../evaluate/teacher_forcing.ts";
import { type LossOfRecipe, normalizationOf } from "./loss_module.ts";
import { holdsAdapter, loadAdapter, loadModel, readConfig } from "./model_folder.ts";
import { digestOf, longestInput, type Recipe } from "./recipe.ts";
import { loadRun } from "./run_folder.ts";

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

/** A model that can be searched and judged. */
export type JudgeableModel = {
  readonly decoder: TransformerDecoder;
  readonly forcing: TeacherForcing;
  readonly trie: DeviceTrie;
};

/** A model on a device of its own. Disposing it disposes the device. */
export type OpenModel = JudgeableModel & Disposable;

/** How {@link judgeModel} searches. */
export type ModelJudging = Omit<EvaluateOptions, "decoder" | "teacherForced" | "trie" | "split">;

/** Judges a model on the test cases. */
export function judgeModel(
  { decoder, forcing, trie }: JudgeableModel,
  judging: ModelJudging,
): Promise<Evaluation> {
  return evaluate({
    decoder,
    teacherForced: (histories, leaves) => forcing.logits(histories, leaves),
    trie,
    split: "test",
    ...judging,
  });
}

/** The part of a recipe that judging a run needs. */
export type JudgedRecipe =
  & LossOfRecipe
  & Pick<Recipe, "beam" | "tau" | "history" | "digest" | "reading" | "model" | "half">;

/**
 * The part of a run's recipe that judging it needs.
 *
 * @throws {CheckpointError} if there is no such run, or it is malformed.
 */
export function readRecipe(folder: string): JudgedRecipe {
  const fail = (field: string, requirement: string, actual: string): never => {
    throw new CheckpointError(
      `Cannot judge ${folder}: its recipe's ${field} must be ${requirement}, got ${actual}`,
    );
  };
  const parsed = v.safeParse(Schema, loadRun(folder).recipe);
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
  folder: string,
  data: string,
  onProgress?: ReadingProgress,
): Promise<SavedRun> {
  const recipe = readRecipe(folder);
  const dataset = await loadDataset(data, recipe.reading, recipe.model, onProgress);
  const digest = digestOf(dataset);
  if (digest === recipe.digest) {
    return { recipe, dataset, normalization: normalizationOf(recipe) };
  }
  throw new CheckpointError(
    `Cannot judge ${folder}: the data must be what it was trained on, of digest ` +
      `${recipe.digest}, got ${digest}`,
  );
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
      `Cannot judge ${folder}: its recipe's model must be the folder of the model that it ` +
        "adapts, got none",
    );
  }
  const { config, params } = await loadModel(device, base, {
    weights: half ? "float16" : "float32",
    maxLength: longestInput(dataset, history),
    onProgress,
  });
  const { lora, adapter } = loadAdapter(device, folder, config);
  return { model: new Transformer(device, config, lora), params: withLora(params, adapter) };
}
