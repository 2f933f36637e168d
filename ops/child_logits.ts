import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  childHead,
  childHidden,
  childHiddenHalf,
  childLogits as childLogitsKernel,
  childLogitsHalf,
} from "../kernels/child_logits.ts";
import {
  childCounts as childCountsKernel,
  childPlaces as childPlacesKernel,
} from "../kernels/trie_table.ts";
import { exampleTrie, sample } from "./cases.ts";
import { rowOrder } from "./row_order.ts";
import type { TrieTable } from "./trie_options.ts";

/**
 * The logits of the children of trie nodes, and of no other tokens: hidden (N, C), head (V, C),
 * nodes int32 (N), out (N, F) with F the largest number of children of a node. Element [n, k] is
 * hidden_n . head_v with v the token of child k of row n's node. It is 0 where there is no child k,
 * and where it is the only one: then there is nothing to choose.
 *
 * The head may be float16; then it has no gradient. The results have the same bits in every run.
 *
 * @throws {ShapeError} if the sizes do not fit, C is not a multiple of 4, or V does not exceed the
 * trie's largest token.
 *
 * @example
 * ```ts
 * import { childLogits, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [2]]).upload(device);
 * const hidden = device.tensor([[1, 2, 3, 4]]);
 * const head = device.tensor([[1, 0, 0, 0], [9, 9, 9, 9], [0, 0, 0, 1]]);
 * const root = device.tensor(new Int32Array([0]));
 * console.log(await childLogits(hidden, head, trie, root).data()); // [1, 4]
 * ```
 */
export const childLogits: Op<
  [hidden: Tensor, head: Tensor, trie: TrieTable, nodes: Tensor],
  Tensor
> = defineOp({
  name: "childLogits",
  inputs: { hidden: "float", head: "weights", trie: "record", nodes: "int" },
  forward(hidden: Tensor, head: Tensor, trie: TrieTable, nodes: Tensor): { out: Tensor } {
    const { device } = hidden;
    const { N, C, F } = sizesOf(hidden, head, trie, nodes);
    const out = device.empty([N, F], device.float, "childLogits");
    const place = device.tensor(Int32Array.from({ length: N }, (_, n) => n));
    const kernel = head.dtype === "float16" ? childLogitsHalf : childLogitsKernel;
    device.run(kernel, { hidden, head, table: trie.table, nodes, place, out }, { R: N, F, C });
    return { out };
  },
  backward: (dz, _, [hidden, head, trie, nodes]): InputGradients => [
    () => { // dhidden_n = sum_k dz_nk head_v
      const { N, C, F } = sizesOf(hidden, head, trie, nodes);
      const out = hidden.device.empty([N, C], hidden.dtype, "childLogits gradient");
      const kernel = head.dtype === "float16" ? childHiddenHalf : childHidden;
      hidden.device.run(kernel, { dz, head, table: trie.table, nodes, out }, { N, F, C });
      return out;
    },
    () => { // dhead_v = sum of dz_nk hidden_n over the rows n that have v for child k
      const { N, C, F, V } = sizesOf(hidden, head, trie, nodes);
      const order = rowOrder(nodes, trie.nodeCount, "childLogits gradient");
      const out = head.device.empty([V, C], head.dtype, "childLogits gradient");
      const buffers = { dz, hidden, byToken: trie.byToken, nodes, order, out };
      head.device.run(childHead, buffers, { N, F, C, V, T: trie.maxToken + 1 });
      return out;
    },
    null,
  ],
  cases: () =>
    [4, 8].map((C) => ({
      name: `hidden states of ${C}`,
      args: (d) => [
        sample(d, [7, C], 1),
        sample(d, [9, C], 2),
        exampleTrie(d),
        d.tensor(Int32Array.from([0, 1, 2, -1, 3, 0, 4])),
      ],
    })),
});

function sizesOf(
  hidden: Tensor,
  head: Tensor,
  trie: TrieTable,
  nodes: Tensor,
): { N: number; C: number; F: number; V: number } {
  const [N, C] = hidden.shape;
  const [V, width] = head.shape;
  const fits = hidden.rank === 2 && head.rank === 2 && width === C && C % 4 === 0 &&
    V > trie.maxToken && nodes.rank === 1 && nodes.size === N;
  if (!fits) {
    const [h, w, u] = [hidden, head, nodes].map(({ shape }) => formatShape(shape));
    throw new ShapeError(
      "Cannot apply childLogits: hidden, head and nodes must be (N, C), (V, C) and (N), with C a " +
        "multiple of 4 and V above the trie's largest token, " +
        `${trie.maxToken}, got ${h}, ${w} and ${u}`,
    );
  }
  return { N, C, F: trie.fanOut, V };
}

/**
 * The place of each label among the children of its node, int32 (N); 0 where it is not among them.
 */
export const childPlaces: Op<[trie: TrieTable, nodes: Tensor, labels: Tensor], Tensor> = defineOp({
  name: "childPlaces",
  inputs: { trie: "record", nodes: "int", labels: "int" },
  forward({ table }: TrieTable, nodes: Tensor, labels: Tensor): { out: Tensor } {
    const { device, size: N } = nodes;
    if (labels.size !== N || nodes.rank !== 1 || labels.rank !== 1) {
      throw new ShapeError(
        `Cannot apply childPlaces: nodes and labels must be (N), got ${formatShape(nodes.shape)} ` +
          `and ${formatShape(labels.shape)}`,
      );
    }
    const out = device.empty([N], "int32", "childPlaces");
    device.run(childPlacesKernel, { table, nodes, labels, out }, { N });
    return { out };
  },
  cases: () => [{
    name: "5 labels",
    args: (d) => [
      exampleTrie(d),
      d.tensor(Int32Array.from([0, 1, 2, -1, 4])),
      d.tensor(Int32Array.from([5, 4, 2, 0, 3])),
    ],
  }],
});

/** The number of children of each node, int32 (N); 0 for a node of -1. */
export const childCounts: Op<[trie: TrieTable, nodes: Tensor], Tensor> = defineOp({
  name: "childCounts",
  inputs: { trie: "record", nodes: "int" },
  forward({ table }: TrieTable, nodes: Tensor): { out: Tensor } {
    const out = nodes.device.empty([nodes.size], "int32", "childCounts");
    nodes.device.run(childCountsKernel, { table, nodes, out }, { N: nodes.size });
    return { out };
  },
  cases: () => [{
    name: "5 nodes",
    args: (d) => [exampleTrie(d), d.tensor(Int32Array.from([0, 1, 2, -1, 4]))],
  }],
});
