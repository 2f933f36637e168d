/**
 * A summary of a data set, for people.
 *
 * @module
 */
import type { Trie } from "../../models/decode/trie.ts";
import { lineWidth, renderTable, shownSteps, wrapped } from "../table.ts";
import type { CleaningStep, Dataset } from "./dataset.ts";

/**
 * Summarises a data set: how much there is to train on and to judge by, the catalogue, what was
 * left out, and the width of the trie at each level. A node at level t has the possible tokens t of
 * its items as children. A node with more than one child is a choice, and beam search can prune
 * only there.
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
  const lengths = paths.reduce((sum, path) => sum + path.length, 0);
  const chosen = choices(trie);
  const facts: (readonly [name: string, ...parts: string[]])[] = [
    ...(dataset.columns === undefined ? [] : [["columns", dataset.columns] as const]),
    [
      "training",
      counted(training.length, "sequence"),
      counted(targets.length, "target"),
      counted(targetTokens, "target token"),
    ],
    [
      "validation and test",
      `${counted(validation.length, "case")} and ${counted(test.length, "case")}`,
      `${(before / Math.max(1, test.length)).toFixed(1)} items before a target`,
    ],
    [
      "catalogue",
      counted(items.length, "item"),
      counted(trie.leafCount, "leaf", "leaves"),
      `${(lengths / paths.length).toFixed(1)} tokens an item`,
      `vocabulary ${withCommas(tokens.length)}`,
    ],
    ...(dataset.codes === undefined
      ? []
      : [["codes", CODES.get(dataset.codes) ?? `made: ${dataset.codes}`] as const]),
    ...(dataset.itemInput === undefined ? [] : [
      [
        "input",
        "one position an item",
        ...(dataset.itemInput === "items" ? [] : ["all codes at once"]),
      ] as const,
    ]),
    [
      "trie",
      counted(trie.nodeCount, "node"),
      counted(chosen.reduce((a, b) => a + b), "choice"),
      `depth ${trie.maxDepth}`,
    ],
    ...dataset.skipped.map(({ what, count }) =>
      ["left out or cut", `${withCommas(count)} ${what}`] as const
    ),
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  return [
    `Data set ${dataset.name}`,
    ...facts.map(([name, ...parts]) =>
      wrapped(`  ${name.padEnd(width)}  ${parts.join(", ")}`, lineWidth(), width + 4)
    ),
    ...(dataset.cleaning === undefined ? [] : [cleaningTable(dataset.cleaning)]),
    levelTable(trie, chosen),
  ].join("\n");
}

/** Codes that are not the data set's own. */
const CODES: ReadonlyMap<string, string> = new Map([
  ["item", "one token an item"],
  ["random", "the data's own, dealt out to other items at random"],
]);

/** What each step of cleaning left, and how many interactions it dropped. */
function cleaningTable(steps: readonly CleaningStep[]): string {
  return renderTable(
    ["cleaning", "users", "items", "interactions", "dropped"],
    steps.map(({ step, users, items, interactions }, i) => [
      step,
      withCommas(users),
      withCommas(items),
      withCommas(interactions),
      i === 0 ? "-" : withCommas(steps[i - 1].interactions - interactions),
    ]),
  );
}

/** The nodes, the choices and the largest number of children before each token of a path. */
function levelTable(trie: Trie, chosen: readonly number[]): string {
  const shown = shownSteps(trie.maxDepth);
  const row = (name: string, of: (level: number) => number): string[] => [
    name,
    ...shown.map((level) => withCommas(of(level - 1))),
  ];
  return renderTable(["token", ...shown.map(String)], [
    row("nodes before it", (depth) => trie.levelSizes[depth]),
    row("with a choice", (depth) => chosen[depth]),
    row("most children", (depth) => trie.fanOuts[depth]),
  ]);
}

/** The number of nodes with more than one child, at each depth. */
function choices(trie: Trie): number[] {
  const counts = new Array<number>(trie.maxDepth + 1).fill(0);
  for (let node = 0; node < trie.nodeCount; node++) {
    if (trie.childCount(node) > 1) counts[trie.depths[node]]++;
  }
  return counts;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${withCommas(count)} ${count === 1 ? one : many}`;
}

/** 47335 as 47,335. */
function withCommas(n: number): string {
  return n.toLocaleString("en-US");
}
