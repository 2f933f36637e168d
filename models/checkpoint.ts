/**
 * Weights and configuration as others keep them: Hugging Face's names for the tensors of a Llama model, and the fields of
 * its config.json. Nothing here touches a file.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { type Tree, treeEntries } from "../core/tree.ts";
import type { SafeTensor, SafeTensors } from "./safetensors.ts";
import type { TransformerConfig } from "./transformer.ts";

/** Our names of a model's own weights, and Hugging Face's. */
const MODEL = { embed: "model.embed_tokens", norm: "model.norm", head: "lm_head" } as const;

/** Our names of a layer's weights, and Hugging Face's. Both keep matrices as (out, in). */
const LAYER = {
  attnNorm: "input_layernorm",
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  output: "self_attn.o_proj",
  mlpNorm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
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
 * Weights by path, as {@link readTree} gives those of a transformer, under Hugging Face's names and in float32.
 *
 * @throws {CheckpointError} if a path is not one of a transformer.
 *
 * @example
 * ```ts
 * import { cpu, readTree, toHuggingFace } from "beargrad";
 *
 * const params = { layers: [{ query: cpu().tensor([[1, 2], [3, 4]]) }] };
 * console.log(Object.keys(toHuggingFace(await readTree(params)))); // model.layers.0.self_attn.q_proj.weight
 * ```
 */
export function toHuggingFace(weights: SafeTensors): SafeTensors {
  return Object.fromEntries(
    Object.entries(weights).map(([path, { shape, data }]) => [
      nameOf(path),
      { dtype: "F32", shape, data: Float32Array.from(data) },
    ]),
  );
}

/**
 * The opposite of {@link toHuggingFace}: weights by path, ready for {@link writeTree}. Where embeddings are tied, a copy
 * that the file keeps as the head is dropped.
 *
 * @throws {CheckpointError} if a tensor is not one of a Llama model.
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
  config: Pick<TransformerConfig, "tiedEmbeddings">,
  source = "weights",
): SafeTensors {
  const entries = Object.entries(tensors).map(([name, tensor]) => {
    const path = pathOf(name);
    if (path === undefined) {
      throw new CheckpointError(
        `Cannot load ${source}: every tensor must be one of a Llama model, got ${name}`,
      );
    }
    return [path, tensor] as const;
  });
  return Object.fromEntries(
    entries.filter(([path]) => path !== "head" || !config.tiedEmbeddings),
  );
}

function nameOf(path: string): string {
  const [, index, weight] = path.match(/^layers\.(\d+)\.(\w+)$/) ?? [];
  const name = index === undefined ? lookUp(MODEL, path) : lookUp(LAYER, weight);
  if (name === undefined) {
    throw new CheckpointError(
      `Cannot name weights: a path must be one of a transformer, got ${path}`,
    );
  }
  return index === undefined ? `${name}.weight` : `model.layers.${index}.${name}.weight`;
}

function pathOf(name: string): string | undefined {
  const [, index, inLayer] = name.match(/^model\.layers\.(\d+)\.(.+)\.weight$/) ?? [];
  const [weight] = index === undefined
    ? Object.entries(MODEL).find(([, ours]) => `${ours}.weight` === name) ?? []
    : Object.entries(LAYER).find(([, ours]) => ours === inLayer) ?? [];
  return index === undefined || weight === undefined ? weight : `layers.${index}.${weight}`;
}

function lookUp(table: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * A configuration in the fields of Hugging Face's LlamaConfig, ready for `JSON.stringify`. What it has no field for is under
 * `beargrad`.
 *
 * @example
 * ```ts ignore
 * import { configToJson } from "beargrad";
 *
 * console.log(JSON.stringify(configToJson(model.config), undefined, 2));
 * ```
 */
export function configToJson(config: TransformerConfig): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    torch_dtype: "float32",
    vocab_size: config.vocabSize,
    hidden_size: config.dim,
    intermediate_size: config.ffn,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxLength,
    rope_theta: config.ropeTheta,
    rope_scaling: null,
    rms_norm_eps: config.normEps,
    tie_word_embeddings: config.tiedEmbeddings,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: null,
    eos_token_id: null,
    beargrad: { dropout: config.dropout },
  };
}

