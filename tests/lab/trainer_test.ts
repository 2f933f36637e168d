/** The training loop: what a step of several batches is, and going on from between two epochs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { type Tree, treeLeaves } from "../../core/tree.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import type { Recipe } from "../../lab/train/recipe.ts";
import {
  type BatchInputs,
  type BatchTensors,
  Trainer,
  type TrainReport,
  trainStep,
} from "../../lab/train/trainer.ts";
import { newModel } from "../../lab/train/models.ts";
import { AdamW } from "../../models/adamw.ts";
import { Trie } from "../../models/decode/trie.ts";
import { lossNamed } from "../../models/losses/index.ts";
import { Meter } from "../../models/meter.ts";
import { sample } from "../../ops/cases.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";

const RECIPE: Recipe = {
  ...{
    data: "synthetic",
    digest: "",
    reading: {},
    device: "cpu",
    loss: "bear",
    beam: 3,
    xi: 1,
    lambda: 1,
  },
  ...{ tau: 1, seed: 0, layers: 1, dim: 8, heads: 2, kvHeads: 1, ffn: 16, dropout: 0.1 },
  ...{ history: 5, epochs: 2, batch: 8, lr: 1e-2, warmup: 2, decay: 0.01 },
};
const SHOP = synthetic({ users: 60 });

async function numbers(tree: Tree): Promise<number[]> {
  const leaves = treeLeaves(tree);
  return (await leaves[0].device.read(leaves)).flatMap((data) => [...data]);
}

/** A table that maps a token to the next one: tokens as batches, all positions targets. */
async function stepOn(
  device: Device,
  batches: readonly number[][],
  most: number,
): Promise<number[]> {
  const trie = new Trie(Array.from({ length: 8 }, (_, v) => [v])).upload(device);
  const params = { hidden: sample(device, [8, 4], 1), head: sample(device, [8, 4], 2) };
  const loss = lossNamed("bear-convex").make({ beam: 2 });
  const differentiate = ({ tokens, nodes, labels }: BatchTensors): {
    value: Tensor;
    grads: typeof params;
  } =>
    valueAndGrad(({ hidden, head }: typeof params) =>
      loss({ hidden: take(hidden, tokens), head }, { trie, nodes, labels })
    )(params);
  const meter = new Meter(device);
  using step = trainStep(device, differentiate, new AdamW(params), meter, most);
  const inputs = batches.map((tokens): BatchInputs => {
    const ints = (values: readonly number[]): { data: Int32Array; shape: number[] } => (
      { data: Int32Array.from(values), shape: [values.length] }
    );
    const none = ints(tokens.map(() => 0));
    return {
      ...{ tokens: ints(tokens), rows: none, nodes: none, key: ints([0, 0]) },
      labels: ints(tokens.map((token) => (token + 3) % 8)),
    };
  });
  for (let t = 1; t <= 3; t++) step(inputs, { data: Float64Array.of(0.1), shape: [] });
  assert.ok(Number.isFinite(await meter.take(3 * batches.length)));
  return await numbers(params);
}

test("a step on several batches is that on one batch of all their rows", async () => {
  const device = cpu({ float: "float64" });
  const parts = [[1, 5, 7], [0, 5, 2], [3, 3, 6]];
  const whole = await stepOn(device, [parts.flat()], 1);
  const pieces = await stepOn(device, parts, 3);
  whole.forEach((x, i) => assert.ok(Math.abs(x - pieces[i]) < 1e-9, `${x}, ${pieces[i]}`));
  const fewer = await stepOn(device, parts.slice(0, 2), 3); // the last step of an epoch
  const expected = await stepOn(device, [parts.slice(0, 2).flat()], 1);
  expected.forEach((x, i) => assert.ok(Math.abs(x - fewer[i]) < 1e-9, `${x}, ${fewer[i]}`));
});

for (const accumulate of [1, 3]) {
  test(`a run goes on between two epochs to the same bits, ${accumulate} batches a step`, async () => {
    const recipe = { ...RECIPE, accumulate };
    const device = cpu();
    using trie = new Trie(SHOP.paths).upload(device);
    const make = (): Trainer => new Trainer(SHOP, trie, recipe, newModel(device, SHOP, recipe));
    const reports: TrainReport[] = [];
    using whole = make();
    using second = make();
    await whole.runEpoch((report) => reports.push(report));
    const from = treeLeaves({ ...whole.tensors });
    const data = await device.read(from);
    treeLeaves({ ...second.tensors }).forEach((tensor, i) => device.write(tensor, data[i]));
    second.epoch = 1;
    await whole.runEpoch((report) => reports.push(report));
    await second.runEpoch(() => {});
    assert.deepEqual(await numbers(second.params), await numbers(whole.params));
    assert.equal(reports.at(-1)?.step, 2 * whole.stepsPerEpoch);
    assert.equal(reports.reduce((sum, r) => sum + r.tokens, 0), 2 * whole.targetsPerEpoch);
    assert.ok((reports.at(-1)?.loss ?? 9) < reports[0].loss);
  });
}

test("accumulate must be a positive integer", () => {
  const device = cpu();
  using trie = new Trie(SHOP.paths).upload(device);
  for (const accumulate of [0, 1.5, NaN]) {
    const recipe = { ...RECIPE, accumulate };
    const make = (): unknown => new Trainer(SHOP, trie, recipe, newModel(device, SHOP, recipe));
    assert.throws(make, ArgumentError);
  }
});
