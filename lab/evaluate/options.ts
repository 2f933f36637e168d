/**
 * The options of an evaluation.
 *
 * @module
 */
import type { Decoder } from "../../models/decode/decoder.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { NodeLogits } from "../analysis/pruning.ts";
import type { Dataset, Split } from "../data/dataset.ts";

/**
 * Runs a model along given items. Entry [u][t] of the result is for the node after t tokens of the
 * path to `leaves[u]`, when the model has read `histories[u]` and these tokens.
 */
export type TeacherForced = (
  histories: readonly (readonly number[])[],
  leaves: readonly number[],
) => Promise<readonly (readonly NodeLogits[])[]>;

/** Options of `evaluate`. */
export interface EvaluateOptions {
  /** The model, for the search. */
  readonly decoder: Decoder;
  /** The model, for the margins, with the same normalization and temperature. */
  readonly teacherForced: TeacherForced;
  /** The trie of the data set's paths. */
  readonly trie: DeviceTrie;
  /** The data set. */
  readonly dataset: Dataset;
  /** The targets to predict. */
  readonly split: Split;
  /** The beam widths B. Each is one search, which returns lists of B items. */
  readonly beams: readonly number[];
  /** The most items of a user that the model reads. */
  readonly historyLength: number;
  /** The list lengths k to report; default 5 and 10. */
  readonly ks?: readonly number[];
  /** Whether the items that the model reads are excluded from the catalogue. */
  readonly excludeHistory?: boolean;
  /** The normalization of the search; default "children". */
  readonly normalization?: Normalization;
  /** The temperature; default 1. */
  readonly tau?: number;
  /** Only the first users. */
  readonly limitUsers?: number;
  /** Called with the number of users done and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}
