/**
 * A focal loss (arXiv:1708.02002) of negative gamma, which pulls more on tokens that the model is
 * sure of, not less. It knows nothing of siblings.
 *
 * @module
 */
import { exp, type Loss, type LossOptions, maximum, pow, sub } from "beargrad";
import { weighted } from "./weighted.ts";

/**
 * The weight (1 - p)^gamma with gamma = -beta, detached as bear's are. It is 1 at p = 0 and at most
 * 1e6^beta, where 1 - p counts as 1e-6: with the default beta of 0.1 it is 2 at p = 0.999.
 */
export function focal(options: LossOptions): Loss {
  const { beta = 0.1 } = options;
  return weighted(options, ({ logProb }) => pow(maximum(sub(1, exp(logProb)), 1e-6), -beta));
}
