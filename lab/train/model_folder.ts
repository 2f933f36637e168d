/**
 * Model folders in Hugging Face's layout: `config.json`, and the weights in `model.safetensors`, or
 * in several such files with a `model.safetensors.index.json` that says which tensor is where.
 * Adapter folders in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */
import * as v from "valibot";
import type { Device } from "../../core/tensor.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ArgumentError, CheckpointError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import { loadWeights, readTree, type WeightType } from "../../models/checkpoint.ts";
import { configFromJson } from "../../models/checkpoint_config.ts";
import { shown } from "../../models/json.ts";
import { initLora, type LoraConfig, type LoraParams } from "../../models/lora.ts";
import {
  adapterFromPeft,
  adapterToPeft,
  loraFromJson,
  loraToJson,
} from "../../models/lora_peft.ts";
import {
  encodeSafetensors,
  openSafetensors,
  type SafeReader,
  type SafeTensors,
} from "../../models/safetensors.ts";
import type { TransformerConfig, TransformerParams } from "../../models/transformer.ts";
import { checkFinite, folderAt, writeFiles } from "../files.ts";
import type { Folder, OpenFile } from "../folder.ts";
import { anyRecord, loadJson, mapOf } from "../read_file.ts";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const ADAPTER_CONFIG = "adapter_config.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";
/** The default of the longest sequence. */
const MAX_LENGTH = 4096;

