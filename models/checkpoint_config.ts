/**
 * The config.json of a Llama model in Hugging Face's layout. Nothing here touches a file.
 *
 * @module
 */
import { MAX_HEAD_SIZE } from "../kernels/attention.ts";
import {
  fieldsOf,
  isBoolean,
  isCount,
  isEqual,
  isPositive,
  isRate,
  isRecord,
  type JsonObject,
  shown,
} from "./json.ts";
import type { TransformerConfig } from "./transformer_config.ts";

/** The special tokens of a model. */
export interface SpecialTokens {
  /** The token that every input begins with. */
  readonly bos?: number;
  /** The token that ends an output. */
  readonly eos?: number;
}

/**
 * Converts a configuration to the fields of Hugging Face's LlamaConfig, ready for `JSON.stringify`.
 * Dropout and the codes of items have no such fields and go under `beargrad`. A model that reads
 * items is not a Llama, so its `model_type` is another one.
 *
 * @example
 * ```ts
 * import { configFromJson, configToJson } from "beargrad";
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
 * console.log(configToJson(config).max_position_embeddings); // 2048
 * ```
 */
export function configToJson(
  config: TransformerConfig,
  { bos, eos }: SpecialTokens = {},
): Record<string, unknown> {
  const { ropeScaling: scaling, itemCodes, codeHeads } = config;
  return {
    ...(itemCodes === undefined
      ? { architectures: ["LlamaForCausalLM"], model_type: "llama" }
      : { model_type: ITEM_INPUT }),
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
    rope_scaling: scaling === undefined ? null : {
      rope_type: "llama3",
      factor: scaling.factor,
      low_freq_factor: scaling.lowFreqFactor,
      high_freq_factor: scaling.highFreqFactor,
      original_max_position_embeddings: scaling.originalMaxLength,
    },
    rms_norm_eps: config.normEps,
    tie_word_embeddings: config.tiedEmbeddings,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    bos_token_id: bos ?? null,
    eos_token_id: eos ?? null,
    beargrad: {
      dropout: config.dropout,
      ...(itemCodes && { item_codes: itemCodes }),
      ...(codeHeads && { code_heads: codeHeads }),
    },
  };
}

/**
 * Fields with only one supported value. Other values ask for arithmetic that is not implemented.
 */
const ONLY = {
  hidden_act: "silu",
  attention_bias: false,
  mlp_bias: false,
  attention_dropout: 0,
  pretraining_tp: 1,
  partial_rotary_factor: 1,
  rope_interleaved: false,
  add_cross_attention: false,
  sliding_window: null,
  quantization_config: null,
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
  num_local_experts: null,
} as const;

const COUNT = "an integer of at least 1";

/** The type of a model that reads items. */
const ITEM_INPUT = "beargrad";

/**
 * Reads the configuration from a parsed config.json. Absent fields have Hugging Face's defaults,
 * and unknown fields are ignored. Rotary positions may be given by `rope_theta` and `rope_scaling`
 * or, as in newer files, by `rope_parameters`. `source` is the name of the file in errors.
 *
 * @throws {CheckpointError} if a field has a value that is malformed or not supported.
 */
export function configFromJson(json: unknown, source = "config.json"): TransformerConfig {
  const { field, fail } = fieldsOf(json, source);
  const isItemInput = (json as JsonObject).model_type === ITEM_INPUT;
  if (!isItemInput) field("model_type", "llama", isEqual("llama"));
  for (const [name, wanted] of Object.entries(ONLY)) {
    field(name, wanted ?? "null", isEqual(wanted), wanted);
  }
  const extra = field("beargrad", "an object", isRecord, {});
  const own = fieldsOf(extra, source, "beargrad.").field;
  const dim = field("hidden_size", COUNT, isCount);
  const heads = field("num_attention_heads", COUNT, isCount);
  const kvHeads = field("num_key_value_heads", COUNT, isCount, heads);
  if (heads % kvHeads !== 0) {
    fail(`num_attention_heads must be a multiple of num_key_value_heads (${kvHeads})`, heads);
  }
  const vocabSize = field("vocab_size", COUNT, isCount);
  return {
    vocabSize,
    dim,
    layers: field("num_hidden_layers", COUNT, isCount),
    heads,
    kvHeads,
    headDim: field("head_dim", `a multiple of 4, at most ${MAX_HEAD_SIZE}`, isHead, dim / heads),
    ffn: field("intermediate_size", COUNT, isCount),
    ...ropeOf(json, source),
    normEps: field("rms_norm_eps", "at least 0", isNotNegative, 1e-6),
    maxLength: field("max_position_embeddings", COUNT, isCount, 2048),
    dropout: own("dropout", "in [0, 1)", isRate, 0),
    tiedEmbeddings: field("tie_word_embeddings", "true or false", isBoolean, false),
    ...(isItemInput && { itemCodes: own("item_codes", "lists of tokens", isCodes(vocabSize)) }),
    ...(isItemInput && extra.code_heads !== undefined &&
      { codeHeads: own("code_heads", COUNT, isCount) }),
  };
}

