/** Hugging Face's names and configurations, on trees and on a real file. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import { fromHuggingFace, readTree, toHuggingFace, writeTree } from "../../models/checkpoint.ts";
import { configFromJson, configToJson } from "../../models/checkpoint_config.ts";
import { decodeSafetensors } from "../../models/safetensors.ts";
import { initTransformer, Transformer, type TransformerConfig } from "../../models/transformer.ts";

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

const GOLDEN = "tests/golden/llama-untied";
const golden = (file: string): unknown => JSON.parse(readFileSync(join(GOLDEN, file), "utf8"));
const goldenFile = decodeSafetensors(readFileSync(join(GOLDEN, "model.safetensors")));

for (const name of ["llama-tiny", "llama-untied"]) {
  const folder = join("tests/golden", name);
  const json = (file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));
  const { tensors } = decodeSafetensors(readFileSync(join(folder, "model.safetensors")));
  const config = configFromJson(json("config.json"));

  test(`checkpoint: ${name} of Hugging Face gives Hugging Face's logits`, async () => {
    const device = cpu({ float: "float64" });
    const params = initTransformer(device, config, 0);
    writeTree(params, fromHuggingFace(tensors, config));
    const { input_ids, logits } = json("expected.json");
    const tokens = device.tensor(input_ids, [input_ids.length, input_ids[0].length], "int32");
    const model = new Transformer(device, config);
    const actual = await model.logits(params, model.hidden(params, tokens)).data();
    const expected: number[] = logits.flat(2);
    assert.equal(actual.length, expected.length);
    expected.forEach((x, i) => assert.ok(Math.abs(actual[i] - x) < 1e-8, `logit ${i}`));
  });

  test(`checkpoint: ${name} of Hugging Face goes back to the same names, shapes and bits`, async () => {
    const params = initTransformer(cpu(), config, 0);
    writeTree(params, fromHuggingFace(tensors, config));
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
  const params = { norm: cpu({ float: "float64" }).tensor([1 / 3]) };
  const weights = await readTree(params);
  assert.deepEqual(weights.norm, { dtype: "F64", shape: [1], data: Float64Array.of(1 / 3) });
  assert.deepEqual(toHuggingFace(weights, CONFIG)["model.norm.weight"], {
    dtype: "F32",
    shape: [1],
    data: Float32Array.of(1 / 3),
  });
});

test("checkpoint: a head that repeats a tied embedding is dropped, an untied one kept", () => {
  const { tensors } = goldenFile;
  const config = configFromJson(golden("config.json"));
  assert.ok("head" in fromHuggingFace(tensors, { ...config, tiedEmbeddings: false }));
  assert.ok(!("head" in fromHuggingFace(tensors, { ...config, tiedEmbeddings: true })));
});

test("checkpoint: tensors that no Llama model has are refused by name", async () => {
  const tensor = { dtype: "F32", shape: [1], data: new Float32Array(1) } as const;
  for (
    const name of ["model.layers.0.self_attn.q_proj.bias", "model.layers.x.mlp.up_proj.weight"]
  ) {
    assert.throws(() => fromHuggingFace({ [name]: tensor }, CONFIG, "a.safetensors"), {
      name: "CheckpointError",
      message: `Cannot load a.safetensors: every tensor must be one of a Llama model, got ${name}`,
    });
  }
  const stranger = await readTree({ layers: [{ toString: cpu().tensor([1]) }] });
  assert.throws(() => toHuggingFace(stranger, CONFIG), /of a transformer, got layers.0.toString/);
});

test("checkpoint: the matrices of a fused weight are its rows in order, exact in any dtype", async () => {
  const weights = await readTree(initTransformer(cpu({ float: "float64" }), CONFIG, 0));
  const { shape, data } = weights["layers.1.qkv"];
  const [H, KVH, C] = [16, 8, 8]; // rows of queries, of keys and of values; columns
  assert.deepEqual(shape, [H + 2 * KVH, C]);
  const name = (w: string): string => `model.layers.1.self_attn.${w}_proj.weight`;
  const theirs = toHuggingFace(weights, CONFIG);
  const at = { q: [0, H], k: [H, H + KVH], v: [H + KVH, H + 2 * KVH] };
  for (const [w, [from, to]] of Object.entries(at)) {
    assert.deepEqual(theirs[name(w)], {
      dtype: "F32",
      shape: [to - from, C],
      data: Float32Array.from(data.subarray(from * C, to * C)),
    });
  }
  const back = fromHuggingFace(theirs, CONFIG);
  assert.deepEqual(Object.keys(back).sort(), Object.keys(weights).sort());
  assert.deepEqual(back["layers.1.qkv"].data, Float32Array.from(data));

  const other = { ...CONFIG, kvHeads: 4 };
  assert.throws(() => toHuggingFace(weights, other), /layers.0.qkv must have 16 \+ 16 \+ 16 rows/);
  const { [name("k")]: key, ...rest } = theirs;
  const refused = (tensors: typeof theirs, message: string): void =>
    assert.throws(() => fromHuggingFace(tensors, CONFIG, "a.safetensors"), {
      name: "CheckpointError",
      message: `Cannot load a.safetensors: ${message}`,
    });
  refused(rest, `it must hold ${name("k")}, got none`);
  const wide = { ...key, shape: [8, 16] };
  refused({ ...rest, [name("k")]: wide }, `${name("k")} must be of shape (8, 8), got (8, 16)`);
  const ints = { dtype: "I32", shape: [KVH, C], data: new Int32Array(KVH * C) } as const;
  refused({ ...rest, [name("k")]: ints }, `${name("k")} must be F32 as ${name("q")}, got I32`);
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
  writeTree(tree, { a, "b.0": b });
  assert.deepEqual(await tree.a.data(), Float32Array.of(8, 9));
  assert.deepEqual(treeEntries(tree).map(([path]) => path), ["a", "b.0"]);
});

test("checkpoint: a configuration comes back from its JSON", () => {
  const ropeScaling = { factor: 8, lowFreqFactor: 1.5, highFreqFactor: 4, originalMaxLength: 20 };
  const changed = { tiedEmbeddings: false, dropout: 0, headDim: 8, ropeScaling };
  for (const config of [CONFIG, { ...CONFIG, ...changed }]) {
    assert.deepEqual(configFromJson(JSON.parse(JSON.stringify(configToJson(config)))), config);
  }
  const json = configToJson(CONFIG);
  assert.deepEqual(json.architectures, ["LlamaForCausalLM"]);
  assert.deepEqual(json.beargrad, { dropout: 0.1 });
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
