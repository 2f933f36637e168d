/**
 * Beam search by Hugging Face's rules. The model runs on the device, the search on the host.
 *
 * @module
 */
import { hold } from "../../core/device.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { longestOf, padBatch, roomFor } from "./beam_host.ts";
import { allLogits, type Decoder } from "./decoder.ts";
import { Hypotheses, type HypothesesOptions } from "./hypotheses.ts";
import type { BeamResult } from "./results.ts";
import type { DeviceTrie } from "./trie.ts";

/** Options of {@link searchOnHost}. */
export interface HostSearchOptions extends Omit<HypothesesOptions, "excluded"> {
  /** Rows per user on the device. */
  readonly rows: number;
}

/** Searches for a batch of users. Reads back all logits at each step. Scores add up in float64. */
export async function searchOnHost(
  decoder: Decoder,
  { trie, table: { device } }: DeviceTrie,
  histories: readonly (readonly number[])[],
  excluded: readonly ReadonlySet<number>[],
  { rows: B, ...options }: HostSearchOptions,
): Promise<BeamResult[]> {
  const ints = (data: Int32Array, shape: number[]) => device.tensor(data, shape);
  const U = histories.length;
  const L = Math.max(trie.maxDepth - 1, 1); // generated tokens that the model reads
  const nothing = histories.map(() => new Int32Array());
  const most = roomFor(decoder, trie.maxDepth - 1);
  const { tokens, lengths } = padBatch(histories, nothing, U, longestOf(histories), most);
  const searches = excluded.map((out) => new Hypotheses(trie, { ...options, excluded: out }));
  const held: Disposable[] = []; // not an arena: other code runs while this waits for logits
  const compute = <T>(body: () => T): T => {
    const result = hold(device, body);
    held.push(result);
    return result.value;
  };
  try {
    const { first, cache } = compute(() => {
      const { logits, cache } = decoder.prefill(
        ints(tokens.data as Int32Array, [...tokens.shape]),
        ints(lengths.data as Int32Array, [U]),
        U * B * L,
      );
      return { first: allLogits(logits), cache };
    });
    let logits = first; // (U, V), then (U B, V)
    let slots = new Int32Array(U * L);
    for (let step = 0; step < trie.maxDepth; step++) {
      const running = searches.some((search) => search.running.length > 0);
      const [values] = running ? await device.read([logits]) : [[]];
      const bad = values.find((z) => !Number.isFinite(z));
      if (bad !== undefined) {
        throw new NonFiniteError(`Cannot search: the model's logits must be finite, got ${bad}`);
      }
      const [V, W] = [decoder.vocabSize, logits.shape[0] / U];
      searches.forEach((search, u) =>
        search.advance((i) => values.slice((u * W + i) * V, (u * W + i + 1) * V))
      );
      if (step + 1 === trie.maxDepth) break;
      const R = U * B;
      const fed = new Int32Array(R);
      const after = Int32Array.from({ length: R * L }, (_, i) => step * R + Math.floor(i / L));
      searches.forEach(({ running }, u) =>
        running.forEach(({ node, parent }, i) => {
          const [row, before] = [u * B + i, u * W + parent];
          fed[row] = trie.tokens[node];
          after.set(slots.subarray(before * L, before * L + step), row * L);
        })
      );
      slots = after;
      logits = compute(() =>
        allLogits(decoder.step(cache, {
          tokens: ints(fed, [R]),
          users: ints(Int32Array.from({ length: R }, (_, r) => Math.floor(r / B)), [R]),
          depths: ints(new Int32Array(R).fill(step), [R]),
          slots: ints(slots, [R, L]),
          count: ints(Int32Array.of(R), [1]),
        }))
      );
    }
    return searches.map((search) => search.result());
  } finally {
    for (const result of held) result[Symbol.dispose]();
  }
}
