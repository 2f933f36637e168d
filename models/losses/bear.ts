/**
 * Beam-search-aware regularisation (W. Yang et al., SIGIR 2026, arXiv:2601.22925), in three forms.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { stopGradient } from "../../ops/select.ts";
import { checkBeam, checkDistribution, trieLogProb } from "../../ops/trie_log_prob.ts";
import { logSigmoid, neg, sigmoid, softplus } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { type Loss, reduce, type Reduction, withChoices } from "./loss.ts";

/** Options of {@link bear}. */
export interface BearOptions {
  /** Which form; "released" unless told. */
  readonly form?: "released" | "paper" | "convex";
  /** The temperature that divides the logits; 1 unless told. */
  readonly tau?: number;
  /** The temperature that divides the margin; 1 unless told. */
  readonly xi?: number;
  /** The weight of the regulariser; 1 unless told. lambda of the released form is lambda / xi of the others. */
  readonly lambda?: number;
  /** The beam width B; 10 unless told. */
  readonly beam?: number;
  /** Over the target tokens, for the paper and the convex form; "mean" unless told. The released form has its own. */
  readonly reduction?: Reduction;
}

/**
 * The BEAR loss. With p the label's probability among its siblings, beta that of the B-th most probable sibling (the
 * least probable one's if there are fewer), detached, and x = (log beta - log p) / xi:
 *
 * - released: w (-log p) with w = 1 + lambda sigma(-x), detached; the sum over tokens that have siblings, divided by
 *   the sum of their w (0 where there is none). Bounds neither side of 1[x > 0]. Gradient weight w.
 * - paper: -log p + lambda log sigma(x). The regulariser is at most 0, so it lies below 1[x > 0]. Gradient weight
 *   1 + lambda / xi sigma(-x): more for tokens that are safe already.
 * - convex: -log p + lambda softplus(x). softplus(x) / log 2 lies above 1[x > 0]. Gradient weight
 *   1 + lambda / xi sigma(x): more for tokens that beam search would prune.
 *
 * Normalisation: the children of the label's trie node. Temperature: logits / tau. Reduction of the paper and the convex
 * form: the mean (or sum) over target tokens; a token without siblings gives 0 and counts as a target. The paper's run on Toy
 * has tau 1, xi 2.75, lambda 0.25 (released), beam 10.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi not positive, lambda negative, beam not a
 * positive integer, or a reduction is given to the released form.
 *
 * @example
 * ```ts
 * import { bear, cpu, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [1], [2]]).upload(device);
 * const nodes = device.tensor(new Int32Array([0]));
 * const labels = device.tensor(new Int32Array([2]));
 * const loss = bear({ beam: 1 })(device.tensor([[0, 0, 0]]), { trie, nodes, labels });
 * console.log(await loss.item()); // log 3
 * ```
 */
export function bear(options: BearOptions = {}): Loss {
  const known = ["form", "tau", "xi", "lambda", "beam", "reduction"] as const;
  checkOptions("make a bear loss", options, known);
  const { form = "released", tau = 1, xi = 1, lambda = 1, beam = 10, reduction = "mean" } = options;
  checkValues(options.reduction, form, tau, xi, lambda, beam);
  const distribution = { normalization: "children", tau, beam } as const;
  return (logits, { trie, nodes, labels }) => {
    const { logProb, logBeta, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    const open = withChoices(choices, 2);
    const x = div(sub(stopGradient(logBeta), logProb), xi);
    if (form === "released") {
      const w = stopGradient(mul(open, add(1, mul(lambda, sigmoid(neg(x))))));
      return neg(weightedMean(logProb, w));
    }
    const regularizer: Tensor = form === "paper" ? logSigmoid(x) : softplus(x);
    return reduce(sub(mul(mul(lambda, open), regularizer), logProb), choices, reduction);
  };
}

function checkValues(
  reduction: Reduction | undefined,
  form: string,
  tau: number,
  xi: number,
  lambda: number,
  beam: number,
): void {
  const action = "make a bear loss";
  checkDistribution(action, "children", tau);
  checkBeam(action, beam);
  const require = (holds: boolean, requirement: string, actual: unknown): void => {
    if (!holds) throw new ArgumentError(`Cannot ${action}: ${requirement}, got ${actual}`);
  };
  const forms = ["released", "paper", "convex"];
  require(forms.includes(form), `form must be one of ${forms.join(", ")}`, form);
  require(xi > 0 && xi < Infinity, "xi must be a positive number", xi);
  require(lambda >= 0 && lambda < Infinity, "lambda must be a number from 0", lambda);
  require(
    reduction === undefined || form !== "released",
    "the released form takes no reduction, it is a weighted mean",
    reduction,
  );
}
