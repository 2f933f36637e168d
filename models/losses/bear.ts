/**
 * Beam-search-aware regularisation (W. Yang et al., SIGIR 2026, arXiv:2601.22925), in three forms.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { add, div, mul, sub } from "../../ops/binary.ts";
import { stopGradient } from "../../ops/select.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { logSigmoid, neg, sigmoid, softplus } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { readSettings, sharedFlags } from "./flags.ts";
import {
  checkReduction,
  type Loss,
  type LossDefinition,
  reduceTargets,
  type Reduction,
  withChoices,
} from "./loss.ts";

/** Options of {@link bear}. */
export interface BearOptions {
  /** Which form. Default "released". */
  readonly form?: "released" | "paper" | "convex";
  /** The temperature that divides the logits. Default 1. */
  readonly tau?: number;
  /** The temperature that divides the margin. Default 1. */
  readonly xi?: number;
  /**
   * The weight of the regulariser. Default 1. In the released form it is lambda / xi of the others.
   */
  readonly lambda?: number;
  /** The beam width B. Default 10. */
  readonly beam?: number;
  /** Over the target tokens, in the paper and the convex form. Default "mean". */
  readonly reduction?: Reduction;
}

const FORMS: readonly unknown[] = ["released", "paper", "convex"];

const { beam, xi, lambda, tau } = sharedFlags;
const FLAGS = { beam, xi, lambda, tau };

/**
 * The BEAR loss. p is the probability of the label among its siblings, beta that of the B-th most
 * probable sibling (of the least probable one if there are fewer), detached. The margin is divided
 * by a temperature: x = (log beta - log p) / xi.
 *
 * - released: w (-log p) with w = 1 + lambda sigma(-x), detached; the sum over tokens with
 *   siblings, divided by the sum of their w (0 if there are none). Bounds neither side of 1[x > 0].
 *   Gradient weight w.
 * - paper: -log p + lambda log sigma(x). The regulariser is at most 0, so it lies below 1[x > 0].
 *   Gradient weight 1 + lambda / xi sigma(-x): more for tokens that are already safe.
 * - convex: -log p + lambda softplus(x). softplus(x) / log 2 lies above 1[x > 0].
 *   Gradient weight 1 + lambda / xi sigma(x): more for tokens that beam search would prune.
 *
 * Normalisation: the children of the label's trie node. Temperature: logits / tau. Reduction of the
 * paper and the convex form: the mean (or sum) over target tokens; a token without siblings gives 0
 * and counts as a target. The paper's run on Toy: tau 1, xi 2.75, lambda 0.25 (released), beam 10.
 *
 * @throws {ArgumentError} if tau is below 1e-8, xi is not positive, lambda is negative, beam is not
 * a positive integer, the reduction is neither "mean" nor "sum", or the released form gets one.
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
  const action = "make a bear loss";
  const { beam, xi, lambda, tau } = readSettings(action, FLAGS, options, ["form", "reduction"]);
  const { form = "released", reduction = "mean" } = options;
  if (!FORMS.includes(form)) {
    throw new ArgumentError(
      `Cannot ${action}: form must be one of ${FORMS.join(", ")}, got ${form}`,
    );
  }
  if (form === "released" && options.reduction !== undefined) {
    throw new ArgumentError(
      `Cannot ${action}: the released form takes no reduction, it is a weighted mean, ` +
        `got ${reduction}`,
    );
  }
  checkReduction(action, reduction);
  return (logits, { trie, nodes, labels }) => {
    const distribution = { normalization: "children", tau, beam } as const;
    const { logProb, logBeta, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    const open = withChoices(choices, 2);
    const x = div(sub(stopGradient(logBeta), logProb), xi);
    if (form === "released") {
      const w = stopGradient(mul(open, add(1, mul(lambda, sigmoid(neg(x))))));
      return neg(weightedMean(logProb, w));
    }
    const regularizer = form === "paper" ? logSigmoid(x) : softplus(x);
    return reduceTargets(sub(mul(mul(lambda, open), regularizer), logProb), choices, reduction);
  };
}

/** The forms of {@link bear} as values of `--loss`. */
export const bearLosses: readonly LossDefinition<
  "bear" | "bear-paper" | "bear-convex",
  "beam" | "xi" | "lambda" | "tau"
>[] = [
  define("bear", "released"),
  define("bear-paper", "paper"),
  define("bear-convex", "convex"),
];

function define<Name extends string>(
  name: Name,
  form: BearOptions["form"],
): LossDefinition<Name, keyof typeof FLAGS> {
  return {
    name,
    normalization: "children",
    needs: {},
    flags: FLAGS,
    make: ({ beam, xi, lambda, tau }) => bear({ form, beam, xi, lambda, tau }),
  };
}
