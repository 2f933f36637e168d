/**
 * What a loss is, and what all losses share.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import { cast } from "../../ops/select.ts";
import { greaterEqual } from "../../ops/compare.ts";
import type { Logits } from "../../ops/logits.ts";
import { sum } from "../../ops/reduce.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import type { DeviceTrie } from "../decode/trie.ts";

/**
 * The tokens that a batch's N rows of logits are to predict. The rows of an item follow one another, from the one at the
 * root to the one of its last token.
 */
export interface Targets {
  /** The catalogue. */
  readonly trie: DeviceTrie;
  /** The node whose children the token is one of: int32 (N); -1 where there is nothing to predict. */
  readonly nodes: Tensor;
  /** The token: int32 (N); any valid one where the node is -1. */
  readonly labels: Tensor;
  /** Sampled items beside some of the targets; for a loss that needs them. */
  readonly negatives?: Negatives;
  /**
   * Float (N): log theta_t of a beam search beside the row of the target's t-th token; `MASKED` (-1e30) where there was no search,
   * or nothing was pruned. For a loss that needs them.
   */
  readonly thresholds?: Tensor;
  /** What a loss that needs it carries from step to step, float, written in place as the moments of an optimiser are. */
  readonly state?: Tensor;
}

/**
 * Items that compete with W of the batch's targets, K with each: what the model says of their tokens after the same history. D
 * is the length of the catalogue's longest path.
 */
export interface Negatives {
  /** W K D rows: those of negative k of target w at its t-th token, then the next token, negative and target. */
  readonly logits: Logits;
  /** int32 (W K D): the node whose children the token is one of; -1 beyond the negative's last token. */
  readonly nodes: Tensor;
  /** int32 (W K D): the token. */
  readonly labels: Tensor;
  /** int32 (W D): the row of the batch with the target's t-th token; -1 beyond its last, and where there is no target. */
  readonly rows: Tensor;
  /**
   * Float (W, K, D): log kappa_t where the negative's prefix of t tokens counts, `MASKED` (-1e30) where it is the target's, another
   * negative's before it, or there is none. kappa_t is the number of other prefixes of that length by the number that count.
   */
  readonly logScales: Tensor;
}

/** What a loss must be given beside logits, nodes and labels. */
export interface LossNeeds {
  /** Negatives of one target of each window. */
  readonly negatives?: true;
  /** Thresholds of a beam search for one target of each window. */
  readonly thresholds?: true;
  /** The elements of its state before the first step. */
  readonly state?: readonly number[];
}

/**
 * A loss: from logits and their targets to a scalar. In training `logits` is not a tensor (N, V) but the hidden states (N, C) and the
 * head (V, C) that it is the product of. `trieLogProb` takes either; for all other ops `allLogits(logits)` makes the tensor.
 *
 * @example
 * ```ts
 * import { allLogits, cast, gather, greaterEqual, logSoftmax, type Loss, neg, reshape } from "beargrad";
 * import { weightedMean } from "beargrad";
 *
 * export const crossEntropyLoss: Loss = (logits, { nodes, labels }) => {
 *   const logProbs = logSoftmax(allLogits(logits)); // (N, V)
 *   const logProb = reshape(gather(logProbs, reshape(labels, [-1, 1])), [-1]); // (N)
 *   return neg(weightedMean(logProb, cast(greaterEqual(nodes, 0), "float")));
 * };
 * ```
 */
export type Loss = (logits: Logits, targets: Targets) => Tensor;

/** The name of a loss of this project; "bear" is its released form. */
export type LossName =
  | "sft"
  | "msl"
  | "msl-ats"
  | "bear"
  | "bear-paper"
  | "bear-convex"
  | "apao-point"
  | "apao-pair"
  | "beam-exact";

/** The mean over the target tokens of a batch, or the sum. */
export type Reduction = "mean" | "sum";

/** 1 where a row's node has at least `least` children, else 0: (N). */
export function withChoices(choices: Tensor, least: number): Tensor {
  return cast(greaterEqual(choices, least), "float");
}

/** Values (N), which are 0 where there is no target, to a scalar; 0 where there are no targets at all. */
export function reduce(values: Tensor, choices: Tensor, reduction: Reduction): Tensor {
  return reduction === "sum" ? sum(values) : weightedMean(values, withChoices(choices, 1));
}
