/**
 * What ops on a trie are told.
 *
 * @module
 */
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";

/**
 * What a token's probability is normalised over: the `children` of its trie node (they sum to 1), or the whole
 * `vocabulary` (they sum to at most 1).
 */
export type Normalization = "children" | "vocabulary";

/** A trie in device memory. `Trie.upload` makes one. */
export interface TrieTable {
  /** Children by node, as the kernels walk them: int32. */
  readonly table: Tensor;
  /** The number of nodes. */
  readonly nodeCount: number;
  /** The largest token. */
  readonly maxToken: number;
  /** The most children that a node has. */
  readonly fanOut: number;
  /** How many children a node has on average, over all nodes on the paths of all items. */
  readonly meanChoices: number;
  /** The same as `table`, with a child's place among its siblings for its token: int32. */
  readonly places: Tensor;
  /** The edges by their tokens, of nodes that have a choice, as the kernels walk them: int32. */
  readonly byToken: Tensor;
}

/** Options of {@link trieLogProb}. */
export interface TrieLogProbOptions {
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature that divides the logits, at least 1e-8; default 1. */
  readonly tau?: number;
  /** The beam width of logBeta, beyond any number of children at will; without it logBeta is 0. */
  readonly beam?: number;
}

/** What {@link trieLogProb} returns, each of shape (N). */
export type TrieLogProbs = {
  /** The label's log-probability. */
  readonly logProb: Tensor;
  /** The log-probability of the beam-th most probable child, the least probable one's if there are fewer. */
  readonly logBeta: Tensor;
  /** The number of children, int32. */
  readonly choices: Tensor;
};

/**
 * The smallest temperature. Divided by it, every logit in use and MASKED (-1e30) fit into float32.
 * Below 1e-29 scores would pass for absent, and below 3e-39 1 / tau is infinite.
 */
const LEAST_TAU = 1e-8;

/**
 * Throws {@link ArgumentError} unless the normalisation is known and the temperature a number from
 * 1e-8.
 */
export function checkDistribution(
  action: string,
  normalization: Normalization,
  tau: number,
): void {
  if (normalization !== "children" && normalization !== "vocabulary") {
    throw new ArgumentError(
      `Cannot ${action}: the normalization must be "children" or "vocabulary", got ${normalization}`,
    );
  }
  if (!(tau >= LEAST_TAU && tau < Infinity)) {
    throw new ArgumentError(
      `Cannot ${action}: tau must be a number of at least ${LEAST_TAU}, got ${tau}`,
    );
  }
}

/** Throws {@link ArgumentError} unless a beam width is a positive integer. */
export function checkBeam(action: string, beam: number): void {
  if (!(Number.isInteger(beam) && beam >= 1)) {
    throw new ArgumentError(`Cannot ${action}: beam must be a positive integer, got ${beam}`);
  }
}