/** Options of {@link loadModel}. */
export interface LoadModelOptions {
  /**
   * How the weights are kept: `float32` is the float type that the device computes in (which may be
   * float64), `float16` keeps matrices in half precision, see {@link loadWeights}. Default float32.
   */
  readonly weights?: WeightType;
  /**
   * The longest sequence, at most the `max_position_embeddings` of config.json. Default: that, but
   * at most 4096. A `Transformer` keeps a row of rotary angles for each position, which is 32 MiB
   * or more for 131,072 positions.
   */
  readonly maxLength?: number;
  /** Called as the weights are read, with the bytes so far and the total. */
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
 * Loads a model of the Llama family onto a device: weights in bfloat16, float16, float32 or
 * float64, in one file or several, with a tied head or its own, with grouped query heads or not.
 * The host holds a few pieces of 2^20 elements at a time, never a file or a tensor.
 *
 * @throws {CheckpointError} if a file is missing, malformed, at odds with another, or asks for what
 * the transformer does not support: one line that names file, field and value. Nothing stays on the
 * device.
 * @throws {ArgumentError} if `weights` or `maxLength` is not possible.
 * @throws {DataError} if the system refuses to read.
 * @throws {DeviceError} if the device has no room; then nothing stays on it either.
 *
 * @example
 * ```ts ignore
 * import { Transformer } from "beargrad";
 * import { loadModel, openDevice } from "beargrad/lab";
 *
 * const device = await openDevice("auto");
 * const folder = "models/Llama-3.2-1B";
 * const { config, params } = await loadModel(device, folder, { weights: "float16" });
 * const model = new Transformer(device, config);
 * ```
 */
export async function loadModel(
  device: Device,
  place: string | Folder,
  { weights = "float32", maxLength, onProgress }: LoadModelOptions = {},
): Promise<LoadedModel> {
  const folder = folderAt(place);
  if (weights !== "float32" && weights !== "float16") {
    throw new ArgumentError(
      `Cannot load ${folder.path}: weights must be float32 or float16, got ${weights}`,
    );
  }
  const config = readConfig(folder);
  const most = config.maxLength;
  const length = maxLength ?? Math.min(most, MAX_LENGTH);
  if (!Number.isInteger(length) || length < 1 || length > most) {
    throw new ArgumentError(
      `Cannot load ${folder.path}: maxLength must be an integer from 1 to its ` +
        `max_position_embeddings of ${most}, got ${length}`,
    );
  }
  const opened: OpenFile[] = [];
  try {
    const files = openWeights(folder, (name) => {
      const file = folder.open(name);
      opened.push(file);
      return openSafetensors(file, folder.pathOf(name));
    });
    const params = await loadWeights(device, config, files, {
      weights,
      onProgress,
      source: folder.path,
    });
    return { config: { ...config, maxLength: length }, params };
  } finally {
    for (const file of opened) file.close();
  }
}

/**
 * The configuration of a model folder, as its config.json has it.
 *
 * @throws {CheckpointError} if the file is missing, malformed, or asks for what the transformer
 * does not support.
 * @throws {DataError} if the system refuses to read.
 */
export function readConfig(folder: string | Folder): TransformerConfig {
  const json = loadJson(folder, CONFIG, anyRecord, CheckpointError);
  return configFromJson(json, folderAt(folder).pathOf(CONFIG));
}

const fileName = v.pipe(
  v.string(),
  v.regex(/^[^/\\]+\.safetensors$/, "it must be the name of a safetensors file"),
);
const indexSchema = v.looseObject({ weight_map: mapOf(fileName) });

/** Opens the files of weights in a folder. */
function openWeights(folder: Folder, open: (name: string) => SafeReader): SafeReader[] {
  if (folder.has(WEIGHTS)) return [open(WEIGHTS)];
  if (!folder.has(INDEX)) fail(folder.path, `it must hold ${WEIGHTS} or ${INDEX}`, "none");
  const { weight_map: places } = loadJson(folder, INDEX, indexSchema, CheckpointError);
  const files = new Map<string, SafeReader>();
  for (const [name, file] of places) {
    if (!folder.has(file)) {
      const requirement = `weight_map[${shown(name)}] must be a file in the folder`;
      fail(folder.pathOf(INDEX), requirement, shown(file));
    }
    const reader = files.get(file) ?? open(file);
    files.set(file, reader);
    if (!reader.entries.has(name)) {
      fail(reader.source, `it must hold ${shown(name)}, as ${INDEX} says`, "none");
    }
  }
  for (const [file, { source, entries }] of files) {
    const stray = [...entries.keys()].find((name) => places.get(name) !== file);
    if (stray !== undefined) {
      fail(source, `its tensors must be in it as ${INDEX} says`, shown(stray));
    }
  }
  return [...files.values()];
}

/** The files of a model by name. */
export function modelFiles(config: object, weights: SafeTensors): Map<string, Uint8Array> {
  const tensors = encodeSafetensors(weights, { format: "pt" });
  return new Map([[CONFIG, jsonFile(config)], [WEIGHTS, tensors]]);
}

/** An adapter and its settings. */
export interface LoadedAdapter {
  /** Its settings. */
  readonly lora: LoraConfig;
  /** Its weights. */
  readonly adapter: LoraParams;
}

/** Whether a folder holds an adapter. */
export function holdsAdapter(folder: string | Folder): boolean {
  return folderAt(folder).has(ADAPTER_CONFIG);
}

/**
 * Loads an adapter of a model onto a device.
 *
 * @throws {CheckpointError} if a file is missing or malformed, asks for what is not supported, does
 * not fit the model, or has a number that is not finite; then nothing stays on the device.
 * @throws {DataError} if the system refuses to read.
 *
 * @example
 * ```ts ignore
 * import { Transformer, withLora } from "beargrad";
 * import { loadAdapter } from "beargrad/lab";
 *
 * const { lora, adapter } = loadAdapter(device, "adapters/office", config);
 * const model = new Transformer(device, config, lora);
 * const hidden = model.hidden(withLora(params, adapter), tokens);
 * ```
 */
export function loadAdapter(
  device: Device,
  place: string | Folder,
  config: TransformerConfig,
): LoadedAdapter {
  const folder = folderAt(place);
  const json = loadJson(folder, ADAPTER_CONFIG, anyRecord, CheckpointError);
  const lora = loraFromJson(json, folder.pathOf(ADAPTER_CONFIG));
  const path = folder.pathOf(ADAPTER_WEIGHTS);
  if (!folder.has(ADAPTER_WEIGHTS)) fail(folder.path, `it must hold ${ADAPTER_WEIGHTS}`, "none");
  const file = folder.open(ADAPTER_WEIGHTS);
  try {
    const { entries, read } = openSafetensors(file, path);
    // The header is checked before any element is read, and all elements before any is written.
    const places = adapterFromPeft(Object.fromEntries(entries), config, lora, path);
    const weights = new Map<string, TypedArray>();
    for (const [at, { name }] of Object.entries(places)) {
      const values = read(name);
      const kept = device.float === "float64" ? values : Float32Array.from(values);
      const bad = kept.findIndex((x) => !Number.isFinite(x));
      if (bad >= 0) fail(path, `${name} must be finite in ${device.float}`, `${values[bad]}`);
      weights.set(at, kept);
    }
    const adapter = initLora(device, config, lora, 0);
    for (const [at, tensor] of treeEntries(adapter)) {
      device.write(tensor, weights.get(at) as TypedArray);
    }
    return { lora, adapter };
  } finally {
    file.close();
  }
}

/**
 * Saves an adapter for others to use; a missing folder is made. `base` is the name or the folder of
 * the model that it adapts. One read-back. Each file is replaced in one step.
 *
 * @throws {NonFiniteError} if a number is NaN or infinite; then nothing is written.
 * @throws {CheckpointError} if it is not an adapter of such a model; then nothing is written.
 * @throws {DataError} if the system refuses to write.
 *
 * @example
 * ```ts ignore
 * import { saveAdapter } from "beargrad/lab";
 *
 * await saveAdapter("adapters/office", model.config, { lora, adapter }, "models/llama");
 * ```
 */
export async function saveAdapter(
  folder: string,
  config: TransformerConfig,
  { lora, adapter }: LoadedAdapter,
  base?: string,
): Promise<void> {
  const weights = await readTree(adapter);
  checkFinite(folder, weights);
  writeFiles(folder, adapterFiles(config, lora, weights, base));
}

/** The files of an adapter by name, of weights by path that have been read back. */
export function adapterFiles(
  config: TransformerConfig,
  lora: LoraConfig,
  weights: SafeTensors,
  base?: string,
): Map<string, Uint8Array> {
  const tensors = encodeSafetensors(adapterToPeft(weights, config, lora), { format: "pt" });
  return new Map([[ADAPTER_CONFIG, jsonFile(loraToJson(lora, base))], [ADAPTER_WEIGHTS, tensors]]);
}

function jsonFile(json: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(json, undefined, 2)}\n`);
}

function fail(place: string, requirement: string, actual: string): never {
  throw new CheckpointError(`Cannot load ${place}: ${requirement}, got ${actual}`);
}
