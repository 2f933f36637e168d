/**
 * Log-probabilities of a node's children, in float64 on the host.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { Trie } from "./trie.ts";

/** A model on the host: the logits of the token that follows a path. */
export type PathLogits = (path: readonly number[]) => ArrayLike<number>;

/**
 * The log-probabilities of the tokens of a node's children: (z_v - max z) / tau - log sum exp((z -
 * max z) / tau), over these tokens ("children") or all logits ("vocabulary").
 *
 * @example
 * ```ts
 * import { logProbs } from "beargrad";
 *
 * console.log(logProbs([0, 9, 0], [0, 2], "children", 1)); // [-log 2, -log 2]
 * ```
 */
export function logProbs(
  logits: ArrayLike<number>,
  tokens: ArrayLike<number>,
  normalization: Normalization,
  tau: number,
): Float64Array {
  const own = Float64Array.from(tokens, (token) => logits[token]);
  const all = normalization === "children" ? own : Float64Array.from(logits);
  const max = all.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = all.reduce((total, z) => total + Math.exp((z - max) / tau), 0);
  return own.map((z) => (z - max) / tau - Math.log(sum));
}

/**
 * The children of a node that are not blocked, ascending.
 *
 * @example
 * ```ts
 * import { openChildren, Trie } from "beargrad";
 *
 * const trie = new Trie([[5], [7]]);
 * console.log(openChildren(trie, 0, new Set(trie.blockedNodes([0]))).tokens); // [7]
 * ```
 */
export function openChildren(
  trie: Trie,
  node: number,
  blocked?: ReadonlySet<number>,
): { readonly nodes: Int32Array; readonly tokens: Int32Array } {
  const nodes = trie.nodesUnder(node).filter((child) => !blocked?.has(child));
  return { nodes, tokens: nodes.map((child) => trie.tokens[child]) };
}
