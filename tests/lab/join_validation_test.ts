/** Validation targets among the training targets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import { leaveOneOut, plainPrompt } from "../../lab/data/dataset.ts";
import { joinValidation } from "../../lab/data/derived.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { digestOf } from "../../lab/train/recipe.ts";

const paths = Array.from({ length: 6 }, (_, i) => [i + 1]);
const common = { name: "x", items: [..."abcdef"], paths, tokens: [..."_abcdef"], skipped: [] };
const users = [
  { id: "u", items: [0, 1, 2, 3] },
  { id: "v", items: [4, 0, 5] },
  { id: "same beginning as u", items: [0, 1, 4, 4] },
];

test("joinValidation: a user's sequence goes on with the validation target", () => {
  const dataset = { ...common, prompt: plainPrompt(paths), ...leaveOneOut(users) };
  const joined = joinValidation(dataset);
  assert.deepEqual(joined.training.map(({ items }) => items), [[0, 1, 2], [4, 0], [0, 1, 4]]);
  assert.deepEqual(joined.training.map(({ context }) => context), [0, 0, 0]);
  assert.deepEqual(joined.validation, []);
  assert.equal(joined.test, dataset.test);
  assert.notEqual(digestOf(joined), digestOf(dataset));
  assert.throws(() => joinValidation(joined), DataError);
});

test("joinValidation: a case that continues no sequence is a target of its own", () => {
  const dataset = {
    ...common,
    prompt: plainPrompt(paths),
    training: [{ items: [0, 1], context: 1 }],
    validation: [{ id: "r", history: [0, 1], target: 2 }, { id: "s", history: [3, 3], target: 4 }],
    test: [{ id: "t", history: [1], target: 0 }],
    known: () => [],
  };
  assert.deepEqual(joinValidation(dataset).training, [
    { items: [0, 1, 2], context: 1 },
    { items: [3, 3, 4], context: 2 },
  ]);
});

test("joinValidation: loadDataset does it when it is told to", async () => {
  const dataset = await loadDataset("synthetic", { joinValidation: true, limitUsers: 20 });
  assert.deepEqual(dataset.training.map(({ items }) => items), dataset.known("test"));
});
