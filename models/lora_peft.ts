/**
 * Adapters as others keep them: PEFT's names for their tensors, and the fields of its adapter_config.json. Nothing here
 * touches a file (https://github.com/huggingface/peft).
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { shown } from "./json.ts";
import { fieldsOf, isBoolean, isCount, isEqual, isPositive, isRate } from "./json_fields.ts";
import {
  adaptedSizes,
  LORA_TARGETS,
  type LoraConfig,
  type LoraTarget,
  orderedTargets,
} from "./lora_config.ts";
import type { SafeTensors } from "./safetensors.ts";
import type { TransformerConfig } from "./transformer_config.ts";

/** Our names of what can be adapted, and Hugging Face's, within a layer. */
const MODULES: Readonly<Record<LoraTarget, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};

/** The last part of Hugging Face's name, as target_modules has it. */
const moduleOf = (target: LoraTarget): string => MODULES[target].split(".")[1];

/** PEFT's names of the two factors of an update. */
const FACTORS = { a: "lora_A", b: "lora_B" } as const;

const nameOf = (layer: number, target: LoraTarget, factor: keyof typeof FACTORS): string =>
  `base_model.model.model.layers.${layer}.${MODULES[target]}.${FACTORS[factor]}.weight`;

/** Every factor of an adapter: its path here, its name there, and its shape. */
function factorsOf(
  config: TransformerConfig,
  lora: LoraConfig,
): { readonly path: string; readonly name: string; readonly shape: readonly number[] }[] {
  const sizes = adaptedSizes(config);
  return Array.from(
    { length: config.layers },
    (_, layer) =>
      orderedTargets(lora).flatMap((target) => {
        const { inner, outer } = sizes[target];
        const factor = (which: "a" | "b", shape: readonly number[]) => ({
          path: `layers.${layer}.${target}.${which}`,
          name: nameOf(layer, target, which),
          shape,
        });
        return [factor("a", [lora.rank, inner]), factor("b", [outer, lora.rank])];
      }),
  ).flat();
}

/**
 * The weights of an adapter by path, as `readTree` gives them, under PEFT's names and in float32.
 *
 * @throws {CheckpointError} if they are not those of such an adapter of such a model.
 *
 * @example
 * ```ts
 * import { adapterToPeft, cpu, defaultLora, initLora, readTree, type TransformerConfig } from "beargrad";
 *
 * const config: TransformerConfig = {
 *   ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
 *   ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
 * };
 * const weights = await readTree(initLora(cpu(), config, defaultLora, 0));
 * console.log(Object.keys(adapterToPeft(weights, config, defaultLora))[0]);
 * // base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight
 * ```
 */
export function adapterToPeft(
  weights: SafeTensors,
  config: TransformerConfig,
  lora: LoraConfig,
): SafeTensors {
  const factors = factorsOf(config, lora).map(({ path, name, shape }) => ({
    ...{ from: path, to: name, shape },
  }));
  return Object.fromEntries(
    renamed(weights, factors, "Cannot name the weights of an adapter").map(([name, tensor]) => [
      name,
      { dtype: "F32", shape: tensor.shape, data: Float32Array.from(tensor.data) },
    ]),
  );
}

/** What is known of a tensor before its elements are read: a `SafeTensor`, or a `SafeEntry` of an open file. */
export interface Described {
  /** The type of its elements. */
  readonly dtype: string;
  /** Its shape. */
  readonly shape: readonly number[];
}

/**
 * The opposite of {@link adapterToPeft}: tensors by path, ready for `writeTree`, or, to look before anything is read, the
 * entries of an open file by path. `source` names the file in errors.
 *
 * @throws {CheckpointError} if a tensor is missing, left over, not of floats, or of another shape.
 */
export function adapterFromPeft<T extends Described>(
  tensors: Readonly<Record<string, T>>,
  config: TransformerConfig,
  lora: LoraConfig,
  source = "adapter",
): Readonly<Record<string, T>> {
  const factors = factorsOf(config, lora).map(({ path, name, shape }) => ({
    ...{ from: name, to: path, shape },
  }));
  return Object.fromEntries(renamed(tensors, factors, `Cannot load ${source}`));
}

