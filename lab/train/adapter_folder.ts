/**
 * Adapter folders in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @module
 */
import { join } from "node:path";
import type { Device } from "../../core/device.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { CheckpointError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import { readTree } from "../../models/checkpoint.ts";
import { initLora, type LoraConfig, type LoraParams } from "../../models/lora.ts";
import {
  adapterFromPeft,
  adapterToPeft,
  loraFromJson,
  loraToJson,
} from "../../models/lora_peft.ts";
import { encodeSafetensors, openSafetensors, type SafeTensors } from "../../models/safetensors.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import { checkFinite, isPresent, makeFolder, openFile, writeFileAtomic } from "../files.ts";
import { anyRecord, loadJson } from "../read_file.ts";

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
 * @throws {CheckpointError} if a file is missing or malformed, asks for what the adapters here cannot do, does not fit the model,
 * or holds what is not finite; then nothing stays on the device.
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
export function loadAdapter(device: Device, folder: string, config: TransformerConfig): Adapter {
  const lora = loraFromJson(
    loadJson(folder, CONFIG, anyRecord, CheckpointError),
    join(folder, CONFIG),
  );
  const weights = readWeights(device, folder, config, lora);
  const adapter = initLora(device, config, lora, 0);
  for (const [path, tensor] of treeEntries(adapter)) {
    device.write(tensor, weights.get(path) as TypedArray);
  }
  return { lora, adapter };
}

/** The elements of an adapter by path. Nothing is read of a file that is not of such an adapter. */
function readWeights(
  device: Device,
  folder: string,
  config: TransformerConfig,
  lora: LoraConfig,
): ReadonlyMap<string, TypedArray> {
  const path = join(folder, WEIGHTS);
  const fail = (place: string, requirement: string, actual: unknown): never => {
    throw new CheckpointError(`Cannot load ${place}: ${requirement}, got ${actual}`);
  };
  if (!isPresent(path)) fail(folder, `it must hold ${WEIGHTS}`, "none");
  const file = openFile(path);
  try {
    const { entries, read } = openSafetensors(file, path);
    const places = adapterFromPeft(Object.fromEntries(entries), config, lora, path);
    return new Map(
      Object.entries(places).map(([at, { name }]) => {
        const values = read(name);
        const kept = device.float === "float64" ? values : Float32Array.from(values);
        const bad = kept.findIndex((x) => !Number.isFinite(x));
        if (bad >= 0) fail(path, `${name} must be finite in ${device.float}`, values[bad]);
        return [at, kept];
      }),
    );
  } finally {
    file.close();
  }
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
 * import { saveAdapter } from "beargrad/lab";
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
