import { inputCheck } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { checkHeadSize } from "../kernels/attention.ts";
import { cachedAttentionForward, offsetLengths } from "../kernels/cached_attention.ts";

/** What one layer attends to: histories, and the keys and values of generated tokens. */
export interface AttentionCache {
  /**
   * (U, T, H + 2 KVH, D): each row has H heads of queries, which are not read, KVH of keys, KVH of
   * values.
   */
  readonly history: Tensor;
  /** (steps, R, 2 KVH, D), written step by step: KVH keys, then KVH values. */
  readonly generated: Tensor;
}

const checkCached = inputCheck("cachedAttention", {
  qkv: "float",
  history: "float",
  generated: "float",
  lengths: "int",
  users: "int",
  ancestors: "int",
  step: "number",
});

/**
 * Attention of the tokens that R beam rows feed at step `step`. Each row of qkv (R, H + 2 KVH, D)
 * has H heads of queries, and KVH of keys and of values, which are written to the cache. Row r of
 * user u = `users[r]` attends to the first `lengths[u]` entries of the user's history, to the entry
 * of row `ancestors[r, j]` at each step j < step, and to its own. lengths is int32 (U), users int32
 * (R), ancestors int32 (R, steps), out (R, H, D). A user, a length or an ancestor out of range
 * counts as the nearest in range. For decoding only: it writes to the cache and is not
 * differentiable.
 *
 * @throws {ShapeError} if the sizes do not fit, or there are rows but no users.
 *
 * @example
 * ```ts
 * import { cachedAttention, cpu, full, zeros } from "beargrad";
 *
 * const device = cpu();
 * const cache = { // one user, a history of one entry, one beam row, room for one step
 *   history: full(device, [1, 1, 3, 4], 1),
 *   generated: zeros(device, [1, 1, 2, 4]),
 * };
 * const qkv = full(device, [1, 3, 4], 1);
 * const [lengths, users] = [full(device, [1], 1, "int32"), zeros(device, [1], "int32")];
 * const ancestors = zeros(device, [1, 1], "int32");
 * const out = cachedAttention(qkv, cache, lengths, users, ancestors, 0);
 * console.log(await out.data()); // [1, 1, 1, 1]
 * ```
 */
export function cachedAttention(
  qkv: Tensor,
  cache: AttentionCache,
  lengths: Tensor,
  users: Tensor,
  ancestors: Tensor,
  step: number,
): Tensor {
  const { history, generated } = cache ?? {};
  checkCached([qkv, history, generated, lengths, users, ancestors, step]);
  const [R, all, D] = qkv.shape;
  const [U, T] = history.shape;
  const [steps, room, entries] = generated.shape;
  const KVH = entries / 2;
  const H = all - entries;
  checkHeadSize("attend", D);
  const fits = [
    [qkv, [R, all, D]],
    [history, [U, T, all, D]],
    [generated, [steps, Math.max(room, R), entries, D]], // R rows or more
    [lengths, [U]],
    [users, [R]],
    [ancestors, [R, steps]],
  ] as const;
  for (const [tensor, shape] of fits) {
    if (!sameShape(tensor.shape, shape)) {
      throw new ShapeError(
        `Cannot attend to a cache with ${formatShape(qkv.shape)}: its parts must fit, ` +
          `got ${formatShape(tensor.shape)} instead of ${formatShape(shape)}`,
      );
    }
  }
  const groups = Number.isInteger(KVH) && H >= KVH && H % KVH === 0;
  if (!groups || !(Number.isInteger(step) && step >= 0 && step < steps)) {
    throw new ShapeError(
      `Cannot attend to a cache of ${KVH} heads and ${steps} steps: the query heads must be a ` +
        `multiple of its heads and the step below its steps, got ${H} and ${step}`,
    );
  }
  if (U === 0 && R > 0) {
    throw new ShapeError(
      `Cannot attend to a cache with ${formatShape(qkv.shape)}: rows must have a user, ` +
        `got a history of shape ${formatShape(history.shape)}`,
    );
  }
  const out = qkv.device.empty([R, H, D], qkv.dtype, "cachedAttention");
  qkv.device.run(
    cachedAttentionForward,
    { qkv, history, lengths, users, generated, ancestors, out },
    { R, room, H, KVH, D, T, steps, step, U },
  );
  return out;
}

const USERS = { lengths: "int", users: "int" } as const;
const checkPositions = inputCheck("generatedPositions", { ...USERS, step: "number" });
const checkLastRows = inputCheck("lastRows", { ...USERS, T: "number" });

/**
 * The positions of the tokens that beam rows feed at step `step`, int32 (R): `lengths[u] + step`
 * for row r of user u = `users[r]`; lengths int32 (U), users int32 (R).
 */
export function generatedPositions(lengths: Tensor, users: Tensor, step: number): Tensor {
  checkPositions([lengths, users, step]);
  return offset(lengths, users, 0, step);
}

/**
 * The rows of (U T, C) with the last of the `lengths[u]` entries of each u = `users[r]`, int32 (R);
 * lengths int32 (U), users int32 (R).
 */
export function lastRows(lengths: Tensor, users: Tensor, T: number): Tensor {
  checkLastRows([lengths, users, T]);
  return offset(lengths, users, T, -1);
}

function offset(lengths: Tensor, users: Tensor, stride: number, by: number): Tensor {
  const R = users.size;
  const out = lengths.device.empty([R], "int32", "offset lengths");
  const params = { R, U: lengths.size, stride, offset: by };
  lengths.device.run(offsetLengths, { lengths, users, out }, params);
  return out;
}
