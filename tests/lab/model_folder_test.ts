/**
 * Model folders of Hugging Face: the logits they must give, sharded or not, in any type, and those
 * that are refused.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { treeEntries } from "../../core/tree.ts";
import { loadModel, type LoadModelOptions } from "../../lab/train/model_folder.ts";
import { configFromJson } from "../../models/checkpoint_config.ts";
import { loadWeights } from "../../models/checkpoint.ts";
import { openSafetensors } from "../../models/safetensors.ts";
import { Transformer, type TransformerParams } from "../../models/transformer.ts";
import { testDevices } from "../devices.ts";
import {
  folderOf,
  goldenFolder,
  jsonOf,
  rawSafetensors,
  type RawTensors,
  rawTensors,
} from "./model_files.ts";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const NAMES = ["llama-tiny", "llama-untied"] as const;

/** The largest distance of a folder's logits from those of a golden folder. */
async function distance(
  device: Device,
  folder: string,
  golden: string,
  options?: LoadModelOptions,
): Promise<number> {
  const { input_ids, logits } = jsonOf(golden, "expected.json");
  const { config, params } = await loadModel(device, folder, options);
  const model = new Transformer(device, config);
  const hidden = model.hidden(params, device.tensor(input_ids, undefined, "int32"));
  const actual = await model.logits(params, hidden).data();
  const expected: number[] = logits.flat(2);
  assert.equal(actual.length, expected.length);
  return Math.max(...expected.map((x, i) => Math.abs(actual[i] - x)));
}

for (const name of NAMES) {
  const golden = goldenFolder(name);

  for (const { name: kind, skip, open } of testDevices) {
    const tolerance = kind === "cpu float64" ? 1e-6 : 1e-4;
    test(`model folder: ${name} on ${kind} gives Hugging Face's logits`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      assert.ok(await distance(device, golden, golden) < tolerance);
      // The bfloat16 weights of these models are halves as well, but for a few next to 0.
      assert.ok(await distance(device, golden, golden, { weights: "float16" }) < 1e-4);
      const { params } = await loadModel(device, golden, { weights: "float16" });
      assert.equal(params.layers[0].qkv.dtype, device.half);
      assert.equal(params.norm.dtype, device.float);
    });
  }

  test(`model folder: ${name} is the same in any number of files and in wider types`, async () => {
    const device = cpu({ float: "float64" });
    const config = jsonOf(golden, "config.json");
    const tensors = rawTensors(readFileSync(join(golden, WEIGHTS)));
    for (const count of [1, 2, 5]) {
      const shards: RawTensors[] = Array.from(
        { length: count },
        (_, i) => Object.fromEntries(Object.entries(tensors).filter((_, t) => t % count === i)),
      );
      assert.ok(await distance(device, folderOf(sharded(config, shards)), golden) < 1e-8);
    }
    for (const dtype of ["F32", "F64"]) {
      const wide = Object.fromEntries(
        Object.entries(tensors).map(([key, { shape, bytes }]) => {
          const halves = new Uint16Array(bytes.buffer);
          const floats = new Float32Array(Uint32Array.from(halves, (h) => h << 16).buffer);
          const data = dtype === "F64" ? Float64Array.from(floats) : floats;
          return [key, { dtype, shape, bytes: new Uint8Array(data.buffer) }];
        }),
      );
      const folder = folderOf({ "config.json": config, [WEIGHTS]: rawSafetensors(wide) });
      assert.ok(await distance(device, folder, golden) < 1e-8);
    }
  });
}

/** The files of a sharded folder. */
function sharded(config: unknown, shards: readonly RawTensors[]): Record<string, unknown> {
  const name = (i: number): string => `model-0000${i + 1}-of-0000${shards.length}.safetensors`;
  const map = shards.flatMap((tensors, i) => Object.keys(tensors).map((key) => [key, name(i)]));
  return {
    "config.json": config,
    [INDEX]: { metadata: { total_size: 0 }, weight_map: Object.fromEntries(map) },
    ...Object.fromEntries(shards.map((tensors, i) => [name(i), rawSafetensors(tensors)])),
  };
}

