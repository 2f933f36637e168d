/**
 * What a beam search returns.
 *
 * @module
 */

/** A retrieved leaf. */
export interface RankedItem {
  /** The leaf's node. */
  readonly leaf: number;
  /** The items that share it, without excluded ones, ascending. */
  readonly items: readonly number[];
  /** The path's log-probability under the search's normalisation. */
  readonly logProb: number;
}

/**
 * One step: the children of all running beams, and the finished ones, compete for B places. By
 * Hugging Face's rules up to B running and up to B finished ones are kept.
 */
export interface BeamStep {
  /** The entries that were kept, best first. */
  readonly nodes: Int32Array;
  /** Their log-probabilities, best first. */
  readonly scores: Float64Array;
  /** The number of entries that competed. */
  readonly poolSize: number;
  /** The score of the B-th best entry, theta_t; -Infinity if there were fewer. */
  readonly threshold: number;
  /** The log of the entries' total probability, log M_t; -Infinity if there were none. */
  readonly logMass: number;
  /** The best score that was not kept; -Infinity if all were. */
  readonly bestPruned: number;
  /** Every entry, best first. Only with `trace: true`. */
  readonly pool?: { readonly nodes: Int32Array; readonly scores: Float64Array };
}

/** One user's search. */
export interface BeamResult {
  /**
   * The retrieved leaves, best first by log P / length^lengthPenalty, ties in lexicographic order
   * of their paths.
   */
  readonly ranking: readonly RankedItem[];
  /** All steps, one for each token of the longest path. */
  readonly steps: readonly BeamStep[];
  /**
   * The best score pruned at any step, -Infinity if none was. Scores only fall along a path, so
   * retrieved items that score above it are the exact best of the catalogue.
   */
  readonly bestPruned: number;
}
