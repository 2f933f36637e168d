/**
 * Logits of a node's children alone.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import { childLogits, childLogitsHalf } from "../../kernels/child_logits.ts";
import type { TrieTable } from "../../ops/trie_log_prob.ts";
import type { Projection } from "./decoder.ts";

/**
 * Whether {@link childrenOf} supports these hidden states: the kernel reads four numbers at a time.
 */
export function isGatherable({ hidden }: Projection): boolean {
  return hidden.shape[1] % 4 === 0;
}

/**
 * The logits of the children of each node, in their order: nodes int32 (R), out (R, F) with zeros
 * behind the last child. F must be at least the number of children of any node. The hidden state of
 * row r is row `place[r]`. A row with a place or a node of -1 has none, and its output is
 * undefined.
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
