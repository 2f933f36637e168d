/**
 * Supervised fine-tuning: the likelihood of the next token in the whole vocabulary.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { checkDistribution, trieLogProb } from "../../ops/trie_log_prob.ts";
import { neg } from "../../ops/unary.ts";
import { type Loss, reduce, type Reduction } from "./loss.ts";

/** Options of {@link sft}. */
export interface SftOptions {
  /** The temperature that divides the logits; 1 unless told. */
  readonly tau?: number;
  /** Over the target tokens; "mean" unless told. */
  readonly reduction?: Reduction;
}

/**
 * The SFT loss, -log p with p the label's probability.
 *
 * - Normalisation: the vocabulary.
 * - Temperature: logits / tau.
 * - Reduction: the mean (or sum) over target tokens.
 * - Bound: -log p / log(B + 1) is at least 1[margin > 0] for every beam width B, because a violated token has B siblings
 *   that are more probable.
 * - Gradient weight: 1, whatever the margin.
 *
 * @throws {ArgumentError} if tau is below 1e-8.
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
  checkOptions("make an sft loss", options, ["tau", "reduction"]);
  const { tau = 1, reduction = "mean" } = options;
  const distribution = { normalization: "vocabulary", tau } as const;
  checkDistribution("make an sft loss", distribution.normalization, tau);
  return (logits, { trie, nodes, labels }) => {
    const { logProb, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    return reduce(neg(logProb), choices, reduction);
  };
}
