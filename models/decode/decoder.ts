/**
 * What a search needs of a model.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import type { CachedRows } from "../../ops/cached_attention.ts";
import type { Logits } from "../../ops/logits.ts";

export type { CachedRows } from "../../ops/cached_attention.ts";
export { allLogits, type Logits, type Projection } from "../../ops/logits.ts";

/** The state of U users after their histories. */
export interface Prefilled<Cache> {
  /** Logits of the token after each history: U rows. */
  readonly logits: Logits;
  /**
   * What the model keeps for its later steps. Its tensors must be reachable through properties,
   * arrays, maps and sets.
   */
  readonly cache: Cache;
}

/** What a step feeds: one generated token for each of R rows, at any depths. All int32. */
export interface StepRows extends CachedRows {
  /** (R): the token that each row feeds. */
  readonly tokens: Tensor;
  /** (1): the number of rows that are needed, the first ones. The others may be left out. */
  readonly count: Tensor;
}

/** An autoregressive model as a search sees it. */
export interface Decoder<Cache = unknown> {
  /** The size of the vocabulary, V. */
  readonly vocabSize: number;
  /** Tokens of histories are below it; at least V, which is the default. */
  readonly inputSize?: number;
  /** The most tokens of a sequence, padding and generated ones included. Default no limit. */
  readonly maxLength?: number;
  /**
   * Reads the histories. `tokens` is int32 (U, T), padded on the right with any valid token;
   * `lengths` is int32 (U), each between 1 and T. The cache must have `slots` slots for generated
   * tokens, which the rows of all users share.
   */
  prefill(tokens: Tensor, lengths: Tensor, slots: number): Prefilled<Cache>;
  /**
   * Feeds a generated token to each row and returns the logits of the next ones. The prefix of a
   * row is the history of its user, the generated tokens in the slots before its own, and its
   * token, which is kept in its own slot for later steps, or not at all if that slot is -1.
   */
  step(cache: Cache, rows: StepRows): Logits;
}
