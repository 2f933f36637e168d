/**
 * The direct objective: that a beam search of the model as it is keeps the item.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import { ABSENT } from "../../kernels/masked.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { greater } from "../../ops/compare.ts";
import { pathSum } from "../../ops/path_sum.ts";
import { cast } from "../../ops/select.ts";
import { checkDistribution, trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, softplus } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { type Loss, reduce } from "./loss.ts";

/** Options of {@link beamExact}. The beam width is that of the search which gives the thresholds. */
export interface BeamExactOptions {
  /** The temperature that divides the logits, here and in the search; 1 unless told. */
  readonly tau?: number;
  /** The temperature that divides the difference of scores; 1 unless told. */
  readonly xi?: number;
  /** The weight of the beam term; 1 unless told. */
  readonly lambda?: number;
}

/**
 * -log p + lambda softplus(x_t) with x_t = (log theta_t - log pi_t) / xi: p is the label's probability among its siblings, pi_t that of the
 * item's first t tokens, and theta_t the B-th best score at step t of a real beam search after the same history, detached. What
 * BEAR relaxes: it looks at one node's children where this looks at the whole pool. It needs thresholds, which a search
 * in each step, or in every k-th, gives for one target of each window; in the other steps there is no second term.
 *
 * - Normalisation: the children of the label's trie node, here and in the search.
 * - Temperature: logits / tau; xi divides the difference of scores.
 * - Reduction: the first term is the mean over target tokens, the second over those with a threshold.
 * - Bound, from above and of what really happens rather than of the margin: softplus(x_t) / log 2 is at least 1[pi_t < theta_t], and
 *   summed over t at least 1[the search loses the item by its last token] (docs/theory.md, S8). It is also at least 1[margin > 0] as
 *   long as the parent is in the beam.
 * - Gradient weight of a token of a searched item: 1 + lambda / xi N / n sum over its steps t from the token's on of sigma(x_t), with N
 *   target tokens, n of them with a threshold: more for items that the search loses, and for their first tokens.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi not positive or lambda negative; when applied to
 * targets without thresholds.
 *
 * @example
 * ```ts
 * import { beamExact, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [1], [2]]).upload(device);
 * const nodes = device.tensor(new Int32Array([0]));
 * const labels = device.tensor(new Int32Array([2]));
 * const thresholds = device.tensor([Math.log(1 / 3)]); // all items are equally probable
 * const loss = beamExact()(device.tensor([[0, 0, 0]]), { trie, nodes, labels, thresholds });
 * console.log(await loss.item()); // log 3 + log 2
 * ```
 */
export function beamExact(options: BeamExactOptions = {}): Loss {
  checkOptions("make a beam-exact loss", options, ["tau", "xi", "lambda"]);
  const { tau = 1, xi = 1, lambda = 1 } = options;
  const action = "make a beam-exact loss";
  const distribution = { normalization: "children", tau } as const;
  checkDistribution(action, distribution.normalization, tau);
  if (!(xi > 0 && xi < Infinity)) {
    throw new ArgumentError(`Cannot ${action}: xi must be a positive number, got ${xi}`);
  }
  if (!(lambda >= 0 && lambda < Infinity)) {
    throw new ArgumentError(`Cannot ${action}: lambda must be a number from 0, got ${lambda}`);
  }
  return (logits, { trie, nodes, labels, thresholds }) => {
    if (thresholds === undefined) {
      throw new ArgumentError(
        "Cannot apply beam-exact: its targets must have thresholds, got none",
      );
    }
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution); // (N)
    const searched = cast(greater(thresholds, ABSENT), "float");
    const behind = mul(searched, sub(thresholds, pathSum(logProb, nodes))); // 0 where there is no threshold
    const beam = weightedMean(softplus(div(behind, xi)), searched);
    return add(reduce(neg(logProb), choices, "mean"), mul(lambda, beam));
  };
}
