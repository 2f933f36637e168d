/**
 * Weights as others keep them: Hugging Face's names for the tensors of a Llama model. Nothing here touches a file.
 *
 * @module
 */
import { hostArray } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { type Tree, treeEntries } from "../core/tree.ts";
import type { SafeTensor, SafeTensors } from "./safetensors.ts";
import type { TransformerConfig } from "./transformer.ts";
import { fusedRows } from "./transformer_config.ts";

/** Our names of a model's own weights, and Hugging Face's. */
const MODEL = { embed: "model.embed_tokens", norm: "model.norm", head: "lm_head" } as const;

/**
 * Our names of a layer's weights, and Hugging Face's. Both keep matrices as (out, in); of several matrices that are one
 * weight here, the rows lie one after the other.
 */
const LAYER = {
  attnNorm: ["input_layernorm"],
  qkv: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
  output: ["self_attn.o_proj"],
  mlpNorm: ["post_attention_layernorm"],
  gateUp: ["mlp.gate_proj", "mlp.up_proj"],
  down: ["mlp.down_proj"],
} as const;

/**
 * The elements of every tensor of a tree by path, in the device's exact float type. One read-back.
 *
 * @example
 * ```ts
 * import { cpu, readTree } from "beargrad";
 *
 * const device = cpu();
 * const weights = await readTree({ layers: [{ w: device.tensor([1, 2]) }] });
 * console.log(weights["layers.0.w"].data); // Float32Array [1, 2]
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

function safeTensor(shape: readonly number[], data: SafeTensor["data"]): SafeTensor {
  if (data instanceof Float32Array) return { dtype: "F32", shape, data };
  if (data instanceof Float64Array) return { dtype: "F64", shape, data };
  return { dtype: "I32", shape, data };
}

/**
 * Overwrites every tensor of a tree with the elements of the same path. `source` names where they come from in errors.
 *
 * @throws {CheckpointError} if a path is missing, left over, or of another shape; then nothing has been written.
 *
 * @example
 * ```ts
 * import { cpu, readTree, writeTree } from "beargrad";
 *
 * const device = cpu();
 * const params = { w: device.tensor([1, 2]) };
 * const saved = await readTree(params);
 * device.write(params.w, new Float32Array(2));
 * writeTree(params, saved);
 * console.log(await params.w.data()); // Float32Array [1, 2]
 * ```
 */
export function writeTree(tree: Tree, values: SafeTensors, source = "weights"): void {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`Cannot load ${source}: ${requirement}, got ${actual}`);
  };
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

/**
 * Weights by path, as {@link readTree} gives those of a transformer, under Hugging Face's names and in float32. What is one
 * weight here and several there is split.
 *
 * @throws {CheckpointError} if a path is not one of a transformer, or a weight not of the configuration's size.
 *
 * @example
 * ```ts ignore
 * import { encodeSafetensors, readTree, toHuggingFace } from "beargrad";
 *
 * const bytes = encodeSafetensors(toHuggingFace(await readTree(params), model.config), { format: "pt" });
 * ```
 */
export function toHuggingFace(weights: SafeTensors, config: TransformerConfig): SafeTensors {
  return Object.fromEntries(
    Object.entries(weights).flatMap(([path, { shape, data }]) => {
      const names = namesOf(path);
      const rows = rowsOf(path, config) ?? [shape[0]];
      const width = data.length / shape[0];
      if (rows.reduce((total, n) => total + n, 0) !== shape[0]) {
        throw new CheckpointError(
          `Cannot name weights: ${path} must have ${rows.join(" + ")} rows, got ${shape[0]}`,
        );
      }
      let at = 0;
      return rows.map((n, i): [string, SafeTensor] => {
        const part = Float32Array.from(data.subarray(at, at += n * width));
        return [names[i], { dtype: "F32", shape: [n, ...shape.slice(1)], data: part }];
      });
    }),
  );
}

