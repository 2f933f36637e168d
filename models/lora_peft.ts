/**
 * Adapters in PEFT's layout: its names of the tensors, and the fields of its adapter_config.json.
 * Nothing here touches a file. See https://github.com/huggingface/peft.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";
import { formatShape, sameShape, type Shape } from "../core/shape.ts";
import { fieldsOf, isBoolean, isCount, isEqual, isPositive, isRate, shown } from "./json.ts";
import {
  adaptedSizes,
  LORA_TARGETS,
  type LoraConfig,
  type LoraTarget,
  orderedTargets,
} from "./lora_config.ts";
import type { SafeTensors } from "./safetensors.ts";
import type { TransformerConfig } from "./transformer_config.ts";

/** Hugging Face's names of the targets within a block. */
const MODULES: Readonly<Record<LoraTarget, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};

/** The name of a target in `target_modules`. */
const moduleOf = (target: LoraTarget): string => MODULES[target].split(".")[1];

/** A factor of an update. */
interface Factor {
  /** Its path here, such as `layers.0.q.a`. */
  readonly path: string;
  /** PEFT's name. */
  readonly name: string;
  readonly shape: Shape;
}

/** All factors of an adapter, in the order of their paths. */
function factorsOf(config: TransformerConfig, lora: LoraConfig): Factor[] {
  const sizes = adaptedSizes(config);
  const factorOf = (layer: number, target: LoraTarget, factor: "a" | "b", shape: Shape): Factor => {
    const module = `base_model.model.model.layers.${layer}.${MODULES[target]}`;
    const name = `${module}.lora_${factor.toUpperCase()}.weight`;
    return { path: `layers.${layer}.${target}.${factor}`, name, shape };
  };
  return Array.from(
    { length: config.layers },
    (_, layer) =>
      orderedTargets(lora).flatMap((target) => [
        factorOf(layer, target, "a", [lora.rank, sizes[target].inner]),
        factorOf(layer, target, "b", [sizes[target].outer, lora.rank]),
      ]),
  ).flat();
}

/**
 * Converts the weights of an adapter, as `readTree` gives them, to PEFT's names in float32.
 *
 * @throws {CheckpointError} if they are not the weights of such an adapter of such a model.
 */
export function adapterToPeft(
  weights: SafeTensors,
  config: TransformerConfig,
  lora: LoraConfig,
): SafeTensors {
  const factors = factorsOf(config, lora);
  const names = factors.map(({ path, name, shape }) => ({ from: path, to: name, shape }));
  return Object.fromEntries(
    renamed(weights, names, "Cannot name the weights of an adapter").map(([name, tensor]) => [
      name,
      { dtype: "F32", shape: tensor.shape, data: Float32Array.from(tensor.data) },
    ]),
  );
}

/** A tensor without its elements: a `SafeTensor`, or a `SafeEntry` of an open file. */
export interface Described {
  /** The element type. */
  readonly dtype: string;
  /** The shape. */
  readonly shape: Shape;
}

/**
 * The inverse of {@link adapterToPeft}: tensors by path, ready for `writeTree`. The entries of an
 * open file are converted as well, so that they can be checked before they are read. `source` is
 * the name of the file in errors.
 *
 * @throws {CheckpointError} if a tensor is missing, left over, not of floats, or of another shape.
 */
export function adapterFromPeft<T extends Described>(
  tensors: Readonly<Record<string, T>>,
  config: TransformerConfig,
  lora: LoraConfig,
  source = "adapter",
): Readonly<Record<string, T>> {
  const factors = factorsOf(config, lora);
  const names = factors.map(({ path, name, shape }) => ({ from: name, to: path, shape }));
  return Object.fromEntries(renamed(tensors, names, `Cannot load ${source}`));
}

