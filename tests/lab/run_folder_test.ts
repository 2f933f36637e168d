/**
 * Run folders: what is saved is restored to the bit, crashes and other recipes included. In
 * metrics.jsonl what a crash leaves is mended, and anything else that is wrong is refused.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { CheckpointError, DataError } from "../../core/errors.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import { mapTree, treeEntries } from "../../core/tree.ts";
import { checkRecipe } from "../../lab/train/recipe.ts";
import { type MetricsLine, truncateMetrics } from "../../lab/train/run_folder.ts";
import { loadRun, restoreRun, saveRun } from "../../lab/train/saved_run.ts";
import type { TrainerTensors } from "../../lab/train/trainer.ts";
import { AdamW } from "../../models/adamw.ts";
import { configFromJson } from "../../models/checkpoint_config.ts";
import { decodeSafetensors, encodeSafetensors } from "../../models/safetensors.ts";
import {
  initTransformer,
  type TransformerConfig,
  type TransformerParams,
} from "../../models/transformer.ts";
import { testDevices } from "../devices.ts";
import { inFolder } from "./small_folder.ts";

const CONFIG: TransformerConfig = {
  vocabSize: 8,
  dim: 4,
  layers: 1,
  heads: 1,
  kvHeads: 1,
  headDim: 4,
  ffn: 6,
  ropeTheta: 10000,
  normEps: 1e-5,
  maxLength: 16,
  dropout: 0.1,
  tiedEmbeddings: true,
};
const RECIPE = { loss: "bear", lr: 0.01, sizes: { dim: 4, heads: 1 }, seed: 0 };

interface Run {
  readonly params: TransformerParams;
  readonly tensors: TrainerTensors;
  /** Takes AdamW steps `from` + 1 to `to` on made-up gradients. */
  train(from: number, to: number): void;
}

function start(device: Device, seed = 0): Run {
  const params = initTransformer(device, CONFIG, seed);
  const optimizer = new AdamW(params, { clipNorm: 1 });
  const train = (from: number, to: number): void => {
    for (let step = from + 1; step <= to; step++) {
      using _scope = device.arena();
      let leaf = 0;
      const key = foldIn(keyOf(1), step);
      const grads = mapTree(
        params,
        (t) => device.tensor(normal(foldIn(key, leaf++), t.size), t.shape),
      );
      optimizer.steps = step - 1;
      optimizer.step(grads, 0.01);
    }
  };
  return { params, tensors: { params, m: optimizer.m, v: optimizer.v }, train };
}

async function bits(device: Device, { params, m, v }: TrainerTensors): Promise<unknown> {
  const entries = treeEntries({ params, m, v });
  return await device.read(entries.map(([, tensor]) => tensor));
}

/** Saves a run at the end of epoch `epoch`, which has 4 steps. */
function save(folder: string, { tensors }: Run, epoch = 1): Promise<void> {
  const progress = { step: 4 * epoch, epoch, seconds: 1.5 };
  return saveRun(folder, { model: { config: CONFIG }, tensors }, RECIPE, progress);
}

function refuses(run: () => unknown, message: string): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof CheckpointError, `${error}`);
    assert.equal(error.message, message);
    return true;
  });
}

for (const { name, skip, open } of testDevices) {
  test(
    `run folder: an interrupted run ends with the bits of an uninterrupted one, ${name}`,
    { skip },
    inFolder(async (folder) => {
      const device = await open();
      const whole = start(device);
      whole.train(0, 9);

      const before = start(device);
      before.train(0, 4);
      await save(folder, before);
      const after = start(device, 77);
      const saved = loadRun(folder);
      restoreRun(folder, saved.tensors, after.tensors);
      after.train(saved.step, 9);
      assert.deepEqual(await bits(device, after.tensors), await bits(device, whole.tensors));
    }),
  );
}

