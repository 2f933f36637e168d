/** Adapters on disk, whole and damaged: those load, or are refused in one line and nothing else. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { CheckpointError, DataError, NonFiniteError } from "../../core/errors.ts";
import { treeEntries } from "../../core/tree.ts";
import { loadAdapter, saveAdapter } from "../../lab/train/model_folder.ts";
import { decodeSafetensors, encodeSafetensors } from "../../models/safetensors.ts";
import { defaultLora, type LoraConfig } from "../../models/lora.ts";
import type { TransformerConfig } from "../../models/transformer.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
import { livelyAdapter } from "../models/adapters.ts";
import { grouped } from "../models/llamas.ts";
import { inFolder } from "./small_folder.ts";

const GOLDEN = "tests/golden/llama-tiny/adapter";
const [CONFIG, WEIGHTS] = ["adapter_config.json", "adapter_model.safetensors"];

/** What the shapes of the golden adapter follow from. */
const tiny: TransformerConfig = {
  ...{ vocabSize: 120, dim: 48, layers: 2, heads: 4, kvHeads: 2, headDim: 12, ffn: 96 },
  ...{ ropeTheta: 500000, normEps: 1e-5, maxLength: 512, dropout: 0, tiedEmbeddings: true },
};

test(
  "adapter folder: PEFT's own adapter is read, and written again with the same tensors",
  inFolder(async (folder) => {
    const read = loadAdapter(cpu(), GOLDEN, tiny);
    assert.deepEqual(read.lora, defaultLora);
    const out = join(folder, "new", "adapter");
    await saveAdapter(out, tiny, read, "llama-tiny");
    assert.deepEqual(readdirSync(out).sort(), [CONFIG, WEIGHTS]);
    const [theirs, ours] = [GOLDEN, out].map((f) =>
      decodeSafetensors(readFileSync(join(f, WEIGHTS)))
    );
    assert.deepEqual(ours, theirs);
    const [given, got] = [GOLDEN, out].map((f) =>
      JSON.parse(readFileSync(join(f, CONFIG), "utf8")) as Record<string, unknown>
    );
    for (const [field, value] of Object.entries(given)) assert.deepEqual(got[field], value, field);
  }),
);

test(
  "adapter folder: what is saved is loaded, to the bit, on a device of another float type too",
  inFolder(async (folder) => {
    const adapter = livelyAdapter(cpu(), grouped, defaultLora, 1);
    await saveAdapter(folder, grouped, { lora: defaultLora, adapter });
    for (const float of ["float32", "float64"] as const) {
      const loaded = loadAdapter(cpu({ float }), folder, grouped);
      const entries = treeEntries(loaded.adapter);
      for (const [i, [path, factor]] of treeEntries(adapter).entries()) {
        assert.equal(entries[i][0], path);
        assert.deepEqual(Array.from(await entries[i][1].data()), Array.from(await factor.data()));
      }
    }
  }),
);

