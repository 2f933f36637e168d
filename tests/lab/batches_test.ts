/**
 * Windows and batches: every training item a target exactly once, whatever the history length and
 * the batch.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import { makeBatches, makeWindows, paddedLengths, type Window } from "../../lab/data/batches.ts";
import { synthetic } from "../../lab/data/synthetic.ts";
import { Trie } from "../../models/decode/trie.ts";
import { datasetOf } from "./datasets.ts";

const shop = synthetic({ users: 120 });
const shopTrie = new Trie(shop.paths);

/** Items of one to three tokens; a user's training items are all but the last two. */
const small = datasetOf([[1, 2], [3], [2, 1, 3], [2, 2]], [[0, 1, 2, 3, 1, 0, 0], [2, 1, 3]]);
const smallTrie = new Trie(small.paths);

/** The items that a row predicts, told from its nodes and labels alone. */
function predictedItems(row: Pick<Window, "nodes" | "labels">, trie: Trie): number[] {
  const items: number[] = [];
  row.nodes.forEach((node, position) => {
    if (node < 0) return;
    const child = trie.child(node, row.labels[position]);
    assert.ok(child >= 0, `node ${node} has no child by token ${row.labels[position]}`);
    if (trie.childCount(child) === 0) items.push(trie.itemsAt(child)[0]);
    else assert.equal(row.nodes[position + 1], child, "the next position must stand at the child");
  });
  return items;
}

test("batches: a window by hand", () => {
  const [first, second, third] = makeWindows(small, smallTrie, 3);
  assert.deepEqual([...first.tokens], [0, 1, 2, 3, 2, 1, 3, 2]);
  assert.deepEqual([...first.labels], [1, 2, 3, 2, 1, 3, 2, 2]);
  const a = smallTrie.child(0, 1);
  const b = smallTrie.child(0, 2);
  assert.deepEqual([...first.nodes], [0, a, 0, 0, b, smallTrie.child(b, 1), 0, b]);
  assert.equal(first.targets, 8);
  // The second window begins with the item that the first ends with, as context.
  assert.deepEqual([...second.tokens], [0, 2, 2]);
  assert.deepEqual([...second.nodes], [-1, -1, 0]);
  assert.deepEqual([...second.labels], [0, 0, 3]);
  assert.equal(second.targets, 1);
  // A user with one training item has that one to predict.
  assert.deepEqual([...third.tokens], [0, 2, 1]);
  assert.deepEqual(predictedItems(third, smallTrie), [2]);
});

test("batches: windows are no longer than history and target", () => {
  const sizes = makeWindows(small, smallTrie, 2).map((w) => w.tokens.length);
  // Items 0 1 2, then 2 3 1, then the other user's 2: BOS and their tokens without the last.
  assert.deepEqual(sizes, [1 + 2 + 1 + 3 - 1, 1 + 3 + 2 + 1 - 1, 3]);
});

for (const history of [1, 2, 3, 5, 20]) {
  test(`batches: every item is a target once, and every label the next token, history ${history}`, () => {
    for (const [dataset, trie] of [[shop, shopTrie], [small, smallTrie]] as const) {
      const windows = makeWindows(dataset, trie, history);
      const predicted = windows.flatMap((w) => predictedItems(w, trie));
      assert.deepEqual(predicted, dataset.training.flatMap(({ items }) => items));
      for (const { tokens, labels, nodes } of windows) {
        for (let t = 0; t + 1 < tokens.length; t++) {
          if (nodes[t] >= 0) assert.equal(tokens[t + 1], labels[t]);
        }
        assert.equal(tokens[0], 0);
        assert.ok(nodes[tokens.length - 1] >= 0); // the last label is not an input
      }
    }
  });
}

