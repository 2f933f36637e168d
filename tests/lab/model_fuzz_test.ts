/**
 * Damaged model folders: whatever the bytes, a model loads or one line says what is wrong, in
 * little memory.
 */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError } from "../../core/errors.ts";
import { treeLeaves } from "../../core/tree.ts";
import { memoryFolder } from "../../lab/folder.ts";
import { loadModel } from "../../lab/train/model_folder.ts";
import { decodeSafetensors, encodeSafetensors } from "../../models/safetensors.ts";
import { fuzzRuns, mutate, type Random, randomOf } from "../fuzz.ts";
import { folderOf, rawSafetensors, type RawTensors } from "./model_files.ts";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const CONFIG = {
  model_type: "llama",
  ...{ vocab_size: 6, hidden_size: 8, intermediate_size: 4, num_hidden_layers: 1, head_dim: 4 },
  ...{ num_attention_heads: 2, num_key_value_heads: 1, tie_word_embeddings: true },
  rope_scaling: {
    rope_type: "llama3",
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 16,
  },
};
const SHAPES = {
  "model.embed_tokens.weight": [6, 8],
  "model.norm.weight": [8],
  "model.layers.0.input_layernorm.weight": [8],
  "model.layers.0.self_attn.q_proj.weight": [8, 8],
  "model.layers.0.self_attn.k_proj.weight": [4, 8],
  "model.layers.0.self_attn.v_proj.weight": [4, 8],
  "model.layers.0.self_attn.o_proj.weight": [8, 8],
  "model.layers.0.post_attention_layernorm.weight": [8],
  "model.layers.0.mlp.gate_proj.weight": [4, 8],
  "model.layers.0.mlp.up_proj.weight": [4, 8],
  "model.layers.0.mlp.down_proj.weight": [8, 4],
};
const tensors: RawTensors = Object.fromEntries(
  Object.entries(SHAPES).map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b);
    return [name, { dtype: "BF16", shape, bytes: new Uint8Array(2 * size).fill(0x3c) }];
  }),
);
const names = Object.keys(tensors);
const half = (from: number, to: number): Uint8Array =>
  rawSafetensors(Object.fromEntries(names.slice(from, to).map((name) => [name, tensors[name]])));
const [A, B] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const text = (json: unknown): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(json, undefined, 1));
const whole = {
  "config.json": text(CONFIG),
  [WEIGHTS]: rawSafetensors(tensors),
};
const sharded = {
  "config.json": text(CONFIG),
  [INDEX]: text({
    metadata: { total_size: 640, format: "pt", comment: "what is here may be anything at all" },
    weight_map: Object.fromEntries(names.map((name, i) => [name, i < 6 ? A : B])),
  }),
  [A]: half(0, 6),
  [B]: half(6, names.length),
};

/** What a value of JSON is replaced by. */
const VALUES = [
  ...[null, true, "", "llama", "__proto__", [], {}, [[]], -1, 0, 1, 2, 4, 8, 0.5, 1e9, 1e300],
  ...[2 ** 53, 2 ** 31, 2 ** 40, A, B, "F32", "F64", "I32"],
];

/** Replaces or drops one value of JSON, or adds one. */
function changeJson(random: Random, text: string): string {
  const json = JSON.parse(text);
  const objects: Record<string, unknown>[] = [];
  JSON.stringify(json, (_, value) => {
    if (typeof value === "object" && value !== null) objects.push(value);
    return value;
  });
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)];
  const object = pick(objects);
  const keys = Object.keys(object);
  const known = random() < 0.9 || Array.isArray(object); // an array of 2^31 is more than a file can be
  const key = known ? pick(keys) ?? "0" : `${pick(VALUES)}`;
  const value = structuredClone(pick(VALUES));
  if (random() < 0.1) delete object[key];
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true });
  return JSON.stringify(json);
}

