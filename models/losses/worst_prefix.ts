/**
 * The adaptive weighting of APAO (Y. Yu et al., arXiv:2603.02730), which both of its forms share.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import type { Tensor } from "../../core/tensor.ts";
import { ArgumentError } from "../../core/errors.ts";
import { div, maximum, mul, sub } from "../../ops/binary.ts";
import { max, sum } from "../../ops/reduce.ts";
import { stopGradient } from "../../ops/select.ts";
import { checkDistribution } from "../../ops/trie_log_prob.ts";
import { exp } from "../../ops/unary.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";

/** Options of {@link apaoPoint} and {@link apaoPair}. */
export interface ApaoOptions {
  /** The temperature that divides the logits; 1 unless told. */
  readonly tau?: number;
  /** The temperature that divides the scores of prefixes; 1 unless told. */
  readonly xi?: number;
  /** The weight of the prefix losses beside cross-entropy; 0.1 unless told. */
  readonly beta?: number;
  /** How much the worst step stands out: its weight is L e^(eta L); 0 unless told. */
  readonly eta?: number;
}

/**
 * sum over t of w_t L_t, a scalar: L_t is the mean of column t of `losses` (R, D) over the rows where `mask` is 1, not 0, and w_t
 * is proportional to L_t e^(eta L_t), detached, with a sum of 1. Losses must not be negative. 0 where the mask is.
 */
export function worstPrefix(losses: Tensor, mask: Tensor, eta: number): Tensor {
  const counts = maximum(sum(mask, 0), 1); // (D)
  const steps = div(sum(mul(losses, mask), 0), counts); // (D)
  const L = stopGradient(steps);
  return weightedMean(steps, mul(L, exp(mul(eta, sub(L, max(L)))))); // the largest is taken out, so that nothing overflows
}

/** The options with their defaults. @throws {ArgumentError} if one is outside its domain. */
export function checkApao(name: string, options: ApaoOptions): Required<ApaoOptions> {
  const action = `make an ${name} loss`;
  checkOptions(action, options, ["tau", "xi", "beta", "eta"]);
  const { tau = 1, xi = 1, beta = 0.1, eta = 0 } = options;
  checkDistribution(action, "vocabulary", tau);
  const require = (holds: boolean, requirement: string, actual: number): void => {
    if (!holds) throw new ArgumentError(`Cannot ${action}: ${requirement}, got ${actual}`);
  };
  require(xi > 0 && xi < Infinity, "xi must be a positive number", xi);
  require(beta >= 0 && beta < Infinity, "beta must be a number from 0", beta);
  require(eta >= 0 && eta < Infinity, "eta must be a number from 0", eta);
  return { tau, xi, beta, eta };
}
