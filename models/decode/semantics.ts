/**
 * The two ways in which a beam search treats items that end.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Trie } from "./trie.ts";

/**
 * - `absorbing`: a finished item keeps its score and goes on competing for one of the B places.
 * - `huggingface`: the rules of Hugging Face's BeamSearchScorer with `early_stopping=False`, its
 *   default. Each step continues with the B best candidates that do not end. A candidate that ends
 *   becomes a hypothesis if it is among the B best candidates of the step. A user keeps the B
 *   hypotheses with the best score log P / length^lengthPenalty, where the length includes the end
 *   token. The search ends once there are B of them and the worst one scores at least
 *   best / t^lengthPenalty, with `best` the log-probability of the best candidate of the step and t
 *   its length.
 *
 * Two differences change no list but in ties: candidates outside the trie do not exist, instead of
 * scoring -Infinity; and ties go to the lexicographically smaller path, instead of the first one.
 *
 * T1 and T4 of docs/theory.md hold for the first only.
 */
export type Semantics = "absorbing" | "huggingface";

/** The names of the options of a search, {@link SemanticsOptions} among them. */
export const SEARCH_OPTIONS = [
  "beam",
  "normalization",
  "tau",
  "trace",
  "batch",
  "semantics",
  "lengthPenalty",
  "endToken",
] as const;

/** Options of a search that say how it treats items that end. */
export interface SemanticsOptions {
  /** How finished items are treated. Default "absorbing". */
  readonly semantics?: Semantics;
  /**
   * The final list is ranked by log P / length^lengthPenalty, the length in tokens. Any finite
   * number. Default 0 (plain log P) for "absorbing" and 1 for "huggingface". In an absorbing search
   * it only orders the list. Which items are in it does not depend on it.
   */
  readonly lengthPenalty?: number;
  /** The token that every item ends with. Required for "huggingface", refused for "absorbing". */
  readonly endToken?: number;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws {ArgumentError} if an option is missing or not allowed, or an item does not have the end
 * token at its end alone.
 */
export function resolveSemantics(
  trie: Trie,
  { semantics = "absorbing", lengthPenalty, endToken }: SemanticsOptions,
): { readonly semantics: Semantics; readonly lengthPenalty: number } {
  const fail = (requirement: string, actual: unknown): never => {
    throw new ArgumentError(`Cannot search: ${requirement}, got ${actual}`);
  };
  if (semantics !== "absorbing" && semantics !== "huggingface") {
    fail('semantics must be "absorbing" or "huggingface"', semantics);
  }
  const penalty = lengthPenalty ?? (semantics === "absorbing" ? 0 : 1);
  if (!Number.isFinite(penalty)) fail("lengthPenalty must be a finite number", penalty);
  if (semantics === "absorbing") {
    if (endToken !== undefined) fail("only huggingface semantics has an end token", endToken);
  } else {
    if (endToken === undefined) fail("huggingface semantics must have an end token", "none");
    for (let node = 1; node < trie.nodeCount; node++) {
      if ((trie.childCount(node) === 0) === (trie.tokens[node] === endToken)) continue;
      fail(
        `every item must have the end token ${endToken} at its end and nowhere else`,
        `the path [${trie.pathOf(node)}]`,
      );
    }
  }
  return { semantics, lengthPenalty: penalty };
}