for (const batch of [1, 7, 32, 500]) {
  test(`batches: an epoch has every window once, ${batch} rows a batch`, () => {
    const windows = makeWindows(shop, shopTrie, 20);
    const batches = makeBatches(windows, { batch, seed: 0, epoch: 0 });
    const rows: string[] = [];
    for (const { tokens, targets, ...at } of batches) {
      const [B, T] = tokens.shape;
      assert.equal(B, batch);
      assert.deepEqual([at.nodes.shape, at.labels.shape], [at.rows.shape, at.rows.shape]);
      assert.equal(at.nodes.data.filter((node) => node >= 0).length, targets);
      assert.ok(targets > 0);
      const nodes = new Int32Array(B * T).fill(-1);
      const labels = new Int32Array(B * T);
      at.rows.data.forEach((row, n) => {
        if (at.nodes.data[n] < 0) return;
        assert.equal(nodes[row], -1, "a position is there once");
        nodes[row] = at.nodes.data[n];
        labels[row] = at.labels.data[n];
      });
      for (let b = 0; b < B; b++) {
        const part = [tokens.data, nodes, labels].map((data) => data.subarray(b * T, (b + 1) * T));
        if (part[1].every((node) => node === -1)) {
          assert.ok(part[0].every((token) => token === 0) && part[2].every((label) => label === 0));
        } else {
          rows.push(part.map((values) => values.join()).join(" "));
        }
      }
    }
    const lengths = paddedLengths(windows.map((w) => w.tokens.length));
    const wanted = windows.map((w) => {
      const T = lengths.find((n) => n >= w.tokens.length) as number;
      const padded = (values: Int32Array, fill: number): string =>
        [...values, ...new Array<number>(T - values.length).fill(fill)].join();
      return [padded(w.tokens, 0), padded(w.nodes, -1), padded(w.labels, 0)].join(" ");
    });
    assert.deepEqual(rows.sort(), wanted.sort());
  });
}

test("batches: positions without a target are left out, and few numbers of positions occur", () => {
  const windows = makeWindows(shop, shopTrie, 20).map((window): Window => {
    const last = window.nodes.findLastIndex((node) => node === 0); // of each window one item
    const nodes = window.nodes.map((node, t) => t < last ? -1 : node);
    return { ...window, nodes, targets: nodes.filter((node) => node >= 0).length };
  });
  const sizes = new Map<number, Set<number>>();
  for (let epoch = 0; epoch < 20; epoch++) {
    for (const { tokens, rows, nodes } of makeBatches(windows, { batch: 16, seed: 0, epoch })) {
      const [B, T] = tokens.shape;
      const N = rows.shape[0];
      assert.ok(N < B * T && N % 16 === 0, `${N} of ${B * T}`);
      sizes.set(T, (sizes.get(T) ?? new Set()).add(N));
      nodes.data.forEach((_, n) => assert.ok(rows.data[n] >= 0 && rows.data[n] < B * T));
    }
  }
  for (const [T, found] of sizes) assert.ok(found.size <= 2, `${T}: ${[...found]}`);
});

test("batches: where all positions have targets, all are there in order", () => {
  const whole = makeWindows(small, smallTrie, 3).slice(0, 1); // 8 tokens, 8 targets
  const [{ rows }] = makeBatches(whole, { batch: 2, seed: 0, epoch: 0 });
  assert.deepEqual([...rows.data], [...Array(16).keys()].slice(0, rows.shape[0]));
});

test("batches: the order depends on seed and epoch alone", () => {
  const windows = makeWindows(shop, shopTrie, 20);
  const order = (seed: number, epoch: number): string =>
    makeBatches(windows, { batch: 8, seed, epoch }).map((b) => b.tokens.data.join()).join();
  assert.equal(order(3, 1), order(3, 1));
  assert.notEqual(order(3, 1), order(3, 2));
  assert.notEqual(order(3, 1), order(4, 1));
});

test("batches: few lengths, little padding", () => {
  const lengths = makeWindows(shop, shopTrie, 20).map((w) => w.tokens.length);
  const padded = paddedLengths(lengths);
  const positions = lengths.map((n) => padded.find((p) => p >= n) as number);
  const total = (values: number[]): number => values.reduce((sum, n) => sum + n, 0);
  assert.ok(padded.length <= 4, `${padded}`);
  assert.ok(1 - total(lengths) / total(positions) < 0.25);
});

test("batches: padded lengths by hand", () => {
  assert.deepEqual(paddedLengths([8, 8, 8, 8]), [8]);
  assert.deepEqual(paddedLengths([7, 8, 6, 8]), [8]);
  assert.deepEqual(paddedLengths([4, 4, 4, 40]), [4, 40]);
  // One length pads 63 % of the positions; of the choices of two, 40 and 400 pad the least.
  assert.deepEqual(paddedLengths([4, 40, 400, 4, 40, 400]), [40, 400]);
});

test("batches: arguments out of range", () => {
  const windows = makeWindows(small, smallTrie, 3);
  assert.throws(() => makeWindows(small, smallTrie, 0), ArgumentError);
  assert.throws(() => makeBatches(windows, { batch: 0, seed: 0, epoch: 0 }), ArgumentError);
  assert.throws(() => makeBatches([], { batch: 4, seed: 0, epoch: 0 }), ArgumentError);
});
