/**
 * What a beam search returns.
 *
 * @module
 */

/** A retrieved leaf. */
export interface RankedItem {
  /** The leaf's node. */
  readonly leaf: number;
  /** The items that share it, less the excluded ones, ascending. */
  readonly items: readonly number[];
  /** The path's log-probability under the search's normalisation. */
  readonly logProb: number;
}

/**
 * One step: all children of the beams so far, and the beams that are finished, compete for B
 * places. By Hugging Face's rules up to B that go on and up to B that are finished are kept.
 */
export interface BeamStep {
  /** The entries that were kept, best first. */
  readonly nodes: Int32Array;
  /** Their log-probabilities, best first. */
  readonly scores: Float64Array;
  /** How many entries competed. */
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
  /** Every step, as many as the longest path has tokens. */
  readonly steps: readonly BeamStep[];
  /**
   * The best score pruned at any step, -Infinity if none was. Scores only fall along a path, so
   * retrieved items that score above it are the exact best of the catalogue.
   */
  readonly bestPruned: number;
}
