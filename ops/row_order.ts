/**
 * Sorting by small integers, for gradients that sum rows in a fixed order.
 *
 * @module
 */
import type { Tensor } from "../core/tensor.ts";
import { MERGED_CHUNKS, mergeRanks, RANK_CHUNK, rankInChunks } from "../kernels/index_rows.ts";

/**
 * The positions n in the order of (ids_n, n): ids int32 (N), out int32 (N). Ids must be in [0, V);
 * one outside counts as the nearest. The cpu device counts ids, so it needs no chunks.
 */
export function rowOrder(ids: Tensor, V: number, label: string): Tensor {
  const { device, size: N } = ids;
  let chunk = device.kind === "cpu" ? N : RANK_CHUNK;
  let order = device.empty([N], "int32", label);
  device.run(rankInChunks, { ids, order }, { N, V, chunk });
  while (chunk < N) {
    const merged = chunk * MERGED_CHUNKS;
    const next = device.empty([N], "int32", label);
    device.run(mergeRanks, { ids, chunks: order, order: next }, { N, V, chunk, merged });
    [order, chunk] = [next, merged];
  }
  return order;
}
