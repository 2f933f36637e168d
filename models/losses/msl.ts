/**
 * Masked softmax loss: the likelihood of the next token among those that continue to an item.
 *
 * @module
 */
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg } from "../../ops/unary.ts";
import { readSettings, sharedFlags } from "./flags.ts";
import {
  checkReduction,
  type Loss,
  type LossDefinition,
  reduceTargets,
  type Reduction,
} from "./loss.ts";

/** Options of {@link msl}. */
export interface MslOptions {
  /** The temperature that divides the logits. Default 1. */
  readonly tau?: number;
  /** Over the target tokens. Default "mean". */
  readonly reduction?: Reduction;
}

const { tau } = sharedFlags;
const FLAGS = { tau };

/**
 * The MSL loss of arXiv:2504.04178, -log p, where p is the probability of the label among its
 * siblings. A token without siblings gives 0 and counts as a target.
 *
 * - Normalisation: the children of the label's trie node.
 * - Temperature: logits / tau, fixed.
 * - Reduction: the mean (or sum) over target tokens.
 * - Bound: -log p / log(B + 1) is at least 1[margin > 0] for every beam width B, because a violated
 *   token has B siblings that are more probable.
 * - Gradient weight: 1, whatever the margin.
 *
 * @throws {ArgumentError} if tau is below 1e-8, or the reduction is neither "mean" nor "sum".
 *
 * @example
 * ```ts
 * import { cpu, msl, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [2]]).upload(device);
 * const nodes = device.tensor(new Int32Array([0]));
 * const labels = device.tensor(new Int32Array([2]));
 * const loss = msl()(device.tensor([[0, 0, 0]]), { trie, nodes, labels });
 * console.log(await loss.item()); // log 2
 * ```
 */
export function msl(options: MslOptions = {}): Loss {
  const action = "make an msl loss";
  const { tau } = readSettings(action, FLAGS, options, ["reduction"]);
  const { reduction = "mean" } = options;
  checkReduction(action, reduction);
  return (logits, { trie, nodes, labels }) => {
    const distribution = { normalization: "children", tau } as const;
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    return reduceTargets(neg(logProb), choices, reduction);
  };
}

/** {@link msl} as a value of `--loss`. */
export const mslLoss: LossDefinition<"msl", "tau"> = {
  name: "msl",
  normalization: "children",
  needs: {},
  flags: FLAGS,
  make: ({ tau }) => msl({ tau }),
};
