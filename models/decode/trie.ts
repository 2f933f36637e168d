/**
 * The catalogue trie: every item is a path of tokens from the root to a leaf. It is built and
 * uploaded once, and shared by training, decoding and verification.
 *
 * @module
 */
import type { Device, Tensor } from "../../core/tensor.ts";
import { ArgumentError, DataError, nameOf } from "../../core/errors.ts";
import { edgeTable, placeTable, trieTable } from "../../kernels/trie_table.ts";
import type { TrieTable } from "../../ops/trie_log_prob.ts";
import { meanChoices, mostAhead, sizesAhead } from "./choices.ts";
import { type FlatPaths, type Path, type PathTable, pathTable, sortedItems } from "./paths.ts";

export type { FlatPaths, Path } from "./paths.ts";

/** A trie in device memory, made by {@link Trie.upload}. */
export interface DeviceTrie extends TrieTable, Disposable {
  /** The trie on the host. */
  readonly trie: Trie;
  /** int32 (nodes): 2 if the node or one below it has several children, 0 for a leaf, else 1. */
  readonly ahead: Tensor;
  /** The same on the host. */
  readonly hostAhead: Int32Array;
  /** Entry [t - 1][d] is the number of nodes at depth d with at least t in `ahead`. */
  readonly aheadSizes: readonly [inner: Int32Array, choosing: Int32Array];
  /** Frees the device memory. */
  dispose(): void;
}

/**
 * A catalogue trie. Nodes are numbered depth first, children in ascending token order: of two nodes
 * on different paths the smaller one comes first lexicographically. The root is node 0. Items with
 * the same path share a leaf.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 *
 * const trie = new Trie([[1, 2], [1, 3], [0]]);
 * console.log(trie.nodeCount, trie.leafOf[1], trie.pathOf(trie.leafOf[1])); // 5 4 [1, 3]
 * ```
 */
export class Trie {
  /** The number of items. */
  readonly itemCount: number;
  /** The number of nodes. */
  readonly nodeCount: number;
  /** The number of leaves: distinct paths. */
  readonly leafCount: number;
  /** The number of items beyond the first on their leaf. */
  readonly duplicates: number;
  /** The number of tokens of the longest path. */
  readonly maxDepth: number;
  /** The largest token. */
  readonly maxToken: number;
  /** The number of nodes at depth 0, 1, ..., maxDepth. */
  readonly levelSizes: Int32Array;
  /** The largest number of children of a node at depth 0, 1, ..., maxDepth. */
  readonly fanOuts: Int32Array;
  /** Node -> its parent; -1 for the root. */
  readonly parents: Int32Array;
  /** Node -> the token that leads to it; -1 for the root. */
  readonly tokens: Int32Array;
  /** Node -> its depth. */
  readonly depths: Uint8Array | Uint16Array | Int32Array;
  /**
   * Node u's children are entries childOffsets[u] to childOffsets[u + 1] of `childTokens` and
   * `childNodes`.
   */
  readonly childOffsets: Int32Array;
  /** Tokens of the children, ascending within a node. */
  readonly childTokens: Int32Array;
  /** Nodes of the children, ascending within a node. */
  readonly childNodes: Int32Array;
  /** Leaf u's items are entries leafOffsets[u] to leafOffsets[u + 1] of `leafItems`. */
  readonly leafOffsets: Int32Array;
  /** Items by leaf, ascending within a leaf. */
  readonly leafItems: Int32Array;
  /** Item -> its leaf. */
  readonly leafOf: Int32Array;

