/**
 * A decoder that reads its logits from a table with a row for each node of a trie. It walks the
 * trie along all the tokens that a prefix was fed, so wrong slots read the wrong row.
 *
 * @module
 */
import { defineKernel } from "../../core/kernel.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Decoder, Prefilled, StepRows } from "../../models/decode/decoder.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import { take } from "../../ops/take.ts";

/** The row of each user's root, (U): a history's first token is the number of its model. */
const readModels = defineKernel({
  name: "readModels",
  buffers: { tokens: "read int", rows: "write int" },
  params: { U: "u32", T: "u32", nodes: "u32" },
  cpu({ tokens, rows }, { U, T, nodes }): void {
    for (let u = 0; u < U; u++) rows[u] = tokens[u * T] * nodes;
  },
  invocations: ({ U }) => U,
  wgsl: `fn kernel(u: u32) { rows[u] = tokens[u * p.T] * i32(p.nodes); }`,
  cases: () => [],
});

/** The row of each prefix's node, found along its slots in `fed`; a leaf stays a leaf. */
const followPaths = defineKernel({
  name: "followPaths",
  buffers: {
    roots: "read int",
    table: "read int",
    tokens: "read int",
    users: "read int",
    depths: "read int",
    slots: "read int",
    fed: "update int",
    rows: "write int",
  },
  params: { R: "u32", L: "u32", room: "u32", edges: "u32" },
  cpu({ roots, table, tokens, users, depths, slots, fed, rows }, { R, L, room, edges }): void {
    const child = (node: number, token: number): number => {
      for (let k = table[node]; k < table[node + 1]; k++) {
        if (table[k] === token) return table[k + edges];
      }
      return node;
    };
    for (let r = 0; r < R; r++) {
      let node = 0;
      for (let j = 0; j < depths[r]; j++) node = child(node, fed[slots[r * L + j]]);
      rows[r] = roots[users[r]] + child(node, tokens[r]);
      const own = slots[r * L + depths[r]];
      if (own >= 0 && own < room) fed[own] = tokens[r];
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
fn child(node: i32, token: i32) -> i32 {
  for (var k = u32(table[node]); k < u32(table[node + 1]); k++) {
    if (table[k] == token) { return table[k + p.edges]; }
  }
  return node;
}
fn kernel(r: u32) {
  var node = 0;
  let depth = u32(depths[r]);
  for (var j = 0u; j < depth; j++) { node = child(node, fed[slots[r * p.L + j]]); }
  rows[r] = roots[users[r]] + child(node, tokens[r]);
  let own = slots[r * p.L + depth];
  if (own >= 0 && own < i32(p.room)) { fed[own] = tokens[r]; }
}`,
  cases: () => [],
});

/** What the decoder keeps between steps. */
export interface NodeCache {
  /** The row of each user's root, (U). */
  readonly roots: Tensor;
  /** The token in each slot. */
  readonly fed: Tensor;
}

/** The decoder. A history's first token is the number of the model to use. */
export class NodeDecoder implements Decoder<NodeCache> {
  /** The width of a row of the table. */
  readonly vocabSize: number;
  readonly #trie: DeviceTrie;
  readonly #logits: Tensor;

  /** `logits[m]` holds the logits of model m, (nodes, V) flat. */
  constructor(device: Device, trie: DeviceTrie, logits: readonly Float64Array[]) {
    this.vocabSize = logits[0].length / trie.nodeCount;
    this.#trie = trie;
    const flat = Float64Array.from(logits.flatMap((model) => [...model]));
    this.#logits = device.tensor(flat, [flat.length / this.vocabSize, this.vocabSize]);
  }

  /** The logits of each user's root. */
  prefill(tokens: Tensor, _: Tensor, slots: number): Prefilled<NodeCache> {
    const [U, T] = tokens.shape;
    const { device } = tokens;
    const roots = device.empty([U], "int32");
    device.run(readModels, { tokens, rows: roots }, { U, T, nodes: this.#trie.nodeCount });
    const fed = device.tensor(new Int32Array(slots));
    return { logits: take(this.#logits, roots), cache: { roots, fed } };
  }

  /** The logits of the nodes that the prefixes have come to. */
  step({ roots, fed }: NodeCache, { tokens, users, depths, slots }: StepRows): Tensor {
    const [R, L] = slots.shape;
    const { table, nodeCount } = this.#trie;
    const rows = tokens.device.empty([R], "int32");
    tokens.device.run(
      followPaths,
      { roots, table, tokens, users, depths, slots, fed, rows },
      { R, L, room: fed.size, edges: nodeCount - 1 },
    );
    return take(this.#logits, rows);
  }
}
