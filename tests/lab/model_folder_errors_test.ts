/**
 * Model folders that are refused: one line that names file, field and value, and nothing left on
 * the device.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError } from "../../core/errors.ts";
import { loadModel, type LoadModelOptions } from "../../lab/train/model_folder.ts";
import { folderOf, goldenFolder, jsonOf, rawSafetensors, rawTensors } from "./model_files.ts";

const GOLDEN = goldenFolder("llama-untied");
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const config = jsonOf(GOLDEN, "config.json");
const file = new Uint8Array(readFileSync(join(GOLDEN, WEIGHTS)));
const tensors = rawTensors(file);
const KEY = "model.layers.2.self_attn.k_proj.weight";
const key = tensors[KEY];
const { [KEY]: _, ...others } = tensors;

/** The error of loading a folder of these files, without the folder's name. */
async function refusal(
  files: Readonly<Record<string, unknown>>,
  options?: LoadModelOptions,
): Promise<string> {
  const device = cpu();
  const folder = folderOf(files);
  const { message } = await loadModel(device, folder, options).then(
    () => assert.fail("it must be refused"),
    (error: Error) => {
      assert.ok(error instanceof CheckpointError, `${error.stack}`);
      assert.ok(!error.message.includes("\n"));
      return error;
    },
  );
  assert.equal(device.stats.liveBytes, 0);
  return message.replaceAll(folder, "F");
}

/** A tensor with other elements, as bfloat16. */
const withValue = (bits: number): unknown => {
  const bytes = new Uint8Array(key.bytes);
  new DataView(bytes.buffer).setUint16(2 * 7, bits, true);
  return {
    "config.json": config,
    [WEIGHTS]: rawSafetensors({ ...tensors, [KEY]: { ...key, bytes } }),
  };
};
const model = (weights: Uint8Array, fields = {}): Record<string, unknown> => ({
  "config.json": { ...config, ...fields },
  [WEIGHTS]: weights,
});
const [A, B] = ["a.safetensors", "b.safetensors"];
const shards = (map: unknown, files = {}): Record<string, unknown> => ({
  "config.json": config,
  [INDEX]: { weight_map: map },
  [A]: rawSafetensors(others),
  [B]: rawSafetensors({ [KEY]: key }),
  ...files,
});
const map = { ...Object.fromEntries(Object.keys(others).map((name) => [name, A])), [KEY]: B };
const { [KEY]: __, ...mapOfA } = map;

