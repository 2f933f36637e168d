/** The summary of a data set, by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeDataset } from "../../lab/data/describe.ts";
import { Trie } from "../../models/decode/trie.ts";
import { datasetOf } from "./datasets.ts";

const summaryOf = (paths: readonly (readonly number[])[]): string[] => {
  const dataset = datasetOf(paths, [], {
    tokens: Array.from({ length: 1234 }, (_, i) => `${i}`),
    training: [{ items: [0, 1, 2], context: 0 }, { items: [3, 1], context: 1 }],
    test: [{ id: "x", history: [0, 1, 2], target: 3 }, { id: "y", history: [3], target: 0 }],
    skipped: [{ what: "ids in rows that have no title", count: 12345 }],
  });
  return describeDataset(dataset, new Trie(paths)).split("\n");
};

test("describe: a small data set", () => {
  assert.deepEqual(summaryOf([[1, 2], [1, 3, 1], [4], [1, 2]]), [
    "Data set hand-made",
    "  training             2 sequences, 4 targets, 9 target tokens",
    "  validation and test  0 cases and 2 cases, 2.0 items before a target",
    "  catalogue            4 items, 3 leaves, 2.0 tokens an item, vocabulary 1,234",
    "  trie                 6 nodes, 2 choices, depth 3",
    "  left out or cut      12,345 ids in rows that have no title",
    "┌─────────────────┬───┬───┬───┐",
    "│ token           │ 1 │ 2 │ 3 │",
    "├─────────────────┼───┼───┼───┤",
    "│ nodes before it │ 1 │ 2 │ 2 │",
    "│ with a choice   │ 1 │ 1 │ 0 │",
    "│ most children   │ 2 │ 2 │ 1 │",
    "└─────────────────┴───┴───┴───┘",
  ]);
});

test("describe: levels of deep tries", () => {
  const cases = [[8, "1 2 3 4 5 6 7 8"], [9, "1 2 3 5 8 9"], [
    41,
    "1 2 3 5 8 13 21 34 41",
  ]] as const;
  for (const [depth, levels] of cases) {
    const paths = [0, 1, 2, 3].map((item) => Array.from({ length: depth }, (_, t) => item + t));
    const head = summaryOf(paths).find((line) => line.startsWith("│ token"));
    assert.equal(head?.match(/\d+/g)?.join(" "), levels);
  }
});
