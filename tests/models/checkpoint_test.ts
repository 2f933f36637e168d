/** Hugging Face's names and configurations, on trees and on a real file. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import { readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { loadModel } from "../../lab/train/model_folder.ts";
import { configFromJson, configToJson } from "../../models/checkpoint_config.ts";
import { loadWeights } from "../../models/checkpoint.ts";
import { decodeSafetensors, encodeSafetensors } from "../../models/safetensors.ts";
import { openSafetensors } from "../../models/safetensors.ts";
import { initTransformer, type TransformerConfig } from "../../models/transformer.ts";

const CONFIG: TransformerConfig = {
  vocabSize: 12,
  dim: 8,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  ffn: 20,
  ropeTheta: 500,
  normEps: 1e-6,
  maxLength: 40,
  dropout: 0.1,
  tiedEmbeddings: true,
};

for (const name of ["llama-tiny", "llama-untied"]) {
  test(`checkpoint: ${name} of Hugging Face goes back to the same names, shapes and bits`, async () => {
    const folder = join("tests/golden", name);
    const { config, params } = await loadModel(cpu(), folder);
    const { tensors } = decodeSafetensors(readFileSync(join(folder, "model.safetensors")));
    assert.deepEqual(toHuggingFace(await readTree(params), config), tensors);
  });
}

test("checkpoint: names of a tied model", async () => {
  const weights = await readTree(initTransformer(cpu(), CONFIG, 0));
  const names = Object.keys(toHuggingFace(weights, CONFIG));
  const layer = (i: number): string[] =>
    [
      "input_layernorm",
      "self_attn.q_proj",
      "self_attn.k_proj",
      "self_attn.v_proj",
      "self_attn.o_proj",
      "post_attention_layernorm",
      "mlp.gate_proj",
      "mlp.up_proj",
      "mlp.down_proj",
    ].map((name) => `model.layers.${i}.${name}.weight`);
  assert.deepEqual(
    names.sort(),
    ["model.embed_tokens.weight", "model.norm.weight", ...layer(0), ...layer(1)].sort(),
  );
});

test("checkpoint: float64 weights are exact in a tree and float32 for others", async () => {
  const device = cpu({ float: "float64" });
  const norm = device.tensor(new Float64Array(8).fill(1 / 3));
  const weights = await readTree({ ...initTransformer(device, CONFIG, 0), norm });
  const shape = [8];
  assert.deepEqual(weights.norm, { dtype: "F64", shape, data: new Float64Array(8).fill(1 / 3) });
  assert.deepEqual(toHuggingFace(weights, CONFIG)["model.norm.weight"], {
    dtype: "F32",
    shape,
    data: new Float32Array(8).fill(1 / 3),
  });
});

test("checkpoint: weights that are not those of the transformer are refused by name", async () => {
  const weights = await readTree(initTransformer(cpu(), CONFIG, 0));
  const refused = (tensors: typeof weights, config: TransformerConfig, message: string): void =>
    assert.throws(() => toHuggingFace(tensors, config), {
      name: "CheckpointError",
      message: `Cannot name weights: ${message}`,
    });
  const { norm, ...rest } = weights;
  refused(rest, CONFIG, "they must have norm, got none");
  const place = "a path must be one of the transformer";
  refused({ ...weights, "layers.0.toString": norm }, CONFIG, `${place}, got layers.0.toString`);
  refused({ ...weights, head: weights.embed }, CONFIG, `${place}, got head`);
  refused(weights, { ...CONFIG, layers: 1 }, `${place}, got layers.1.attnNorm`);
  const wide = { ...CONFIG, kvHeads: 4 };
  refused(weights, wide, "layers.0.qkv must be of shape (48, 8), got (32, 8)");
});

test("checkpoint: the matrices of a fused weight are its rows in order, exact in any dtype", async () => {
  const config = { ...CONFIG, itemCodes: [[1], [2, 3]], codeHeads: 2 };
  const weights = await readTree(initTransformer(cpu({ float: "float64" }), config, 0));
  const { shape, data } = weights["layers.1.qkv"];
  const [H, KVH, C] = [16, 8, 8]; // rows of queries, of keys and of values; columns
  assert.deepEqual(shape, [H + 2 * KVH, C]);
  const name = (w: string): string => `model.layers.1.self_attn.${w}_proj.weight`;
  const theirs = toHuggingFace(weights, config);
  const at = { q: [0, H], k: [H, H + KVH], v: [H + KVH, H + 2 * KVH] };
  for (const [w, [from, to]] of Object.entries(at)) {
    assert.deepEqual(theirs[name(w)], {
      dtype: "F32",
      shape: [to - from, C],
      data: Float32Array.from(data.subarray(from * C, to * C)),
    });
  }
  const bytes = encodeSafetensors(theirs);
  const file = openSafetensors({
    size: bytes.length,
    read: (offset, length) => bytes.slice(offset, offset + length),
  });
  const back = await readTree(await loadWeights(cpu(), config, [file]));
  assert.deepEqual(Object.keys(back).sort(), Object.keys(weights).sort());
  for (const [path, { data }] of Object.entries(weights)) {
    assert.deepEqual(back[path].data, Float32Array.from(data), path);
  }
});

test("checkpoint: weights that do not fit are refused, and nothing is written", async () => {
  const device = cpu();
  const tree = { a: device.tensor([1, 2]), b: [device.tensor([[3]])] };
  const F32 = "F32" as const;
  const a = { dtype: F32, shape: [2], data: Float32Array.of(8, 9) };
  const b = { dtype: F32, shape: [1, 1], data: Float32Array.of(7) };
  const bad = [
    [{ a }, "Cannot load weights: it must hold b.0, got none"],
    [{ a, "b.0": { ...b, shape: [1] } }, "b.0 must be of shape (1, 1), got (1)"],
    [{ a, "b.0": b, c: b }, "every tensor must belong to the model, got c"],
  ] as const;
  for (const [values, message] of bad) {
    assert.throws(() => writeTree(tree, values), (error) => {
      assert.ok(error instanceof CheckpointError && error.message.endsWith(message), `${error}`);
      return true;
    });
    assert.deepEqual(await device.read([tree.a, tree.b[0]]), [
      Float32Array.of(1, 2),
      Float32Array.of(3),
    ]);
  }
  await assert.rejects(
    loadWeights(device, configFromJson(MINIMAL), [], { weights: "half" as "float16" }),
    {
      name: "ArgumentError",
      message: 'Cannot load weights: weights must be "float32" or "float16", got "half"',
    },
  );
  writeTree(tree, { a, "b.0": b });
  assert.deepEqual(await tree.a.data(), Float32Array.of(8, 9));
  assert.deepEqual(treeEntries(tree).map(([path]) => path), ["a", "b.0"]);
});

test("checkpoint: a configuration comes back from its JSON", () => {
  const ropeScaling = { factor: 8, lowFreqFactor: 1.5, highFreqFactor: 4, originalMaxLength: 20 };
  const changed = { tiedEmbeddings: false, dropout: 0, headDim: 8, ropeScaling };
  const reader = { ...CONFIG, itemCodes: [[0, 2], [1]] };
  for (const config of [CONFIG, { ...CONFIG, ...changed }, reader, { ...reader, codeHeads: 2 }]) {
    assert.deepEqual(configFromJson(JSON.parse(JSON.stringify(configToJson(config)))), config);
  }
  const json = configToJson(CONFIG);
  assert.deepEqual(json.architectures, ["LlamaForCausalLM"]);
  assert.deepEqual(json.beargrad, { dropout: 0.1 });
  const { model_type, architectures } = configToJson(reader); // no other program may take it
  assert.deepEqual([model_type, architectures], ["beargrad", undefined]);
});

const MINIMAL = {
  model_type: "llama",
  vocab_size: 10,
  hidden_size: 24,
  intermediate_size: 30,
  num_hidden_layers: 1,
  num_attention_heads: 3,
};

test("checkpoint: absent fields have Hugging Face's defaults", () => {
  const expected: TransformerConfig = {
    vocabSize: 10,
    dim: 24,
    layers: 1,
    heads: 3,
    kvHeads: 3,
    headDim: 8,
    ffn: 30,
    ropeTheta: 10000,
    normEps: 1e-6,
    maxLength: 2048,
    dropout: 0,
    tiedEmbeddings: false,
  };
  assert.deepEqual(configFromJson(MINIMAL), expected);
  assert.deepEqual(configFromJson({ ...MINIMAL, head_dim: null, rope_scaling: null }), expected);
  const newer = { rope_parameters: { rope_type: "default", rope_theta: 77 } };
  assert.deepEqual(configFromJson({ ...MINIMAL, ...newer }), { ...expected, ropeTheta: 77 });
});

const LLAMA3 = {
  rope_type: "llama3",
  factor: 32,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

test("checkpoint: Llama 3's rotary positions, in the older and the newer fields", () => {
  const { rope_type, ...rest } = LLAMA3;
  const ropeScaling = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxLength: 64 };
  const rope_theta = 5e5;
  for (
    const fields of [
      { rope_theta, rope_scaling: LLAMA3 },
      { rope_theta, rope_scaling: { ...rest, type: rope_type } },
      { rope_parameters: { ...LLAMA3, rope_theta } },
      { rope_theta, rope_scaling: LLAMA3, rope_parameters: { ...LLAMA3, rope_theta } },
    ]
  ) {
    const config = configFromJson({ ...MINIMAL, ...fields });
    assert.deepEqual([config.ropeTheta, config.ropeScaling], [rope_theta, ropeScaling]);
  }
});

/** Changes to a good configuration, with the end of the error that each must give. */
const REFUSED: readonly [change: Record<string, unknown>, message: string][] = [
  [{ model_type: "mistral" }, 'model_type must be llama, got "mistral"'],
  [{ model_type: undefined }, "model_type must be llama, got none"],
  [{ hidden_act: "gelu" }, 'hidden_act must be silu, got "gelu"'],
  [{ attention_bias: true }, "attention_bias must be false, got true"],
  [{ mlp_bias: true }, "mlp_bias must be false, got true"],
  [{ attention_dropout: 0.1 }, "attention_dropout must be 0, got 0.1"],
  [{ sliding_window: 4096 }, "sliding_window must be null, got 4096"],
  [{ pretraining_tp: 2 }, "pretraining_tp must be 1, got 2"],
  [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor must be 1, got 0.5"],
  [
    { quantization_config: { quant_method: "gptq" } },
    'quantization_config must be null, got {"quant_method":"gptq"}',
  ],
  [{ rope_scaling: 2 }, "rope_scaling must be an object, got 2"],
  [
    { rope_scaling: { rope_type: "linear", factor: 2 } },
    'rope_scaling.rope_type must be default or llama3, got "linear"',
  ],
  [{ rope_scaling: { type: "dynamic" } }, 'type must be default or llama3, got "dynamic"'],
  [{ rope_parameters: { rope_type: "yarn" } }, 'rope_type must be default or llama3, got "yarn"'],
  [
    { rope_scaling: { type: "default", rope_type: "llama3" } },
    'rope_scaling.type must be llama3, got "default"',
  ],
  [
    { rope_parameters: { full_attention: { rope_type: "default" } } },
    'rope_parameters must have no "full_attention", got {"rope_type":"default"}',
  ],
  [{ rope_scaling: { ...LLAMA3, factor: -1 } }, "rope_scaling.factor must be at least 1, got -1"],
  [{ rope_scaling: { ...LLAMA3, low_freq_factor: 0 } }, "low_freq_factor must be above 0, got 0"],
  [{ rope_scaling: { ...LLAMA3, high_freq_factor: 1 } }, "above low_freq_factor (1), got 1"],
  [
    { rope_scaling: { ...LLAMA3, original_max_position_embeddings: undefined } },
    "original_max_position_embeddings must be an integer of at least 1, got none",
  ],
  [
    { rope_scaling: LLAMA3, rope_parameters: { ...LLAMA3, factor: 16 } },
    'rope_scaling must say the same as rope_parameters, got {"rope_type":"llama3","factor":32,' +
    '"low_freq_factor":1,"high_freq_factor":4,"o...',
  ],
  [{ vocab_size: undefined }, "vocab_size must be an integer of at least 1, got none"],
  [{ hidden_size: "24" }, 'hidden_size must be an integer of at least 1, got "24"'],
  [{ num_hidden_layers: 0 }, "num_hidden_layers must be an integer of at least 1, got 0"],
  [{ num_attention_heads: 5 }, "head_dim must be a multiple of 4, at most 128, got 4.8"],
  [{ num_key_value_heads: 2 }, "must be a multiple of num_key_value_heads (2), got 3"],
  [{ rope_theta: -1 }, "rope_theta must be above 0, got -1"],
  [{ tie_word_embeddings: "yes" }, 'tie_word_embeddings must be true or false, got "yes"'],
  [{ beargrad: { dropout: 1 } }, "dropout must be in [0, 1), got 1"],
  [{ model_type: "beargrad" }, "item_codes must be lists of tokens, got none"],
  [
    { model_type: "beargrad", beargrad: { item_codes: [[1]], code_heads: 0 } },
    "code_heads must be an integer of at least 1, got 0",
  ],
  ...([[], [[]], [1], [[10]], [[1], [0.5]], [["1"]]] as unknown[]).map((
    codes,
  ): [Record<string, unknown>, string] => [
    { model_type: "beargrad", beargrad: { item_codes: codes } },
    `item_codes must be lists of tokens, got ${JSON.stringify(codes)}`,
  ]),
];

for (const [change, message] of REFUSED) {
  test(`checkpoint: refuses a configuration with ${JSON.stringify(change)}`, () => {
    assert.throws(() => configFromJson({ ...MINIMAL, ...change }), (error) => {
      assert.ok(error instanceof CheckpointError);
      assert.ok(error.message.endsWith(message), error.message);
      return true;
    });
  });
}

test("checkpoint: a configuration that is no object is refused", () => {
  for (const json of [null, [], 3, "llama"]) {
    assert.throws(() => configFromJson(json, "a/config.json"), {
      name: "CheckpointError",
      message: `Cannot read a/config.json: it must be a JSON object, got ${JSON.stringify(json)}`,
    });
  }
});