const REFUSED: readonly [what: string, files: Record<string, unknown>, message: string | RegExp][] =
  [
    ["an empty folder", {}, "Cannot load F: it must hold config.json, got none"],
    [
      "no weights",
      { "config.json": config },
      `Cannot load F: it must hold ${WEIGHTS} or ${INDEX}, got none`,
    ],
    ["broken JSON", { "config.json": "{" }, /^Cannot load F\/config.json: it must be JSON, got ./],
    [
      "a field twice",
      { "config.json": '{"head_dim": 8, "head_dim": 16}' },
      'Cannot load F/config.json: it must not have a key twice, got "head_dim"',
    ],
    [
      "no Llama",
      { "config.json": { ...config, model_type: "qwen2" } },
      'Cannot read F/config.json: model_type must be llama, got "qwen2"',
    ],
    [
      "a truncated file",
      model(file.subarray(0, -10)),
      'Cannot read F/model.safetensors: tensor "model.norm.weight" must end within the file\'s ' +
      "78902 bytes of data, got 78912",
    ],
    [
      "a missing tensor",
      model(rawSafetensors(others)),
      `Cannot load F: it must hold ${KEY}, got none`,
    ],
    [
      "more layers than there are",
      model(file, { num_hidden_layers: 1e9 }),
      "Cannot load F: it must hold model.layers.3.input_layernorm.weight, got none",
    ],
    [
      "fewer layers than there are",
      model(file, { num_hidden_layers: 2 }),
      /^Cannot load F\/model.safetensors: every tensor must be one of the model, got "model.layers.2/,
    ],
    [
      "a bias",
      model(rawSafetensors({ ...tensors, [KEY.replace("weight", "bias")]: key })),
      "Cannot load F/model.safetensors: every tensor must be one of the model, got " +
      '"model.layers.2.self_attn.k_proj.bias"',
    ],
    [
      "a shape that is not the configuration's",
      model(file, { vocab_size: 98 }),
      "Cannot load F/model.safetensors: model.embed_tokens.weight must be of shape (98, 32) as " +
      "config.json says, got (97, 32)",
    ],
    [
      "no head",
      model(rawSafetensors(Object.fromEntries(
        Object.entries(tensors).filter(([name]) => name !== "lm_head.weight"),
      ))),
      "Cannot load F: it must hold lm_head.weight, got none",
    ],
    [
      "integers",
      model(rawSafetensors({
        ...tensors,
        [KEY]: { dtype: "I32", shape: key.shape, bytes: new Uint8Array(2 * key.bytes.length) },
      })),
      `Cannot load F/model.safetensors: ${KEY} must be of floats, got I32`,
    ],
    [
      "a dtype that is not read",
      model(rawSafetensors({ ...tensors, [KEY]: { ...key, dtype: "F8_E4M3" } })),
      `Cannot read F/model.safetensors: tensor "${KEY}" must have dtype F64, F32, I32, BF16, F16, ` +
      'got "F8_E4M3"',
    ],
    [
      "NaN",
      withValue(0x7fc0) as Record<string, unknown>,
      `Cannot load F/model.safetensors: ${KEY} must be finite in float32, got NaN at element 7`,
    ],
    [
      "an index that is a list",
      { "config.json": config, [INDEX]: [] },
      `Cannot load F/${INDEX}: it must be an object, got an array`,
    ],
    [
      "a missing shard",
      shards({ ...map, [KEY]: "c.safetensors" }),
      `Cannot load F/${INDEX}: weight_map["${KEY}"] must be a file in the folder, got "c.safetensors"`,
    ],
    [
      "a shard elsewhere",
      shards({ ...map, [KEY]: "../b.safetensors" }),
      `Cannot load F/${INDEX} at "weight_map.${KEY}": it must be the name of a safetensors file, ` +
      'got "../b.safetensors"',
    ],
    [
      "a tensor that is not in its shard",
      shards({ ...map, [KEY]: A }),
      `Cannot load F/a.safetensors: it must hold "${KEY}", as ${INDEX} says, got none`,
    ],
    [
      "a tensor in two shards",
      shards(map, { [A]: file }),
      `Cannot load F/a.safetensors: its tensors must be in it as ${INDEX} says, got "${KEY}"`,
    ],
    [
      "a shard's tensor that is not in the index",
      shards({ ...mapOfA, "model.norm.weight": A }),
      `Cannot load F: it must hold ${KEY}, got none`,
    ],
  ];

for (const [what, files, message] of REFUSED) {
  test(`model folder: refuses ${what}`, async () => {
    const actual = await refusal(files);
    if (typeof message === "string") assert.equal(actual, message);
    else assert.match(actual, message);
  });
}

test("model folder: refuses a weight beyond half precision, where that is asked for", async () => {
  const files = withValue(0x4780) as Record<string, unknown>; // 65536
  assert.equal(
    await refusal(files, { weights: "float16" }),
    `Cannot load F/model.safetensors: ${KEY} must be finite in float16, got 65536 at element 7`,
  );
  await loadModel(cpu(), folderOf(files));
});

test("model folder: what a file may hold without being used", async () => {
  const table = { dtype: "F32", shape: [4], bytes: new Uint8Array(16) };
  const spare = { ...tensors, "model.layers.0.self_attn.rotary_emb.inv_freq": table };
  await loadModel(cpu(), folderOf(model(rawSafetensors(spare))));
  const tied = folderOf(model(file, { tie_word_embeddings: true, whatever: 1 }));
  assert.equal((await loadModel(cpu(), tied)).params.head, undefined);
});

test("model folder: options that are not possible", async () => {
  const options = { weights: "int8" } as unknown as LoadModelOptions;
  await assert.rejects(loadModel(cpu(), GOLDEN, options), {
    name: "ArgumentError",
    message: `Cannot load ${GOLDEN}: weights must be float32 or float16, got int8`,
  });
});
