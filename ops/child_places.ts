import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { childCounts as countsKernel, childPlaces as placesKernel } from "../kernels/trie_table.ts";
import { exampleTrie } from "./cases.ts";
import type { TrieTable } from "./trie_options.ts";

/** The place of each label among the children of its node, int32 (N). */
export const childPlaces: Op<[trie: TrieTable, nodes: Tensor, labels: Tensor], Tensor> = defineOp({
  name: "childPlaces",
  inputs: { trie: "record", nodes: "int", labels: "int" },
  forward({ table }: TrieTable, nodes: Tensor, labels: Tensor): { out: Tensor } {
    const { device, size: N } = nodes;
    if (labels.size !== N || nodes.rank !== 1 || labels.rank !== 1) {
      throw new ShapeError(
        `Cannot find the places of labels of shape ${
          formatShape(labels.shape)
        } under nodes of shape ` +
          `${formatShape(nodes.shape)}: both must be (N)`,
      );
    }
    const out = device.empty([N], "int32", "childPlaces");
    device.run(placesKernel, { table, nodes, labels, out }, { N });
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
    nodes.device.run(countsKernel, { table, nodes, out }, { N: nodes.size });
    return { out };
  },
  cases: () => [{
    name: "5 nodes",
    args: (d) => [exampleTrie(d), d.tensor(Int32Array.from([0, 1, 2, -1, 4]))],
  }],
});
