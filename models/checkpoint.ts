/**
 * Weights to and from files: trees of tensors by path, and the names that Hugging Face gives to the
 * tensors of a Llama model. Nothing here touches a file.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { halfArray, type TypedArray } from "../core/dtype.ts";
import { ArgumentError, CheckpointError, nameOf } from "../core/errors.ts";
import { formatShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { type Tree, treeEntries } from "../core/tree.ts";
import { shown } from "./json.ts";
import { type SafeReader, type SafeTensor, safeTensor, type SafeTensors } from "./safetensors.ts";
import {
  type LayerParams,
  shapesOf,
  type TransformerConfig,
  type TransformerParams,
} from "./transformer_config.ts";

/**
 * Reads every tensor of a tree, in the device's exact float type. The keys are paths such as
 * `layers.0.qkv`. The device is read once.
 *
 * @example
 * ```ts
 * import { cpu, readTree, writeTree } from "beargrad";
 *
 * const device = cpu();
 * const params = { layers: [{ w: device.tensor([1, 2]) }] };
 * const saved = await readTree(params);
 * console.log(saved["layers.0.w"].data); // Float32Array [1, 2]
 * device.write(params.layers[0].w, new Float32Array(2));
 * writeTree(params, saved);
 * console.log(await params.layers[0].w.data()); // Float32Array [1, 2]
 * ```
 */
export async function readTree(tree: Tree): Promise<SafeTensors> {
  const entries = treeEntries(tree);
  if (entries.length === 0) return {};
  const values = await entries[0][1].device.read(entries.map(([, tensor]) => tensor));
  return Object.fromEntries(
    entries.map(([path, { shape }], i) => [path, safeTensor(shape, values[i])]),
  );
}

/**
 * Overwrites every tensor of a tree with the elements that {@link readTree} gave for its path.
 * `source` names the elements in errors.
 *
 * @throws {CheckpointError} if a path is missing or left over, or a shape differs. Then nothing is
 * written.
 */
export function writeTree(tree: Tree, values: SafeTensors, source = "weights"): void {
  const fail = failure(`load ${source}`);
  const entries = treeEntries(tree);
  for (const [path, { shape }] of entries) {
    const value = Object.hasOwn(values, path) ? values[path] : fail(`it must hold ${path}`, "none");
    if (!sameShape(value.shape, shape)) {
      fail(`${path} must be of shape ${formatShape(shape)}`, formatShape(value.shape));
    }
  }
  const known = new Set(entries.map(([path]) => path));
  const extra = Object.keys(values).find((path) => !known.has(path));
  if (extra !== undefined) fail("every tensor must belong to the model", extra);
  for (const [path, tensor] of entries) tensor.device.write(tensor, values[path].data);
}

function failure(action: string): (requirement: string, actual: string) => never {
  return (requirement, actual) => {
    throw new CheckpointError(`Cannot ${action}: ${requirement}, got ${actual}`);
  };
}

/** Hugging Face's names of the weights outside the blocks. */
const MODEL = { embed: "model.embed_tokens", norm: "model.norm", head: "lm_head" } as const;

/** Names of weights that Hugging Face's models do not have. */
const [ITEMS, CODE_HEADS] = ["model.embed_items.weight", "model.code_heads.weight"];

/**
 * Hugging Face's names of a block's weights. Both keep matrices as (out, in). Where several
 * matrices are one weight here, their rows follow each other.
 */
const LAYER = {
  attnNorm: ["input_layernorm"],
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: ["self_attn.o_proj"],
  mlpNorm: ["post_attention_layernorm"],
  gateUp: ["mlp.gate_proj", "mlp.up_proj"],
  down: ["mlp.down_proj"],
} as const satisfies Record<keyof LayerParams, readonly string[]>;

/** A tensor of a Llama model in Hugging Face's layout. */
export interface NamedTensor {
  /** Hugging Face's name, such as `model.layers.0.self_attn.k_proj.weight`. */
  readonly name: string;
  /** The shape. */
  readonly shape: Shape;
  /** The path of the weight that it is here, or is a part of, such as `layers.0.qkv`. */
  readonly path: string;
  /** The index of its first element in that weight. */
  readonly at: number;
}

/**
 * Lists the tensors of a Llama model in Hugging Face's layout. Parts of one weight follow each
 * other. It is a generator because a file may claim any number of layers.
 */
