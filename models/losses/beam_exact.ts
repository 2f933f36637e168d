/**
 * The direct objective: a beam search of the model as it is keeps the item.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { ABSENT } from "../../kernels/masked.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { greater } from "../../ops/compare.ts";
import { pathSum } from "../../ops/path_sum.ts";
import { cast } from "../../ops/select.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg, softplus } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { type LossFlag, readSettings, sharedFlags } from "./flags.ts";
import { type Loss, type LossDefinition, meanOverTargets } from "./loss.ts";

/** Options of {@link beamExact}. The beam width is that of the search that gives the thresholds. */
export interface BeamExactOptions {
  /** The temperature that divides the logits, here and in the search. Default 1. */
  readonly tau?: number;
  /** The temperature that divides the difference of scores. Default 1. */
  readonly xi?: number;
  /** The weight of the beam term. Default 1. */
  readonly lambda?: number;
}

const { beam, xi, lambda, tau } = sharedFlags;
const FLAGS = { xi, lambda, tau };

const searchEvery: LossFlag = {
  default: 1,
  kind: "integer",
  least: 1,
  help: "a search in every so many steps; the others train on msl alone",
};

/**
 * -log p + lambda softplus(x_t) with x_t = (log theta_t - log pi_t) / xi. p is the probability of
 * the label among its siblings, pi_t that of the first t tokens of the item, and theta_t the B-th
 * best score at step t of a real beam search after the same history, detached. This is what BEAR
 * relaxes: BEAR looks at the children of one node, this at the whole pool. The thresholds come from
 * a search in each step, or in every k-th step, for one target of each window. In the other steps
 * there is no second term.
 *
 * - Normalisation: the children of the label's trie node, here and in the search.
 * - Temperature: logits / tau; xi divides the difference of scores.
 * - Reduction: the first term is the mean over target tokens, the second over those with a
 *   threshold.
 * - Bound, from above and of the search itself rather than of the margin: softplus(x_t) / log 2 is
 *   at least 1[pi_t < theta_t], and its sum over t at least 1[the search loses the item by its last
 *   token] (docs/theory.md, S8). It is also at least 1[margin > 0] as long as the parent is in the
 *   beam.
 * - Gradient weight of a token of a searched item: 1 + lambda / xi N / n sum of sigma(x_t) over the
 *   item's steps t from this token on, with N target tokens, n of them with a threshold: more for
 *   items that the search loses, and for their first tokens.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi is not positive or lambda is negative; when it
 * is applied to targets without thresholds.
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
  const { tau, xi, lambda } = readSettings("make a beam-exact loss", FLAGS, options);
  return (logits, { trie, nodes, labels, thresholds }) => {
    if (thresholds === undefined) {
      throw new ArgumentError(
        "Cannot apply beam-exact: its targets must have thresholds, got none",
      );
    }
    const distribution = { normalization: "children", tau } as const;
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution); // (N)
    const searched = cast(greater(thresholds, ABSENT), "float");
    const behind = mul(searched, sub(thresholds, pathSum(logProb, nodes))); // 0 without a threshold
    const beam = weightedMean(softplus(div(behind, xi)), searched);
    return add(meanOverTargets(neg(logProb), choices), mul(lambda, beam));
  };
}

/** {@link beamExact} as a value of `--loss`. */
export const beamExactLoss: LossDefinition<
  "beam-exact",
  "beam" | "xi" | "lambda" | "tau" | "searchEvery"
> = {
  name: "beam-exact",
  normalization: "children",
  needs: { thresholds: true },
  flags: { ...FLAGS, beam, searchEvery },
  make: ({ tau, xi, lambda }) => beamExact({ tau, xi, lambda }),
};
