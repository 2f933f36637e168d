/**
 * What beam search asks of a model.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import type { Logits } from "../../ops/logits.ts";

export { allLogits, type Logits, type Projection } from "../../ops/logits.ts";

/** The state of U users after their histories, plus what has been generated for their R = U B beams so far. */
export interface Prefilled<Cache> {
  /** Logits of the token after each history: U rows. */
  readonly logits: Logits;
  /** Whatever the model wants to see again. */
  readonly cache: Cache;
}

/** The rows of a step where not all of them matter. */
export interface ActiveRows {
  /** int32 (R): whose row each is. */
  readonly users: Tensor;
  /** int32 (1): how many rows matter, the first ones. Nothing is read of what the others feed or get. */
  readonly count: Tensor;
}

/** An autoregressive model as beam search sees it. */
export interface Decoder<Cache = unknown> {
  /** The size of the vocabulary, V. */
  readonly vocabSize: number;
  /**
   * Reads the histories. `tokens` is int32 (U, T), padded on the right with any valid token; `lengths` is int32 (U), each
   * between 1 and T. `beam` rows a user and `steps` generated tokens a row are what the cache must have room for.
   */
  prefill(tokens: Tensor, lengths: Tensor, beam: number, steps: number): Prefilled<Cache>;
  /**
   * Feeds generated token number `step` (0, 1, ...) of every beam and returns the logits of the next. Row
   * r belongs to user floor(r / B), unless `rows.users` says otherwise; then R may be less than U B. `tokens` is int32 (R). `ancestors` is int32 (R, steps); its entry [r, j] for j < step is
   * the row that fed, at step j, the token that row r descends from; entries from `step` on are not read.
   *
   * Only a decoder that heeds rows is given any.
   */
  step(cache: Cache, step: number, tokens: Tensor, ancestors: Tensor, rows?: ActiveRows): Logits;
  /** Whether `step` heeds `rows`, so that no work goes to beams that need none: with no choice ahead, or finished. */
  readonly heedsRows?: boolean;
}