  /**
   * Builds the trie of a catalogue. `paths[i]` are the tokens of item i. For millions of items use
   * flat arrays, `{ tokens, lengths }`: the tokens of item 0, then those of item 1, and so on.
   *
   * @throws {ArgumentError} if `paths` is neither an array of arrays nor flat arrays.
   * @throws {DataError} if there are no items, a path is empty, a token is not an integer in
   * [0, 2^31), a path is the beginning of another, or the lengths do not add up to the tokens.
   */
  constructor(paths: readonly Path[] | FlatPaths) {
    const table = pathTable(paths);
    const { tokens, offsets } = table;
    const order = sortedItems(table);
    const itemCount = order.length;
    // An item adds the nodes of its path that it does not share with the item before it.
    const shared = new Int32Array(itemCount);
    let nodeCount = 1;
    let maxDepth = 0;
    let duplicates = 0;
    for (let i = 0; i < itemCount; i++) {
      const length = offsets[order[i] + 1] - offsets[order[i]];
      shared[i] = i === 0 ? 0 : sharedLength(order[i - 1], order[i], table);
      nodeCount += length - shared[i];
      maxDepth = Math.max(maxDepth, length);
      if (shared[i] === length) duplicates++;
    }
    this.itemCount = itemCount;
    this.nodeCount = nodeCount;
    this.duplicates = duplicates;
    this.leafCount = itemCount - duplicates;
    this.maxDepth = maxDepth;

    this.parents = new Int32Array(nodeCount).fill(-1);
    this.tokens = new Int32Array(nodeCount).fill(-1);
    this.depths = depthArray(nodeCount, maxDepth);
    this.leafOf = new Int32Array(itemCount);
    const trail = new Int32Array(maxDepth + 1); // the nodes from the root to the item before
    for (let i = 0, next = 1; i < itemCount; i++) {
      const from = offsets[order[i]];
      const length = offsets[order[i] + 1] - from;
      for (let depth = shared[i]; depth < length; depth++, next++) {
        this.parents[next] = trail[depth];
        this.tokens[next] = tokens[from + depth];
        this.depths[next] = depth + 1;
        trail[depth + 1] = next;
      }
      this.leafOf[order[i]] = trail[length];
    }
    this.maxToken = this.tokens.reduce((a, b) => Math.max(a, b));

    this.leafItems = order;
    this.leafOffsets = offsetsOf(this.leafOf, nodeCount);
    this.childOffsets = offsetsOf(this.parents.subarray(1), nodeCount);
    this.childTokens = new Int32Array(nodeCount - 1);
    this.childNodes = new Int32Array(nodeCount - 1);
    const at = this.childOffsets.slice();
    this.levelSizes = new Int32Array(maxDepth + 1);
    this.fanOuts = new Int32Array(maxDepth + 1);
    this.levelSizes[0] = 1;
    this.fanOuts[0] = this.childCount(0);
    for (let node = 1; node < nodeCount; node++) {
      const entry = at[this.parents[node]]++;
      this.childTokens[entry] = this.tokens[node];
      this.childNodes[entry] = node;
      const depth = this.depths[node];
      this.levelSizes[depth]++;
      this.fanOuts[depth] = Math.max(this.fanOuts[depth], this.childCount(node));
    }
  }

  /** The number of a node's children; 0 for a leaf. */
  childCount(node: number): number {
    return this.childOffsets[node + 1] - this.childOffsets[node];
  }

  /** The tokens of a node's children, ascending. */
  tokensUnder(node: number): Int32Array {
    return this.childTokens.subarray(this.childOffsets[node], this.childOffsets[node + 1]);
  }

  /** The nodes of a node's children, ascending. */
  nodesUnder(node: number): Int32Array {
    return this.childNodes.subarray(this.childOffsets[node], this.childOffsets[node + 1]);
  }

