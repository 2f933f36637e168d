/**
 * The training loop: what a step of several batches is, what losses are fed beside a batch, and
 * going on from between two epochs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { foldIn, keyOf } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { type Tree, treeLeaves } from "../../core/tree.ts";
import { makeBatches, makeWindows } from "../../lab/data/batches.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { withItemInput } from "../../lab/data/derived.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import {
  chooseTargets,
  hiddenOf,
  lossFeed,
  negativeInputs,
  searchOf,
  thresholdInput,
} from "../../lab/train/loss_inputs.ts";
import { newModel } from "../../lab/train/models.ts";
import type { Recipe } from "../../lab/train/recipe.ts";
import {
  type BatchInputs,
  type BatchTensors,
  Trainer,
  type TrainReport,
  trainStep,
} from "../../lab/train/trainer.ts";
import { AdamW } from "../../models/adamw.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { Trie } from "../../models/decode/trie.ts";
import { lossNamed } from "../../models/losses/index.ts";
import type { Negatives } from "../../models/losses/loss.ts";
import { Meter } from "../../models/meter.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import type { Transformer, TransformerParams } from "../../models/transformer.ts";
import { sample } from "../../ops/cases.ts";
import type { Projection } from "../../ops/logits.ts";
import { take } from "../../ops/take.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { smallFolder } from "./small_folder.ts";

const SHOP = synthetic({ users: 60 });
const CODES = loadSemanticIds(smallFolder());
const RECIPE: Recipe = {
  ...{ data: "synthetic", digest: "", reading: {}, device: "cpu", loss: "msl", beam: 3, xi: 1 },
  ...{ lambda: 1, tau: 1, seed: 0, layers: 1, dim: 8, heads: 2, kvHeads: 1, ffn: 16 },
  ...{ dropout: 0.1, history: 5, epochs: 2, batch: 8, lr: 1e-2, warmup: 2, decay: 0.01 },
};

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

test("what is awaited between two steps can end an epoch", async () => {
  const device = cpu();
  using trie = new Trie(SHOP.paths).upload(device);
  using trainer = new Trainer(SHOP, trie, RECIPE, newModel(device, SHOP, RECIPE));
  const stopped = new Error("stopped");
  await assert.rejects(trainer.runEpoch(() => {}, () => Promise.reject(stopped)), stopped);
  assert.equal(trainer.epoch, 0);
  await trainer.runEpoch(() => {});
  assert.equal(trainer.epoch, 1);
});

test("accumulate must be a positive integer", () => {
  const device = cpu();
  using trie = new Trie(CODES.paths).upload(device);
  for (const accumulate of [0, 1.5, NaN]) {
    const recipe = { ...RECIPE, accumulate };
    const make = (): unknown => new Trainer(CODES, trie, recipe, newModel(device, CODES, recipe));
    assert.throws(make, ArgumentError);
  }
});

const batchesOf = (trie: Trie, dataset = SHOP): ReturnType<typeof makeBatches> =>
  makeBatches(makeWindows(dataset, trie, 5), { batch: 8, seed: 1, epoch: 0 });

test("a target is chosen of each window, and its history is what the model reads", () => {
  const trie = new Trie(SHOP.paths);
  const seen = new Set<string>();
  for (const [i, batch] of batchesOf(trie).entries()) {
    const chosen = chooseTargets(batch, trie, foldIn(keyOf(5), i));
    const [, T] = batch.tokens.shape;
    const windows = chosen.map((c) => c.window);
    assert.deepEqual(windows, [...new Set(windows)]);
    for (const { window, row, history, leaf } of chosen) {
      const place = batch.rows.data[row] - window * T;
      assert.deepEqual(history, [
        ...batch.tokens.data.subarray(window * T, window * T + place + 1),
      ]);
      const path = trie.pathOf(leaf);
      assert.deepEqual([...batch.labels.data.subarray(row, row + path.length)], path);
      seen.add(`${place}`);
    }
    assert.equal(chosen.length, Math.min(8, new Set(rowsWithTargets(batch)).size));
  }
  assert.ok(seen.size > 5, "targets at many places");
});

function rowsWithTargets(batch: ReturnType<typeof makeBatches>[number]): number[] {
  const [, T] = batch.tokens.shape;
  return [...batch.nodes.data].flatMap((node, n) =>
    node === 0 ? [Math.floor(batch.rows.data[n] / T)] : []
  );
}

for (const name of ["synthetic", "codes", "codes, items as input"]) {
  test(`negatives are other items after the same history, ${name}`, () => {
    const dataset = name === "synthetic" ? SHOP : name === "codes" ? CODES : withItemInput(CODES);
    const trie = new Trie(dataset.paths);
    const [K, D] = [3, trie.maxDepth];
    const paths = [...new Set(dataset.paths.map((path) => path.join()))].map((path) =>
      path.split(",").map(Number)
    );
    let counted = 0;
    for (const batch of batchesOf(trie, dataset).slice(0, 6)) {
      const chosen = chooseTargets(batch, trie, keyOf(2));
      const given = negativeInputs(batch, chosen, trie, K, keyOf(3));
      const [W, T] = given.negativeMask.shape;
      const L = D - 1;
      assert.deepEqual(given.negativeTokens.shape, [W, K * L]);
      for (const { window, row, history, leaf } of chosen) {
        const own = trie.pathOf(leaf);
        const targets = [...given.negativeTargets.data.subarray(window * D, (window + 1) * D)];
        assert.deepEqual(
          targets,
          Array.from({ length: D }, (_, t) => t < own.length ? row + t : -1),
        );
        const mask = [...given.negativeMask.data.subarray(window * T, (window + 1) * T)];
        assert.deepEqual(mask, mask.map((_, t) => t < history.length ? 0 : -1e30));
        const negatives = Array.from({ length: K }, (_, k) => {
          const at = (window * K + k) * D;
          const nodes = [...given.negativeNodes.data.subarray(at, at + D)];
          const length = nodes.includes(-1) ? nodes.indexOf(-1) : D;
          const path = [...given.negativeLabels.data.subarray(at, at + length)];
          assert.ok(nodes.slice(length).every((node) => node === -1));
          path.forEach((_, t) => assert.deepEqual(trie.pathOf(nodes[t]), path.slice(0, t)));
          path.forEach((_, t) => { // the first token is predicted in the window, the others by what is before them
            const row = given.negativeRows.data[at + t];
            const place = row - W * T;
            if (t === 0) return assert.equal(row, window * T + history.length - 1);
            assert.equal(Math.floor(place / L), window * K + k);
            assert.equal(place % L, t - 1);
            assert.equal(given.negativeTokens.data[place], path[t - 1]);
            assert.equal(given.negativePositions.data[place], history.length + t - 1);
          });
          return path;
        });
        const items = negatives.map((path) => path.join());
        assert.equal(new Set(items).size, K);
        assert.ok(!items.includes(own.join()) && negatives.every((path) => path.length > 0));
        for (let t = 1; t <= D; t++) {
          const prefix = (path: readonly number[]): string => path.slice(0, t).join();
          const different = new Set(paths.filter((p) => p.length >= t).map(prefix)).size;
          const counts = negatives.map((path, k) =>
            t <= own.length && path.length >= t && prefix(path) !== prefix(own) &&
            negatives.slice(0, k).every((other) => prefix(other) !== prefix(path))
          );
          const n = counts.filter(Boolean).length;
          counts.forEach((counts, k) => {
            const scale = given.negativeScales.data[(window * K + k) * D + t - 1];
            if (!counts) return assert.equal(scale, -1e30);
            counted++;
            assert.ok(Math.abs(Math.exp(scale) - (different - 1) / n) < 1e-9);
          });
        }
      }
    }
    assert.ok(counted > 50);
  });
}

/** A data set as tokens, and with each way to read items. */
const inputsOf = (dataset: Dataset): Dataset[] => [
  dataset,
  ...(["items", "items-parallel"] as const).map((input) => withItemInput(dataset, input)),
];