/** Tensors under other names, all of them, each of its shape. */
function renamed<T extends Described>(
  tensors: Readonly<Record<string, T>>,
  factors: readonly { from: string; to: string; shape: readonly number[] }[],
  action: string,
): [string, T][] {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`${action}: ${requirement}, got ${actual}`);
  };
  const known = new Set(factors.map(({ from }) => from));
  const extra = Object.keys(tensors).find((name) => !known.has(name));
  if (extra !== undefined) {
    fail("every tensor must be a factor of an adapted matrix of the model", shown(extra));
  }
  return factors.map(({ from, to, shape }) => {
    const tensor = Object.hasOwn(tensors, from)
      ? tensors[from]
      : fail(`it must hold ${from}`, "none");
    if (!sameShape(tensor.shape, shape)) {
      const actual = `(${tensor.shape.slice(0, 8).join(", ")})`;
      fail(`${from} must be of shape ${formatShape(shape)}`, actual);
    }
    if (tensor.dtype === "I32") fail(`${from} must be of floats`, tensor.dtype);
    return [to, tensor];
  });
}

/**
 * The settings of an adapter in the fields of PEFT's LoraConfig, ready for `JSON.stringify`. `base` is the name or the folder
 * of the model that it adapts.
 */
export function loraToJson(lora: LoraConfig, base?: string): Record<string, unknown> {
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base ?? null,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: lora.dropout,
    target_modules: orderedTargets(lora).map(moduleOf),
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
    modules_to_save: null,
    use_dora: false,
    use_rslora: false,
    rank_pattern: {},
    alpha_pattern: {},
    layers_to_transform: null,
    layers_pattern: null,
  };
}

/** Ways to draw an adapter that leave the model's own weights alone; others take a part of them out. */
const PLAIN_INITS = [true, false, "gaussian", "orthogonal", "eva"];

/** Fields that may hold nothing, since what they ask for is more than {@link LoraConfig} says. */
const MUST_BE_EMPTY = [
  ...["modules_to_save", "layers_to_transform", "layer_replication", "exclude_modules"],
  ...["rank_pattern", "alpha_pattern", "target_parameters", "trainable_token_indices"],
  ...["alora_invocation_tokens", "arrow_config"],
];

/** Fields that must be false. */
const MUST_BE_FALSE = ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"];

/**
 * The settings that a parsed adapter_config.json describes. Absent fields have PEFT's defaults; fields that ask for what
 * the adapters here cannot do are refused. A rank-stabilised adapter, `use_rslora`, is scaled by alpha / sqrt(r): its
 * alpha here is sqrt(r) times that of the file. `source` names the file in errors.
 *
 * @throws {CheckpointError} if it is not such an adapter.
 */
export function loraFromJson(json: unknown, source = "adapter_config.json"): LoraConfig {
  const { field } = fieldsOf(json, source);
  field("peft_type", "LORA", isEqual("LORA"));
  field("bias", "none", isEqual("none"), "none");
  field(
    "init_lora_weights",
    PLAIN_INITS.join(", "),
    (value): value is unknown => PLAIN_INITS.some((init) => init === value),
    true,
  );
  for (const name of MUST_BE_FALSE) field(name, "false", isEqual(false), false);
  for (const name of MUST_BE_EMPTY) field(name, "empty", isEmpty, {});
  const rank = field("r", "an integer of at least 1", isCount, 8);
  const stabilised = field("use_rslora", "true or false", isBoolean, false);
  return {
    targets: targetsFrom(field(
      "target_modules",
      `all-linear or a list of ${LORA_TARGETS.map(moduleOf).join(", ")}`,
      areModules,
    )),
    rank,
    alpha: field("lora_alpha", "above 0", isPositive, 8) * (stabilised ? Math.sqrt(rank) : 1),
    dropout: field("lora_dropout", "in [0, 1)", isRate, 0),
  };
}

/** What PEFT calls every linear layer but the head. */
const ALL = "all-linear";

function areModules(value: unknown): value is typeof ALL | readonly string[] {
  const names: unknown[] = LORA_TARGETS.map(moduleOf);
  if (Array.isArray(value)) return value.length > 0 && value.every((name) => names.includes(name));
  return value === ALL;
}

function targetsFrom(modules: typeof ALL | readonly string[]): readonly LoraTarget[] {
  return LORA_TARGETS.filter((target) => modules === ALL || modules.includes(moduleOf(target)));
}

/** Tells an empty list or object. */
function isEmpty(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