/** The fields of an object of rotary positions that are read. Others are not supported. */
const ROPE_FIELDS = [
  "rope_type",
  "type",
  "rope_theta",
  "factor",
  "low_freq_factor",
  "high_freq_factor",
  "original_max_position_embeddings",
  "partial_rotary_factor",
];

type Rope = Pick<TransformerConfig, "ropeTheta" | "ropeScaling">;

/** The rotary positions of a config.json. */
function ropeOf(json: unknown, source: string): Rope {
  const outer = fieldsOf(json, source);
  const theta = outer.field("rope_theta", "above 0", isPositive, 10000);
  const read = (name: string): Rope =>
    ropeIn(outer.field(name, "an object", isRecord, {}), theta, source, name);
  const { rope_scaling: older, rope_parameters: newer } = json as JsonObject;
  const [scaling, parameters] = [read("rope_scaling"), read("rope_parameters")];
  if ((older ?? null) === null) return parameters;
  if ((newer ?? null) !== null && JSON.stringify(scaling) !== JSON.stringify(parameters)) {
    outer.fail("rope_scaling must say the same as rope_parameters", older);
  }
  return scaling;
}

/** The rotary positions in the object `name`. */
function ropeIn(object: JsonObject, theta: number, source: string, name: string): Rope {
  const { field, fail } = fieldsOf(object, source, `${name}.`);
  const unknown = Object.keys(object).find((key) =>
    !ROPE_FIELDS.includes(key) && object[key] !== null
  );
  if (unknown !== undefined) fail(`${name} must have no ${shown(unknown)}`, object[unknown]);
  field("partial_rotary_factor", "1", isEqual(1), 1);
  const types = "default or llama3";
  const older = field("type", types, isRopeType, "default"); // the name in older files
  const type = field("rope_type", types, isRopeType, older);
  if ((object.type ?? null) !== null && type !== older) fail(`${name}.type must be ${type}`, older);
  const ropeTheta = field("rope_theta", "above 0", isPositive, theta);
  if (type === "default") return { ropeTheta };
  const low = field("low_freq_factor", "above 0", isPositive);
  const isHigh = (value: unknown): value is number => isPositive(value) && value > low;
  return {
    ropeTheta,
    ropeScaling: {
      factor: field("factor", "at least 1", isFactor),
      lowFreqFactor: low,
      highFreqFactor: field("high_freq_factor", `above low_freq_factor (${low})`, isHigh),
      originalMaxLength: field("original_max_position_embeddings", COUNT, isCount),
    },
  };
}

function isRopeType(value: unknown): value is "default" | "llama3" {
  return value === "default" || value === "llama3";
}

function isHead(value: unknown): value is number {
  return isCount(value) && value % 4 === 0 && value <= MAX_HEAD_SIZE;
}

function isCodes(vocabSize: number): (value: unknown) => value is number[][] {
  const isCode = (code: unknown): boolean => code === 0 || (isCount(code) && code < vocabSize);
  return (value): value is number[][] =>
    Array.isArray(value) && value.length > 0 &&
    value.every((codes) => Array.isArray(codes) && codes.length > 0 && codes.every(isCode));
}

function isFactor(value: unknown): value is number {
  return isPositive(value) && value >= 1;
}

function isNotNegative(value: unknown): value is number {
  return value === 0 || isPositive(value);
}
