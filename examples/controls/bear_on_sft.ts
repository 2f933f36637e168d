/**
 * bear on sft instead of msl: the likelihood is over the vocabulary, as in sft. The margin, which
 * is the same over both, weighs it as in bear.
 *
 * @module
 */
import { add, cast, greaterEqual, type Loss, type LossOptions, mul, neg } from "beargrad";
import { stopGradient, sub, trieLogProb, weightedMean } from "beargrad";
import { rising } from "./weighted.ts";

/** What a trained model is searched with. */
export const normalization = "vocabulary";

/**
 * The weighted mean of -log p over target tokens. The weight is bear's where a token has siblings
 * and 1 where it has none, as sft learns from these too. Not a bound of the margin.
 */
export function bearOnSft(options: LossOptions): Loss {
  const { beam = 10, tau } = options;
  return (logits, { trie, nodes, labels }) => {
    const distribution = { normalization, beam, tau } as const;
    const { logProb, logBeta, choices } = trieLogProb(logits, trie, nodes, labels, distribution);
    const [isTarget, open] = [1, 2].map((least) => cast(greaterEqual(choices, least), "float"));
    const bears = sub(rising(options, logProb, logBeta), 1);
    return neg(weightedMean(logProb, stopGradient(mul(isTarget, add(1, mul(open, bears))))));
  };
}