/** The state that predicts the token after a history and the first tokens of an item. */
async function stateAfter(
  model: Transformer,
  params: TransformerParams,
  history: readonly number[],
  path: readonly number[],
): Promise<number[]> {
  const { dim: C, codeHeads } = model.config;
  const read = Int32Array.from(codeHeads ? history : [...history, ...path]);
  const h = [...await model.hidden(params, model.device.tensor(read, [1, read.length])).data()]
    .slice(-C);
  if (codeHeads === undefined) return h;
  const w = await (params.codeHeads as Tensor).data();
  return h.map((x, c) => {
    const row = (path.length * C + c) * C;
    const z = h.reduce((sum, y, i) => sum + y * w[row + i], 0);
    return x + z / (1 + Math.exp(-z));
  });
}

for (const dataset of inputsOf(CODES)) {
  test(`thresholds are those of a search of the model as it is, ${dataset.itemInput}`, async () => {
    const device = cpu({ float: "float64" });
    using trie = new Trie(dataset.paths).upload(device);
    const [host, tau, beam] = [trie.trie, 1.5, 3];
    const { model, params } = newModel(device, dataset, { ...RECIPE, dropout: 0 });
    using search = searchOf(new TransformerDecoder(model, params), trie, { beam, tau });
    const [batch] = batchesOf(host, dataset);
    const chosen = chooseTargets(batch, host, keyOf(2));
    const { data, shape } = await thresholdInput(batch, chosen, host, search);
    assert.deepEqual(shape, batch.nodes.shape);
    const none = await thresholdInput(batch, chosen, host, undefined);
    assert.ok(none.data.every((x) => x === -1e30));
    const feed = lossFeed({ thresholds: true }, { seed: 0, searchEvery: 2 }, host, search);
    for (const step of [1, 2, 3, 4]) { // a search in the first step and every second after it
      const { thresholds } = await feed(batch, step, step);
      assert.equal(thresholds?.data.some((x) => x > -1e30), step % 2 === 1);
    }
    const touched = new Set<number>();
    for (const { row, history, leaf } of chosen) {
      // A plain search, which asks for the logits after the history and each prefix.
      const logits = new Map<string, number[]>();
      for (let node = 0; node < host.nodeCount; node++) {
        if (host.childCount(node) === 0) continue;
        const path = host.pathOf(node);
        const state = device.tensor([await stateAfter(model, params, history, path)]);
        logits.set(path.join(), [...await model.logits(params, state).data()]);
      }
      const of = (path: readonly number[]): number[] => logits.get(path.join()) as number[];
      const { steps } = referenceBeamSearch(host, of, { beam, tau });
      steps.slice(0, host.depths[leaf]).forEach(({ threshold }, t) => {
        touched.add(row + t);
        assert.ok(Math.abs(data[row + t] - threshold) < 1e-9, `${data[row + t]}, ${threshold}`);
      });
    }
    data.forEach((x, n) => assert.equal(x > -1e30, touched.has(n)));
  });
}

