/**
 * What ops on a trie take and return, and the checks of their options.
 *
 * @module
 */
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";

/**
 * What a token's probability is normalised over: the `children` of its trie node, so that theirs
 * sum to 1, or the whole `vocabulary`, so that theirs sum to at most 1.
 */
export type Normalization = "children" | "vocabulary";

/** A trie in device memory. `Trie.upload` makes one. */
export interface TrieTable {
  /** The children of each node, as kernels walk them: int32. */
  readonly table: Tensor;
  /** The number of nodes. */
  readonly nodeCount: number;
  /** The largest token. */
  readonly maxToken: number;
  /** The largest number of children of a node. */
  readonly fanOut: number;
  /** The mean number of children of a node, over all nodes on the paths of all items. */
  readonly meanChoices: number;
  /** `table` with each child's place among its siblings for its token: int32. */
  readonly places: Tensor;
  /** The edges of nodes with two children or more by their tokens, as kernels walk them: int32. */
  readonly byToken: Tensor;
}

/** Options of {@link trieLogProb}. */
export interface TrieLogProbOptions {
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature that divides the logits, at least 1e-8. Default 1. */
  readonly tau?: number;
  /**
   * The beam width of logBeta. It may exceed the number of children. Default none: logBeta is 0.
   */
  readonly beam?: number;
}

/** What {@link trieLogProb} returns, each of shape (N). */
export type TrieLogProbs = {
  /** The label's log-probability. */
  readonly logProb: Tensor;
  /** That of the beam-th most probable child, or of the least probable one if there are fewer. */
  readonly logBeta: Tensor;
  /** The number of children, int32. */
  readonly choices: Tensor;
};

/**
 * The smallest temperature. Divided by it, every usable logit and MASKED (-1e30) fit into float32.
 * Below 1e-29 scores would pass for absent, and below 3e-39 1 / tau is infinite.
 */
const LEAST_TAU = 1e-8;

/**
 * Checks a normalisation and a temperature.
 *
 * @throws {ArgumentError} if there is no such normalisation, or tau is not a number from 1e-8.
 */
export function checkDistribution(
  action: string,
  normalization: Normalization,
  tau: number,
): void {
  if (normalization !== "children" && normalization !== "vocabulary") {
    throw new ArgumentError(
      `Cannot ${action}: the normalization must be "children" or "vocabulary", ` +
        `got ${normalization}`,
    );
  }
  if (!(tau >= LEAST_TAU && tau < Infinity)) {
    throw new ArgumentError(
      `Cannot ${action}: tau must be a number of at least ${LEAST_TAU}, got ${tau}`,
    );
  }
}

/**
 * Checks a beam width.
 *
 * @throws {ArgumentError} if it is not a positive integer.
 */
export function checkBeam(action: string, beam: number): void {
  if (!(Number.isInteger(beam) && beam >= 1)) {
    throw new ArgumentError(`Cannot ${action}: beam must be a positive integer, got ${beam}`);
  }
}
