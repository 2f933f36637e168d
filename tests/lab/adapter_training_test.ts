/** Training an adapter of a frozen model: it learns, it alone changes, and it resumes. */
import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { mapTree, type Tree, treeEntries } from "../../core/tree.ts";
import { loadAdapter } from "../../lab/train/model_folder.ts";
import { newAdapter, openModel } from "../../lab/train/models.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { digestOf, type Recipe, transformerConfig } from "../../lab/train/recipe.ts";
import { RunFolder } from "../../lab/train/run_folder.ts";
import { loadRun, restoreRun, saveRun } from "../../lab/train/saved_run.ts";
import { TeacherForcing } from "../../lab/evaluate/teacher_forcing.ts";
import { Trainer } from "../../lab/train/trainer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { type LoraConfig, type LoraParams, mergeLora } from "../../models/lora.ts";
import {
  Transformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { testDevices } from "../devices.ts";
import { livelyParams, weightsOf } from "../models/llamas.ts";
import { inFolder, smallFolder } from "./small_folder.ts";

const lora: LoraConfig = { targets: ["q", "v", "up"], rank: 4, alpha: 8, dropout: 0.1 };

function smallDataset(): Dataset {
  const folder = smallFolder();
  try {
    return loadSemanticIds(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
const dataset = smallDataset();

const recipeOn = (device: Device): Recipe => ({
  ...{
    data: dataset.name,
    digest: digestOf(dataset),
    reading: {},
    device: device.kind,
    loss: "bear",
  },
  ...{ beam: 4, xi: 2.75, lambda: 0.25, tau: 1, seed: 1, layers: 2, dim: 16, heads: 2, kvHeads: 1 },
  ...{ ffn: 24, dropout: 0, history: 4, epochs: 2, batch: 16, lr: 0.06, warmup: 2, decay: 0.01 },
  ...{ model: "a/model", lora },
});

const read = (tree: Tree): Promise<TypedArray[]> => {
  const leaves = treeEntries(tree).map(([, tensor]) => tensor);
  return leaves[0].device.read(leaves);
};

/** A model to be frozen, its matrices in half precision where the device has it. */
async function baseOn(device: Device): Promise<{
  readonly config: TransformerConfig;
  readonly params: TransformerParams;
}> {
  const config = transformerConfig(recipeOn(device), dataset);
  const params = livelyParams(device, config, 7);
  const values = await weightsOf(params);
  const stored = mapTree(
    params,
    (w, path) =>
      w.rank === 1
        ? w
        : device.tensor(Float64Array.from(values.get(path) ?? []), w.shape, device.half),
  );
  return { config, params: stored };
}

for (const { name, skip, open } of testDevices) {
  test(
    `adapter training on ${name}: the loss falls, the base keeps its bits, an interrupted run ends as a whole one`,
    { skip },
    inFolder(async (folder) => {
      const device = await open();
      using _scope = device.arena();
      using trie = new Trie(dataset.paths).upload(device);
      const recipe = recipeOn(device);
      const base = await baseOn(device);
      assert.equal(base.params.embed.dtype, device.half);
      const frozen = await read(base.params);
      const start = (): Trainer<LoraParams> =>
        new Trainer(dataset, trie, recipe, newAdapter(device, base, lora, recipe.seed));
      const losses: number[] = [];
      const epochs = async (trainer: Trainer<LoraParams>, until: number): Promise<void> => {
        while (trainer.epoch < until) await trainer.runEpoch(({ loss }) => losses.push(loss));
      };

      using whole = start();
      await epochs(whole, recipe.epochs);
      assert.ok(losses[losses.length - 1] < 0.9 * losses[0], losses.join(", "));
      const ended = await read({ ...whole.tensors });

      using before = start();
      await epochs(before, 1);
      const run = join(folder, "bear-seed1");
      {
        using saved = new RunFolder(run, recipe);
        await saved.save(before, { epoch: 1, seconds: 1 });
      }
      assert.deepEqual(readdirSync(run).sort(), [
        "adapter_config.json",
        "adapter_model.safetensors",
        "state.safetensors",
      ]);
      using after = start();
      {
        using saved = new RunFolder(run, recipe);
        saved.restore(after);
      }
      await epochs(after, recipe.epochs);
      assert.deepEqual(await read({ ...after.tensors }), ended);

      assert.deepEqual(await read(base.params), frozen);
      const paths = treeEntries(before.params).map(([path]) => path);
      assert.equal(paths.length, 2 * 3 * 2);
      assert.deepEqual(
        Object.keys(loadRun(run).tensors).sort(),
        ["params", "first", "second"].flatMap((part) => paths.map((path) => `${part}.${path}`))
          .sort(),
        "only the adapter has moments",
      );
      const saved = loadAdapter(device, run, base.config);
      assert.deepEqual(saved.lora, lora);
      restoreRun(run, loadRun(run).tensors, before.tensors);
      const single = (all: TypedArray[]): Float32Array[] => all.map((v) => Float32Array.from(v));
      assert.deepEqual(single(await read(saved.adapter)), single(await read(before.params)));
    }),
  );
}

test(
  "adapter training: a resumed run must be of the same adapter",
  inFolder(async (folder) => {
    const device = await testDevices[0].open();
    using _scope = device.arena();
    using trie = new Trie(dataset.paths).upload(device);
    const recipe = recipeOn(device);
    const base = await baseOn(device);
    using trainer = new Trainer(dataset, trie, recipe, newAdapter(device, base, lora, 1));
    const run = join(folder, "bear-seed1");
    {
      using saved = new RunFolder(run, recipe);
      await saved.save(trainer, { epoch: 0, seconds: 0 });
    }
    const resume = (change: Partial<Recipe>): void =>
      new RunFolder(run, { ...recipe, ...change })[Symbol.dispose]();
    const refused = (change: Partial<Recipe>, message: RegExp): void =>
      assert.throws(() => resume(change), { name: "CheckpointError", message });
    resume({});
    refused({ lora: { ...lora, rank: 8 } }, /lora.rank must be that of its checkpoint, 4, got 8$/);
    refused({ lora: undefined }, /lora must be that of its checkpoint, .*, got none$/);
    refused({ model: "b" }, /model must be that of its checkpoint, "a\/model", got "b"$/);
  }),
);

test(
  "adapter training: a run is verified with the model that it adapts",
  inFolder(async (folder) => {
    const device = await testDevices[0].open();
    using _scope = device.arena();
    using trie = new Trie(dataset.paths).upload(device);
    const base = await baseOn(device);
    const model = join(folder, "base");
    const { params } = base;
    const progress = { step: 0, epoch: 0, seconds: 0 };
    const tensors = { params, m: [], v: [] };
    await saveRun(model, { model: base, tensors }, {}, progress);
    const recipe = { ...recipeOn(device), model };
    using trainer = new Trainer(dataset, trie, recipe, newAdapter(device, base, lora, 1));
    await trainer.runEpoch(() => {});
    const run = join(folder, "bear-seed1");
    using saved = new RunFolder(run, recipe);
    await saved.save(trainer, { epoch: 1, seconds: 1 });
    const { adapter } = loadAdapter(device, run, base.config);
    const options = { normalization: "children", tau: 1 } as const;
    using opened = await openModel(cpu(), run, dataset, options);
    using merged = new TeacherForcing(
      ...[device, new Transformer(device, base.config)] as const,
      ...[mergeLora(params, adapter, base.config, lora), trie, options] as const,
    );
    const histories = [[3, 5], [9]].map((items) => [...dataset.prompt(items)]);
    const leaves = [4, 11].map((item) => trie.trie.leafOf[item]);
    const [expected, actual] = await Promise.all(
      [merged, opened.forcing].map(async (forcing) =>
        (await forcing.logits(histories, leaves)).flat().flatMap(({ children }) =>
          Array.from(children)
        )
      ),
    );
    assert.ok(expected.length > 8);
    expected.forEach((z, i) => assert.ok(Math.abs(actual[i] - z) < 1e-4, `${actual[i]}, not ${z}`));
    rmSync(join(model, "config.json"));
    await assert.rejects(openModel(cpu(), run, dataset, options), {
      name: "CheckpointError",
      message: `Cannot load ${model}: it must hold config.json, got none`,
    });
  }),
);