test("model folder: half precision rounds every matrix to the nearest half, on every device", async () => {
  const golden = goldenFolder("llama-untied");
  const tensors = rawTensors(readFileSync(join(golden, WEIGHTS)));
  const name = "model.layers.1.self_attn.k_proj.weight";
  const { shape } = tensors[name];
  const values = Float32Array.from({ length: 256 }, (_, i) => (i - 100) / 997);
  const changed = { dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
  const folder = folderOf({
    "config.json": jsonOf(golden, "config.json"),
    [WEIGHTS]: rawSafetensors({ ...tensors, [name]: changed }),
  });
  const keys = async (params: TransformerParams): Promise<number[]> =>
    [...await params.layers[1].qkv.data()].slice(32 * 32, 40 * 32);
  for (const { skip, open } of testDevices) {
    if (skip) continue;
    const device = await open();
    using _scope = device.arena();
    const { params } = await loadModel(device, folder, { weights: "float16" });
    assert.deepEqual(await keys(params), [...new Float16Array(values)]);
    const { params: floats } = await loadModel(device, folder);
    assert.deepEqual(await keys(floats), [...values]);
  }
});

test("model folder: the longest sequence is the file's, at most 4096 unless asked for", async () => {
  const golden = goldenFolder("llama-untied");
  const config = { ...jsonOf(golden, "config.json"), max_position_embeddings: 131072 };
  const folder = folderOf({
    "config.json": config,
    [WEIGHTS]: new Uint8Array(readFileSync(join(golden, WEIGHTS))),
  });
  const length = async (folder: string, maxLength?: number): Promise<number> =>
    (await loadModel(cpu(), folder, { maxLength })).config.maxLength;
  assert.deepEqual(
    await Promise.all([length(golden), length(golden, 20), length(folder), length(folder, 131072)]),
    [512, 20, 4096, 131072],
  );
  for (const bad of [0, 513, 1.5, NaN]) {
    await assert.rejects(loadModel(cpu(), golden, { maxLength: bad }), {
      name: "ArgumentError",
      message: `Cannot load ${golden}: maxLength must be an integer from 1 to its ` +
        `max_position_embeddings of 512, got ${bad}`,
    });
  }
});

test("model folder: bytes are read once, in pieces, and no piece on the host is large", async () => {
  const dim = 1024; // a matrix of 6 MiB, and several times a piece
  const config = configFromJson({
    model_type: "llama",
    ...{ vocab_size: 3 * dim, hidden_size: dim, intermediate_size: 8, num_hidden_layers: 1 },
    ...{ num_attention_heads: 16, num_key_value_heads: 2, tie_word_embeddings: true },
  });
  const bf16 = (...shape: number[]) => ({
    dtype: "BF16",
    shape,
    bytes: new Uint8Array(2 * shape.reduce((a, b) => a * b)).fill(0x3c),
  });
  const layer = (name: string): string => `model.layers.0.${name}.weight`;
  const file = rawSafetensors({
    "model.embed_tokens.weight": bf16(3 * dim, dim),
    "model.norm.weight": bf16(dim),
    [layer("input_layernorm")]: bf16(dim),
    [layer("post_attention_layernorm")]: bf16(dim),
    [layer("self_attn.q_proj")]: bf16(dim, dim),
    [layer("self_attn.k_proj")]: bf16(128, dim),
    [layer("self_attn.v_proj")]: bf16(128, dim),
    [layer("self_attn.o_proj")]: bf16(dim, dim),
    [layer("mlp.gate_proj")]: bf16(8, dim),
    [layer("mlp.up_proj")]: bf16(8, dim),
    [layer("mlp.down_proj")]: bf16(dim, 8),
  });
  for (const weights of ["float32", "float16"] as const) {
    const device = cpu();
    let [read, largest, written, last] = [0, 0, 0, 0];
    const write = device.write.bind(device);
    device.write = (tensor, data, at) => {
      written += data.length;
      largest = Math.max(largest, data.byteLength);
      write(tensor, data, at);
    };
    const source = {
      size: file.length,
      read: (offset: number, length: number): Uint8Array => {
        read += length;
        largest = Math.max(largest, length);
        return file.subarray(offset, offset + length);
      },
    };
    const onProgress = (done: number, total: number): void => {
      assert.ok(done > last && done <= total);
      last = done;
      if (done === total) last = 0;
    };
    const params = await loadWeights(device, config, [openSafetensors(source)], {
      weights,
      onProgress,
    });
    assert.equal(read, file.length);
    assert.ok(largest <= 4 * 2 ** 20, `${largest} bytes`);
    assert.equal(last, 0);
    const entries = treeEntries(params);
    assert.equal(written, entries.reduce((sum, [, { size }]) => sum + size, 0));
    for (const [, tensor] of entries) { // every element is there: 0x3c3c is 0.011474609375 in bfloat16
      assert.ok((await tensor.data()).every((x) => x === 0.011474609375));
    }
  }
});
