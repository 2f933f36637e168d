/**
 * Measures of what was retrieved and what was pruned, as pure functions. Each user has one relevant item, the target, at
 * some rank of the returned list, counted from 0; -1 if it is not there. A list is of leaves: items that share their
 * tokens cannot be told apart, so they take one place and are hit together.
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
 * HR@k: the share of users whose target is among the first k.
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
 * NDCG@k with one relevant item: the mean over users of 1 / log2(rank + 2), 0 for a target not among the first k.
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

/** part / whole, and 0 where there is no whole. */
export function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/**
 * The binomial standard error of a share p of n users, sqrt(p (1 - p) / n); 0 where there are none. Two shares of different
 * users that are less than about three of these apart may differ by chance.
 */
export function standardError(p: number, n: number): number {
  return n === 0 ? 0 : Math.sqrt((p * (1 - p)) / n);
}

/**
 * The survival curve: entry t - 1 is the share of targets whose prefix is still in the beam after step t. An item that
 * ended earlier counts as long as it holds its place. `prunedAt` has for each target the step that lost it, or 0.
 */
export function survivalCurve(prunedAt: readonly number[], steps: number): number[] {
  return Array.from({ length: steps }, (_, t) => {
    const alive = prunedAt.filter((step) => step === 0 || step > t + 1);
    return share(alive.length, prunedAt.length);
  });
}

/**
 * Where the local condition says nothing: entry t - 1 is the share of the targets that have a token t whose parent has at
 * most `beam` children, so that no margin can be above 0 (docs/theory.md, R8); NaN where no target has so many tokens. A path is the
 * number of siblings of each of its tokens.
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
 * Whether the first `k` of a search's ranking are provably the catalogue's exact best, in order (docs/theory.md, T9): the k-th
 * scores above everything that was pruned, or nothing was.
 */
export function certifiesTop({ ranking, bestPruned }: BeamResult, k: number): boolean {
  return bestPruned === -Infinity || (ranking[k - 1]?.logProb ?? -Infinity) > bestPruned;
}

/** What {@link attribute} looks at. */
export interface AttributionInputs {
  /** The steps of a traced search of this user. */
  readonly steps: readonly BeamStep[];
  /** The margins along the leaf's path, for the same beam; none if the leaf was taken out of the catalogue. */
  readonly margins: readonly StepMargin[];
  /** The beam width. */
  readonly beam: number;
  /** Scores that differ by no more than this share of their size count as equal. */
  readonly rounding: number;
}

/**
 * Why a search did not return a leaf, or undefined if it did. t is the first step that did not keep its prefix. In this
 * order:
 *
 * - `absent`: the leaf's prefix was not in the pool of step t, so the leaf is not in the catalogue or was excluded.
 * - `violation`: the margin of some token of the path is above 0, at t or elsewhere: T1's local condition fails.
 * - `tie`: its score at t equals the threshold within rounding; the total order or rounding decided.
 * - `length`: the leaf had ended before t and lost its place to longer items, or it would have been kept at t if items
 *   that had ended before t did not compete.
 * - `displacement`: the rest. Prefixes from other parts of the trie took the places.
 *
 * @throws {ArgumentError} if the steps come without their pools.
 */
export function attribute(
  trie: Trie,
  leaf: number,
  { steps, margins, beam, rounding }: AttributionInputs,
): Attribution | undefined {
  const step = prunedAt(trie, leaf, steps);
  if (step === 0) return undefined;
  return { step, cause: causeAt(trie, leaf, step, { steps, margins, beam, rounding }) };
}

function causeAt(
  trie: Trie,
  leaf: number,
  step: number,
  { steps, margins, beam, rounding }: AttributionInputs,
): PruningCause {
  const { pool, threshold } = steps[step - 1];
  if (pool === undefined) {
    throw new ArgumentError(
      "Cannot attribute what was pruned: the search must be traced, got steps without pools",
    );
  }
  let node = leaf;
  while (trie.depths[node] > step) node = trie.parents[node];
  const rank = pool.nodes.indexOf(node);
  if (rank < 0) return "absent";
  if (margins.some(({ margin }) => margin > 0)) return "violation";
  if (threshold - pool.scores[rank] <= rounding * Math.abs(threshold)) return "tie";
  if (trie.depths[leaf] < step) return "length";
  const ended = pool.nodes.subarray(0, rank).filter((other) => trie.depths[other] < step).length;
  return rank - ended < beam ? "length" : "displacement";
}
