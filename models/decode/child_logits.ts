/**
 * The logits of a node's children, and of no other tokens.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import { childLogits, childLogitsHalf } from "../../kernels/child_logits.ts";
import type { TrieTable } from "../../ops/trie_log_prob.ts";
import type { Projection } from "./decoder.ts";

/** Whether {@link childrenOf} can: the kernel reads four numbers at a time. */
export function isGatherable({ hidden }: Projection): boolean {
  return hidden.shape[1] % 4 === 0;
}

/**
 * The logits of the children of each node, in their order: nodes int32 (R), out (R, F), F at least the number of children of any, 0
 * behind the last child. Row r's hidden state is `place[r]`; where it is -1 there is none, and nor where the node is -1.
 */
export function childrenOf(
  { hidden, head }: Projection,
  { table }: TrieTable,
  nodes: Tensor,
  place: Tensor,
  F: number,
): Tensor {
  const { device } = hidden;
  const out = device.empty([nodes.size, F], device.float, "child logits");
  const kernel = head.dtype === "float16" ? childLogitsHalf : childLogits;
  const sizes = { R: nodes.size, F, C: hidden.shape[1] };
  device.run(kernel, { hidden, head, table, nodes, place, out }, sizes);
  return out;
}
