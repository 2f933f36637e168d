/**
 * What a data set is made of, for people.
 *
 * @module
 */
import type { Trie } from "../../models/decode/trie.ts";
import { renderTable, shownSteps } from "../table.ts";
import type { Dataset } from "./dataset.ts";

/**
 * A summary of a data set: how much there is to train on and to judge by, the catalogue, what was left out, and how wide
 * the trie is at each level. A node at level t has the tokens at place t of titles as its children; one with more than one
 * is a choice, and only there can beam search prune.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { describeDataset, synthetic } from "beargrad/lab";
 *
 * const dataset = synthetic();
 * console.log(describeDataset(dataset, new Trie(dataset.paths)));
 * ```
 */
export function describeDataset(dataset: Dataset, trie: Trie): string {
  const { training, validation, test, items, tokens, paths } = dataset;
  const targets = training.flatMap(({ items, context }) => items.slice(context));
  const targetTokens = targets.reduce((sum, item) => sum + paths[item].length, 0);
  const before = test.reduce((sum, { history }) => sum + history.length, 0);
  const facts = [
    [
      "training",
      `${counted(training.length, "sequence")}, ${counted(targets.length, "target")}, ` +
      counted(targetTokens, "target token"),
    ],
    [
      "validation and test",
      `${counted(validation.length, "case")} and ${counted(test.length, "case")}, ` +
      `${(before / Math.max(1, test.length)).toFixed(1)} items before a target`,
    ],
    [
      "catalogue",
      `${counted(items.length, "item")}, ${counted(trie.leafCount, "leaf", "leaves")}, ` +
      `${
        (paths.reduce((sum, path) => sum + path.length, 0) / paths.length).toFixed(1)
      } tokens an item, ` +
      `vocabulary ${number(tokens.length)}`,
    ],
    ...(dataset.codes === undefined ? [] : [["codes", WRITTEN[dataset.codes]]]),
    [
      "trie",
      `${counted(trie.nodeCount, "node")}, ${
        counted(choices(trie).reduce((a, b) => a + b), "choice")
      }, ` +
      `depth ${trie.maxDepth}`,
    ],
    ...dataset.skipped.map(({ what, count }) => ["left out or cut", `${number(count)} ${what}`]),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  return [
    `Data set ${dataset.name}`,
    ...facts.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
    levelTable(trie),
  ].join("\n");
}

/** Codes that are not the data set's own. */
const WRITTEN = {
  item: "one token an item, instead of the data's own",
  random: "the data's own, dealt out to other items at random",
} as const;

/** Nodes, choices and the largest number of children that there are to choose from for each token of a path. */
function levelTable(trie: Trie): string {
  const chosen = choices(trie);
  const shown = shownSteps(trie.maxDepth);
  const row = (name: string, of: (level: number) => number): string[] => [
    name,
    ...shown.map((level) => number(of(level - 1))),
  ];
  return renderTable(["token", ...shown.map(String)], [
    row("nodes before it", (depth) => trie.levelSizes[depth]),
    row("with a choice", (depth) => chosen[depth]),
    row("most children", (depth) => trie.fanOuts[depth]),
  ]);
}

/** How many nodes at each depth have more than one child. */
function choices(trie: Trie): number[] {
  const counts = new Array<number>(trie.maxDepth + 1).fill(0);
  for (let node = 0; node < trie.nodeCount; node++) {
    if (trie.childCount(node) > 1) counts[trie.depths[node]]++;
  }
  return counts;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** 47335 as 47,335. */
function number(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}
