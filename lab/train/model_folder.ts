/**
 * Model folders as Hugging Face lays them out: `config.json`, and the weights in `model.safetensors`, or in several such
 * files with a `model.safetensors.index.json` that says which tensor is where.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import type { Device } from "../../core/device.ts";
import { ArgumentError, CheckpointError } from "../../core/errors.ts";
import { loadWeights, type WeightType } from "../../models/checkpoint.ts";
import { configFromJson } from "../../models/checkpoint_config.ts";
import { shown } from "../../models/json.ts";
import { openSafetensors, type SafeReader } from "../../models/safetensors.ts";
import type { TransformerConfig, TransformerParams } from "../../models/transformer.ts";
import { isPresent, type OpenFile, openFile } from "../files.ts";
import { anyRecord, loadJson } from "../read_file.ts";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
/** The longest sequence of a loaded model, unless it is told. */
const MAX_LENGTH = 4096;

/** What {@link loadModel} is told. */
export interface LoadModelOptions {
  /**
   * How the weights are kept: in the float type that the device computes in (`float32`, also where that is float64), or matrices
   * in half precision, see {@link loadWeights}; float32 unless told.
   */
  readonly weights?: WeightType;
  /**
   * The longest sequence, at most the `max_position_embeddings` of config.json; unless told that, but at most 4096. A
   * `Transformer` keeps a row of rotary angles for each position, which 131,072 positions would make 32 MiB or more.
   */
  readonly maxLength?: number;
  /** Called as the weights are read: the bytes so far, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A model on a device. */
export interface LoadedModel {
  /** Its configuration, for a `Transformer`. */
  readonly config: TransformerConfig;
  /** Its weights. */
  readonly params: TransformerParams;
}

/**
 * Loads a model of the Llama family onto a device: weights in bfloat16, float16, float32 or float64, in one file or several, the
 * head tied or not, query heads grouped or not. The host holds a few pieces of 2^20 elements at a time, never a file or a
 * tensor.
 *
 * @throws {CheckpointError} if a file is missing, malformed, at odds with another, or asks for what the transformer here cannot
 * do: one line that names file, field and value. Nothing stays on the device.
 * @throws {ArgumentError} if `weights` or `maxLength` is not possible.
 * @throws {DataError} if the system refuses to read.
 * @throws {DeviceError} if the device has no room; then nothing stays on it either.
 *
 * @example
 * ```ts ignore
 * import { Transformer } from "beargrad";
 * import { createProgress, loadModel, openDevice } from "beargrad/lab";
 *
 * const device = await openDevice("auto");
 * const { config, params } = await loadModel(device, "models/Llama-3.2-1B", { weights: "float16" });
 * const model = new Transformer(device, config);
 * ```
 */
export async function loadModel(
  device: Device,
  folder: string,
  { weights = "float32", maxLength, onProgress }: LoadModelOptions = {},
): Promise<LoadedModel> {
  if (weights !== "float32" && weights !== "float16") {
    throw new ArgumentError(
      `Cannot load ${folder}: weights must be float32 or float16, got ${weights}`,
    );
  }
  const config = limited(folder, readConfig(folder), maxLength);
  const opened: OpenFile[] = [];
  try {
    const files = openWeights(folder, (path) => {
      const file = openFile(path);
      opened.push(file);
      return openSafetensors(file, path);
    });
    const options = { weights, onProgress, source: folder };
    return { config, params: await loadWeights(device, config, files, options) };
  } finally {
    for (const file of opened) file.close();
  }
}

/**
 * The configuration of a model folder, as its config.json has it.
 *
 * @throws {CheckpointError} if the file is missing, malformed, or asks for what the transformer here cannot do.
 * @throws {DataError} if the system refuses to read.
 */
export function readConfig(folder: string): TransformerConfig {
  const path = join(folder, CONFIG);
  return configFromJson(loadJson(folder, CONFIG, anyRecord, CheckpointError), path);
}

function limited(folder: string, config: TransformerConfig, asked?: number): TransformerConfig {
  const most = config.maxLength;
  const maxLength = asked ?? Math.min(most, MAX_LENGTH);
  if (!Number.isInteger(maxLength) || maxLength < 1 || maxLength > most) {
    throw new ArgumentError(
      `Cannot load ${folder}: maxLength must be an integer from 1 to its ` +
        `max_position_embeddings of ${most}, got ${maxLength}`,
    );
  }
  return { ...config, maxLength };
}

const indexSchema = v.looseObject({ weight_map: anyRecord });

/** The files of weights in a folder. */
function openWeights(folder: string, open: (path: string) => SafeReader): SafeReader[] {
  if (isPresent(join(folder, WEIGHTS))) return [open(join(folder, WEIGHTS))];
  if (!isPresent(join(folder, INDEX))) fail(folder, `it must hold ${WEIGHTS} or ${INDEX}`, "none");
  const path = join(folder, INDEX);
  const { weight_map: map } = loadJson(folder, INDEX, indexSchema, CheckpointError);
  const files = new Map<string, SafeReader>();
  for (const [name, file] of Object.entries(map)) {
    const place = `weight_map[${shown(name)}]`;
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      return fail(path, `${place} must be the name of a safetensors file`, shown(file));
    }
    if (!files.has(file)) {
      const part = join(folder, file);
      if (!isPresent(part)) fail(path, `${place} must be a file in the folder`, shown(file));
      files.set(file, open(part));
    }
    const { source, entries } = files.get(file) as SafeReader;
    if (!entries.has(name)) fail(source, `it must hold ${shown(name)}, as ${INDEX} says`, "none");
  }
  for (const [file, { source, entries }] of files) {
    const stray = [...entries.keys()].find((name) =>
      !Object.hasOwn(map, name) || map[name] !== file
    );
    if (stray !== undefined) {
      fail(source, `its tensors must be in it as ${INDEX} says`, shown(stray));
    }
  }
  return [...files.values()];
}

function fail(place: string, requirement: string, actual: string): never {
  throw new CheckpointError(`Cannot load ${place}: ${requirement}, got ${actual}`);
}
