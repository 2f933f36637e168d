/**
 * APAO, pointwise: the likelihood of every prefix of an item, the worst step foremost.
 *
 * @module
 */
import { add, div, maximum, mul } from "../../ops/binary.ts";
import { equal } from "../../ops/compare.ts";
import { reshape } from "../../ops/layout.ts";
import { pathSum } from "../../ops/path_sum.ts";
import { cast } from "../../ops/select.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg } from "../../ops/unary.ts";
import { type Loss, reduce, withChoices } from "./loss.ts";
import { type ApaoOptions, checkApao, worstPrefix } from "./worst_prefix.ts";

/**
 * The pointwise APAO loss (Y. Yu et al., arXiv:2603.02730), -log p + beta sum_t w_t L_t: p is the label's probability, S_t the
 * log-probability of the first t tokens of an item, L_t the mean over the batch's items of -S_t / (t xi), and w_t proportional to
 * L_t e^(eta L_t), detached, with a sum of 1 over the steps.
 *
 * - Normalisation: the vocabulary, as cross-entropy in the paper's code.
 * - Temperature: logits / tau; xi divides the scores of prefixes.
 * - Reduction: cross-entropy is the mean over target tokens, L_t over the items that have a t-th token.
 * - Bound, from above and of a whole prefix rather than of the margin: -S_t / log(B + 1) is at least 1[B other prefixes of t tokens are
 *   as probable], as these exclude one another. Where it is 0 the prefix is one of the B best of its length.
 * - Gradient weight: 1 + beta N sum over the item's steps t from the token's on of w_t / (t xi n_t), with N target tokens and n_t
 *   items that have step t: whatever the margin, and the more the earlier the token.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi not positive, or beta or eta negative.
 *
 * @example
 * ```ts
 * import { apaoPoint, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0, 1], [2, 1], [2, 0]]).upload(device);
 * const { leafOf, parents } = trie.trie;
 * const nodes = device.tensor(new Int32Array([0, parents[leafOf[1]]])); // the item's rows: the root, then node 2's
 * const labels = device.tensor(new Int32Array([2, 1]));
 * const loss = apaoPoint({ beta: 1 })(device.tensor([[0, 0, 0], [0, 0, 0]]), { trie, nodes, labels });
 * console.log(await loss.item()); // 2 log 3
 * ```
 */
export function apaoPoint(options: ApaoOptions = {}): Loss {
  const { tau, xi, beta, eta } = checkApao("apao-point", options);
  const distribution = { normalization: "vocabulary", tau } as const;
  return (logits, { trie, nodes, labels }) => {
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution); // (N)
    const isTarget = withChoices(choices, 1);
    const t = pathSum(isTarget, nodes); // (N): 1 at an item's first token
    const losses = div(neg(pathSum(logProb, nodes)), mul(xi, maximum(t, 1))); // (N)
    const D = trie.trie.maxDepth;
    const steps = nodes.device.tensor(Float64Array.from({ length: D }, (_, i) => i + 1)); // (D)
    const isStep = cast(equal(reshape(t, [-1, 1]), steps), "float"); // (N, D)
    const mask = mul(isStep, reshape(isTarget, [-1, 1]));
    const prefixes = worstPrefix(reshape(losses, [-1, 1]), mask, eta);
    return add(reduce(neg(logProb), choices, "mean"), mul(beta, prefixes));
  };
}
