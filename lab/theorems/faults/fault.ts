/**
 * What a planted fault is.
 *
 * @module
 */

/** A mistake and what must catch it. */
export interface Fault<W> {
  /** What is wrong. */
  readonly name: string;
  /** Who must catch it: ids of statements, or `T5: a threshold` for one hypothesis of several. */
  readonly caughtBy: readonly string[];
  /** Puts the mistake into what is judged. */
  readonly plant: (world: W) => W | Promise<W>;
}
