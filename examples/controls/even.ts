/**
 * bear without its beam term: the same weight for every token with siblings. It differs from msl in
 * its mean alone, which leaves out tokens without siblings.
 *
 * @module
 */
import { fullLike, type Loss, type LossOptions } from "beargrad";
import { weighted } from "./weighted.ts";

/**
 * The mean of -log p over the tokens with siblings. Divided by log(B + 1) it bounds the share of
 * these with a margin above 0 from above.
 */
export function even(options: LossOptions): Loss {
  return weighted(options, ({ logProb }) => fullLike(logProb, 1));
}
