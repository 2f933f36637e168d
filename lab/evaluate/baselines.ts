/**
 * Rankings that need no training: popularity, item co-occurrence and, where the truth is known, the
 * best possible ranking. A model that does not beat the first two has learned little.
 *
 * Baselines count the items before the targets of the split (`known` of the data set), as the
 * histories of a model do.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Dataset, EvaluationCase, Split } from "../data/dataset.ts";

/** Ranks items for a history. */
export interface Baseline {
  /** The name in tables. */
  readonly name: string;
  /** The `k` best items after a history, best first. A small catalogue gives fewer. */
  rank(history: readonly number[], k: number): number[];
}

/** Options of baselines. */
export interface BaselineOptions {
  /** Whether the items of the history are left out; default false. */
  readonly excludeHistory?: boolean;
}

/** Co-occurrence that counts the validation targets, which come before the test targets. */
export const WITH_VALIDATION = "co-occurrence, with validation";

/** Co-occurrence that counts only what models are trained on. */
export const TRAINING_ONLY = "co-occurrence, training only";

/** The distance within which two items of a sequence occur together. */
const REACH = 5;

/**
 * Ranks items by how often they occur, the same for everybody. Ties go to the lower index.
 *
 * @example
 * ```ts
 * import { popularity, synthetic } from "beargrad/lab";
 *
 * console.log(popularity(synthetic(), "test").rank([], 10));
 * ```
 */
export function popularity(
  dataset: Dataset,
  split: Split,
  { excludeHistory = false }: BaselineOptions = {},
): Baseline {
  const order = byCount(countItems(dataset, split));
  return {
    name: "popularity",
    rank: (history, k) => firstOf(order, k, new Set(excludeHistory ? history : [])),
  };
}

/**
 * Ranks items by co-occurrence, an untuned heuristic. With n_i the count of item i and
 *
 *   C(i, j) = sum over sequences, over positions p < q <= p + 5 holding i and j, of 1 / (q - p),
 *
 *   score(j | h) = sum_d (1 / d) C(h_d, j) / sqrt((1 + n_(h_d)) (1 + n_j)),
 *
 * with h_d the d-th item from the end of the history.
 *
 * Only items j after item i count. Ties, which include all items that never occur with the history,
 * go by count, then by index. Its name says whether validation targets count, where there are any.
 *
 * @example
 * ```ts
 * import { cooccurrence, synthetic } from "beargrad/lab";
 *
 * const dataset = synthetic();
 * console.log(cooccurrence(dataset, "test").rank(dataset.test[0].history, 10));
 * ```
 */
export function cooccurrence(
  dataset: Dataset,
  split: Split,
  { excludeHistory = false }: BaselineOptions = {},
): Baseline {
  const counts = countItems(dataset, split);
  const order = byCount(counts);
  const roots = counts.map((count) => Math.sqrt(1 + count));
  const { from, later, together } = followersOf(dataset, split);
  const scores = new Float64Array(counts.length);
  const found = new Int32Array(counts.length); // the items with a score
  const bestFirst = (i: number, j: number): number =>
    scores[j] - scores[i] || counts[j] - counts[i] || i - j;
  return {
    name: dataset.validation.length === 0
      ? "co-occurrence"
      : split === "test"
      ? WITH_VALIDATION
      : TRAINING_ONLY,
    rank(history, k): number[] {
      const excluded = excludeHistory ? history : [];
      let size = 0;
      history.forEach((item, i) => {
        const weight = 1 / (history.length - i) / roots[item];
        for (let at = from[item]; at < from[item + 1]; at++) {
          const next = later[at];
          if (scores[next] === 0) found[size++] = next;
          scores[next] += (weight * together[at]) / roots[next];
        }
      });
      for (const item of excluded) scores[item] = 0;
      let seen: number[] = []; // the best so far, and some more
      let least = Number.MIN_VALUE; // the score of the k-th
      for (const item of found.subarray(0, size)) {
        if (scores[item] < least || seen.push(item) < 2 * k) continue;
        seen = seen.sort(bestFirst).slice(0, k);
        least = Math.max(least, scores[seen[k - 1]]);
      }
      seen = seen.sort(bestFirst).slice(0, k);
      for (const item of found.subarray(0, size)) scores[item] = 0;
      return [...seen, ...firstOf(order, k - seen.length, new Set([...excluded, ...seen]))];
    },
  };
}

/** The items after item i and C(i, later): entries from[i] to from[i + 1] of flat, fast arrays. */
function followersOf(
  dataset: Dataset,
  split: Split,
): { from: Int32Array; later: Int32Array; together: Float64Array } {
  const followers = dataset.items.map(() => new Map<number, number>());
  for (const items of dataset.known(split)) {
    items.forEach((item, p) => {
      const row = followers[item];
      items.slice(p + 1, p + 1 + REACH).forEach((later, gap) => {
        row.set(later, (row.get(later) ?? 0) + 1 / (gap + 1));
      });
    });
  }
  const from = new Int32Array(followers.length + 1);
  followers.forEach((row, item) => from[item + 1] = from[item] + row.size);
  const later = new Int32Array(from[followers.length]);
  const together = new Float64Array(from[followers.length]);
  followers.forEach((row, item) => {
    later.set([...row.keys()], from[item]);
    together.set([...row.values()], from[item]);
  });
  return { from, later, together };
}

/**
 * Ranks items by the true probability of the next item, which is the best possible ranking.
 *
 * @throws {ArgumentError} if the data set has no oracle.
 */
export function oracle(
  dataset: Dataset,
  { excludeHistory = false }: BaselineOptions = {},
): Baseline {
  const truth = oracleOf(dataset);
  return {
    name: "oracle",
    rank(history, k): number[] {
      const p = truth(history);
      return firstOf(byCount(p), k, new Set(excludeHistory ? history : []));
    },
  };
}

/**
 * The best expected HR@k of any model: the mean over the cases of the sum of the k largest true
 * probabilities.
 *
 * @throws {ArgumentError} if the data set has no oracle.
 */
export function bestAttainable(
  dataset: Dataset,
  cases: readonly EvaluationCase[],
  k: number,
): number {
  const truth = oracleOf(dataset);
  const expected = cases.map(({ history }) =>
    truth(history).sort().subarray(-k).reduce((sum, p) => sum + p, 0)
  );
  return expected.reduce((sum, p) => sum + p, 0) / cases.length;
}

function oracleOf(dataset: Dataset): NonNullable<Dataset["oracle"]> {
  if (dataset.oracle !== undefined) return dataset.oracle;
  throw new ArgumentError(
    `Cannot rank ${dataset.name} by true probabilities: the data set must have an oracle, got none`,
  );
}

function countItems(dataset: Dataset, split: Split): Float64Array {
  const counts = new Float64Array(dataset.items.length);
  for (const items of dataset.known(split)) for (const item of items) counts[item]++;
  return counts;
}

/** The items by descending weight. Ties go to the lower index. */
function byCount(weights: Float64Array): number[] {
  return [...weights.keys()].sort((i, j) => weights[j] - weights[i] || i - j);
}

/** The first `k` items of an order that are not taken. */
function firstOf(order: Iterable<number>, k: number, taken: ReadonlySet<number>): number[] {
  return Iterator.from(order).filter((item) => !taken.has(item)).take(k).toArray();
}
