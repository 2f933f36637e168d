/**
 * The trie as kernels walk it, and examples of it for the twin tests.
 *
 * @module
 */
import { ramp } from "./cases.ts";

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
 * A trie whose node 0 has children 0, 1, ..., V - 1, node 1 every third token from 1, node 2 one child, node 3 none, node 4
 * all tokens from 3 on.
 */
export function exampleTable(V: number): Int32Array {
  const tokens = [...Array(V).keys()];
  const sparse = tokens.filter((v) => v % 3 === 1);
  const childTokens = [...tokens, ...sparse, 2, ...tokens.slice(3)];
  const sparseEnd = V + sparse.length;
  const offsets = [0, V, sparseEnd, sparseEnd + 1, sparseEnd + 1, childTokens.length];
  return trieTable(offsets, childTokens, new Int32Array(childTokens.length));
}

/** Rows of logits with nodes of {@link exampleTable} and labels among their children. */
export interface ExampleRows {
  readonly name: string;
  readonly V: number;
  readonly z: Float64Array;
  readonly nodes: Int32Array;
  readonly labels: Int32Array;
}

/** Rows for the twin tests. */
export function exampleRows(): ExampleRows[] {
  const nodes = Int32Array.from([0, 1, 2, -1, 3, 0, 1, 4]);
  const labels = Int32Array.from([5, 4, 2, 0, 0, 0, 7, 6]);
  const rows = (name: string, V: number, f: (z: number, i: number) => number): ExampleRows => (
    { name, V, z: ramp(nodes.length * V, 4).map(f), nodes, labels }
  );
  return [
    rows("V 9", 9, (z) => 3 * z),
    rows("V 50", 50, (z) => 3 * z),
    rows("V 46, ties", 46, (z) => Math.round(2 * z)),
    rows("V 40, equal logits", 40, () => 1),
    rows("V 12, large logits", 12, (z) => 1e4 * Math.round(4 * z)),
    rows("V 2050", 2050, (z) => 3 * z),
    rows("V 1100, ascending", 1100, (_, i) => (i % 1100) / 100),
  ];
}

/** The paths (0, 1), (0, 4), (0, 6), (2), (5, 3): nodes 0 (root), 1 (0), 2 to 4 (its leaves), 5 (2), 6 (5), 7 (5, 3). */
export const smallTrie = {
  table: trieTable([0, 3, 6, 6, 6, 6, 6, 7, 7], [0, 2, 5, 1, 4, 6, 3], [1, 5, 6, 2, 3, 4, 7]),
  edges: 7,
};
