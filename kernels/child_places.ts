/**
 * Labels and trie nodes (table of `trie_table.ts`) of rows: which of the node's children a label is, and how many there are.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { smallTrie } from "./trie_table.ts";

/** out[n] = the place of label n among the children of its node; 0 where it is not among them. */
export const childPlaces = defineKernel({
  name: "childPlaces",
  buffers: { table: "read int", nodes: "read int", labels: "read int", out: "write int" },
  params: { N: "u32" },
  cpu({ table, nodes, labels, out }, { N }): void {
    for (let n = 0; n < N; n++) {
      const from = nodes[n] < 0 ? 0 : table[nodes[n]];
      const to = nodes[n] < 0 ? 0 : table[nodes[n] + 1];
      out[n] = Math.max(0, table.subarray(from, to).indexOf(labels[n]));
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

/** out[n] = the number of children of row n's node; 0 at no node. */
export const childCounts = defineKernel({
  name: "childCounts",
  buffers: { table: "read int", nodes: "read int", out: "write int" },
  params: { N: "u32" },
  cpu({ table, nodes, out }, { N }): void {
    for (let n = 0; n < N; n++) {
      out[n] = nodes[n] < 0 ? 0 : table[nodes[n] + 1] - table[nodes[n]];
    }
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
