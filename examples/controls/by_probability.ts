/**
 * bear without a beam: its weight, with the same constant for every token in place of log beta. As
 * bear, it pulls more on tokens that the model is sure of; it knows nothing of their siblings.
 *
 * @module
 */
import type { Loss, LossOptions } from "beargrad";
import { rising, weighted } from "./weighted.ts";

/**
 * The weight 1 + lambda sigma((log p - c) / xi) with c = -log(2 B), which with B = 10 gives it the
 * mean of bear's on office-sid (docs/losses.md).
 */
export function byProbability(options: LossOptions): Loss {
  const c = -Math.log(2 * (options.beam ?? 10));
  return weighted(options, ({ logProb }) => rising(options, logProb, c));
}
