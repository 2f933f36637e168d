/**
 * Every proposition and refutation, by what it is checked on.
 *
 * @module
 */
import type { Proposition, Refutation } from "./proposition.ts";
import { S1, S2, S3, S4, S5, S6, type TokenBatch } from "./s1_s6_token_losses.ts";
import { S7, S8, T17 } from "./s7_t17_prefix_losses.ts";
import { type FloatPair, type Perturbed, R7, T11 } from "./t11_r7_rounding.ts";
import { D1, T12, T14 } from "./t12_t14_d1_worlds.ts";
import { T16 } from "./t16_best_first.ts";
import type { World } from "./world.ts";
import { searchTheorems } from "./world_evidence.ts";

export { exactRefutations } from "./r1_r12_refutations.ts";

const others = [T12, T14, T16, T17, S7, S8, D1];

/** What is checked in worlds of exact probabilities. */
export const exactTheorems: readonly Proposition<World>[] = [...searchTheorems, ...others];

/** What is checked on logits in error. */
export const roundingTheorems: readonly Proposition<Perturbed>[] = [T11];

/** What the losses put in place of the violation. */
export const lossPropositions: readonly Proposition<TokenBatch>[] = [S1, S2, S3, S4, S5, S6];

/** What is false in float32. */
export const roundingRefutations: readonly Refutation<FloatPair>[] = [R7];