/** Damages the bytes of a file, or its JSON, which in safetensors is the header. */
function damage(random: Random, file: string, bytes: Uint8Array): Uint8Array {
  if (random() < 0.5) return mutate(random, bytes);
  if (file.endsWith("json")) {
    return new TextEncoder().encode(changeJson(random, new TextDecoder().decode(bytes)));
  }
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = changeJson(random, new TextDecoder().decode(bytes.subarray(8, start)));
  const text = new TextEncoder().encode(header);
  const damaged = new Uint8Array(8 + text.length + bytes.length - start);
  new DataView(damaged.buffer).setBigUint64(0, BigInt(text.length), true);
  damaged.set(text, 8);
  damaged.set(bytes.subarray(start), 8 + text.length);
  return damaged;
}

/** Damages one file at a time; says how often a model was loaded. */
async function fuzz(
  files: Readonly<Record<string, Uint8Array>>,
  file: string,
  seed: number,
): Promise<{ loaded: number; refused: number }> {
  const random = randomOf(seed);
  const folder = folderOf(files);
  const device = cpu();
  const counts = { loaded: 0, refused: 0 };
  try {
    for (const tensor of treeLeaves((await loadModel(device, folder)).params)) tensor.dispose();
    for (let run = fuzzRuns(200); run > 0; run--) {
      const bytes = damage(random, file, files[file]);
      writeFileSync(join(folder, file), bytes);
      const options = { weights: run % 2 === 0 ? "float16" : "float32" } as const;
      const began = performance.now();
      try {
        const { params } = await loadModel(device, folder, options);
        for (const tensor of treeLeaves(params)) tensor.dispose();
        counts.loaded++;
      } catch (error) {
        const shown = `${(error as Error).stack}\n${new TextDecoder().decode(bytes)}`;
        assert.ok(error instanceof CheckpointError, shown);
        assert.match(error.message, /^Cannot (load|read) .*, got .*$/);
        assert.ok(error.message.startsWith(folder, error.message.indexOf("/")), error.message);
        assert.ok(error.message.length < 600 + 2 * folder.length, error.message);
        const inMemory = memoryFolder(folder, new Map(Object.entries({ ...files, [file]: bytes })));
        await assert.rejects(loadModel(device, inMemory, options), { message: error.message });
        counts.refused++;
      }
      assert.equal(device.stats.liveBytes, 0);
      assert.ok(performance.now() - began < 2000, "it must not take long");
    }
    // All that it ever held: a model of these bytes has less than 1 KiB, and a config.json cannot
    // make it larger.
    assert.ok(device.stats.heldBytes <= 2 ** 20, `${device.stats.heldBytes} bytes`);
  } finally {
    rmSync(folder, { recursive: true });
  }
  return counts;
}

for (
  const [what, files, file, seed] of [
    ["weights", whole, WEIGHTS, 1],
    ["configuration", whole, "config.json", 2],
    ["index", sharded, INDEX, 3],
    ["shard", sharded, B, 4],
  ] as const
) {
  test(`model fuzz: damage to the ${what} is survived or told in a line`, async () => {
    const { loaded, refused } = await fuzz(files, file, seed);
    assert.ok(loaded > 0 && refused > 0, `${loaded} loaded, ${refused} refused`);
  });
}

test("safetensors fuzz: damaged bytes are read or refused, and what is read fits the bytes", () => {
  const random = randomOf(5);
  const bytes = encodeSafetensors({
    a: { dtype: "F32", shape: [2, 3], data: new Float32Array(6) },
    b: { dtype: "F64", shape: [3], data: new Float64Array(3) },
    c: { dtype: "I32", shape: [], data: new Int32Array(1) },
  }, { format: "pt" });
  let read = 0;
  for (let run = fuzzRuns(1000); run > 0; run--) {
    const damaged = mutate(random, bytes);
    try {
      const { tensors } = decodeSafetensors(damaged, "w.safetensors");
      const size = Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
      assert.ok(size <= 2 * damaged.length);
      read++;
    } catch (error) {
      assert.ok(error instanceof CheckpointError, `${(error as Error).stack}`);
      assert.match(error.message, /^Cannot read w\.safetensors: .*, got .*$/);
    }
  }
  assert.ok(read > 0);
});
