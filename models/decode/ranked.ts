/**
 * Helpers that all searches share: items, scores and the order of a result.
 *
 * @module
 */
import type { TypedArray } from "../../core/dtype.ts";
import type { RankedItem } from "./results.ts";
import type { Trie } from "./trie.ts";

/** A prefix. */
export interface Prefix {
  /** Its node. */
  readonly node: number;
  /** Its log-probability. */
  readonly score: number;
}

/** The total order: score descending, then node ascending, which is lexicographic order. */
export function byScore(a: Prefix, b: Prefix): number {
  return b.score - a.score || a.node - b.node;
}

/** Prefixes as results contain them. */
export function entriesOf(
  prefixes: readonly Prefix[],
): { readonly nodes: Int32Array; readonly scores: Float64Array } {
  return {
    nodes: Int32Array.from(prefixes, ({ node }) => node),
    scores: Float64Array.from(prefixes, ({ score }) => score),
  };
}

/** A leaf as a search returns it. */
export function rankedItem(
  trie: Trie,
  leaf: number,
  logProb: number,
  excluded: ReadonlySet<number>,
): RankedItem {
  return { leaf, items: [...trie.itemsAt(leaf)].filter((item) => !excluded.has(item)), logProb };
}

/** log sum exp of the values above `floor`; -Infinity of none. */
export function logSumExp(values: TypedArray, floor = -Infinity): number {
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > max) max = values[i];
  if (!(max > floor)) return -Infinity;
  let sum = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > floor) sum += Math.exp(values[i] - max);
  return max + Math.log(sum);
}

/** The score of final lists: log P / length^lengthPenalty. */
export function finalScore(logProb: number, length: number, lengthPenalty: number): number {
  return logProb / length ** lengthPenalty;
}

/** The order of a final list: by that score descending, then lexicographic. */
export function finalOrder(
  trie: Trie,
  lengthPenalty: number,
): (a: RankedItem, b: RankedItem) => number {
  const score = lengthPenalty === 0
    ? ({ logProb }: RankedItem): number => logProb
    : ({ leaf, logProb }: RankedItem): number =>
      finalScore(logProb, trie.depths[leaf], lengthPenalty);
  return (a, b) => score(b) - score(a) || a.leaf - b.leaf;
}