for (const [name, plain] of [["synthetic", SHOP], ["codes", CODES]] as const) {
  for (const dataset of inputsOf(plain)) {
    const { itemInput } = dataset;
    test(`a place of a batch has the state of its own sequence, ${name}, ${itemInput}`, async () => {
      const device = cpu({ float: "float64" });
      const trie = new Trie(dataset.paths);
      const { model, params } = newModel(device, dataset, { ...RECIPE, layers: 2, dropout: 0 });
      const [batch] = batchesOf(trie, dataset);
      const chosen = chooseTargets(batch, trie, keyOf(2));
      const isParallel = itemInput === "items-parallel";
      const inputs = { ...batch, ...negativeInputs(batch, chosen, trie, 2, keyOf(3), isParallel) };
      const { targets: _, ...given } = inputs;
      const onDevice = Object.entries(given).map(([name, { data, shape }]) =>
        [name, device.tensor(data, shape)] as const
      );
      const tensors = Object.fromEntries(onDevice) as Parameters<typeof hiddenOf>[2];
      const { hidden, negatives } = hiddenOf(model, params, tensors);
      const C = RECIPE.dim;
      const compare = async (
        found: Tensor,
        n: number,
        history: readonly number[],
        node: number,
      ): Promise<void> => {
        using _scope = device.arena();
        const expected = await stateAfter(model, params, history, trie.pathOf(node));
        const actual = await found.data();
        const error = Math.max(...expected.map((x, c) => Math.abs(x - actual[n * C + c])));
        assert.ok(error < 1e-10, `${error}`);
      };
      const [, T] = batch.tokens.shape;
      const found = take(hidden, device.tensor(batch.rows.data));
      let history: number[] = [];
      for (const [n, node] of batch.nodes.data.entries()) {
        if (node < 0) continue;
        if (node === 0) { // the first token of an item is predicted in a row of the batch
          const place = batch.rows.data[n];
          const row = Math.floor(place / T) * T;
          history = [...batch.tokens.data.subarray(row, place + 1)];
        }
        await compare(found, n, history, node);
      }
      assert.ok(history.length > 1);
      const { hidden: others } = (negatives as Negatives).logits as Projection;
      const { negativeNodes, negativeScales: { shape: [, K, D] } } = inputs;
      for (const { window, history } of chosen) {
        for (let at = window * K * D; at < (window + 1) * K * D; at++) {
          const node = negativeNodes.data[at];
          if (node >= 0) await compare(others, at, history, node);
        }
      }
    });
  }
}

