/**
 * APAO, pairwise: every prefix of an item against those of sampled items.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { greaterEqual } from "../../ops/compare.ts";
import { gather } from "../../ops/gather.ts";
import { reshape, transpose } from "../../ops/layout.ts";
import { pathSum } from "../../ops/path_sum.ts";
import { cast, where } from "../../ops/select.ts";
import { logSumExp } from "../../ops/softmax.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, softplus } from "../../ops/unary.ts";
import { type Loss, reduce } from "./loss.ts";
import { type ApaoOptions, checkApao, worstPrefix } from "./worst_prefix.ts";

/**
 * The pairwise APAO loss (Y. Yu et al., arXiv:2603.02730), -log p + beta sum_t w_t L_t. With S_t the log-probability of the first t
 * tokens of a target, S_jt those of its negatives whose prefix of that length is neither the target's nor an earlier negative's, and
 * kappa_t the number of other prefixes of t tokens in the catalogue by the number of these negatives, L_t is the mean over targets of
 *
 *     -1/t log[e^(S_t / xi) / (e^(S_t / xi) + kappa_t sum_j e^(S_jt / xi))]
 *
 * and w_t proportional to L_t e^(eta L_t), detached, with a sum of 1. The paper's code has one more negative than there are in the
 * denominator of kappa_t. It needs negatives of one target of each window; cross-entropy takes all targets.
 *
 * - Normalisation: the vocabulary, as cross-entropy in the paper's code.
 * - Temperature: logits / tau; xi divides the scores of prefixes.
 * - Reduction: cross-entropy is the mean over target tokens, L_t over the targets with negatives that have a t-th token.
 * - Bound, from above and of a whole prefix rather than of the margin: t L_t / log(B + 1) of one target is at least 1[B of the negatives'
 *   prefixes of t tokens are as probable as its own], as kappa_t is at least 1.
 * - Gradient weight, of a token of a target with negatives among W such: 1 + beta N / W sum over its steps t from the token's on of
 *   w_t q_t / (t xi), q_t being the share of the negatives in the sum above: more where negatives are as probable.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi not positive, or beta or eta negative; when
 * applied to targets without negatives.
 *
 * @example
 * ```ts
 * import { apaoPair, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [1], [2]]).upload(device);
 * const ints = (...values: number[]) => device.tensor(Int32Array.from(values));
 * const logits = device.tensor([[0, 0, 0]]);
 * const negatives = { // one, item 1; kappa is 2, as there are two other items
 *   ...{ logits, nodes: ints(0), labels: ints(1), rows: ints(0) },
 *   logScales: device.tensor([Math.log(2)], [1, 1, 1]),
 * };
 * const targets = { trie, nodes: ints(0), labels: ints(2), negatives };
 * console.log(await apaoPair({ beta: 1 })(logits, targets).item()); // 2 log 3
 * ```
 */
export function apaoPair(options: ApaoOptions = {}): Loss {
  const { tau, xi, beta, eta } = checkApao("apao-pair", options);
  const distribution = { normalization: "vocabulary", tau } as const;
  return (logits, { trie, nodes, labels, negatives }) => {
    if (negatives === undefined) {
      throw new ArgumentError("Cannot apply apao-pair: its targets must have negatives, got none");
    }
    const { rows, logScales } = negatives;
    const [W, K, D] = logScales.shape;
    const own = trieLogProb(logits, trie, nodes, labels, distribution);
    const theirs = trieLogProb(
      negatives.logits,
      trie,
      negatives.nodes,
      negatives.labels,
      distribution,
    );
    const isStep = greaterEqual(rows, 0); // (W D)
    const scores = gather(pathSum(own.logProb, nodes), where(isStep, rows, 0)); // (W D)
    const negativeScores = reshape(pathSum(theirs.logProb, negatives.nodes), [W, K, D]);
    const ahead = div(sub(negativeScores, reshape(scores, [W, 1, D])), xi);
    const odds = logSumExp(transpose(add(ahead, logScales), [0, 2, 1])); // (W, D)
    const losses = div(softplus(odds), lengths(logScales, D));
    const mask = cast(reshape(isStep, [W, D]), "float");
    const prefixes = worstPrefix(losses, mask, eta);
    return add(reduce(neg(own.logProb), own.choices, "mean"), mul(beta, prefixes));
  };
}

/** 1, 2, ..., D. */
function lengths({ device }: Tensor, D: number): Tensor {
  return device.tensor(Float64Array.from({ length: D }, (_, i) => i + 1));
}
