/**
 * Sorting by small integers, for gradients that sum rows in a fixed order.
 *
 * @module
 */
import type { Tensor } from "../core/tensor.ts";
import { mergeRanks, RANK_CHUNK, rankInChunks } from "../kernels/index_rows.ts";

/**
 * The positions n by (ids_n, n), int32 (N), ids below V; one outside of [0, V) counts as the nearest inside. The cpu device
 * counts, so that it needs no chunks.
 */
export function rowOrder(ids: Tensor, V: number, birth: string): Tensor {
  const { device, size: N } = ids;
  const chunk = device.kind === "cpu" ? N : RANK_CHUNK;
  const chunks = device.empty([N], "int32", birth);
  device.run(rankInChunks, { ids, order: chunks }, { N, V, chunk });
  if (N <= chunk) return chunks;
  const order = device.empty([N], "int32", birth);
  device.run(mergeRanks, { ids, chunks, order }, { N, V, chunk });
  return order;
}