  /** The child that a token leads to, or -1. */
  child(node: number, token: number): number {
    let low = this.childOffsets[node];
    let high = this.childOffsets[node + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.childTokens[middle] < token) low = middle + 1;
      else high = middle;
    }
    const found = low < this.childOffsets[node + 1] && this.childTokens[low] === token;
    return found ? this.childNodes[low] : -1;
  }

  /** The tokens from the root to a node. */
  pathOf(node: number): number[] {
    const path = new Array<number>(this.depths[node]);
    for (let i = path.length - 1, at = node; i >= 0; i--, at = this.parents[at]) {
      path[i] = this.tokens[at];
    }
    return path;
  }

  /** The node of the first `length` tokens of a node's path, or the node itself if it has fewer. */
  prefixOf(node: number, length: number): number {
    let prefix = node;
    while (this.depths[prefix] > length) prefix = this.parents[prefix];
    return prefix;
  }

  /** The items at a leaf, ascending; none at an inner node. */
  itemsAt(leaf: number): Int32Array {
    return this.leafItems.subarray(this.leafOffsets[leaf], this.leafOffsets[leaf + 1]);
  }

  /**
   * The nodes that are blocked, ascending, when items are taken out of the catalogue: leaves
   * without an item left, and inner nodes whose children are all blocked.
   *
   * @throws {ArgumentError} if an item is not in the catalogue.
   */
  blockedNodes(items: Iterable<number>): Int32Array {
    const blocked: number[] = [];
    const lost = new Map<number, number>(); // node -> how many of its items, or of its children, are out
    for (const item of new Set(items)) {
      if (!(Number.isInteger(item) && item >= 0 && item < this.itemCount)) {
        throw new ArgumentError(
          `Cannot take item ${nameOf(item)} out of a catalogue: items must be 0 to ${
            this.itemCount - 1
          }`,
        );
      }
      for (let node = this.leafOf[item]; node >= 0; node = this.parents[node]) {
        const count = (lost.get(node) ?? 0) + 1;
        lost.set(node, count);
        if (count < (this.childCount(node) || this.itemsAt(node).length)) break;
        blocked.push(node);
      }
    }
    return Int32Array.from(blocked).sort();
  }

  /** Copies the trie to a device. Its memory is freed by `dispose` or with the arena around it. */
  upload(device: Device): DeviceTrie {
    const { childOffsets, childTokens, childNodes, nodeCount, maxToken } = this;
    const table = device.tensor(trieTable(childOffsets, childTokens, childNodes));
    const places = device.tensor(placeTable(childOffsets));
    const byToken = device.tensor(edgeTable(childOffsets, childTokens, maxToken));
    const most = mostAhead(this);
    const ahead = device.tensor(most);
    const tensors = [table, places, byToken, ahead];
    const dispose = (): void => tensors.forEach((tensor) => tensor.dispose());
    return {
      trie: this,
      table,
      places,
      byToken,
      ahead,
      hostAhead: most,
      nodeCount,
      maxToken,
      aheadSizes: [sizesAhead(this, most, 1), sizesAhead(this, most, 2)],
      fanOut: this.fanOuts.reduce((a, b) => Math.max(a, b)),
      meanChoices: meanChoices(this),
      dispose,
      [Symbol.dispose]: dispose,
    };
  }
}

/** The number of leading tokens that two neighbours in lexicographic order share. */
function sharedLength(before: number, item: number, { tokens, offsets }: PathTable): number {
  const [a, aEnd] = [offsets[before], offsets[before + 1]];
  const [b, bEnd] = [offsets[item], offsets[item + 1]];
  const [aLength, bLength] = [aEnd - a, bEnd - b];
  let n = 0;
  while (n < aLength && n < bLength && tokens[a + n] === tokens[b + n]) n++;
  if (n === aLength && n < bLength) {
    throw new DataError(
      `Cannot build a trie: no item's path may be the beginning of another's, got ` +
        `[${tokens.subarray(a, aEnd)}] for item ${before} and [${
          tokens.subarray(b, bEnd)
        }] for item ${item}`,
    );
  }
  return n;
}

/** An array for depths, of the smallest sufficient type. */
function depthArray(nodes: number, maxDepth: number): Uint8Array | Uint16Array | Int32Array {
  if (maxDepth < 2 ** 8) return new Uint8Array(nodes);
  return maxDepth < 2 ** 16 ? new Uint16Array(nodes) : new Int32Array(nodes);
}

/** For each key, where its entries begin once entries are sorted by key. */
function offsetsOf(keys: Int32Array, keyCount: number): Int32Array {
  const offsets = new Int32Array(keyCount + 1);
  for (const key of keys) offsets[key + 1]++;
  for (let key = 0; key < keyCount; key++) offsets[key + 1] += offsets[key];
  return offsets;
}