export function* namedTensors(config: TransformerConfig): Generator<NamedTensor> {
  const { embed, layer, items, codeHeads } = shapesOf(config);
  yield { name: `${MODEL.embed}.weight`, shape: embed, path: "embed", at: 0 };
  for (let l = 0; l < config.layers; l++) {
    for (const [weight, names] of Object.entries<readonly string[]>(LAYER)) {
      let at = 0;
      for (const [i, shape] of layer[weight as keyof LayerParams].entries()) {
        const name = `model.layers.${l}.${names[i]}.weight`;
        yield { name, shape, path: `layers.${l}.${weight}`, at };
        at += sizeOf(shape);
      }
    }
  }
  yield { name: `${MODEL.norm}.weight`, shape: [config.dim], path: "norm", at: 0 };
  if (!config.tiedEmbeddings) {
    yield { name: `${MODEL.head}.weight`, shape: embed, path: "head", at: 0 };
  }
  if (items) yield { name: ITEMS, shape: items, path: "items", at: 0 };
  if (codeHeads) yield { name: CODE_HEADS, shape: codeHeads, path: "codeHeads", at: 0 };
}

/** Whether the model does not need a tensor of a file: a copy of the tied head, or an old table. */
function isSpare(name: string, { tiedEmbeddings }: TransformerConfig): boolean {
  return (tiedEmbeddings && name === `${MODEL.head}.weight`) ||
    /^model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/.test(name);
}

/** The shape of a weight from the shapes of its parts. */
function wholeShape(parts: readonly NamedTensor[]): Shape {
  const [, ...inner] = parts[0].shape;
  return [parts.reduce((rows, { shape: [n] }) => rows + n, 0), ...inner];
}

/**
 * Converts the weights of a transformer, as {@link readTree} gives them, to Hugging Face's names in
 * float32. Fused weights are split.
 *
 * @throws {CheckpointError} if they are not the weights of such a transformer.
 *
 * @example
 * ```ts ignore
 * import { encodeSafetensors, readTree, toHuggingFace } from "beargrad";
 *
 * const tensors = toHuggingFace(await readTree(params), model.config);
 * const bytes = encodeSafetensors(tensors, { format: "pt" });
 * ```
 */
export function toHuggingFace(weights: SafeTensors, config: TransformerConfig): SafeTensors {
  const fail = failure("name weights");
  const named = Map.groupBy(namedTensors(config), ({ path }) => path);
  const extra = Object.keys(weights).find((path) => !named.has(path));
  if (extra !== undefined) fail("a path must be one of the transformer", extra);
  return Object.fromEntries([...named].flatMap(([path, parts]) => {
    if (!Object.hasOwn(weights, path)) fail(`they must have ${path}`, "none");
    const { shape, data } = weights[path];
    const whole = wholeShape(parts);
    if (!sameShape(shape, whole)) {
      fail(`${path} must be of shape ${formatShape(whole)}`, formatShape(shape));
    }
    return parts.map(({ name, shape, at }): [string, SafeTensor] => {
      const part = data.subarray(at, at + sizeOf(shape));
      return [name, { dtype: "F32", shape, data: Float32Array.from(part) }];
    });
  }));
}

/** The type of loaded weights: the float type of the device, or half precision for matrices. */
export type WeightType = "float32" | "float16";

/** Options of {@link loadWeights}. */
export interface LoadWeightsOptions {
  /** The type of the weights; default float32, which means the float type of the device. */
  readonly weights?: WeightType;
  /** Called after each piece with the number of bytes read and the total. */
  readonly onProgress?: (done: number, total: number) => void;
  /** The name of the model in errors; default the name of the first file. */
  readonly source?: string;
}

/** Elements of a piece. */
const PIECE = 2 ** 20;
/** Elements that are written before the device is waited for. */
const BATCH = 4 * PIECE;
/** The least magnitude that rounds to infinity. */
const LIMITS = { float16: 65520, float32: (2 - 2 ** -24) * 2 ** 127, float64: Infinity } as const;

/** A tensor of the model and its file. */
interface Found extends NamedTensor {
  readonly file: SafeReader;
  readonly bytes: number;
}

