/**
 * A focal loss (arXiv:1708.02002) of negative gamma, which pulls more on tokens that the model is
 * sure of, not less. It knows nothing of siblings.
 *
 * @module
 */
import { exp, type Loss, type LossOptions, maximum, pow, sub } from "beargrad";
import { weighted } from "./weighted.ts";

/**
 * The weight (1 - p)^gamma with gamma = -lambda / 5, detached as bear's are. It is 1 at p = 0 and
 * at most 16^lambda, as 1 - p counts as at least 1e-6. With a lambda of 1 its spread is about that
 * of bear's (docs/losses.md).
 */
export function focal(options: LossOptions): Loss {
  const { lambda = 1 } = options;
  return weighted(options, ({ logProb }) => pow(maximum(sub(1, exp(logProb)), 1e-6), -lambda / 5));
}
