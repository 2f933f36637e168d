/**
 * The exact best items of a catalogue, and the ranks of given ones.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { checkUsers } from "./beam_host.ts";
import { BeamSearch, type BeamSearchOptions } from "./beam_search.ts";
import type { Decoder } from "./decoder.ts";
import type { RankedItem, SearchResult } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link exactTopK}. */
export interface ExactOptions {
  /** What to normalise over. Default "children". */
  readonly normalization?: Normalization;
  /** The temperature, at least 1e-8. Default 1. */
  readonly tau?: number;
  /** Items taken out of the catalogue, for each user. */
  readonly excluded?: readonly Iterable<number>[];
  /** The most users that go through the model at once. Default 64. Wide searches take fewer. */
  readonly batch?: number;
}

/** The most rows of a batch. It bounds the memory of a wide search. */
const MAX_ROWS = 4096;

/** A score below a log-probability by far more than what another order of sums changes. */
function clearlyBelow(logProb: number): number {
  return logProb - 0.01 - 1e-5 * Math.abs(logProb);
}

/** Options of {@link AdaptiveSearch}. */
export interface AdaptiveOptions
  extends Pick<BeamSearchOptions, "beam" | "normalization" | "tau" | "batch"> {
  /** The length of the list, from 1. */
  readonly k: number;
}

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
    checkCount("search", options.k);
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
    checkUsers(histories, excluded, this.#decoder);
    const out = excluded?.map((items) => new Set(items)); // an iterable may end after one pass
    const { k, beam } = this.#options;
    const results = new Array<SearchResult>(histories.length);
    let floors: number[] | undefined;
    let open = [...histories.keys()];
    for (let width = beam; floors === undefined || open.length > 0; width *= 4) {
      const found = await this.#searchOf(width).search(
        open.map((i) => histories[i]),
        out && open.map((i) => out[i]),
        floors,
      );
      const left: number[] = [];
      const next: number[] = [];
      found.forEach(({ ranking, steps, rows, bestPruned: best }, n) => {
        const pruned = Math.max(-Infinity, ...steps.slice(0, -1).map((s) => s.bestPruned));
        const user = open[n];
        const bestPruned = Math.max(pruned, floors?.[n] ?? -Infinity);
        const before = results[user]?.rows ?? 0;
        results[user] = { ranking: ranking.slice(0, k), bestPruned, rows: before + rows };
        const kth = ranking.at(k - 1)?.logProb ?? -Infinity;
        if (kth > pruned || best === -Infinity) return; // certified, or nothing was pruned at all
        left.push(user);
        next.push(clearlyBelow(kth));
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

/**
 * The `k` most probable leaves of the catalogue for every user, best first; fewer if the catalogue
 * has fewer.
 *
 * {@link AdaptiveSearch} from a width of max(4 k, 32). {@link BestFirstSearch} needs fewer rows of
 * the model.
 *
 * @throws {ArgumentError} if k is not a positive integer, or for the reasons of {@link BeamSearch}.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, exactTopK, full, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const uniform: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, { tokens }) => full(device, [tokens.size, 5], 0),
 * };
 *
 * const [best] = await exactTopK(uniform, trie, [[0]], 1);
 * console.log(best.map((r) => r.items)); // [[2]], with probability 1/2
 * ```
 */
export async function exactTopK(
  decoder: Decoder,
  trie: DeviceTrie,
  histories: readonly (readonly number[])[],
  k: number,
  options: ExactOptions = {},
): Promise<(readonly RankedItem[])[]> {
  checkCount("find the exact top k", k);
  checkOptions("find the exact top k", options, ["normalization", "tau", "excluded", "batch"]);
  const { excluded, ...rest } = options;
  using search = new AdaptiveSearch(decoder, trie, { k, beam: Math.max(4 * k, 32), ...rest });
  return (await search.search(histories, excluded)).map(({ ranking }) => ranking);
}

/** A question to {@link exactRanks}: one user, one leaf. */
export interface RankQuestion {
  /** The tokens that the model reads before the item. */
  readonly history: readonly number[];
  /** The leaf to rank. */
  readonly leaf: number;
  /** Its log-probability, within 0.01. */
  readonly logProb: number;
  /** Items taken out of the catalogue. */
  readonly excluded: readonly number[];
}

/**
 * A leaf's rank among the `k` best, from 0, as far as a search of any width settles it: -1 if it is
 * not among them, undefined if the search leaves it open. The rank is settled if the leaf is in the
 * list and above everything pruned, or if k others are above it. Floors of the search must be
 * clearly below `logProb`. Internal.
 */
export function settledRank(
  { ranking, bestPruned }: SearchResult,
  { leaf, logProb }: Pick<RankQuestion, "leaf" | "logProb">,
  k: number,
): number | undefined {
  const rank = ranking.findIndex((item) => item.leaf === leaf);
  if (rank >= k) return -1;
  if (rank >= 0 && ranking[rank].logProb > bestPruned) return rank;
  if (bestPruned === -Infinity) return rank;
  const kth = ranking[k - 1]?.logProb ?? -Infinity;
  return rank < 0 && clearlyBelow(kth) > logProb ? -1 : undefined;
}

/**
 * The rank of one leaf among the `k` most probable of the whole catalogue for every user, from 0,
 * or -1. Cheaper than {@link exactTopK}, as it drops prefixes that are less probable than the leaf.
 *
 * @throws {ArgumentError} if k is not a positive integer, or for the reasons of {@link BeamSearch}.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, exactRanks, full, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const uniform: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, { tokens }) => full(device, [tokens.size, 5], 0),
 * };
 *
 * const leaf = trie.trie.leafOf[1];
 * const question = { history: [0], leaf, logProb: Math.log(0.25), excluded: [] };
 * console.log(await exactRanks(uniform, trie, [question], 3)); // [2]
 * ```
 */
export async function exactRanks(
  decoder: Decoder,
  trie: DeviceTrie,
  questions: readonly RankQuestion[],
  k: number,
  options: Omit<ExactOptions, "excluded"> = {},
): Promise<number[]> {
  checkOptions("find exact ranks", options, ["normalization", "tau", "batch"]);
  const { normalization, tau, batch = 64 } = options;
  checkCount("find exact ranks", k);
  const ranks = questions.map(() => -1);
  const { leafCount } = trie.trie;
  let open = [...questions.keys()];
  for (let width = Math.max(4 * k, 32); open.length > 0; width *= 4) {
    const beam = Math.min(width, leafCount);
    const users = Math.max(1, Math.min(batch, Math.floor(MAX_ROWS / beam)));
    using search = new BeamSearch(decoder, trie, { beam, normalization, tau, batch: users });
    const asked = open.map((i) => questions[i]);
    const results = await search.search(
      asked.map((q) => q.history),
      asked.map((q) => q.excluded),
      asked.map((q) => clearlyBelow(q.logProb)),
    );
    open = open.filter((i, n) => {
      const rank = settledRank(results[n], questions[i], k);
      ranks[i] = rank ?? -1;
      return rank === undefined && beam < leafCount;
    });
  }
  return ranks;
}

/** @throws {ArgumentError} if k is not a positive integer. */
function checkCount(action: string, k: number): void {
  if (Number.isInteger(k) && k >= 1) return;
  throw new ArgumentError(`Cannot ${action}: k must be a positive integer, got ${k}`);
}

/**
 * The log-probability of every leaf of the catalogue after one history, best first, by a beam
 * search as wide as the catalogue.
 *
 * @throws {ArgumentError} for the reasons of {@link BeamSearch}.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, full, scoreCatalogue, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const uniform: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, { tokens }) => full(device, [tokens.size, 5], 0),
 * };
 *
 * const scores = await scoreCatalogue(uniform, trie, [0]);
 * console.log(scores.map((r) => Math.exp(r.logProb))); // [0.5, 0.25, 0.25]
 * ```
 */
export async function scoreCatalogue(
  decoder: Decoder,
  trie: DeviceTrie,
  history: readonly number[],
  options: Omit<ExactOptions, "excluded" | "batch"> & { readonly excluded?: Iterable<number> } = {},
): Promise<readonly RankedItem[]> {
  checkOptions("score a catalogue", options, ["normalization", "tau", "excluded"]);
  const { normalization, tau, excluded = [] } = options;
  const beam = trie.trie.leafCount;
  using search = new BeamSearch(decoder, trie, { beam, normalization, tau, batch: 1 });
  return (await search.search([history], [excluded]))[0].ranking;
}
