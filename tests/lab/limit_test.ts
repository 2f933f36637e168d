/** The first items and users of a data set. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import { type Dataset, leaveOneOut, plainPrompt } from "../../lab/data/dataset.ts";
import { limitDataset } from "../../lab/data/derived.ts";

const paths = [[1], [2], [3], [4]];
const data: Dataset = {
  name: "four",
  items: ["a", "b", "c", "d"],
  titles: ["A", "B", "C", "D"],
  paths,
  tokens: ["<bos>", "1", "2", "3", "4"],
  ...leaveOneOut([
    { id: "u", items: [0, 3, 1, 2] },
    { id: "v", items: [3, 0, 1] },
    { id: "w", items: [2, 1, 0, 3] },
  ]),
  prompt: plainPrompt(paths),
  skipped: [],
  oracle: () => new Float64Array(4),
};

test("limitDataset: without limits everything stays", () => {
  const { known, ...same } = limitDataset(data, {});
  assert.deepEqual(same, (({ known: _known, ...rest }) => rest)(data));
  assert.deepEqual(known("test"), data.known("test"));
});

test("limitDataset: the first users of training and of each split", () => {
  const part = limitDataset(data, { users: 2 });
  assert.deepEqual(part.training.map(({ items }) => items), [[0, 3], [3]]);
  assert.deepEqual(part.test.map(({ id }) => id), ["u", "v"]);
  assert.deepEqual(part.validation.map(({ target }) => target), [1, 0]);
  assert.deepEqual(part.known("test"), [[0, 3, 1], [3, 0]]);
  assert.equal(part.items.length, 4);
  assert.ok(part.oracle);
});

test("limitDataset: the first items; others go from sequences, histories and targets", () => {
  const part = limitDataset(data, { items: 3 });
  assert.deepEqual([part.items, part.titles, part.paths], [["a", "b", "c"], ["A", "B", "C"], [
    [1],
    [2],
    [3],
  ]]);
  assert.deepEqual(part.training, [{ items: [0], context: 0 }, { items: [2, 1], context: 0 }]);
  assert.deepEqual(part.test, [
    { id: "u", history: [0, 1], target: 2 },
    { id: "v", history: [0], target: 1 }, // and the last one's target, 3, is gone
  ]);
  // The history of "v" is left empty, and its prediction with it.
  assert.deepEqual(part.validation.map(({ id }) => id), ["u", "w"]);
  assert.deepEqual(part.known("test"), [[0, 1], [0], [2, 1, 0]]);
  assert.equal(part.oracle, undefined);
});

test("limitDataset: the context of a sequence counts what is left of it", () => {
  const rows = {
    ...data,
    training: [{ items: [3, 0, 3, 1], context: 3 }, { items: [0, 3], context: 1 }],
  };
  assert.deepEqual(limitDataset(rows, { items: 2 }).training, [{ items: [0, 1], context: 1 }]);
});

test("limitDataset: what had a context is not predicted from nothing", () => {
  const rows = {
    ...data,
    training: [{ items: [3, 0], context: 1 }, { items: [3, 2, 1, 0], context: 1 }],
  };
  assert.deepEqual(limitDataset(rows, { items: 3 }).training, [
    { items: [2, 1, 0], context: 1 }, // of the first, only a target is left
  ]);
});

test("limitDataset: refuses to leave nothing", () => {
  assert.throws(() => limitDataset(data, { items: 1 }), (error) => {
    assert.ok(error instanceof DataError);
    assert.match(
      error.message,
      /^Cannot take the first 1 items of four: .*got 1 sequences and 0 predictions$/,
    );
    return true;
  });
});
