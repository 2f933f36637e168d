/**
 * Weights out of safetensors onto a device, a piece at a time.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import type { Device } from "../core/device.ts";
import type { TypedArray } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { isSpare, type NamedTensor, namedTensors } from "./checkpoint_names.ts";
import { shown } from "./json.ts";
import type { SafeReader } from "./safetensors_reader.ts";
import type { LayerParams, TransformerConfig, TransformerParams } from "./transformer_config.ts";

/** How weights are to be kept: in the float type that the device computes in, or matrices in half precision. */
export type WeightType = "float32" | "float16";

/** What {@link loadWeights} is told. */
export interface LoadWeightsOptions {
  /** How they are to be kept; float32 unless told. */
  readonly weights?: WeightType;
  /** Called after each piece: the bytes that have been read, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  /** What errors call the whole; the first file's name unless told. */
  readonly source?: string;
}

/** Elements of a piece. */
const PIECE = 2 ** 20;
/** Elements after which the device is waited for. */
const BATCH = 4 * PIECE;
/** What rounds to more than the largest finite number of the type, and everything above. */
const LIMITS = { float16: 65520, float32: (2 - 2 ** -24) * 2 ** 127, float64: Infinity } as const;

/** A tensor and the file that it is in. */
interface Found extends NamedTensor {
  readonly file: SafeReader;
  readonly bytes: number;
}

/**
 * Puts the weights of a Llama model in Hugging Face's layout on a device. Before anything is allocated, names and shapes are
 * compared with the configuration. Then pieces of 2^20 elements are read, converted and written to where they belong, so that
 * the host never holds more than a few of them.
 *
 * With `weights: "float16"` matrices are kept in half precision where `Device.half` is, except those whose rows are not a
 * multiple of 4; where it is not they are rounded to the same numbers.
 *
 * @throws {CheckpointError} if a tensor is missing, left over, in two files, of another shape, or holds what is not finite in
 * the type that it is to be kept in; then nothing stays on the device.
 * @throws {DeviceError} if the device has no room; then nothing stays on it either.
 *
 * @example
 * ```ts ignore
 * import { configFromJson, loadWeights, openSafetensors } from "beargrad";
 *
 * const config = configFromJson(json);
 * const params = await loadWeights(device, config, [openSafetensors(source)], { weights: "float16" });
 * ```
 */
export async function loadWeights(
  device: Device,
  config: TransformerConfig,
  files: readonly SafeReader[],
  options: LoadWeightsOptions = {},
): Promise<TransformerParams> {
  checkOptions("load weights", options, ["weights", "onProgress", "source"]);
  const { weights = "float32", onProgress, source = files[0]?.source } = options;
  const found = locate(config, files, source);
  const total = found.reduce((sum, { bytes }) => sum + bytes, 0);
  const kept = new Map<string, Tensor>();
  try {
    for (const [path, parts] of Map.groupBy(found, ({ path }) => path)) {
      const [, ...inner] = parts[0].shape;
      const shape = [parts.reduce((rows, { shape: [n] }) => rows + n, 0), ...inner];
      const dtype = isHalved(parts[0], weights) ? device.half : device.float;
      kept.set(path, device.empty(shape, dtype, "loadWeights"));
    }
    const room = new ArrayBuffer(8 * PIECE);
    let [done, waiting] = [0, 0];
    for (const part of found) {
      const size = sizeOf(part.shape);
      for (let first = 0; first < size; first += PIECE) {
        const count = Math.min(PIECE, size - first);
        const values = part.file.read(part.name, first, count, room);
        const type = isHalved(part, weights) ? "float16" : device.float;
        checkFinite(part, first, values, type);
        const rounded = type === "float16" && device.half !== "float16"
          ? new Float32Array(new Float16Array(values))
          : values;
        device.write(kept.get(part.path) as Tensor, rounded, part.at + first);
        // A device may keep what it was handed until it is next read from.
        waiting += count;
        if (waiting >= BATCH) waiting = (await device.read([kept.get("norm") as Tensor]), 0);
        onProgress?.(done += part.bytes * (count / size), total);
      }
    }
    await device.read([kept.get("norm") as Tensor]);
    return treeOf(config, kept);
  } catch (error) {
    for (const tensor of kept.values()) tensor.dispose();
    throw error;
  }
}

/** Where each tensor of the model is. */
function locate(config: TransformerConfig, files: readonly SafeReader[], source: string): Found[] {
  const fail = (place: string, requirement: string, actual: string): never => {
    throw new CheckpointError(`Cannot load ${place}: ${requirement}, got ${actual}`);
  };
  const holders = new Map<string, SafeReader>();
  for (const file of files) {
    for (const name of file.entries.keys()) {
      const other = holders.get(name);
      if (other) {
        fail(file.source, `${shown(name)} must be in one file`, `it in ${other.source} too`);
      }
      holders.set(name, file);
    }
  }
  const found: Found[] = [];
  for (const tensor of namedTensors(config)) {
    const { name, shape } = tensor;
    const file = holders.get(name) ?? fail(source, `it must hold ${name}`, "none");
    const entry = file.entries.get(name) ?? fail(source, `it must hold ${name}`, "none");
    if (!sameShape(entry.shape, shape)) {
      const wanted = `${name} must be of shape ${formatShape(shape)} as config.json says`;
      fail(file.source, wanted, `(${entry.shape.slice(0, 8).join(", ")})`);
    }
    if (entry.dtype === "I32") fail(file.source, `${name} must be of floats`, entry.dtype);
    found.push({ ...tensor, file, bytes: entry.bytes });
    holders.delete(name);
  }
  const extra = [...holders].find(([name]) => !isSpare(name, config));
  if (extra) fail(extra[1].source, "every tensor must be one of the model", shown(extra[0]));
  return found;
}

/** Whether a matrix is to be kept in half precision: four of its elements at a time are read from a row. */
function isHalved({ shape }: NamedTensor, weights: WeightType): boolean {
  return weights === "float16" && shape.length === 2 && shape[1] % 4 === 0;
}

function checkFinite(
  { file, name }: Found,
  first: number,
  values: TypedArray,
  type: keyof typeof LIMITS,
): void {
  const limit = LIMITS[type];
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]) < limit) continue;
    throw new CheckpointError(
      `Cannot load ${file.source}: ${name} must be finite in ${type}, ` +
        `got ${values[i]} at element ${first + i}`,
    );
  }
}

/** Weights by path as the tree that they are. */
function treeOf(config: TransformerConfig, kept: ReadonlyMap<string, Tensor>): TransformerParams {
  const at = (path: string): Tensor => kept.get(path) as Tensor;
  const layer = (l: number): LayerParams => ({
    attnNorm: at(`layers.${l}.attnNorm`),
    qkv: at(`layers.${l}.qkv`),
    output: at(`layers.${l}.output`),
    mlpNorm: at(`layers.${l}.mlpNorm`),
    gateUp: at(`layers.${l}.gateUp`),
    down: at(`layers.${l}.down`),
  });
  return {
    embed: at("embed"),
    layers: Array.from({ length: config.layers }, (_, l) => layer(l)),
    norm: at("norm"),
    ...(config.tiedEmbeddings ? {} : { head: at("head") }),
  };
}
