/**
 * bear with the weights of steps: each token has the mean of bear's weights over the tokens of the
 * batch at its step. As bear, it pulls more on steps with few choices; it does not tell the tokens
 * of a step apart.
 *
 * @module
 */
import { cast, div, equal, type Loss, type LossOptions, maximum, mul, pathSum } from "beargrad";
import { greaterEqual, reshape, sum } from "beargrad";
import { rising, weighted } from "./weighted.ts";

/** bear's weight, as its mean over the tokens with siblings at the same step. */
export function byStep(options: LossOptions): Loss {
  return weighted(options, ({ logProb, logBeta, open, nodes, trie }) => {
    const D = trie.trie.maxDepth;
    const steps = nodes.device.tensor(Float64Array.from({ length: D }, (_, i) => i + 1));
    const step = pathSum(cast(greaterEqual(nodes, 0), "float"), nodes); // (N), from 1
    const at = cast(equal(reshape(step, [-1, 1]), steps), "float"); // (N, D)
    const mask = mul(at, reshape(open, [-1, 1]));
    const w = reshape(rising(options, logProb, logBeta), [-1, 1]);
    const means = div(sum(mul(mask, w), 0), maximum(sum(mask, 0), 1)); // (D)
    return sum(mul(mask, means), 1);
  });
}
