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

/** One user's search, by any method. */
export interface SearchResult {
  /**
   * The retrieved leaves, best first by log P / length^lengthPenalty, ties in lexicographic order
   * of their paths.
   */
  readonly ranking: readonly RankedItem[];
  /**
   * The best score of a prefix that the search left behind, -Infinity if there was none. Scores
   * only fall along a path, so retrieved items that score above it are the exact best of the
   * catalogue.
   */
  readonly bestPruned: number;
  /**
   * How many generated tokens the model was fed for this user. The history counts nothing, and
   * neither does a token that is fed although no score depends on it.
   */
  readonly rows: number;
  /**
   * From best-first search: the smallest beam that is sure to find this list and whose own
   * certificate says so. It is at least k, and at least the number of prefixes of any step but the
   * last that score no less than the k-th item (docs/theory.md, T15). A catalogue of fewer than k
   * items counts as if k were their number. Undefined if the budget ended the search.
   */
  readonly width?: number;
}

/** One user's beam search. */
export interface BeamResult extends SearchResult {
  /** All steps, one for each token of the longest path. */
  readonly steps: readonly BeamStep[];
}
