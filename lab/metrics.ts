/**
 * Measures of what was retrieved and what was pruned, as pure functions. Each user has one relevant item, the target, at
 * some rank of the returned list, counted from 0; -1 if it is not there. A list is of leaves: items that share their
 * tokens cannot be told apart, so they take one place and are hit together.
 *
 * @module
 */

/** HR@k: the share of users whose target is among the first k. */
export function hitRate(ranks: readonly number[], k: number): number {
  return share(ranks.filter((rank) => rank >= 0 && rank < k).length, ranks.length);
}

/** NDCG@k with one relevant item: the mean of 1 / log2(rank + 2) over users, 0 for a target not among the first k. */
export function ndcg(ranks: readonly number[], k: number): number {
  let total = 0;
  for (const rank of ranks) if (rank >= 0 && rank < k) total += 1 / Math.log2(rank + 2);
  return share(total, ranks.length);
}

/** part / whole, and 0 where there is no whole. */
export function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/** The binomial standard error of a share of n: sqrt(p (1 - p) / n). Two shares that differ by less than two of these tell little. */
export function standardError(p: number, n: number): number {
  return n === 0 ? 0 : Math.sqrt((p * (1 - p)) / n);
}
