/**
 * Adapter folders in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */
import { join } from "node:path";
import type { Device } from "../core/device.ts";
import { CheckpointError } from "../core/errors.ts";
import { readTree, writeTree } from "../models/checkpoint.ts";
import { initLora, type LoraConfig, type LoraParams } from "../models/lora.ts";
import { adapterFromPeft, adapterToPeft, loraFromJson, loraToJson } from "../models/lora_peft.ts";
import { decodeSafetensors, encodeSafetensors, type SafeTensors } from "../models/safetensors.ts";
import type { TransformerConfig } from "../models/transformer.ts";
import { isPresent, makeFolder, readIfPresent, writeFileAtomic } from "./files.ts";
import { checkFinite } from "./finite.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** An adapter and its settings. */
export interface Adapter {
  /** Its settings. */
  readonly lora: LoraConfig;
  /** Its weights. */
  readonly adapter: LoraParams;
}

/** Whether a folder holds an adapter. Internal. */
export function holdsAdapter(folder: string): boolean {
  return isPresent(join(folder, CONFIG));
}

/**
 * Loads an adapter of a model onto a device.
 *
 * @throws {CheckpointError} if a file is missing or malformed, asks for what the adapters here cannot do, or does not fit
 * the model.
 * @throws {DataError} if the system refuses to read.
 *
 * @example
 * ```ts ignore
 * import { loadAdapter, Transformer, withLora } from "beargrad";
 *
 * const { lora, adapter } = loadAdapter(device, "adapters/office", config);
 * const model = new Transformer(device, config, lora);
 * const hidden = model.hidden(withLora(params, adapter), tokens);
 * ```
 */
export function loadAdapter(device: Device, folder: string, config: TransformerConfig): Adapter {
  const [configPath, weightsPath] = [CONFIG, WEIGHTS].map((file) => join(folder, file));
  const lora = loraFromJson(parseJson(read(configPath), configPath), configPath);
  const { tensors } = decodeSafetensors(read(weightsPath), weightsPath);
  const weights = adapterFromPeft(tensors, config, lora, weightsPath); // of the right shapes
  const adapter = initLora(device, config, lora, 0);
  writeTree(adapter, weights, weightsPath);
  return { lora, adapter };
}

/**
 * Saves an adapter for others to use; the folder is made if need be. `base` is the name or the folder of the model that it
 * adapts. One read-back. Each file is replaced in one step.
 *
 * @throws {NonFiniteError} if a number to be saved is NaN or infinite; then nothing is written.
 * @throws {CheckpointError} if it is not an adapter of such a model; then nothing is written.
 * @throws {DataError} if the system refuses to write.
 *
 * @example
 * ```ts ignore
 * import { saveAdapter } from "beargrad";
 *
 * await saveAdapter("adapters/office", model.config, { lora, adapter }, "models/llama");
 * ```
 */
export async function saveAdapter(
  folder: string,
  config: TransformerConfig,
  { lora, adapter }: Adapter,
  base?: string,
): Promise<void> {
  const weights = await readTree(adapter);
  checkFinite(folder, weights);
  writeAdapter(folder, config, lora, weights, base);
}

/** {@link saveAdapter} of weights by path that have been read back. Internal. */
export function writeAdapter(
  folder: string,
  config: TransformerConfig,
  lora: LoraConfig,
  weights: SafeTensors,
  base?: string,
): void {
  const tensors = encodeSafetensors(adapterToPeft(weights, config, lora), { format: "pt" });
  makeFolder(folder);
  const json = JSON.stringify(loraToJson(lora, base), undefined, 2);
  writeFileAtomic(join(folder, CONFIG), `${json}\n`);
  writeFileAtomic(join(folder, WEIGHTS), tensors);
}

function read(path: string): Uint8Array {
  const bytes = readIfPresent(path);
  if (bytes === undefined) {
    throw new CheckpointError(`Cannot load ${path}: it must be there, got none`);
  }
  return bytes;
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