test("items as input: the same targets as with tokens, in the same order", () => {
  for (const dataset of [SHOP, CODES]) {
    const trie = new Trie(dataset.paths);
    const of = (data: Dataset): number[][] =>
      makeWindows(data, trie, 3).map(({ nodes, labels }) =>
        [...nodes].flatMap((node, i) => node < 0 ? [] : [node, labels[i]])
      );
    assert.deepEqual(of(withItemInput(dataset)), of(dataset));
  }
});

const CASES = [
  ["bear", 3, "tokens"],
  ["msl-ats", 1, "tokens"],
  ["apao-point", 1, "tokens"],
  ["apao-pair", 1, "tokens"],
  ["beam-exact", 1, "tokens"],
  ["bear", 3, "items"],
  ["apao-pair", 1, "items"],
  ["beam-exact", 1, "items"],
  ["bear", 1, "items-parallel"],
  ["apao-pair", 1, "items-parallel"],
  ["beam-exact", 1, "items-parallel"],
] as const;

for (const [loss, accumulate, input] of CASES) {
  test(`a run of ${loss} goes on to the same bits, its memory is flat, ${accumulate} batches a step, ${input}`, async () => {
    const dataset = input === "tokens" ? CODES : withItemInput(CODES, input);
    const recipe = { ...RECIPE, loss, accumulate, negatives: 2, searchEvery: 2, epochs: 3 };
    const device = cpu();
    using trie = new Trie(dataset.paths).upload(device);
    const make = (): Trainer =>
      new Trainer(dataset, trie, recipe, newModel(device, dataset, recipe));
    using whole = make();
    const reports: TrainReport[] = [];
    await whole.runEpoch((report) => reports.push(report));
    using second = make();
    const data = await device.read(treeLeaves({ ...whole.tensors }));
    treeLeaves({ ...second.tensors }).forEach((tensor, i) => device.write(tensor, data[i]));
    second.epoch = 1;
    await whole.runEpoch((report) => reports.push(report));
    const { liveBytes } = device.stats;
    await second.runEpoch(() => {});
    assert.deepEqual(await numbers({ ...second.tensors }), await numbers({ ...whole.tensors }));
    assert.equal(treeLeaves({ ...whole.tensors }).length % 3, loss === "msl-ats" ? 1 : 0); // its state
    const before = device.stats.liveBytes;
    await whole.runEpoch((report) => reports.push(report));
    assert.ok(before > liveBytes); // the programs of the second
    assert.equal(device.stats.liveBytes, before);
    assert.ok(reports.every((report) => Number.isFinite(report.loss)));
    assert.equal(reports.at(-1)?.step, 3 * whole.stepsPerEpoch);
    assert.equal(reports.reduce((sum, { tokens }) => sum + tokens, 0), 3 * whole.targetsPerEpoch);
    if (loss === "bear") assert.ok((reports.at(-1)?.loss ?? 9) < reports[0].loss);
  });
}

test("there is no room for more negatives than other items", async () => {
  const dataset = CODES;
  const trie = new Trie(dataset.paths);
  const recipe = { ...RECIPE, negatives: 1000 };
  const [batch] = batchesOf(trie, dataset);
  const { negativeScales } = await lossFeed({ negatives: true }, recipe, trie, undefined)(
    batch,
    1,
    1,
  );
  assert.deepEqual(negativeScales?.shape, [8, trie.leafCount - 1, trie.maxDepth]);
});

test("a loss that is given by its options has their negatives and searches", async () => {
  const { needs } = lossNamed("beam-exact");
  assert.deepEqual(needs, { thresholds: true });
  const dataset = CODES;
  const device = cpu();
  using trie = new Trie(dataset.paths).upload(device);
  const run = async (loss: string, more: Partial<Recipe>): Promise<number[]> => {
    const recipe = { ...RECIPE, loss, ...more };
    using trainer = new Trainer(dataset, trie, recipe, newModel(device, dataset, recipe));
    await trainer.runEpoch(() => {});
    return await numbers(trainer.params);
  };
  // lambda 0 and beta 0 leave msl and sft.
  assert.deepEqual(await run("beam-exact", { lambda: 0 }), await run("msl", {}));
  const [pair, sft] = [await run("apao-pair", { beta: 0 }), await run("sft", {})];
  pair.forEach((x, i) => assert.ok(Math.abs(x - sft[i]) < 1e-4));
  const often = await run("beam-exact", { searchEvery: 1 });
  assert.notDeepEqual(await run("beam-exact", { searchEvery: 2 }), often);
  assert.notDeepEqual(await run("apao-pair", { negatives: 1 }), await run("apao-pair", {}));
});
