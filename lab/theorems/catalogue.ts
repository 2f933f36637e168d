/**
 * Every proposition and refutation, by the ground it stands on.
 *
 * @module
 */
import { T10, T4, T5, T6, T9 } from "./certificates.ts";
import { D1, T12, T8 } from "./edges.ts";
import { T1, T2, T3, T7 } from "./necessary.ts";
import { S7, S8 } from "./prefix_surrogates.ts";
import type { Proposition, Refutation } from "./proposition.ts";
import { R1, R10, R11, R2, R3, R4, R5, R6, R8, R9 } from "./refutations.ts";
import { type FloatPair, type Perturbed, R7, T11 } from "./stability.ts";
import { S1, S2, S3, S4, S5, S6 } from "./surrogates.ts";
import { T13, T14 } from "./tails.ts";
import type { TokenBatch } from "./token_batch.ts";
import { drawWorld, type World } from "./world.ts";

/** What speaks about a search alone, and so about the beams of a device too. */
export const searchTheorems: readonly Proposition<World>[] = [
  ...[T1, T2, T3, T4, T5],
  ...[T6, T7, T8, T9, T10],
];

/** What is checked in worlds of exact probabilities. */
export const exactTheorems: readonly Proposition<World>[] = [
  ...searchTheorems,
  T12,
  T13,
  T14,
  S7,
  S8,
  D1,
]
  .map((theorem) => ({ ...theorem, draw: drawWorld }));

/** What is checked on logits in error. */
export const stabilityTheorems: readonly Proposition<Perturbed>[] = [T11];

/** What the losses put in place of the violation. */
export const surrogates: readonly Proposition<TokenBatch>[] = [S1, S2, S3, S4, S5, S6];

/** What is false, in worlds of exact probabilities. */
export const exactRefutations: readonly Refutation<World>[] = [
  ...[R1, R2, R3, R4, R5, R6],
  ...[R8, R9, R10, R11],
];

/** What is false in float32. */
export const floatRefutations: readonly Refutation<FloatPair>[] = [R7];
