/**
 * The exact best items of a catalogue, found by widening a beam until it certifies itself.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { BeamSearch } from "./beam_search.ts";
import type { Decoder } from "./decoder.ts";
import type { RankedItem } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link exactTopK}. */
export interface ExactOptions {
  /** What to normalise over; "children" unless told. */
  readonly normalization?: Normalization;
  /** The temperature; 1 unless told. */
  readonly tau?: number;
  /** Items taken out of the catalogue, for each user. */
  readonly excluded?: readonly Iterable<number>[];
  /** At most how many users go through the model at once; 64 unless told. Wide searches take fewer. */
  readonly batch?: number;
}

/** The most rows of a batch: what bounds the memory of a wide search. */
const MAX_ROWS = 4096;

/**
 * The true `k` most probable leaves of the catalogue for every user, best first; fewer where there are fewer.
 *
 * Scores only fall along a path, so when the k-th best item of a beam search scores above everything that the search ever
 * pruned, nothing better was lost (docs/theory.md, T9). The first search has a width of max(4 k, 32); users without that certificate
 * search again with four times the width, at the latest until the beam holds the whole catalogue.
 *
 * @throws {ArgumentError} if k is not a positive integer, or for the reasons of {@link BeamSearch}.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, exactTopK, full, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const indifferent: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, _step, tokens) => full(device, [tokens.size, 5], 0),
 * };
 *
 * const [best] = await exactTopK(indifferent, trie, [[0]], 1);
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
  if (!(Number.isInteger(k) && k >= 1)) {
    throw new ArgumentError(`Cannot find the exact top k: k must be a positive integer, got ${k}`);
  }
  const { normalization, tau, excluded = histories.map(() => []), batch = 64 } = options;
  const found: (readonly RankedItem[])[] = histories.map(() => []);
  const { leafCount } = trie.trie;
  let open = [...histories.keys()];
  for (let width = Math.max(4 * k, 32); open.length > 0; width *= 4) {
    const beam = Math.min(width, leafCount);
    const users = Math.max(1, Math.min(batch, Math.floor(MAX_ROWS / beam)));
    using search = new BeamSearch(decoder, trie, { beam, normalization, tau, batch: users });
    const results = await search.search(
      open.map((i) => histories[i]),
      open.map((i) => excluded[i]),
    );
    open = open.filter((user, i) => {
      const { ranking, bestPruned } = results[i];
      found[user] = ranking.slice(0, k);
      const kth = ranking.at(k - 1)?.logProb ?? -Infinity;
      return !(kth > bestPruned || bestPruned === -Infinity);
    });
  }
  return found;
}

/**
 * The log-probability of every leaf of the catalogue after one history, best first: a beam search that has room for all.
 *
 * @throws {ArgumentError} for the reasons of {@link BeamSearch}.
 *
 * @example
 * ```ts
 * import { cpu, type Decoder, full, scoreCatalogue, Trie } from "beargrad";
 *
 * const device = cpu();
 * using trie = new Trie([[1, 2], [1, 3], [4, 2]]).upload(device);
 * const indifferent: Decoder<null> = {
 *   vocabSize: 5,
 *   prefill: (tokens) => ({ logits: full(device, [tokens.shape[0], 5], 0), cache: null }),
 *   step: (_cache, _step, tokens) => full(device, [tokens.size, 5], 0),
 * };
 *
 * const scores = await scoreCatalogue(indifferent, trie, [0]);
 * console.log(scores.map((r) => Math.exp(r.logProb))); // [0.5, 0.25, 0.25]
 * ```
 */
export async function scoreCatalogue(
  decoder: Decoder,
  trie: DeviceTrie,
  history: readonly number[],
  options: Omit<ExactOptions, "excluded" | "batch"> & { readonly excluded?: Iterable<number> } = {},
): Promise<readonly RankedItem[]> {
  const { normalization, tau, excluded = [] } = options;
  const beam = trie.trie.leafCount;
  using search = new BeamSearch(decoder, trie, { beam, normalization, tau, batch: 1 });
  return (await search.search([history], [excluded]))[0].ranking;
}
