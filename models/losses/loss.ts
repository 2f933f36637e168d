/**
 * What a loss is, and what losses share.
 *
 * @module
 */
import { ArgumentError, nameOf } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { cast } from "../../ops/select.ts";
import { greaterEqual } from "../../ops/compare.ts";
import type { Logits } from "../../ops/logits.ts";
import { sum } from "../../ops/reduce.ts";
import type { Normalization } from "../../ops/trie_options.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import type { DeviceTrie } from "../decode/trie.ts";
import type { LossFlag } from "./flags.ts";

/**
 * The tokens that the N rows of logits of a batch predict. The rows of one item follow each other,
 * from the one at the root of the trie to the one of its last token.
 */
export interface Targets {
  /** The catalogue. */
  readonly trie: DeviceTrie;
  /** int32 (N): the node whose child the token is; -1 in rows without a target. */
  readonly nodes: Tensor;
  /** int32 (N): the token; any valid one in rows without a target. */
  readonly labels: Tensor;
  /** Sampled items beside some targets, for a loss that needs them. */
  readonly negatives?: Negatives;
  /**
   * Float (N): log theta_t of a beam search, in the row of the target's t-th token; `MASKED`
   * (-1e30) where no search was run or nothing was pruned. For a loss that needs them.
   */
  readonly thresholds?: Tensor;
  /** Float: what a loss carries from step to step, written in place. For a loss that needs it. */
  readonly state?: Tensor;
}

/**
 * K sampled items beside each of W targets of a batch, and what the model predicts of their tokens
 * after the same history. D is the length of the longest path of the catalogue.
 */
export interface Negatives {
  /** W K D rows, by target, negative and step: those that predict the negatives' tokens. */
  readonly logits: Logits;
  /** int32 (W K D): the node whose child the token is; -1 beyond the negative's last token. */
  readonly nodes: Tensor;
  /** int32 (W K D): the token. */
  readonly labels: Tensor;
  /** int32 (W D): the row of the batch with the target's t-th token; -1 beyond its last token. */
  readonly rows: Tensor;
  /**
   * Float (W, K, D): log kappa_t where the negative's prefix of t tokens counts; `MASKED` (-1e30)
   * where it does not: it is the prefix of the target or of an earlier negative, or the negative is
   * shorter. kappa_t is the number of all other prefixes of that length divided by the number of
   * those that count.
   */
  readonly logScales: Tensor;
}

/** What a loss needs beside logits, nodes and labels. */
export interface LossNeeds {
  /** Negatives of one target of each window. */
  readonly negatives?: true;
  /** Thresholds of a beam search for one target of each window. */
  readonly thresholds?: true;
  /** The elements of its state before the first step. */
  readonly state?: readonly number[];
}

/**
 * A loss: from logits and their targets to a scalar. In training `logits` is not a tensor (N, V)
 * but the hidden states (N, C) and the head (V, C) whose product it is. `trieLogProb` takes either;
 * for other ops `allLogits(logits)` makes the tensor.
 *
 * @example
 * ```ts
 * import { allLogits, cast, gather, greaterEqual, logSoftmax } from "beargrad";
 * import { type Loss, neg, reshape, weightedMean } from "beargrad";
 *
 * export const crossEntropyLoss: Loss = (logits, { nodes, labels }) => {
 *   const logProbs = logSoftmax(allLogits(logits)); // (N, V)
 *   const logProb = reshape(gather(logProbs, reshape(labels, [-1, 1])), [-1]); // (N)
 *   return neg(weightedMean(logProb, cast(greaterEqual(nodes, 0), "float")));
 * };
 * ```
 */
export type Loss = (logits: Logits, targets: Targets) => Tensor;

/**
 * A loss with a name, and what the lab needs to know before it is made. Each loss of this project
 * is defined in its file and listed in `index.ts`. Everything else derives from that.
 */
export interface LossDefinition<Name extends string = string, Flag extends string = string> {
  /** Its name, a value of `--loss`. */
  readonly name: Name;
  /** What its probabilities sum to 1 over. A model is searched as it was trained. */
  readonly normalization: Normalization;
  /** What it needs beside logits, nodes and labels. */
  readonly needs: LossNeeds;
  /** The flags that it reads. Training reads those of its needs, such as how many negatives. */
  readonly flags: { readonly [F in Flag]?: LossFlag };
  /** Makes it. A missing flag has its default. Flags of other losses are ignored. */
  make(options: { readonly [F in Flag]?: number }): Loss;
}

/** The names of the flags of a {@link LossDefinition}, or of each of several. */
export type FlagOf<Definition> = Definition extends LossDefinition<string, infer Flag> ? Flag
  : never;

/** The mean over the target tokens of a batch, or the sum. */
export type Reduction = "mean" | "sum";

/** 1 where a row's node has at least `least` children, else 0: (N). */
export function withChoices(choices: Tensor, least: number): Tensor {
  return cast(greaterEqual(choices, least), "float");
}

/**
 * The mean of values (N) over the target tokens: the rows with at least one choice. `choices` is
 * that of `trieLogProb`. 0 if there are no targets.
 *
 * @example
 * ```ts
 * import { type Loss, meanOverTargets, neg, trieLogProb } from "beargrad";
 *
 * export const likelihood: Loss = (logits, { trie, nodes, labels }) => {
 *   const options = { normalization: "children" } as const;
 *   const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, options);
 *   return meanOverTargets(neg(logProb), choices);
 * };
 * ```
 */
export function meanOverTargets(values: Tensor, choices: Tensor): Tensor {
  return weightedMean(values, withChoices(choices, 1));
}

/**
 * Checks a reduction.
 *
 * @throws {ArgumentError} if it is neither "mean" nor "sum".
 */
export function checkReduction(action: string, reduction: Reduction): void {
  if (reduction === "mean" || reduction === "sum") return;
  throw new ArgumentError(
    `Cannot ${action}: reduction must be "mean" or "sum", got ${nameOf(reduction)}`,
  );
}

/** The mean over target tokens, or the sum, of values (N) that are 0 where there is no target. */
export function reduceTargets(
  values: Tensor,
  choices: Tensor,
  reduction: Reduction,
): Tensor {
  return reduction === "sum" ? sum(values) : meanOverTargets(values, choices);
}
