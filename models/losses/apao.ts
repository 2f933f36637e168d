/**
 * APAO (Y. Yu et al., arXiv:2603.02730): the likelihood of every prefix of an item, the worst step
 * foremost.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, div, maximum, mul, sub } from "../../ops/binary.ts";
import { equal, greaterEqual } from "../../ops/compare.ts";
import { gather } from "../../ops/gather.ts";
import { reshape, transpose } from "../../ops/layout.ts";
import { pathSum } from "../../ops/path_sum.ts";
import { max, sum } from "../../ops/reduce.ts";
import { cast, stopGradient, where } from "../../ops/select.ts";
import { logSumExp } from "../../ops/softmax.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { exp, neg, softplus } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { type LossFlag, readSettings, sharedFlags } from "./flags.ts";
import { type Loss, type LossDefinition, meanOverTargets, withChoices } from "./loss.ts";

/** Options of {@link apaoPoint} and {@link apaoPair}. */
export interface ApaoOptions {
  /** The temperature that divides the logits. Default 1. */
  readonly tau?: number;
  /** The temperature that divides the scores of prefixes. Default 1. */
  readonly xi?: number;
  /** The weight of the prefix losses beside cross-entropy. Default 0.1. */
  readonly beta?: number;
  /** How much the worst step stands out: its weight is L e^(eta L). Default 0. */
  readonly eta?: number;
}

const { tau, xi, beta, eta } = sharedFlags;
const FLAGS = { tau, xi, beta, eta };

const negatives: LossFlag = {
  default: 4,
  kind: "integer",
  least: 1,
  most: 1000,
  help: "sampled items beside one target of each window",
};

/**
 * The pointwise APAO loss, -log p + beta sum_t w_t L_t. p is the probability of the label, S_t the
 * log-probability of the first t tokens of an item, L_t the mean of -S_t / (t xi) over the items of
 * the batch, and w_t proportional to L_t e^(eta L_t), detached, with sum 1 over the steps.
 *
 * - Normalisation: the vocabulary, as cross-entropy in the paper's code.
 * - Temperature: logits / tau; xi divides the scores of prefixes.
 * - Reduction: cross-entropy is the mean over target tokens, L_t over the items that have a t-th
 *   token.
 * - Bound, from above and of a whole prefix rather than of the margin: -S_t / log(B + 1) is at
 *   least 1[B other prefixes of t tokens are as probable], as these exclude one another. Where that
 *   is 0, the prefix is one of the B best of its length.
 * - Gradient weight: 1 + beta N sum of w_t / (t xi n_t) over the item's steps t from this token on,
 *   with N target tokens and n_t items that have step t: whatever the margin, and more for earlier
 *   tokens.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi is not positive, or beta or eta is negative.
 *
 * @example
 * ```ts
 * import { apaoPoint, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0, 1], [2, 1], [2, 0]]).upload(device);
 * const { leafOf, parents } = trie.trie;
 * // The rows of item 1: at the root, then at the node of token 2.
 * const nodes = device.tensor(new Int32Array([0, parents[leafOf[1]]]));
 * const labels = device.tensor(new Int32Array([2, 1]));
 * const logits = device.tensor([[0, 0, 0], [0, 0, 0]]);
 * const loss = apaoPoint({ beta: 1 })(logits, { trie, nodes, labels });
 * console.log(await loss.item()); // 2 log 3
 * ```
 */
export function apaoPoint(options: ApaoOptions = {}): Loss {
  const { tau, xi, beta, eta } = readSettings("make an apao-point loss", FLAGS, options);
  return (logits, { trie, nodes, labels }) => {
    const distribution = { normalization: "vocabulary", tau } as const;
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution); // (N)
    const isTarget = withChoices(choices, 1);
    const t = pathSum(isTarget, nodes); // (N): 1 at an item's first token
    const losses = div(neg(pathSum(logProb, nodes)), mul(xi, maximum(t, 1))); // (N)
    const steps = stepsTo(nodes, trie.trie.maxDepth); // (D)
    const isStep = cast(equal(reshape(t, [-1, 1]), steps), "float"); // (N, D)
    const mask = mul(isStep, reshape(isTarget, [-1, 1]));
    const prefixes = worstPrefix(reshape(losses, [-1, 1]), mask, eta);
    return add(meanOverTargets(neg(logProb), choices), mul(beta, prefixes));
  };
}

