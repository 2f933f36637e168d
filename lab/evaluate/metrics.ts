/**
 * Measures of retrieval and pruning. Each user has one relevant item, the target. Its rank in the
 * returned list is counted from 0, and is -1 if it is not there. Lists are of leaves: items with
 * the same tokens take one place and are hit together.
 *
 * @module
 */

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
