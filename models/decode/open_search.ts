/**
 * One way to choose how to search.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkBeam } from "../../ops/trie_log_prob.ts";
import { BeamSearch, type BeamSearchOptions } from "./beam_search.ts";
import { BestFirstSearch } from "./best_first.ts";
import type { Decoder } from "./decoder.ts";
import { AdaptiveSearch } from "./exact.ts";
import type { SearchResult } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** The ways to search. */
export const SEARCH_METHODS = ["beam", "adaptive", "best-first"] as const;

/** A way to search: one of {@link SEARCH_METHODS}. */
export type SearchMethod = typeof SEARCH_METHODS[number];

/** Options of {@link openSearch}. */
export interface OpenSearchOptions
  extends Pick<BeamSearchOptions, "beam" | "normalization" | "tau" | "batch"> {
  /** How to search. */
  readonly method: SearchMethod;
  /** The length of the lists. Default `beam`. */
  readonly k?: number;
  /** The most rows of the model for a user, for "best-first" alone. Default no limit. */
  readonly budget?: number;
}

/** A search by any method. */
export interface Search extends Disposable {
  /** Searches for every user, as {@link BeamSearch.search} does. */
  search(
    histories: readonly (readonly number[])[],
    excluded?: readonly Iterable<number>[],
  ): Promise<SearchResult[]>;
  /** Frees the memory of the recorded programs. */
  dispose(): void;
}

/**
 * Opens a search.
 *
 * - `beam`: a {@link BeamSearch} of width `beam`.
 * - `adaptive`: an {@link AdaptiveSearch} that begins with it.
 * - `best-first`: a {@link BestFirstSearch}; only it has a `budget` and returns `width`.
 *
 * The last two return the exact best items.
 *
 * @throws {ArgumentError} if the method is none of these, k exceeds the beam of `beam`, a budget is
 * given to another method, or for the reasons of the methods.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, full, openSearch, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const uniform: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, { tokens }) => full(device, [tokens.size, 5], 0),
 * };
 * using search = openSearch(uniform, trie, { method: "best-first", beam: 2 });
 * const [user] = await search.search([[0]]);
 * console.log(user.ranking.map((r) => r.items), user.rows, user.width); // [[2], [0]] 1 2
 * ```
 */
export function openSearch(decoder: Decoder, trie: DeviceTrie, options: OpenSearchOptions): Search {
  checkOptions("open a search", options, [
    "method",
    "beam",
    "k",
    "budget",
    "normalization",
    "tau",
    "batch",
  ]);
  const { method, beam, k = beam, budget, ...rest } = options;
  checkBeam("open a search", beam);
  const fail = (requirement: string, actual: unknown): never => {
    throw new ArgumentError(`Cannot open a search: ${requirement}, got ${actual}`);
  };
  if (!SEARCH_METHODS.includes(method)) fail(`method must be ${SEARCH_METHODS.join(", ")}`, method);
  if (budget !== undefined && method !== "best-first") {
    fail("only best-first has a budget", `${budget} for ${method}`);
  }
  if (method === "best-first") return new BestFirstSearch(decoder, trie, { k, budget, ...rest });
  if (method === "adaptive") return new AdaptiveSearch(decoder, trie, { k, beam, ...rest });
  if (!(Number.isInteger(k) && k >= 1 && k <= beam)) {
    fail(`k must be an integer from 1 to the beam of ${beam}`, k);
  }
  const search = new BeamSearch(decoder, trie, { beam, ...rest });
  return {
    async search(histories, excluded): Promise<SearchResult[]> {
      const found = await search.search(histories, excluded);
      return found.map((result) => ({ ...result, ranking: result.ranking.slice(0, k) }));
    },
    dispose: () => search.dispose(),
    [Symbol.dispose]: () => search.dispose(),
  };
}