test(
  "run folder: progress and recipe come back, and the model is there for others",
  inFolder(async (parent) => {
    const folder = join(parent, "new", "run");
    const run = start(cpu());
    const progress = { step: 12, epoch: 3, seconds: 0.1 + 0.2 };
    await saveRun(folder, { model: { config: CONFIG }, ...run }, RECIPE, progress);
    assert.deepEqual(readdirSync(folder).sort(), [
      "config.json",
      "model.safetensors",
      "state.safetensors",
    ]);
    const { step, epoch, seconds, recipe } = loadRun(folder);
    assert.deepEqual({ step, epoch, seconds }, progress);
    assert.deepEqual(recipe, RECIPE);
    const state = decodeSafetensors(readFileSync(join(folder, "state.safetensors")));
    const written = { loss: "bear", rate: 0.01, sizes: RECIPE.sizes, seed: 0 }; // as runs always did
    assert.equal(state.metadata.recipe, JSON.stringify(written));
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    assert.deepEqual(configFromJson(config), CONFIG);
    const model = decodeSafetensors(readFileSync(join(folder, "model.safetensors")));
    assert.deepEqual(
      model.tensors["model.layers.0.mlp.down_proj.weight"].data,
      await run.params.layers[0].down.data(),
    );
    assert.deepEqual(model.metadata, { format: "pt" });
  }),
);

test(
  "run folder: a save that fails midway leaves the one before",
  inFolder(async (folder) => {
    const device = cpu();
    const run = start(device);
    await save(folder, run);
    const old = await bits(device, run.tensors);
    run.train(0, 3);
    rmSync(join(folder, "model.safetensors"));
    mkdirSync(join(folder, "model.safetensors")); // no file can take its place
    await assert.rejects(save(folder, run, 2), DataError);
    const saved = loadRun(folder);
    assert.equal(saved.epoch, 1);
    restoreRun(folder, saved.tensors, run.tensors);
    assert.deepEqual(await bits(device, run.tensors), old);
  }),
);

test(
  "run folder: nothing to resume",
  inFolder((folder) => {
    for (const path of [folder, join(folder, "none")]) {
      refuses(
        () => loadRun(path),
        `Cannot load ${path}: the folder of a run must hold state.safetensors, got none`,
      );
    }
  }),
);

