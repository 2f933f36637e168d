/**
 * The trie as kernels walk it, what they look up in it, and examples for the reference tests.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

/**
 * A trie in one array: entry u is where node u's children begin and entry u + 1 is where they end.
 * There lie their tokens, ascending, and as many entries further on as there are edges, their
 * nodes.
 *
 * @example node 0 with children 1 (token 5) and 2 (token 7): `[4, 6, 6, 6, 5, 7, 1, 2]`
 */
export function trieTable(
  childOffsets: ArrayLike<number>,
  childTokens: ArrayLike<number>,
  childNodes: ArrayLike<number>,
): Int32Array {
  const head = childOffsets.length;
  const edges = childTokens.length;
  const table = new Int32Array(head + 2 * edges);
  for (let u = 0; u < head; u++) table[u] = head + childOffsets[u];
  table.set(childTokens, head);
  table.set(childNodes, head + edges);
  return table;
}

/**
 * {@link trieTable} with each child's place among its siblings, 0, 1, ..., for its token, and
 * without the children's nodes: the table for logits of children alone.
 */
export function placeTable(childOffsets: ArrayLike<number>): Int32Array {
  const edges = childOffsets[childOffsets.length - 1];
  const places = new Int32Array(edges);
  for (let u = 0; u + 1 < childOffsets.length; u++) {
    for (let k = childOffsets[u]; k < childOffsets[u + 1]; k++) places[k] = k - childOffsets[u];
  }
  return trieTable(childOffsets, places, []).slice(0, childOffsets.length + edges);
}

/**
 * The edges by their tokens, of nodes with two children or more: entry v is where token v's edges
 * begin and entry v + 1 is where they end. There lie pairs of a node, ascending, and the place of
 * token v among its children.
 *
 * @example node 0 with children 0 and 2, node 1 with child 0: `[4, 6, 6, 8, 0, 0, 0, 1]`
 */
export function edgeTable(
  childOffsets: ArrayLike<number>,
  childTokens: ArrayLike<number>,
  maxToken: number,
): Int32Array {
  const head = maxToken + 2;
  const at = new Int32Array(head + 1);
  const nodes = childOffsets.length - 1;
  const each = (f: (token: number, node: number, place: number) => void): void => {
    for (let u = 0; u < nodes; u++) {
      const [from, to] = [childOffsets[u], childOffsets[u + 1]];
      for (let k = from; k < to && to > from + 1; k++) f(childTokens[k], u, k - from);
    }
  };
  each((token) => at[token + 1] += 2);
  at[0] = head;
  for (let v = 0; v < head; v++) at[v + 1] += at[v];
  const table = new Int32Array(at[head]);
  table.set(at.subarray(0, head));
  each((token, node, place) => {
    table[at[token]++] = node;
    table[at[token]++] = place;
  });
  return table;
}

/** The tokens of a node's children, ascending; none for node -1. */
export function childrenOf(table: Int32Array, node: number): Int32Array {
  return node < 0 ? table.subarray(0, 0) : table.subarray(table[node], table[node + 1]);
}

/** out[n] = the place of label n among the children of its node; 0 where it is not among them. */
export const childPlaces = defineKernel({
  name: "childPlaces",
  buffers: { table: "read int", nodes: "read int", labels: "read int", out: "write int" },
  params: { N: "u32" },
  cpu({ table, nodes, labels, out }, { N }): void {
    for (let n = 0; n < N; n++) {
      out[n] = Math.max(0, childrenOf(table, nodes[n]).indexOf(labels[n]));
    }
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  var found = 0u;
  if (nodes[n] >= 0) {
    let first = u32(table[nodes[n]]);
    let end = u32(table[nodes[n] + 1]);
    var low = first;
    var high = end;
    while (low < high) {
      let middle = (low + high) / 2u;
      if (table[middle] < labels[n]) { low = middle + 1u; } else { high = middle; }
    }
    if (low < end && table[low] == labels[n]) { found = low - first; }
  }
  out[n] = i32(found);
}`,
  cases: () => [{
    name: "labels that are there and not",
    params: { N: 7 },
    buffers: {
      table: smallTrie.table,
      nodes: [0, 0, 1, 6, -1, 3, 1],
      labels: [5, 0, 4, 3, 2, 1, 5],
      out: 7,
    },
  }],
});

/** out[n] = the number of children of row n's node; 0 for node -1. */
export const childCounts = defineKernel({
  name: "childCounts",
  buffers: { table: "read int", nodes: "read int", out: "write int" },
  params: { N: "u32" },
  cpu({ table, nodes, out }, { N }): void {
    for (let n = 0; n < N; n++) out[n] = childrenOf(table, nodes[n]).length;
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  var count = 0;
  if (nodes[n] >= 0) { count = table[nodes[n] + 1] - table[nodes[n]]; }
  out[n] = count;
}`,
  cases: () => [{
    name: "nodes with children and without",
    params: { N: 6 },
    buffers: { table: smallTrie.table, nodes: [0, 1, 2, 6, -1, 3], out: 6 },
  }],
});

