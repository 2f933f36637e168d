/**
 * How much choice a trie leaves at a node and below it.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_options.ts";

/** The part of a `Trie` that is read here. */
export interface TrieNodes {
  /** The number of nodes. A child comes after its parent. */
  readonly nodeCount: number;
  /** The depth of the deepest node. */
  readonly maxDepth: number;
  /** The parent of each node. */
  readonly parents: Int32Array;
  /** The depth of each node. */
  readonly depths: ArrayLike<number>;
  /** The leaf of each item. */
  readonly leafOf: Int32Array;
  /** The number of children of a node. */
  childCount(node: number): number;
}

/** The mean number of children of a node, over all nodes on the paths of all items. */
export function meanChoices(trie: TrieNodes): number {
  const { nodeCount, parents, leafOf } = trie;
  const below = new Int32Array(nodeCount); // items
  for (const leaf of leafOf) below[leaf]++;
  let [nodes, choices] = [0, 0];
  for (let node = nodeCount - 1; node >= 0; node--) { // children before their parents
    if (node > 0) below[parents[node]] += below[node];
    const count = trie.childCount(node);
    if (count > 0) nodes += below[node];
    choices += below[node] * count;
  }
  return choices / nodes;
}

/** For each node the number of leaves below it; 1 for a leaf. */
export function leavesBelow(trie: TrieNodes): Int32Array {
  const { nodeCount, parents } = trie;
  const leaves = new Int32Array(nodeCount);
  for (let node = nodeCount - 1; node >= 0; node--) { // children before their parents
    if (trie.childCount(node) === 0) leaves[node] = 1;
    if (node > 0) leaves[parents[node]] += leaves[node];
  }
  return leaves;
}

/** For each node 2 if it or a node below it has a choice, else 1; 0 for a leaf. */
export function mostAhead(trie: TrieNodes): Int32Array {
  const { nodeCount, parents } = trie;
  const ahead = new Int32Array(nodeCount);
  for (let node = nodeCount - 1; node >= 0; node--) { // children before their parents
    if (trie.childCount(node) > 1) ahead[node] = 2;
    if (node > 0) {
      const parent = parents[node];
      ahead[parent] = Math.max(ahead[parent], ahead[node], 1);
    }
  }
  return ahead;
}

/** When searches call the model. */
export interface ModelCalls {
  /** For how many steps, that after the history among them. */
  readonly steps: number;
  /** A node needs a call if this much is ahead of it, by {@link mostAhead}. */
  readonly least: 1 | 2;
  /** Whether a node needs a call. */
  calls(node: number): boolean;
}

/**
 * When searches call the model. Under "children" a node without a choice ahead needs no call: its
 * only item has its probability.
 */
export function modelCalls(
  { trie: { fanOuts, maxDepth }, hostAhead }: {
    readonly trie: { readonly fanOuts: Int32Array; readonly maxDepth: number };
    readonly hostAhead: Int32Array;
  },
  normalization: Normalization,
): ModelCalls {
  const choices = fanOuts.findLastIndex((n) => n > 1) + 1;
  const children = normalization === "children";
  const least = children ? 2 : 1;
  return {
    steps: children ? Math.max(choices, 1) : maxDepth,
    least,
    calls: (node) => hostAhead[node] >= least,
  };
}

/** For each depth the number of nodes with at least `least` ahead, by {@link mostAhead}. */
export function sizesAhead(
  { nodeCount, depths, maxDepth }: TrieNodes,
  ahead: Int32Array,
  least: number,
): Int32Array {
  const sizes = new Int32Array(maxDepth + 1);
  for (let node = 0; node < nodeCount; node++) {
    if (ahead[node] >= least) sizes[depths[node]]++;
  }
  return sizes;
}