/** Renames all of some tensors, and checks the shape of each. */
function renamed<T extends Described>(
  tensors: Readonly<Record<string, T>>,
  names: readonly { from: string; to: string; shape: Shape }[],
  action: string,
): [string, T][] {
  const fail = (requirement: string, actual: string): never => {
    throw new CheckpointError(`${action}: ${requirement}, got ${actual}`);
  };
  const known = new Set(names.map(({ from }) => from));
  const extra = Object.keys(tensors).find((name) => !known.has(name));
  if (extra !== undefined) {
    fail("every tensor must be a factor of an adapted matrix of the model", shown(extra));
  }
  return names.map(({ from, to, shape }) => {
    const tensor = Object.hasOwn(tensors, from)
      ? tensors[from]
      : fail(`it must hold ${from}`, "none");
    if (!sameShape(tensor.shape, shape)) {
      const actual = formatShape(tensor.shape.slice(0, 8));
      fail(`${from} must be of shape ${formatShape(shape)}`, actual);
    }
    if (tensor.dtype === "I32") fail(`${from} must be of floats`, tensor.dtype);
    return [to, tensor];
  });
}

/**
 * Converts the settings of an adapter to the fields of PEFT's LoraConfig, ready for
 * `JSON.stringify`. `base` is the name or the folder of the adapted model.
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

/** The ways to initialise an adapter that do not change the model's own weights. */
const PLAIN_INITS = [true, false, "gaussian", "orthogonal", "eva"];

/** Fields that ask for more than {@link LoraConfig} can say, unless they are empty. */
const MUST_BE_EMPTY = [
  "modules_to_save",
  "layers_to_transform",
  "layer_replication",
  "exclude_modules",
  "rank_pattern",
  "alpha_pattern",
  "target_parameters",
  "trainable_token_indices",
  "alora_invocation_tokens",
  "arrow_config",
];

/** Fields that ask for more than {@link LoraConfig} can say, unless they are false. */
const MUST_BE_FALSE = ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora"];

/**
 * Reads the settings from a parsed adapter_config.json. Absent fields have PEFT's defaults. With
 * `use_rslora`, updates are scaled by alpha / sqrt(r), so the result has sqrt(r) times the file's
 * alpha. `source` is the name of the file in errors.
 *
 * @throws {CheckpointError} if a field has a value that is malformed or not supported.
 */
export function loraFromJson(json: unknown, source = "adapter_config.json"): LoraConfig {
  const { field } = fieldsOf(json, source);
  field("peft_type", "LORA", isEqual("LORA"));
  field("bias", "none", isEqual("none"), "none");
  field("init_lora_weights", PLAIN_INITS.join(", "), isPlainInit, true);
  for (const name of MUST_BE_FALSE) field(name, "false", isEqual(false), false);
  for (const name of MUST_BE_EMPTY) field(name, "empty", isEmpty, {});
  const rank = field("r", "an integer of at least 1", isCount, 8);
  const stabilised = field("use_rslora", "true or false", isBoolean, false);
  const modules = field(
    "target_modules",
    `all-linear or a list of ${LORA_TARGETS.map(moduleOf).join(", ")}`,
    areModules,
  );
  return {
    targets: LORA_TARGETS.filter((t) => modules === ALL || modules.includes(moduleOf(t))),
    rank,
    alpha: field("lora_alpha", "above 0", isPositive, 8) * (stabilised ? Math.sqrt(rank) : 1),
    dropout: field("lora_dropout", "in [0, 1)", isRate, 0),
  };
}

/** PEFT's name for every linear layer but the head. */
const ALL = "all-linear";

function areModules(value: unknown): value is typeof ALL | readonly string[] {
  const names: unknown[] = LORA_TARGETS.map(moduleOf);
  if (Array.isArray(value)) return value.length > 0 && value.every((name) => names.includes(name));
  return value === ALL;
}

function isPlainInit(value: unknown): value is string | boolean {
  return PLAIN_INITS.some((init) => init === value);
}

/** Whether a value is an empty list or object. */
function isEmpty(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