test(
  "adapter folder: what is missing, damaged or of another model is refused by file",
  inFolder((folder) => {
    const [config, weights] = [CONFIG, WEIGHTS].map((file) => join(folder, file));
    const device = cpu();
    const load = (model = tiny): void => void loadAdapter(device, folder, model);
    const refused = (message: string | RegExp, model = tiny): void =>
      assert.throws(() => load(model), (error) => {
        assert.ok(error instanceof CheckpointError, `${error}`);
        if (typeof message === "string") assert.equal(error.message, message);
        else assert.match(error.message, message);
        assert.ok(error.message.includes(folder), error.message);
        return true;
      });
    const restore = (): void => {
      for (const file of [CONFIG, WEIGHTS]) copyFileSync(join(GOLDEN, file), join(folder, file));
    };
    refused(`Cannot load ${folder}: it must hold ${CONFIG}, got none`);
    copyFileSync(join(GOLDEN, CONFIG), config);
    refused(`Cannot load ${folder}: it must hold ${WEIGHTS}, got none`);
    restore();
    load();
    refused(/lora_A.weight must be of shape \(8, 52\), got \(8, 48\)$/, { ...tiny, dim: 52 });
    refused(/every tensor must be a factor/, { ...tiny, layers: 1 });
    refused(/it must hold .*layers.2.self_attn.q_proj.lora_A.weight, got none$/, {
      ...tiny,
      layers: 3,
    });
    writeFileSync(config, "{");
    refused(/adapter_config.json: it must be JSON, got /);
    writeFileSync(config, '{"r": 8, "r": 4}');
    refused(/adapter_config.json: it must not have a key twice, got "r"$/);
    const json = JSON.parse(readFileSync(join(GOLDEN, CONFIG), "utf8"));
    writeFileSync(config, JSON.stringify({ ...json, r: 1e12 })); // no memory is taken for it
    refused(/lora_A.weight must be of shape \(1000000000000, 48\), got \(8, 48\)$/);
    writeFileSync(config, JSON.stringify({ ...json, use_dora: true }));
    refused(`Cannot read ${config}: use_dora must be false, got true`);
    restore();
    truncateSync(weights, 5000);
    refused(/adapter_model.safetensors: .* must end within the file/);
    const file = decodeSafetensors(readFileSync(join(GOLDEN, WEIGHTS)));
    const [[first, { shape }]] = Object.entries(file.tensors);
    const data = new Float64Array(8 * 48).fill(1e39, 5, 6); // finite in a file of F64, not in float32
    const tensors = { ...file.tensors, [first]: { dtype: "F64", shape, data } as const };
    writeFileSync(weights, encodeSafetensors(tensors));
    const before = device.stats.liveBytes;
    refused(`Cannot load ${weights}: ${first} must be finite in float32, got 1e+39`);
    assert.equal(device.stats.liveBytes, before);
    loadAdapter(cpu({ float: "float64" }), folder, tiny);
  }),
);

test(
  "adapter folder: nothing is written of an adapter with NaN, and a failed save leaves the old one",
  inFolder(async (folder) => {
    const device = cpu();
    const adapter = livelyAdapter(device, grouped, defaultLora, 1);
    const save = (into: string): Promise<void> =>
      saveAdapter(into, grouped, { lora: defaultLora, adapter });
    await save(folder);
    const before = readFileSync(join(folder, WEIGHTS));
    const [, [, factor]] = treeEntries(adapter);
    const values = await factor.data();
    values[1] = NaN;
    device.write(factor, values);
    const none = join(folder, "none");
    await assert.rejects(save(none), (error) => {
      assert.ok(error instanceof NonFiniteError);
      assert.match(error.message, /its tensors must be finite, got NaN in layers.0.q.b$/);
      return true;
    });
    assert.ok(!readdirSync(folder).includes("none"));
    values[1] = 1;
    device.write(factor, values);
    rmSync(join(folder, CONFIG));
    mkdirSync(join(folder, CONFIG)); // which cannot be replaced by a file
    await assert.rejects(save(folder), DataError);
    assert.deepEqual(readFileSync(join(folder, WEIGHTS)), before);
  }),
);

const lora: LoraConfig = { targets: ["q", "up"], rank: 2, alpha: 4, dropout: 0.1 };

for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
  test(
    `adapter fuzz: ${file}`,
    inFolder(async (folder) => {
      const device = cpu();
      const adapter = livelyAdapter(device, grouped, lora, 1);
      await saveAdapter(folder, grouped, { lora, adapter });
      const path = join(folder, file);
      const good = readFileSync(path);
      const random = randomOf(1);
      const outcomes = { loaded: 0, refused: 0 };
      for (let run = fuzzRuns(250); run > 0; run--) {
        writeFileSync(path, mutate(random, good));
        using _scope = device.arena();
        const before = device.stats.liveBytes;
        try {
          loadAdapter(device, folder, grouped);
          outcomes.loaded++;
        } catch (error) {
          assertRefusal(error, folder);
          assert.equal(device.stats.liveBytes, before);
          outcomes.refused++;
        }
      }
      assert.ok(outcomes.loaded > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
    }),
  );
}
