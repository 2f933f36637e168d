/**
 * What beam search needs of a model.
 *
 * @module
 */
import type { Tensor } from "../../core/tensor.ts";
import type { Logits } from "../../ops/logits.ts";

export { allLogits, type Logits, type Projection } from "../../ops/logits.ts";

/** The state of U users after their histories. */
export interface Prefilled<Cache> {
  /** Logits of the token after each history: U rows. */
  readonly logits: Logits;
  /** What the model keeps for its later steps. */
  readonly cache: Cache;
}

/** Tells which rows of a step are needed. */
export interface ActiveRows {
  /** int32 (R): the user of each row. */
  readonly users: Tensor;
  /**
   * int32 (1): the number of rows that are needed, the first ones. The others hold no valid input.
   */
  readonly count: Tensor;
}

/** An autoregressive model as beam search sees it. */
export interface Decoder<Cache = unknown> {
  /** The size of the vocabulary, V. */
  readonly vocabSize: number;
  /**
   * Reads the histories. `tokens` is int32 (U, T), padded on the right with any valid token;
   * `lengths` is int32 (U), each between 1 and T. The cache must have room for `beam` rows per user
   * and `steps` generated tokens per row.
   */
  prefill(tokens: Tensor, lengths: Tensor, beam: number, steps: number): Prefilled<Cache>;
  /**
   * Feeds generated token number `step` (0, 1, ...) of every beam row and returns the logits of the
   * next token. `tokens` is int32 (R). Row r belongs to user floor(r / B). `ancestors` is int32
   * (R, steps): entry [r, j] with j < step is the row that fed token j of the prefix of row r;
   * entries from `step` on are not read.
   *
   * `rows` is passed only to a decoder with `heedsRows`. It then says the user of each row, and R
   * may be less than U B.
   */
  step(cache: Cache, step: number, tokens: Tensor, ancestors: Tensor, rows?: ActiveRows): Logits;
  /** Whether `step` uses `rows`, so that finished beams and beams without a choice cost nothing. */
  readonly heedsRows?: boolean;
}
