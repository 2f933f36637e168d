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

/** The tokens that a batch's N rows of logits are to predict. */
export interface Targets {
  /** The catalogue. */
  readonly trie: DeviceTrie;
  /** The node whose children the token is one of: int32 (N); -1 where there is nothing to predict. */
  readonly nodes: Tensor;
  /** The token: int32 (N); any valid one where the node is -1. */
  readonly labels: Tensor;
}

/**
 * A loss: from logits (N, V), or what they are made of, and their targets to a scalar. `trieLogProb` takes either.
 *
 * @example
 * ```ts
 * import { type Loss, mean, neg, trieLogProb } from "beargrad";
 *
 * export const plain: Loss = (logits, { trie, nodes, labels }) =>
 *   neg(mean(trieLogProb(logits, trie, nodes, labels, { normalization: "children" }).logProb));
 * ```
 */
export type Loss = (logits: Logits, targets: Targets) => Tensor;

/** The name of a loss; "bear" is its released form. */
export type LossName = "sft" | "msl" | "bear" | "bear-paper" | "bear-convex";

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
