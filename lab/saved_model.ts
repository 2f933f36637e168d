/**
 * A model out of a run folder, ready to be searched and judged.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import type { Device } from "../core/device.ts";
import { CheckpointError } from "../core/errors.ts";
import { fromHuggingFace, writeTree } from "../models/checkpoint.ts";
import { configFromJson } from "../models/checkpoint_config.ts";
import { type DeviceTrie, Trie } from "../models/decode/trie.ts";
import { lossNames } from "../models/losses/loss_by_name.ts";
import { decodeSafetensors } from "../models/safetensors.ts";
import { initTransformer, Transformer, type TransformerParams } from "../models/transformer.ts";
import { TransformerDecoder } from "../models/transformer_decoder.ts";
import { loadRun } from "./checkpoint.ts";
import type { Dataset } from "./data/dataset.ts";
import { readIfPresent } from "./files.ts";
import { digestOf, type Recipe } from "./recipe.ts";
import { TeacherForcing, type TeacherForcingOptions } from "./teacher_forcing.ts";

const Schema = v.object({
  loss: v.picklist(lossNames),
  beam: v.number(),
  tau: v.number(),
  history: v.number(),
  digest: v.string(),
});

/** A model on a device, ready for searches and teacher-forced passes. */
export interface OpenModel extends Disposable {
  readonly decoder: TransformerDecoder;
  readonly forcing: TeacherForcing;
  readonly trie: DeviceTrie;
}

/**
 * What judging a run needs of its recipe.
 *
 * @throws {CheckpointError} if there is no such run, it is malformed, or it is not of this data set.
 */
export function readRecipe(
  folder: string,
  dataset: Dataset,
): Pick<Recipe, "loss" | "beam" | "tau" | "history"> {
  const { recipe } = loadRun(folder);
  const parsed = v.safeParse(Schema, recipe);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new CheckpointError(
      `Cannot verify ${folder}: its recipe's ${v.getDotPath(issue)} must be ${issue.expected}, ` +
        `got ${issue.received}`,
    );
  }
  const digest = digestOf(dataset);
  if (parsed.output.digest !== digest) {
    throw new CheckpointError(
      `Cannot verify ${folder}: the data must be what it was trained on, of digest ` +
        `${parsed.output.digest}, got ${digest}`,
    );
  }
  return parsed.output;
}

/**
 * Puts a run's model on a device, which it then owns, to be judged under a normalisation and a temperature. The weights are those of `model.safetensors`: float32 on any device.
 *
 * @throws {CheckpointError} if a file is missing, malformed or not of such a model.
 */
export function openModel(
  device: Device,
  folder: string,
  dataset: Dataset,
  options: TeacherForcingOptions,
): OpenModel {
  const [configPath, weightsPath] = ["config.json", "model.safetensors"].map((f) =>
    join(folder, f)
  );
  const read = (path: string): Uint8Array => {
    const bytes = readIfPresent(path);
    if (bytes === undefined) {
      throw new CheckpointError(`Cannot verify ${folder}: it must hold ${path}, got none`);
    }
    return bytes;
  };
  const config = configFromJson(parseJson(read(configPath), configPath), configPath);
  const { tensors } = decodeSafetensors(read(weightsPath), weightsPath);
  const model = new Transformer(device, config);
  const params: TransformerParams = initTransformer(device, config, 0);
  writeTree(params, fromHuggingFace(tensors, config, weightsPath), weightsPath);
  const trie = new Trie(dataset.paths).upload(device);
  return {
    decoder: new TransformerDecoder(model, params),
    forcing: new TeacherForcing(device, model, params, trie, options),
    trie,
    [Symbol.dispose]: () => device.dispose(),
  };
}

function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new CheckpointError(
      `Cannot read ${path}: it must be well-formed JSON, got ${(error as Error).message}`,
    );
  }
}
