/**
 * Exact search by beams that are widened only for the users who need it.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch, type BeamSearchOptions } from "./beam_search.ts";
import type { Decoder } from "./decoder.ts";
import type { SearchResult } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link AdaptiveSearch}. */
export interface AdaptiveOptions
  extends Pick<BeamSearchOptions, "beam" | "normalization" | "tau" | "batch"> {
  /** The length of the list, from 1. */
  readonly k: number;
}

/** The most rows of a batch. It bounds the memory of a wide search. */
const MAX_ROWS = 4096;

/**
 * The tolerance of a log-probability that was computed in another way. Far more than rounding.
 */
export const CLEARLY = 0.01;

/**
 * The exact best `k` items of the catalogue for every user. Users search with a beam. Scores only
 * fall along a path, so when the k-th item scores above everything that was pruned before the last
 * step, nothing better was lost (docs/theory.md, T9). Users without that certificate search again
 * with four times the width, until the beam holds the whole catalogue. From the second search on,
 * prefixes that score clearly below the k-th item found so far are dropped: they do not matter.
 */
export class AdaptiveSearch implements Disposable {
  readonly #decoder: Decoder;
  readonly #trie: DeviceTrie;
  readonly #options: AdaptiveOptions;
  readonly #searches = new Map<number, BeamSearch>();

  /**
   * Prepares searches.
   *
   * @throws {ArgumentError} if k is not a positive integer, or for the reasons of
   * {@link BeamSearch}.
   */
  constructor(decoder: Decoder, trie: DeviceTrie, options: AdaptiveOptions) {
    const { k } = options;
    if (!(Number.isInteger(k) && k >= 1)) {
      throw new ArgumentError(`Cannot search: k must be a positive integer, got ${k}`);
    }
    this.#decoder = decoder;
    this.#trie = trie;
    this.#options = options;
    this.#searchOf(options.beam);
  }

  /** Searches for every user, as {@link BeamSearch.search} does. */
  async search(
    histories: readonly (readonly number[])[],
    excluded?: readonly Iterable<number>[],
  ): Promise<SearchResult[]> {
    const { k, beam } = this.#options;
    const results = new Array<SearchResult>(histories.length);
    let floors: number[] | undefined;
    let open = [...histories.keys()];
    for (let width = beam; floors === undefined || open.length > 0; width *= 4) {
      const found = await this.#searchOf(width).search(
        open.map((i) => histories[i]),
        excluded && open.map((i) => excluded[i]),
        floors,
      );
      const left: number[] = [];
      const next: number[] = [];
      found.forEach(({ ranking, steps, rows }, n) => {
        const pruned = Math.max(-Infinity, ...steps.slice(0, -1).map((s) => s.bestPruned));
        const user = open[n];
        const bestPruned = Math.max(pruned, floors?.[n] ?? -Infinity);
        const before = results[user]?.rows ?? 0;
        results[user] = { ranking: ranking.slice(0, k), bestPruned, rows: before + rows };
        const kth = ranking.at(k - 1)?.logProb ?? -Infinity;
        if (kth > pruned || pruned === -Infinity) return;
        left.push(user);
        next.push(kth - CLEARLY);
      });
      [open, floors] = [left, next];
    }
    return results;
  }

  /** Frees the memory of the recorded programs. */
  dispose(): void {
    for (const search of this.#searches.values()) search.dispose();
    this.#searches.clear();
  }

  /** The same as {@link AdaptiveSearch.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #searchOf(width: number): BeamSearch {
    const { normalization, tau, batch = 64 } = this.#options;
    const beam = Math.min(width, this.#trie.trie.leafCount);
    let search = this.#searches.get(beam);
    if (search === undefined) {
      const users = Math.max(1, Math.min(batch, Math.floor(MAX_ROWS / beam)));
      search = new BeamSearch(this.#decoder, this.#trie, {
        beam,
        normalization,
        tau,
        batch: users,
      });
      this.#searches.set(beam, search);
    }
    return search;
  }
}