/**
 * Loads the weights of a Llama model in Hugging Face's layout onto a device. Names and shapes are
 * checked before anything is allocated. The elements are read, converted and written in pieces of
 * 2^20, so that the host never holds more than a few pieces.
 *
 * With `weights: "float16"`, matrices are kept in half precision where the device has it
 * (`Device.half`), unless their rows are not a multiple of 4 or they are the embeddings of a model
 * that reads items. On other devices they are rounded to the same numbers.
 *
 * @throws {ArgumentError} if `weights` is neither "float32" nor "float16".
 * @throws {CheckpointError} if a tensor is missing, left over, in two files, of another shape, or
 * not finite in the type it is kept in. Then nothing stays on the device.
 * @throws {DeviceError} if the device is out of memory. Then nothing stays on the device.
 *
 * @example
 * ```ts ignore
 * import { configFromJson, loadWeights, openSafetensors } from "beargrad";
 *
 * const config = configFromJson(json);
 * const files = [openSafetensors(source)];
 * const params = await loadWeights(device, config, files, { weights: "float16" });
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
  if (weights !== "float32" && weights !== "float16") {
    throw new ArgumentError(
      `Cannot load weights: weights must be "float32" or "float16", got ${nameOf(weights)}`,
    );
  }
  const found = locate(config, files, source);
  const total = found.reduce((sum, { bytes }) => sum + bytes, 0);
  const kept = new Map<string, Tensor>();
  try {
    for (const [path, parts] of Map.groupBy(found, ({ path }) => path)) {
      const dtype = isHalved(parts[0], weights, config) ? device.half : device.float;
      kept.set(path, device.empty(wholeShape(parts), dtype, "loadWeights"));
    }
    const room = new ArrayBuffer(8 * PIECE);
    let [done, waiting] = [0, 0];
    for (const part of found) {
      const size = sizeOf(part.shape);
      for (let first = 0; first < size; first += PIECE) {
        const count = Math.min(PIECE, size - first);
        const values = part.file.read(part.name, first, count, room);
        const type = isHalved(part, weights, config) ? "float16" : device.float;
        checkFinite(part, first, values, type);
        const rounded = type === "float16" && device.half !== "float16"
          ? new Float32Array(new (halfArray())(values))
          : values;
        device.write(kept.get(part.path) as Tensor, rounded, part.at + first);
        // A device may keep written elements until it is read from.
        waiting += count;
        if (waiting >= BATCH) {
          await device.read([kept.get("norm") as Tensor]);
          waiting = 0;
        }
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

/** Finds each tensor of the model in the files. */
function locate(config: TransformerConfig, files: readonly SafeReader[], source: string): Found[] {
  const fail = (place: string, requirement: string, actual: string): never =>
    failure(`load ${place}`)(requirement, actual);
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
    const file = holders.get(name);
    const entry = file?.entries.get(name);
    if (!file || !entry) return fail(source, `it must hold ${name}`, "none");
    if (!sameShape(entry.shape, shape)) {
      const wanted = `${name} must be of shape ${formatShape(shape)} as config.json says`;
      fail(file.source, wanted, formatShape(entry.shape.slice(0, 8)));
    }
    if (entry.dtype === "I32") fail(file.source, `${name} must be of floats`, entry.dtype);
    found.push({ ...tensor, file, bytes: entry.bytes });
    holders.delete(name);
  }
  const extra = [...holders].find(([name]) => !isSpare(name, config));
  if (extra) fail(extra[1].source, "every tensor must be one of the model", shown(extra[0]));
  return found;
}

/**
 * Whether a tensor is kept in half precision: a matrix whose rows can be read four at a time. The
 * embeddings that those of items are sums of are not.
 */
function isHalved(
  { shape, path }: NamedTensor,
  weights: WeightType,
  { itemCodes }: TransformerConfig,
): boolean {
  const isSummed = itemCodes !== undefined && (path === "embed" || path === "items");
  return weights === "float16" && shape.length === 2 && shape[1] % 4 === 0 && !isSummed;
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
    failure(`load ${file.source}`)(
      `${name} must be finite in ${type}`,
      `${values[i]} at element ${first + i}`,
    );
  }
}

/** Weights by path as a tree. */
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
    ...(config.itemCodes && { items: at("items") }),
    ...(config.codeHeads && { codeHeads: at("codeHeads") }),
  };
}