/**
 * The opposite of {@link toHuggingFace}: weights by path, ready for {@link writeTree}. Where embeddings are tied, a copy
 * that the file keeps as the head is dropped.
 *
 * @throws {CheckpointError} if a tensor is not one of a Llama model, or those that are one weight here do not fit together.
 *
 * @example
 * ```ts ignore
 * import { decodeSafetensors, fromHuggingFace, initTransformer, writeTree } from "beargrad";
 *
 * const { tensors } = decodeSafetensors(bytes);
 * const params = initTransformer(device, config, 0);
 * writeTree(params, fromHuggingFace(tensors, config));
 * ```
 */
export function fromHuggingFace(
  tensors: SafeTensors,
  config: TransformerConfig,
  source = "weights",
): SafeTensors {
  const paths = new Set(
    Object.keys(tensors).map((name) => {
      const path = pathOf(name);
      if (path !== undefined) return path;
      throw new CheckpointError(
        `Cannot load ${source}: every tensor must be one of a Llama model, got ${name}`,
      );
    }),
  );
  if (config.tiedEmbeddings) paths.delete("head");
  return Object.fromEntries(
    [...paths].map((path) => {
      const rows = rowsOf(path, config);
      const names = namesOf(path);
      return [path, rows ? joined(tensors, names, rows, config.dim, source) : tensors[names[0]]];
    }),
  );
}

const DTYPES = { F32: "float32", F64: "float64", I32: "int32" } as const;

/** Several matrices of a file as one: `rows[i]` rows of width `dim` from the i-th name. */
function joined(
  tensors: SafeTensors,
  names: readonly string[],
  rows: readonly number[],
  dim: number,
  source: string,
): SafeTensor {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`Cannot load ${source}: ${requirement}, got ${actual}`);
  };
  const parts = names.map((name, i) => {
    const part = Object.hasOwn(tensors, name)
      ? tensors[name]
      : fail(`it must hold ${name}`, "none");
    if (!sameShape(part.shape, [rows[i], dim])) {
      fail(`${name} must be of shape ${formatShape([rows[i], dim])}`, formatShape(part.shape));
    }
    const { dtype } = tensors[names[0]];
    if (part.dtype !== dtype) fail(`${name} must be ${dtype} as ${names[0]}`, part.dtype);
    return part.data;
  });
  const all = hostArray(DTYPES[tensors[names[0]].dtype], rows.reduce((n, r) => n + r, 0) * dim);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return safeTensor([all.length / dim, dim], all);
}

/** The rows of the matrices that are one weight here, or undefined for a weight that is one matrix. */
function rowsOf(path: string, config: TransformerConfig): readonly number[] | undefined {
  const [, weight] = path.match(/^layers\.\d+\.(\w+)$/) ?? [];
  return weight === undefined ? undefined : lookUp(fusedRows(config), weight);
}

/** Hugging Face's names of a weight. */
function namesOf(path: string): readonly string[] {
  const [, index, weight] = path.match(/^layers\.(\d+)\.(\w+)$/) ?? [];
  if (index === undefined) {
    const name = lookUp(MODEL, path);
    if (name !== undefined) return [`${name}.weight`];
  } else {
    const names = lookUp(LAYER, weight);
    if (names !== undefined) return names.map((name) => `model.layers.${index}.${name}.weight`);
  }
  throw new CheckpointError(
    `Cannot name weights: a path must be one of a transformer, got ${path}`,
  );
}

/** The path of the weight that a tensor is, or is part of. */
function pathOf(name: string): string | undefined {
  const [, index, inLayer] = name.match(/^model\.layers\.(\d+)\.(.+)\.weight$/) ?? [];
  if (index === undefined) {
    return Object.entries(MODEL).find(([, theirs]) => `${theirs}.weight` === name)?.[0];
  }
  const [weight] = Object.entries<readonly string[]>(LAYER)
    .find(([, theirs]) => theirs.includes(inLayer)) ?? [];
  return weight && `layers.${index}.${weight}`;
}

function lookUp<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
