/**
 * What the searches share: how a result is put together.
 *
 * @module
 */
import type { RankedItem } from "./results.ts";
import type { Trie } from "./trie.ts";

/** A leaf as a search returns it. */
export function rankedItem(
  trie: Trie,
  leaf: number,
  logProb: number,
  excluded: ReadonlySet<number>,
): RankedItem {
  return { leaf, items: [...trie.itemsAt(leaf)].filter((item) => !excluded.has(item)), logProb };
}

/** log sum exp; -Infinity of nothing. */
export function logSumExp(values: Float64Array): number {
  const max = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (max === -Infinity) return max;
  return max + Math.log(values.reduce((sum, v) => sum + Math.exp(v - max), 0));
}

/** What final lists are ranked by: log P / length^lengthPenalty. */
export function finalScore(logProb: number, length: number, lengthPenalty: number): number {
  return logProb / length ** lengthPenalty;
}

/** The order of a final list: by that score descending, then lexicographic. */
export function finalOrder(
  trie: Trie,
  lengthPenalty: number,
): (a: RankedItem, b: RankedItem) => number {
  const score = ({ leaf, logProb }: RankedItem): number =>
    finalScore(logProb, trie.depths[leaf], lengthPenalty);
  return (a, b) => score(b) - score(a) || a.leaf - b.leaf;
}
