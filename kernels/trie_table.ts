/**
 * The trie as kernels walk it, and examples of it for the reference tests.
 *
 * @module
 */
import { noise } from "./cases.ts";

/**
 * A trie as kernels walk it, in one array: entry u is where node u's children begin and entry u + 1 is where they end;
 * there lie their tokens, ascending, and as many entries further on as there are edges, their nodes.
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
 * The same with each child's place among its siblings, 0, 1, ..., for its token: what logits of children alone are told
 * apart by. Without the children's nodes.
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
 * The edges by their tokens, of nodes that have a choice: entry v is where token v's begin and entry v + 1 where they end; there lie
 * pairs of a node, ascending, and the place of token v among its children.
 *
 * @example node 0 with children 5 and 7, node 1 with child 5: `[9, 9, 9, 9, 9, 9, 11, 11, 13, 0, 0, 0, 1]`
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
      if (to > from + 1) { for (let k = from; k < to; k++) f(childTokens[k], u, k - from); }
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

/**
 * A trie whose node 0 has children 0, 1, ..., V - 1, node 1 every third token from 1, node 2 one child, node 3 none, node 4
 * all tokens from 3 on.
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

/** The paths (0, 1), (0, 4), (0, 6), (2), (5, 3): nodes 0 (root), 1 (0), 2 to 4 (its leaves), 5 (2), 6 (5), 7 (5, 3). */
export const smallTrie = {
  table: trieTable(SMALL.offsets, SMALL.tokens, [1, 5, 6, 2, 3, 4, 7]),
  places: placeTable(SMALL.offsets),
  byToken: edgeTable(SMALL.offsets, SMALL.tokens, 6),
  edges: 7,
  nodes: 8,
  fanOut: 3,
  maxToken: 6,
};
