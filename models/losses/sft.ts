/**
 * Supervised fine-tuning: the likelihood of the next token in the whole vocabulary.
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

/** Options of {@link sft}. */
export interface SftOptions {
  /** The temperature that divides the logits. Default 1. */
  readonly tau?: number;
  /** Over the target tokens. Default "mean". */
  readonly reduction?: Reduction;
}

const { tau } = sharedFlags;
const FLAGS = { tau };

/**
 * The SFT loss, -log p, where p is the probability of the label.
 *
 * - Normalisation: the vocabulary.
 * - Temperature: logits / tau.
 * - Reduction: the mean (or sum) over target tokens.
 * - Bound: -log p / log(B + 1) is at least 1[margin > 0] for every beam width B, because a violated
 *   token has B siblings that are more probable.
 * - Gradient weight: 1, whatever the margin.
 *
 * @throws {ArgumentError} if tau is below 1e-8, or the reduction is neither "mean" nor "sum".
 *
 * @example
 * ```ts
 * import { cpu, sft, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[0], [2]]).upload(device);
 * const nodes = device.tensor(new Int32Array([0]));
 * const labels = device.tensor(new Int32Array([2]));
 * const loss = sft()(device.tensor([[0, 0, 0]]), { trie, nodes, labels });
 * console.log(await loss.item()); // log 3
 * ```
 */
export function sft(options: SftOptions = {}): Loss {
  const action = "make an sft loss";
  const { tau } = readSettings(action, FLAGS, options, ["reduction"]);
  const { reduction = "mean" } = options;
  checkReduction(action, reduction);
  return (logits, { trie, nodes, labels }) => {
    const distribution = { normalization: "vocabulary", tau } as const;
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    return reduceTargets(neg(logProb), choices, reduction);
  };
}

/** {@link sft} as a value of `--loss`. */
export const sftLoss: LossDefinition<"sft", "tau"> = {
  name: "sft",
  normalization: "vocabulary",
  needs: {},
  flags: FLAGS,
  make: ({ tau }) => sft({ tau }),
};
