/**
 * What the theorems about a beam search are judged on: questions about one search.
 *
 * @module
 */
import type { Answer } from "./proposition.ts";

/**
 * A beam search of width B and what is known of the items y to judge, each given by its leaf. In a
 * generated world every answer is exact. On a trained model numbers are known up to an error
 * budget, and what the budget leaves open is undefined. Steps t count from 1; docs/theory.md
 * defines pi, theta, beta, M and Delta.
 */
export interface Evidence {
  /** B. */
  readonly beam: number;
  /** The number of steps. */
  readonly depth: number;
  /** The leaves of the items to judge. */
  readonly leaves: readonly number[];
  /** Names an item in messages. */
  nameOf(y: number): string;
  /** The number of tokens of y. */
  lengthOf(y: number): number;
  /** Whether the search returned y. */
  isReturned(y: number): boolean;
  /** Whether the beam holds y_<=t after step t; always true for t = 0. */
  isAlive(y: number, t: number): boolean;
  /** Whether y was pruned at or before step t, however ties are broken. */
  isPrunedBy(y: number, t: number): boolean;
  /** Whether y_t is among the best B of its siblings; true where pi(y_<t) = 0. */
  isAmongBestSiblings(y: number, t: number): Answer;
  /** Whether Delta_t > 0, and pi(y_<t) > 0. */
  isViolated(y: number, t: number): Answer;
  /** Whether the sign of Delta_t fits the number of siblings that are more probable than y_t. */
  isMarginRight(y: number, t: number): boolean;
  /** Whether at each t fewer than B entries of level t come before y_<=t. */
  isAmongBestPrefixes(y: number): Answer;
  /** Whether P(y) > 1/(B+1). */
  hasMass(y: number): Answer;
  /** Whether pi(y_<=t) > M_t/(B+1). */
  hasMassInPool(y: number, t: number): Answer;
  /** Whether the pool of step t has at least B entries, so that theta_t exists. */
  hasThreshold(t: number): boolean;
  /** Whether theta_t <= M_t/B. */
  isThresholdWithinMass(t: number): Answer;
  /** For each t, how many entries may come before y_<=t by the count of T6. */
  competitors(y: number): { readonly least: readonly number[]; readonly most: readonly number[] };
  /** Whether y_<=t beats the B-th best of the other entries of its pool. */
  beatsOthers(y: number, t: number): Answer;
  /** Whether theta_t >= beta_t pi(y_<t); undefined where y_t and its siblings are fewer than B. */
  isThresholdAboveSiblings(y: number, t: number): boolean | undefined;
  /** What became of y at B = 1; undefined if no such search was run, or P(y) = 0. */
  greedy(y: number): { readonly isBest: Answer; readonly isReturned: boolean } | undefined;
  /** Whether the levels 0 to t - 1 have at most B entries each. */
  fits(t: number): boolean;
  /** Whether y is in the exact top B; undefined if that is not known. */
  isInExactTop(y: number): boolean | undefined;
  /** Whether what scores above all that was pruned before the last step is exactly the best. */
  certified(): readonly { readonly what: string; readonly isBest: Answer }[];
}