test(
  "run folder: a damaged state is refused by name",
  inFolder(async (folder) => {
    const path = join(folder, "state.safetensors");
    await save(folder, start(cpu()));
    const { tensors, metadata } = decodeSafetensors(readFileSync(path));
    const changes = [
      [{ step: "1.5" }, /its step must be a count, got 1.5$/],
      [{ epoch: "many" }, /its epoch must be a count, got many$/],
      [{ epoch: `1${"0".repeat(30)}` }, /its epoch must be a count, got 10{30}$/],
      [{ seconds: "-1" }, /its seconds must be a time, got -1$/],
      [{ seconds: "" }, /its seconds must be a time, got $/],
      [{ seconds: "Infinity" }, /its seconds must be a time, got Infinity$/],
      [{ recipe: "{" }, /its recipe must be a JSON object, got \{$/],
      [{ recipe: "[]" }, /its recipe must be a JSON object, got \[\]$/],
      [{ validation: '[{"epoch":1}]' }, /its validation must be a list of validations, got \[\{/],
      [{ format: "beargrad run 9" }, /its format must be "beargrad run 2", got beargrad run 9$/],
    ] as const;
    for (const [change, message] of changes) {
      writeFileSync(path, encodeSafetensors(tensors, { ...metadata, ...change }));
      assert.throws(() => loadRun(folder), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.ok(error.message.startsWith(`Cannot read ${path}: `));
        assert.match(error.message, message);
        return true;
      });
    }
    writeFileSync(path, encodeSafetensors(tensors));
    assert.throws(() => loadRun(folder), /its format must be "beargrad run 2", got none$/);
    truncateSync(path, 100);
    assert.throws(() => loadRun(folder), CheckpointError);
  }),
);

test(
  "run folder: tensors of another float type or model are refused, and nothing is written",
  inFolder(async (folder) => {
    const path = join(folder, "state.safetensors");
    await save(folder, start(cpu()));
    const saved = loadRun(folder);
    refuses(
      () => restoreRun(folder, saved.tensors, start(cpu({ float: "float64" })).tensors),
      `Cannot load ${path}: params.embed must be F64 as on the device, got F32`,
    );
    const device = cpu();
    const { params, tensors } = start(device, 5);
    const smaller: TrainerTensors = { ...tensors, v: { ...params, norm: device.tensor([1]) } };
    const before = await bits(device, smaller);
    refuses(
      () => restoreRun(folder, saved.tensors, smaller),
      `Cannot load ${path}: second.norm must be of shape (1), got (4)`,
    );
    assert.deepEqual(await bits(device, smaller), before);
  }),
);

test(
  "run folder: another recipe is refused by its first field that differs",
  inFolder(async (folder) => {
    await save(folder, start(cpu()));
    const saved = loadRun(folder);
    checkRecipe(folder, saved.recipe, RECIPE);
    checkRecipe(folder, saved.recipe, {
      seed: 0,
      sizes: { heads: 1, dim: 4 },
      lr: 0.01,
      loss: "bear",
    });
    const { seed: _seed, ...seedless } = RECIPE;
    const changes = [
      [{ ...RECIPE, loss: "msl", lr: 1 }, 'loss must be that of its checkpoint, "bear", got "msl"'],
      [{ ...RECIPE, lr: 0.02 }, "lr must be that of its checkpoint, 0.01, got 0.02"],
      [
        { ...RECIPE, sizes: { dim: 4, heads: 2 } },
        "sizes.heads must be that of its checkpoint, 1, got 2",
      ],
      [seedless, "seed must be that of its checkpoint, 0, got none"],
      [{ ...RECIPE, extra: true }, "extra must be that of its checkpoint, none, got true"],
    ] as const;
    for (const [recipe, message] of changes) {
      refuses(
        () => checkRecipe(folder, saved.recipe, recipe),
        `Cannot resume ${folder}: ${message}`,
      );
    }
  }),
);

const line = (step: number): string =>
  `${JSON.stringify({ step, epoch: 0, loss: 1, rate: 0.5 })}\n`;

test(
  "metrics: lines after the last save go, and so does a torn last line",
  inFolder((folder) => {
    const path = join(folder, "metrics.jsonl");
    truncateMetrics(path, 20);
    assert.deepEqual(readdirSync(folder), []);
    const all = (): MetricsLine[] => truncateMetrics(path, Infinity).curve;
    assert.deepEqual(all(), []);
    const kept = line(10) + line(20);
    for (const lost of ["", line(21), line(30) + line(40) + '{"step": 5']) {
      writeFileSync(path, kept + lost);
      const { isTorn, curve } = truncateMetrics(path, 20);
      assert.equal(isTorn, lost.includes('"step": 5'));
      assert.deepEqual(curve.map(({ step }) => step), [10, 20]);
      assert.equal(readFileSync(path, "utf8"), kept);
    }
    writeFileSync(path, `${kept}${line(21)}{"step"`);
    assert.deepEqual(all().map(({ step }) => step), [10, 20, 21]);
    assert.equal(all()[0].lr, 0.5);
    assert.equal(truncateMetrics(path, 19).curve.at(-1)?.step, 10);
    writeFileSync(path, "");
    assert.deepEqual(truncateMetrics(path, 20), { isTorn: false, curve: [] });
  }),
);

test(
  "metrics: any other line that is not what it should be is refused, and the file left alone",
  inFolder((folder) => {
    const path = join(folder, "metrics.jsonl");
    for (const bad of ['{"step"', '{"step":3}', '{"step":"3","epoch":0,"loss":1}', "", "null"]) {
      const text = `${line(1)}${bad}\n${line(9)}`;
      writeFileSync(path, text);
      refuses(
        () => truncateMetrics(path, 1),
        `Cannot resume from ${path}: line 2 must be a JSON object with step, epoch and loss, ` +
          `got ${JSON.stringify(bad)}`,
      );
      assert.equal(readFileSync(path, "utf8"), text);
    }
  }),
);
