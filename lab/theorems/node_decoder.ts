/**
 * A decoder that reads its logits from a table with a row for each node of a trie. It walks the
 * trie along all the tokens that a beam was fed, so wrong ancestors read the wrong row.
 *
 * @module
 */
import { defineKernel } from "../../core/kernel.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Decoder, Prefilled } from "../../models/decode/decoder.ts";
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

/** The row of each beam's node, found along its ancestors in `fed` (L, R); a leaf stays a leaf. */
const followPaths = defineKernel({
  name: "followPaths",
  buffers: {
    roots: "read int",
    table: "read int",
    tokens: "read int",
    ancestors: "read int",
    fed: "update int",
    rows: "write int",
  },
  params: { R: "u32", B: "u32", L: "u32", step: "u32", edges: "u32" },
  cpu({ roots, table, tokens, ancestors, fed, rows }, { R, B, L, step, edges }): void {
    const child = (node: number, token: number): number => {
      for (let k = table[node]; k < table[node + 1]; k++) {
        if (table[k] === token) return table[k + edges];
      }
      return node;
    };
    for (let r = 0; r < R; r++) {
      let node = 0;
      for (let j = 0; j < step; j++) node = child(node, fed[j * R + ancestors[r * L + j]]);
      rows[r] = roots[Math.floor(r / B)] + child(node, tokens[r]);
      fed[step * R + r] = tokens[r];
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
  for (var j = 0u; j < p.step; j++) {
    node = child(node, fed[j * p.R + u32(ancestors[r * p.L + j])]);
  }
  rows[r] = roots[r / p.B] + child(node, tokens[r]);
  fed[p.step * p.R + r] = tokens[r];
}`,
  cases: () => [],
});

/** What the decoder keeps between steps. */
export interface NodeCache {
  /** The row of each user's root, (U). */
  readonly roots: Tensor;
  /** The tokens fed so far, (L, R), by step and beam of all users. */
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
  prefill(tokens: Tensor, _: Tensor, beam: number, steps: number): Prefilled<NodeCache> {
    const [U, T] = tokens.shape;
    const { device } = tokens;
    const roots = device.empty([U], "int32");
    device.run(readModels, { tokens, rows: roots }, { U, T, nodes: this.#trie.nodeCount });
    const fed = device.tensor(new Int32Array(steps * U * beam), [steps, U * beam]);
    return { logits: take(this.#logits, roots), cache: { roots, fed } };
  }

  /** The logits of the node that each beam has come to. */
  step({ roots, fed }: NodeCache, step: number, tokens: Tensor, ancestors: Tensor): Tensor {
    const [L, R] = fed.shape;
    const { table, nodeCount } = this.#trie;
    const rows = tokens.device.empty([R], "int32");
    tokens.device.run(
      followPaths,
      { roots, table, tokens, ancestors, fed, rows },
      { R, B: R / roots.size, L, step, edges: nodeCount - 1 },
    );
    return take(this.#logits, rows);
  }
}
