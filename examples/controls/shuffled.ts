/**
 * bear with its weights shuffled over the tokens of a batch: they have bear's distribution, and say
 * nothing about the token that they are given to.
 *
 * @module
 */
import { cast, cumsum, gather, greater, keyOf, type Loss, type LossOptions } from "beargrad";
import { randomUniform, sub, topK, where } from "beargrad";
import { rising, weighted } from "./weighted.ts";

/**
 * bear's weights, in another order over the tokens with siblings: token i of these gets that of the
 * i-th of their rows in a random order. The order of rows is the same in every step, but batches
 * hold other windows, so that a run needs no state and goes on bit by bit.
 */
export function shuffled(options: LossOptions): Loss {
  return weighted(options, ({ logProb, logBeta, open }) => {
    const key = open.device.tensor(Int32Array.from(keyOf(0)));
    const random = randomUniform(key, open.shape, 0);
    const order = topK(where(greater(open, 0), random, -1), open.size).indices; // open rows first
    const inOrder = gather(rising(options, logProb, logBeta), order);
    return gather(inOrder, cast(sub(cumsum(open, 0), 1), "int"));
  });
}
