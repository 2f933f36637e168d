/**
 * Configurations as others keep them: the fields of a Llama model's config.json in Hugging Face's layout. Nothing here
 * touches a file.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import type { TransformerConfig } from "./transformer.ts";

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
