/**
 * The two declared ways in which a beam search treats items that end.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Trie } from "./trie.ts";

/**
 * - `absorbing`: a finished item keeps its score and goes on competing for one of the B places.
 * - `huggingface`: the rules of Hugging Face's BeamSearchScorer with `early_stopping=False`, its default. B prefixes go on at
 *   each step: the best candidates that do not end. A candidate that ends takes no place; it becomes a hypothesis if it
 *   is among the B best candidates of the step, ended or not. A user keeps the B hypotheses with the best score
 *   log P / length^lengthPenalty, the end token counted. The search is done once there are B of them and the worst
 *   scores at least best / t^lengthPenalty, `best` being the step's best candidate and t its length: the rule that looks at
 *   the length so far, not at the longest possible. Drawing 2B candidates, as is done there, is enough and changes nothing:
 *   no prefix ends in two ways. Candidates outside the trie do not exist instead of scoring -Infinity, and ties, which
 *   there go by the order of arrival, go to the lexicographically smaller path, as everywhere here.
 *
 * T1 and T4 hold under the first only (docs/theory.md).
 */
export type Semantics = "absorbing" | "huggingface";

/** The names of the options of a search, {@link SemanticsOptions} among them. */
export const SEARCH_OPTIONS = [
  ...["beam", "normalization", "tau", "trace", "batch"] as const,
  ...["semantics", "lengthPenalty", "endToken"] as const,
] as const;

/** Options of a search that say how it treats items that end. */
export interface SemanticsOptions {
  /** "absorbing" unless told. */
  readonly semantics?: Semantics;
  /**
   * The ranking's score is log P / length^lengthPenalty, the length in tokens. Any finite number; 0, plain log P, for
   * absorbing searches and 1 for those like Hugging Face's unless told. In an absorbing search it orders the final list
   * and nothing else: which items are in it, and so every theorem on what is retrieved, does not depend on it.
   */
  readonly lengthPenalty?: number;
  /** The token that every item ends with. "huggingface" needs it, "absorbing" has no use for it. */
  readonly endToken?: number;
}

/**
 * The options with their defaults.
 *
 * @throws {ArgumentError} if they contradict each other, or some item does not end with the end token or has it elsewhere.
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
