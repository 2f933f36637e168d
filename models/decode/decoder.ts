/**
 * What beam search asks of a model.
 *
 * @module
 */
import { Tensor } from "../../core/tensor.ts";
import { linear } from "../../ops/matmul.ts";

/**
 * Logits (R, V), or what they are made of: row r's logit of token v is hidden_r . head_v, with hidden (R, C) and head (V, C). Then
 * a search computes only those of the tokens that can follow, where these are few.
 */
export type Logits = Tensor | { readonly hidden: Tensor; readonly head: Tensor };

/**
 * All logits, (R, V).
 *
 * @example
 * ```ts
 * import { allLogits, cpu } from "beargrad";
 *
 * const device = cpu();
 * const logits = allLogits({ hidden: device.tensor([[1, 2]]), head: device.tensor([[1, 1], [0, 1]]) });
 * console.log(await logits.data()); // [3, 2]
 * ```
 */
export function allLogits(logits: Logits): Tensor {
  return logits instanceof Tensor ? logits : linear(logits.hidden, logits.head);
}

/** The state of U users after their histories, plus what has been generated for their R = U B beams so far. */
export interface Prefilled<Cache> {
  /** Logits of the token after each history: U rows. */
  readonly logits: Logits;
  /** Whatever the model wants to see again. */
  readonly cache: Cache;
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
   * r belongs to user floor(r / B). `tokens` is int32 (R). `ancestors` is int32 (R, steps); its entry [r, j] for j < step is
   * the row that fed, at step j, the token that row r descends from; entries from `step` on are not read.
   */
  step(cache: Cache, step: number, tokens: Tensor, ancestors: Tensor): Logits;
}
