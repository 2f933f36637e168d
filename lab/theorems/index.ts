/**
 * Every proposition and refutation, by what it is checked on.
 *
 * @module
 */
import type { Proposition, Refutation } from "./proposition.ts";
import { R1, R10, R11, R2, R3, R4, R5, R6, R8, R9 } from "./r1_r11_refutations.ts";
import { S1, S2, S3, S4, S5, S6, type TokenBatch } from "./s1_s6_token_losses.ts";
import { S7, S8 } from "./s7_s8_prefix_losses.ts";
import { type FloatPair, type Perturbed, R7, T11 } from "./t11_r7_rounding.ts";
import { D1, T12, T13, T14 } from "./t12_t14_d1_worlds.ts";
import { T1, T10, T2, T3, T4, T5, T6, T7, T8, T9 } from "./t1_t10_search.ts";
import { inWorlds } from "./world_evidence.ts";
import type { World } from "./world.ts";

const search = [T1, T2, T3, T4, T5, T6, T7, T8, T9, T10];
const others = [T12, T13, T14, S7, S8, D1];

/** What speaks about a search alone, and so about the beams of a device too. */
export const searchTheorems: readonly Proposition<World>[] = search.map(inWorlds);

/** What is checked in worlds of exact probabilities. */
export const exactTheorems: readonly Proposition<World>[] = [...searchTheorems, ...others];

/** What is checked on logits in error. */
export const roundingTheorems: readonly Proposition<Perturbed>[] = [T11];

/** What the losses put in place of the violation. */
export const lossPropositions: readonly Proposition<TokenBatch>[] = [S1, S2, S3, S4, S5, S6];

const refutations = [R1, R2, R3, R4, R5, R6, R8, R9, R10, R11];

/** What is false, in worlds of exact probabilities. */
export const exactRefutations: readonly Refutation<World>[] = refutations;

/** What is false in float32. */
export const roundingRefutations: readonly Refutation<FloatPair>[] = [R7];
