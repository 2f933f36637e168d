/**
 * The ways to search a model for lists: beams, exact methods, and Hugging Face's rules.
 *
 * @module
 */
import { UsageError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { openSearch, SEARCH_METHODS, type SearchMethod } from "../../models/decode/open_search.ts";
import type { BeamResult, RankedItem, SearchResult } from "../../models/decode/results.ts";
import type { DeviceTrie, Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_options.ts";

/** The names of the ways to search. */
export const SEARCHES = [...SEARCH_METHODS, "huggingface"] as const;

/** A way to search: beam, adaptive, best-first, or a beam by Hugging Face's rules. */
export interface SearchChoice {
  /** One of {@link SEARCHES}. */
  readonly method: SearchMethod | "huggingface";
  /** The most rows of the model for a user, for best-first alone. Default no limit. */
  readonly budget?: number;
  /** Lists are ranked by log P / length^lengthPenalty, for huggingface alone. Default 1. */
  readonly lengthPenalty?: number;
}

/** A search of one width: lists have `top` items, by default `beam`. */
export interface ListSearchOptions extends Partial<SearchChoice> {
  /** The width B; the first one of adaptive. Best-first has none. */
  readonly beam: number;
  /** The length of lists; at most B for beam and huggingface. */
  readonly top?: number;
  /** What to normalise over. */
  readonly normalization?: Normalization;
  /** The temperature. */
  readonly tau?: number;
  /** Whether steps have pools, for beam alone: those of huggingface always do. Default false. */
  readonly trace?: boolean;
}

/** One user's list by any method. Beams have steps. */
export type ListResult =
  & SearchResult
  & Partial<Pick<BeamResult, "steps">>
  & {
    /** How many items from the first are certified to be the exact best, in order. */
    readonly certified: number;
  };

/** A search for lists. */
export interface ListSearch extends Disposable {
  /** Searches for every user, as `BeamSearch.search` does. */
  search(
    histories: readonly (readonly number[])[],
    excluded?: readonly Iterable<number>[],
  ): Promise<ListResult[]>;
}

/**
 * Opens a search, by default a beam.
 *
 * @throws {ArgumentError} if an option is not possible for the method.
 * @throws {UsageError} if Hugging Face's rules are asked for and items have no end token.
 */
export function openListSearch(
  decoder: Decoder,
  trie: DeviceTrie,
  { method = "beam", budget, lengthPenalty, top, trace, ...options }: ListSearchOptions,
): ListSearch {
  if (method === "adaptive" || method === "best-first") {
    return listing(openSearch(decoder, trie, { ...options, method, budget, k: top }), top);
  }
  if (method === "huggingface") {
    const rules = { semantics: method, lengthPenalty, endToken: endTokenOf(trie.trie) };
    return listing(new BeamSearch(decoder, trie, { ...options, ...rules }), top);
  }
  const search = new BeamSearch(decoder, trie, { ...options, trace });
  return listing(search, top, ({ steps }) =>
    // What the last step prunes are items that scored below the whole list.
    Math.max(-Infinity, ...steps.slice(0, -1).map((step) => step.bestPruned)));
}

/** The lists of a search, their first `top` items. */
function listing<R extends SearchResult>(
  search: Disposable & { search(...args: Parameters<ListSearch["search"]>): Promise<R[]> },
  top: number | undefined,
  bestPrunedOf: (result: R) => number = ({ bestPruned }) => bestPruned,
): ListSearch {
  return {
    async search(histories, excluded): Promise<ListResult[]> {
      return (await search.search(histories, excluded)).map((result) => {
        const bestPruned = bestPrunedOf(result);
        const certified = certifiedPlaces(result.ranking, bestPruned);
        const ranking = result.ranking.slice(0, top);
        return { ...result, ranking, bestPruned, certified: Math.min(ranking.length, certified) };
      });
    },
    [Symbol.dispose]: () => search[Symbol.dispose](),
  };
}

/** How many items from the first score above all that was pruned, and no less than what follows. */
function certifiedPlaces(ranking: readonly RankedItem[], bestPruned: number): number {
  let count = ranking.length;
  let best: RankedItem | undefined; // of those that follow
  for (let i = ranking.length - 1; i >= 0; i--) {
    const { logProb, leaf } = ranking[i];
    const isBest = best === undefined || logProb > best.logProb ||
      (logProb === best.logProb && leaf < best.leaf);
    if (isBest) best = ranking[i];
    if (!isBest || logProb <= bestPruned) count = i;
  }
  return count;
}

/** The token that ends every item; `BeamSearch` checks that it stands nowhere else. */
function endTokenOf({ tokens, leafOf }: Trie): number {
  const ends = new Set(leafOf.map((leaf) => tokens[leaf]));
  const [end, other] = ends;
  if (other === undefined) return end;
  throw new UsageError(
    "Cannot search by Hugging Face's rules: all items must end with the same token, as titles do, " +
      `got ${ends.size} different ones`,
  );
}

/** A way to search in words: `best-first with 100 rows`. */
export function nameOfSearch({ method, budget, lengthPenalty }: SearchChoice): string {
  if (budget !== undefined) return `${method} with ${budget} rows`;
  return lengthPenalty === undefined ? method : `${method} with length penalty ${lengthPenalty}`;
}