/**
 * The configuration that a parsed config.json describes. Fields that are absent have Hugging Face's defaults; fields that
 * ask for what the transformer here cannot do are refused. `source` names the file in errors.
 *
 * @throws {CheckpointError} if it is not the configuration of a Llama model that the transformer can be.
 *
 * @example
 * ```ts
 * import { configFromJson } from "beargrad";
 *
 * const config = configFromJson({
 *   model_type: "llama",
 *   vocab_size: 100,
 *   hidden_size: 32,
 *   intermediate_size: 64,
 *   num_hidden_layers: 2,
 *   num_attention_heads: 4,
 * });
 * console.log(config.headDim, config.kvHeads); // 8 4
 * ```
 */
export function configFromJson(json: unknown, source = "config.json"): TransformerConfig {
  const field = fieldsOf(json, source);
  field("model_type", "llama", isEqual("llama"));
  field("hidden_act", "silu", isEqual("silu"), "silu");
  field("attention_bias", "false", isEqual(false), false);
  field("mlp_bias", "false", isEqual(false), false);
  field("rope_scaling", "null", isPlainRope, {});
  // Newer files keep the base of the rotary positions in an object of its own.
  const rope = field("rope_parameters", "of rope_type default", isPlainRope, {});
  const theta = "rope_theta" in rope ? fieldsOf(rope, source) : field;
  const own = fieldsOf(field("beargrad", "an object", isRecord, {}), source);
  const dim = field("hidden_size", COUNT, isCount);
  const heads = field("num_attention_heads", COUNT, isCount);
  return {
    vocabSize: field("vocab_size", COUNT, isCount),
    dim,
    layers: field("num_hidden_layers", COUNT, isCount),
    heads,
    kvHeads: field("num_key_value_heads", COUNT, isCount, heads),
    headDim: field("head_dim", COUNT, isCount, dim / heads),
    ffn: field("intermediate_size", COUNT, isCount),
    ropeTheta: theta("rope_theta", "above 0", isPositive, 10000),
    normEps: field("rms_norm_eps", "at least 0", isNotNegative, 1e-6),
    maxLength: field("max_position_embeddings", COUNT, isCount, 2048),
    dropout: own("dropout", "in [0, 1)", isRate, 0),
    tiedEmbeddings: field("tie_word_embeddings", "true or false", isBoolean, false),
  };
}

type Guard<T> = (value: unknown) => value is T;

/** Reads fields of an object: null counts as absent, an absent field is its fallback, and without one it is refused. */
function fieldsOf(
  json: unknown,
  source: string,
): <T>(name: string, requirement: string, holds: Guard<T>, fallback?: T) => T {
  const fail = (requirement: string, actual: unknown): never => {
    const shown = JSON.stringify(actual) ?? "none";
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${shown}`);
  };
  const fields = isRecord(json) ? json : fail("it must be a JSON object", json);
  return (name, requirement, holds, fallback) => {
    const value = (Object.hasOwn(fields, name) ? fields[name] : undefined) ?? fallback;
    return holds(value) ? value : fail(`${name} must be ${requirement}`, value);
  };
}

const COUNT = "an integer of at least 1";

function isEqual<const T>(wanted: T): Guard<T> {
  return (value): value is T => value === wanted;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Rotary positions without any stretching: the only ones that the transformer has. */
function isPlainRope(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && (value.rope_type ?? value.type ?? "default") === "default";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isPositive(value: unknown): value is number {
  return typeof value === "number" && value > 0 && Number.isFinite(value);
}

function isNotNegative(value: unknown): value is number {
  return value === 0 || isPositive(value);
}

function isRate(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < 1;
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}
