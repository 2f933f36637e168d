/** PEFT's names and settings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError } from "../../core/errors.ts";
import { readTree } from "../../models/checkpoint.ts";
import { defaultLora, type LoraConfig } from "../../models/lora.ts";
import {
  adapterFromPeft,
  adapterToPeft,
  loraFromJson,
  loraToJson,
} from "../../models/lora_peft.ts";
import type { SafeTensors } from "../../models/safetensors.ts";
import { every, livelyAdapter } from "./adapters.ts";
import { grouped } from "./llamas.ts";

const NAMES = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
];
const name = (layer: number, module: string, factor: "A" | "B"): string =>
  `base_model.model.model.layers.${layer}.${module}.lora_${factor}.weight`;

test("peft: an adapter goes to PEFT's names and shapes, and comes back with its bits", async () => {
  const weights = await readTree(livelyAdapter(cpu(), grouped, every, 1));
  const theirs = adapterToPeft(weights, grouped, every);
  assert.deepEqual(
    Object.keys(theirs),
    [0, 1].flatMap((l) => NAMES.flatMap((module) => [name(l, module, "A"), name(l, module, "B")])),
  );
  const { dim, heads, kvHeads, headDim, ffn } = grouped;
  assert.deepEqual(theirs[name(0, "self_attn.q_proj", "A")].shape, [3, dim]);
  assert.deepEqual(theirs[name(0, "self_attn.q_proj", "B")].shape, [heads * headDim, 3]);
  assert.deepEqual(theirs[name(1, "self_attn.k_proj", "B")].shape, [kvHeads * headDim, 3]);
  assert.deepEqual(theirs[name(1, "self_attn.o_proj", "A")].shape, [3, heads * headDim]);
  assert.deepEqual(theirs[name(1, "mlp.up_proj", "B")].shape, [ffn, 3]);
  assert.deepEqual(theirs[name(1, "mlp.down_proj", "A")].shape, [3, ffn]);
  assert.deepEqual(theirs[name(1, "mlp.down_proj", "A")], weights["layers.1.down.a"]);
  assert.deepEqual(adapterFromPeft(theirs, grouped, every), weights);
});

test("peft: tensors that are not those of the adapter are refused by name", async () => {
  const lora: LoraConfig = { ...defaultLora, rank: 2 };
  const good = adapterToPeft(await readTree(livelyAdapter(cpu(), grouped, lora, 1)), grouped, lora);
  const first = name(0, "self_attn.q_proj", "A");
  const { [first]: factor, ...rest } = good;
  const refused = (tensors: SafeTensors, message: string): void =>
    assert.throws(() => adapterFromPeft(tensors, grouped, lora, "x/a.safetensors"), {
      name: "CheckpointError",
      message: `Cannot load x/a.safetensors: ${message}`,
    });
  refused(rest, `it must hold ${first}, got none`);
  refused(
    { ...good, [first]: { ...factor, shape: [4, 12] } },
    `${first} must be of shape (2, 12), got (4, 12)`,
  );
  const ints = { dtype: "I32", shape: [2, 12], data: new Int32Array(24) } as const;
  refused({ ...good, [first]: ints }, `${first} must be of floats, got I32`);
  for (
    const extra of [
      name(2, "self_attn.q_proj", "A"),
      name(0, "self_attn.k_proj", "A"),
      "base_model.model.lm_head.weight",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.weight",
      "__proto__x",
    ]
  ) {
    refused(
      { ...good, [extra]: factor },
      `every tensor must be a factor of an adapted matrix of the model, got "${extra}"`,
    );
  }
  assert.throws(() => adapterToPeft({}, grouped, lora), CheckpointError);
});

test("peft: settings come back from their JSON", () => {
  for (const lora of [defaultLora, every, { ...every, targets: ["k", "down"] } as const]) {
    assert.deepEqual(loraFromJson(JSON.parse(JSON.stringify(loraToJson(lora)))), lora);
  }
  const json = loraToJson({ ...defaultLora, targets: ["v", "q"] }, "some/model");
  const { peft_type, task_type, base_model_name_or_path: base, r, lora_alpha, lora_dropout } = json;
  assert.deepEqual(
    [peft_type, task_type, base, r, lora_alpha, lora_dropout, json.target_modules, json.bias],
    ["LORA", "CAUSAL_LM", "some/model", 8, 16, 0.05, ["q_proj", "v_proj"], "none"],
  );
});

const MINIMAL = { peft_type: "LORA", target_modules: ["q_proj"] };

test("peft: absent fields have PEFT's defaults, and what asks for nothing is let be", () => {
  const expected: LoraConfig = { targets: ["q"], rank: 8, alpha: 8, dropout: 0 };
  assert.deepEqual(loraFromJson(MINIMAL), expected);
  const idle = {
    r: null,
    use_dora: false,
    modules_to_save: null,
    rank_pattern: {},
    init_lora_weights: "eva",
    layers_to_transform: null,
    target_parameters: [],
    peft_version: "0.18.0",
    loftq_config: {},
  };
  assert.deepEqual(loraFromJson({ ...MINIMAL, ...idle }), expected);
  const all = { ...MINIMAL, target_modules: "all-linear", r: 4, lora_alpha: 6 };
  assert.deepEqual(loraFromJson(all), { ...every, rank: 4, alpha: 6, dropout: 0 });
  assert.equal(loraFromJson({ ...all, use_rslora: true }).alpha / 4, 6 / Math.sqrt(4));
  const twice = { ...MINIMAL, target_modules: ["v_proj", "q_proj", "v_proj"] };
  assert.deepEqual(loraFromJson(twice).targets, ["q", "v"]);
});

const MODULES =
  "all-linear or a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";

/** Changes to good settings, with the end of the error that each must give. */
const REFUSED: readonly [change: Record<string, unknown>, message: string][] = [
  [{ peft_type: "LOHA" }, 'peft_type must be LORA, got "LOHA"'],
  [{ peft_type: undefined }, "peft_type must be LORA, got none"],
  [{ r: 0 }, "r must be an integer of at least 1, got 0"],
  [{ r: 2.5 }, "r must be an integer of at least 1, got 2.5"],
  [{ lora_alpha: -1 }, "lora_alpha must be above 0, got -1"],
  [{ lora_alpha: "16" }, 'lora_alpha must be above 0, got "16"'],
  [{ lora_dropout: 1 }, "lora_dropout must be in [0, 1), got 1"],
  [{ bias: "all" }, 'bias must be none, got "all"'],
  [{ target_modules: undefined }, `target_modules must be ${MODULES}, got none`],
  [{ target_modules: [] }, `target_modules must be ${MODULES}, got []`],
  [{ target_modules: ["embed_tokens"] }, `target_modules must be ${MODULES}, got ["embed_tokens"]`],
  [{ target_modules: ".*_proj" }, `target_modules must be ${MODULES}, got ".*_proj"`],
  [{ use_dora: true }, "use_dora must be false, got true"],
  [{ use_rslora: 1 }, "use_rslora must be true or false, got 1"],
  [{ lora_bias: true }, "lora_bias must be false, got true"],
  [{ fan_in_fan_out: true }, "fan_in_fan_out must be false, got true"],
  [{ modules_to_save: ["lm_head"] }, 'modules_to_save must be empty, got ["lm_head"]'],
  [{ rank_pattern: { q_proj: 4 } }, 'rank_pattern must be empty, got {"q_proj":4}'],
  [{ alpha_pattern: { q_proj: 4 } }, 'alpha_pattern must be empty, got {"q_proj":4}'],
  [{ layers_to_transform: 1 }, "layers_to_transform must be empty, got 1"],
  [{ layers_to_transform: [0] }, "layers_to_transform must be empty, got [0]"],
  [{ layer_replication: [[0, 2]] }, "layer_replication must be empty, got [[0,2]]"],
  [
    { init_lora_weights: "pissa" },
    'init_lora_weights must be true, false, gaussian, orthogonal, eva, got "pissa"',
  ],
];

for (const [change, message] of REFUSED) {
  test(`peft: refuses settings with ${JSON.stringify(change)}`, () => {
    assert.throws(() => loraFromJson({ ...MINIMAL, ...change }, "x/adapter_config.json"), {
      name: "CheckpointError",
      message: `Cannot read x/adapter_config.json: ${message}`,
    });
  });
}

test("peft: settings that are no object are refused", () => {
  for (const json of [null, [], 3, "lora"]) {
    assert.throws(() => loraFromJson(json, "a.json"), {
      name: "CheckpointError",
      message: `Cannot read a.json: it must be a JSON object, got ${JSON.stringify(json)}`,
    });
  }
});
