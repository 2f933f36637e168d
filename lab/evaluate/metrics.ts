/**
 * Measures of retrieval and pruning, as pure functions. Each user has one relevant item, the
 * target. Its rank in the returned list is counted from 0, and is -1 if it is not there. Lists are
 * of leaves: items with the same tokens take one place and are hit together.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import {
  type Attribution,
  prunedAt,
  type PruningCause,
  type StepMargin,
} from "../analysis/pruning.ts";
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";

/**
 * HR@k: the share of users whose target is among the first k items.
 *
 * @example
 * ```ts
 * import { hitRate } from "beargrad/lab";
 *
 * console.log(hitRate([0, 3, -1, 7], 5)); // 0.5
 * ```
 */
export function hitRate(ranks: readonly number[], k: number): number {
  return share(ranks.filter((rank) => rank >= 0 && rank < k).length, ranks.length);
}

/**
 * NDCG@k with one relevant item: the mean over users of 1 / log2(rank + 2), or 0 for a target that
 * is not among the first k items.
 *
 * @example
 * ```ts
 * import { ndcg } from "beargrad/lab";
 *
 * console.log(ndcg([0, -1], 5)); // 0.5
 * ```
 */
export function ndcg(ranks: readonly number[], k: number): number {
  let total = 0;
  for (const rank of ranks) if (rank >= 0 && rank < k) total += 1 / Math.log2(rank + 2);
  return share(total, ranks.length);
}

/** part / whole, or 0 if `whole` is 0. */
export function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/**
 * The binomial standard error of a share p of n users, sqrt(p (1 - p) / n), or 0 for no users. Two
 * shares of different users that are less than about three of these apart may differ by chance.
 */
export function standardError(p: number, n: number): number {
  return n === 0 ? 0 : Math.sqrt((p * (1 - p)) / n);
}

/**
 * The survival curve: entry t - 1 is the share of targets whose prefix is still in the beam after
 * step t. An item that ended earlier counts while it keeps its place. `prunedAt` has the step that
 * pruned each target, or 0.
 */
export function survivalCurve(prunedAt: readonly number[], steps: number): number[] {
  return Array.from({ length: steps }, (_, t) => {
    const alive = prunedAt.filter((step) => step === 0 || step > t + 1);
    return share(alive.length, prunedAt.length);
  });
}

/**
 * Where the local condition is vacuous: entry t - 1 is the share of targets with a token t whose
 * parent has at most `beam` children, so that no margin can be above 0 (docs/theory.md, R8). It is
 * NaN if no target has so many tokens. A path here is the number of siblings of each of its tokens.
 */
export function vacuousShares(
  paths: readonly (readonly number[])[],
  beam: number,
  steps: number,
): number[] {
  return Array.from({ length: steps }, (_, t) => {
    const there = paths.filter((path) => path.length > t);
    return there.filter((path) => path[t] <= beam).length / there.length;
  });
}

/**
 * Whether the first `k` items of a search are provably the exact best of the catalogue, in order
 * (docs/theory.md, T9): nothing was pruned, or the k-th item scores above everything that was.
 */
export function certifiesTop({ ranking, bestPruned }: BeamResult, k: number): boolean {
  return bestPruned === -Infinity || (ranking[k - 1]?.logProb ?? -Infinity) > bestPruned;
}

/** The evidence for {@link attribute}. */
export interface AttributionInputs {
  /** The steps of a traced search of this user. */
  readonly steps: readonly BeamStep[];
  /** The margins along the leaf's path for the same beam; empty if the leaf was excluded. */
  readonly margins: readonly StepMargin[];
  /** The beam width. */
  readonly beam: number;
  /** The relative difference up to which scores count as equal. */
  readonly rounding: number;
}

/**
 * Explains why a search did not return a leaf; undefined if it did. With t the first step that did
 * not keep the leaf's prefix, the cause is the first of these that holds:
 *
 * - `absent`: the prefix was not in the pool of step t, so the leaf is not in the catalogue or was
 *   excluded.
 * - `violation`: the margin of a token of the path is above 0, at t or elsewhere. T1's local
 *   condition fails.
 * - `tie`: the score at t equals the threshold within rounding.
 * - `length`: the leaf had ended before t and lost its place to longer items, or it would have been
 *   kept at
 *   t without the items that had ended before t.
 * - `displacement`: prefixes from other parts of the trie took the places.
 *
 * @throws {ArgumentError} if the steps have no pools.
 */
export function attribute(
  trie: Trie,
  leaf: number,
  { steps, margins, beam, rounding }: AttributionInputs,
): Attribution | undefined {
  const step = prunedAt(trie, leaf, steps);
  if (step === 0) return undefined;
  const { pool, threshold } = steps[step - 1];
  if (pool === undefined) {
    throw new ArgumentError(
      "Cannot find the cause of pruning: the search must be traced, got steps without pools",
    );
  }
  let node = leaf;
  while (trie.depths[node] > step) node = trie.parents[node];
  const rank = pool.nodes.indexOf(node);
  const cause = (): PruningCause => {
    if (rank < 0) return "absent";
    if (margins.some(({ margin }) => margin > 0)) return "violation";
    if (threshold - pool.scores[rank] <= rounding * Math.abs(threshold)) return "tie";
    if (trie.depths[leaf] < step) return "length";
    const ended = pool.nodes.subarray(0, rank).filter((other) => trie.depths[other] < step).length;
    return rank - ended < beam ? "length" : "displacement";
  };
  return { step, cause: cause() };
}