/** {@link apaoPoint} as a value of `--loss`. */
export const apaoPointLoss: LossDefinition<"apao-point", "tau" | "xi" | "beta" | "eta"> = {
  name: "apao-point",
  normalization: "vocabulary",
  needs: {},
  flags: FLAGS,
  make: ({ tau, xi, beta, eta }) => apaoPoint({ tau, xi, beta, eta }),
};

/**
 * The pairwise APAO loss, -log p + beta sum_t w_t L_t. S_t is the log-probability of the first t
 * tokens of a target, S_jt that of its negatives. A negative counts at step t unless its first t
 * tokens are those of the target or of an earlier negative. kappa_t is the number of all other
 * prefixes of t tokens in the catalogue, divided by the number of negatives that count. L_t is the
 * mean over targets of
 *
 *     -1/t log[e^(S_t / xi) / (e^(S_t / xi) + kappa_t sum_j e^(S_jt / xi))]
 *
 * and w_t proportional to L_t e^(eta L_t), detached, with sum 1. The paper's code divides by one
 * more negative than there are. The loss needs negatives of one target of each window;
 * cross-entropy takes all targets.
 *
 * - Normalisation: the vocabulary, as cross-entropy in the paper's code.
 * - Temperature: logits / tau; xi divides the scores of prefixes.
 * - Reduction: cross-entropy is the mean over target tokens, L_t over the targets with negatives
 *   that have a t-th token.
 * - Bound, from above and of a whole prefix rather than of the margin: t L_t / log(B + 1) of one
 *   target is at least 1[B of the negatives' prefixes of t tokens are as probable as its own], as
 *   kappa_t is at least 1.
 * - Gradient weight, of a token of a target with negatives among W such: 1 + beta N / W sum of w_t
 *   q_t / (t xi) over its steps t from this token on, where q_t is the share of the negatives in
 *   the sum above: more where negatives are as probable.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi is not positive, or beta or eta is negative;
 * when it is applied to targets without negatives.
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
 *   logits,
 *   nodes: ints(0),
 *   labels: ints(1),
 *   rows: ints(0),
 *   logScales: device.tensor([Math.log(2)], [1, 1, 1]),
 * };
 * const targets = { trie, nodes: ints(0), labels: ints(2), negatives };
 * console.log(await apaoPair({ beta: 1 })(logits, targets).item()); // 2 log 3
 * ```
 */
export function apaoPair(options: ApaoOptions = {}): Loss {
  const { tau, xi, beta, eta } = readSettings("make an apao-pair loss", FLAGS, options);
  return (logits, { trie, nodes, labels, negatives }) => {
    if (negatives === undefined) {
      throw new ArgumentError("Cannot apply apao-pair: its targets must have negatives, got none");
    }
    const { rows, logScales } = negatives;
    const [W, K, D] = logScales.shape;
    const distribution = { normalization: "vocabulary", tau } as const;
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
    const losses = div(softplus(odds), stepsTo(logScales, D));
    const mask = cast(reshape(isStep, [W, D]), "float");
    const prefixes = worstPrefix(losses, mask, eta);
    return add(meanOverTargets(neg(own.logProb), own.choices), mul(beta, prefixes));
  };
}

/** {@link apaoPair} as a value of `--loss`. */
export const apaoPairLoss: LossDefinition<
  "apao-pair",
  "tau" | "xi" | "beta" | "eta" | "negatives"
> = {
  name: "apao-pair",
  normalization: "vocabulary",
  needs: { negatives: true },
  flags: { ...FLAGS, negatives },
  make: ({ tau, xi, beta, eta }) => apaoPair({ tau, xi, beta, eta }),
};

/** 1, 2, ..., D. */
function stepsTo({ device }: Tensor, D: number): Tensor {
  return device.tensor(Float64Array.from({ length: D }, (_, i) => i + 1));
}

/**
 * sum over t of w_t L_t, a scalar: L_t is the mean of column t of `losses` (R, D) over the rows
 * where `mask` is 1, not 0, and w_t is proportional to L_t e^(eta L_t), detached, with sum 1. 0
 * where the mask is 0 everywhere. Losses must not be negative.
 */
function worstPrefix(losses: Tensor, mask: Tensor, eta: number): Tensor {
  const counts = maximum(sum(mask, 0), 1); // (D)
  const steps = div(sum(mul(losses, mask), 0), counts); // (D)
  const L = stopGradient(steps);
  const weights = mul(L, exp(mul(eta, sub(L, max(L))))); // minus the largest: no overflow
  return weightedMean(steps, weights);
}
