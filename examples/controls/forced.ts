/**
 * msl that also learns from forced tokens, as sft does: does what sft learns from tokens without a
 * choice make its models good?
 *
 * @module
 */
import { type Loss, type LossOptions, meanOverTargets, neg, trieLogProb, where } from "beargrad";
import { greaterEqual } from "beargrad";

/**
 * The mean of -log p over target tokens, with p among siblings where there are any, else over the
 * vocabulary. As msl's, divided by log(B + 1) it bounds 1[margin > 0] from above.
 */
export function forced({ tau }: LossOptions): Loss {
  return (logits, { trie, nodes, labels }) => {
    const [own, whole] = (["children", "vocabulary"] as const).map((normalization) =>
      trieLogProb(logits, trie, nodes, labels, { normalization, tau })
    );
    const logProb = where(greaterEqual(own.choices, 2), own.logProb, whole.logProb);
    return meanOverTargets(neg(logProb), own.choices);
  };
}