/**
 * A trie whose node 0 has children 0, 1, ..., V - 1, node 1 every third token from 1, node 2 one
 * child, node 3 none, and node 4 all tokens from 3 on.
 */
export function exampleTable(V: number): Int32Array {
  const { offsets, tokens } = exampleEdges(V);
  return trieTable(offsets, tokens, new Int32Array(tokens.length));
}

/** Its edges: where each node's children begin, and their tokens. */
export function exampleEdges(V: number): { offsets: number[]; tokens: number[] } {
  const tokens = [...Array(V).keys()];
  const sparse = tokens.filter((v) => v % 3 === 1);
  const childTokens = [...tokens, ...sparse, 2, ...tokens.slice(3)];
  const sparseEnd = V + sparse.length;
  const offsets = [0, V, sparseEnd, sparseEnd + 1, sparseEnd + 1, childTokens.length];
  return { offsets, tokens: childTokens };
}

/** Rows of logits with nodes of {@link exampleTable} and labels among their children. */
export interface ExampleRows {
  readonly name: string;
  readonly V: number;
  readonly z: Float64Array;
  readonly nodes: Int32Array;
  readonly labels: Int32Array;
}

/** Rows for the reference tests. */
export function exampleRows(): ExampleRows[] {
  const nodes = Int32Array.from([0, 1, 2, -1, 3, 0, 1, 4]);
  const labels = Int32Array.from([5, 4, 2, 0, 0, 0, 7, 6]);
  const rows = (name: string, V: number, f: (z: number, i: number) => number): ExampleRows => (
    { name, V, z: noise(nodes.length * V, 4).map(f), nodes, labels }
  );
  return [
    rows("V 9", 9, (z) => 3 * z),
    rows("V 50", 50, (z) => 3 * z),
    rows("V 46, ties", 46, (z) => Math.round(2 * z)),
    rows("V 40, equal logits", 40, () => 1),
    rows("V 12, large logits", 12, (z) => 1e4 * Math.round(4 * z)),
    rows("V 2050", 2050, (z) => 3 * z),
    rows("V 63, half of them absent", 63, (z, i) => i % 63 > 8 && i % 2 === 0 ? -Infinity : 3 * z),
    rows("V 1100, ascending", 1100, (_, i) => (i % 1100) / 100),
  ];
}

const SMALL = { offsets: [0, 3, 6, 6, 6, 6, 6, 7, 7], tokens: [0, 2, 5, 1, 4, 6, 3] };

/**
 * The paths (0, 1), (0, 4), (0, 6), (2), (5, 3). Node 0 is the root, 1 is (0), 2 to 4 are its
 * leaves, 5 is (2), 6 is (5), and 7 is (5, 3).
 */
export const smallTrie = {
  table: trieTable(SMALL.offsets, SMALL.tokens, [1, 5, 6, 2, 3, 4, 7]),
  places: placeTable(SMALL.offsets),
  byToken: edgeTable(SMALL.offsets, SMALL.tokens, 6),
  edges: 7,
  nodes: 8,
  fanOut: 3,
  maxToken: 6,
};
