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
  /** (slots, 2 KVH, D): KVH keys, then KVH values. */
  readonly generated: Tensor;
}

/** Where R rows of generated tokens stand, at any depths. All int32. */
export interface CachedRows {
  /** (R): the user of each row. */
  readonly users: Tensor;
  /** (R): the number of generated tokens before its own, below L. */
  readonly depths: Tensor;
  /**
   * (R, L): entry [r, j] is the slot of the cache with generated token j of row r, for j <
   * depths[r]. Entry [r, depths[r]] is the slot that its own token is written to; no other row of
   * the same call may read it. Entries behind it are not read.
   */
  readonly slots: Tensor;
}

const checkCached = inputCheck("cachedAttention", {
  qkv: "float",
  history: "float",
  generated: "float",
  lengths: "int",
  users: "int",
  depths: "int",
  slots: "int",
});

/**
 * Attention of R rows, each with one new generated token. A row of qkv (R, H + 2 KVH, D) has H
 * heads of queries, and KVH of keys and of values, which are written to its own slot of the cache,
 * or not kept if there is no such slot. It attends to the first `lengths[u]` entries of the history
 * of its user u, to the slots of the tokens before it, and to itself. lengths is int32 (U), out (R,
 * H, D). A user, a length, a depth or a slot to read that is out of range counts as the nearest in
 * range. For decoding only: it writes to the cache and is not differentiable.
 *
 * @throws {ShapeError} if the sizes do not fit, or there are rows but no users.
 *
 * @example
 * ```ts
 * import { cachedAttention, cpu, full, zeros } from "beargrad";
 *
 * const device = cpu();
 * const cache = { // one user, a history of one entry, one slot
 *   history: full(device, [1, 1, 3, 4], 1),
 *   generated: zeros(device, [1, 2, 4]),
 * };
 * const ints = (...shape: number[]) => zeros(device, shape, "int32");
 * const rows = { users: ints(1), depths: ints(1), slots: ints(1, 1) };
 * const qkv = full(device, [1, 3, 4], 1);
 * const out = cachedAttention(qkv, cache, full(device, [1], 1, "int32"), rows);
 * console.log(await out.data()); // [1, 1, 1, 1]
 * ```
 */
export function cachedAttention(
  qkv: Tensor,
  cache: AttentionCache,
  lengths: Tensor,
  rows: CachedRows,
): Tensor {
  const { history, generated } = cache ?? {};
  const { users, depths, slots } = rows ?? {};
  checkCached([qkv, history, generated, lengths, users, depths, slots]);
  const [R, all, D] = qkv.shape;
  const [U, T] = history.shape;
  const [room, entries] = generated.shape;
  const L = slots.shape[slots.rank - 1];
  const KVH = entries / 2;
  const H = all - entries;
  checkHeadSize("attend", D);
  const fits = [
    [qkv, [R, all, D]],
    [history, [U, T, all, D]],
    [generated, [room, entries, D]],
    [lengths, [U]],
    [users, [R]],
    [depths, [R]],
    [slots, [R, L]],
  ] as const;
  for (const [tensor, shape] of fits) {
    if (!sameShape(tensor.shape, shape)) {
      throw new ShapeError(
        `Cannot attend to a cache with ${formatShape(qkv.shape)}: its parts must fit, ` +
          `got ${formatShape(tensor.shape)} instead of ${formatShape(shape)}`,
      );
    }
  }
  if (!(Number.isInteger(KVH) && H >= KVH && H % KVH === 0)) {
    throw new ShapeError(
      `Cannot attend to a cache of ${KVH} heads: the query heads must be a multiple of its heads, ` +
        `got ${H}`,
    );
  }
  if (R > 0 && (U === 0 || room === 0 || L === 0)) {
    throw new ShapeError(
      `Cannot attend to a cache with ${formatShape(qkv.shape)}: rows must have a user and slots, ` +
        `got ${U} users, ${room} slots and ${L} slots per row`,
    );
  }
  const out = qkv.device.empty([R, H, D], qkv.dtype, "cachedAttention");
  qkv.device.run(
    cachedAttentionForward,
    { qkv, history, lengths, users, generated, depths, slots, out },
    { R, room, H, KVH, D, T, L, U },
  );
  return out;
}

const checkPositions = inputCheck("generatedPositions", {
  lengths: "int",
  users: "int",
  depths: "int",
});
const checkLastRows = inputCheck("lastRows", { lengths: "int", users: "int", T: "number" });

/**
 * The positions of the tokens that rows feed, int32 (R): `lengths[u] + depths[r]` for row r of user
 * u = `users[r]`; lengths int32 (U), users and depths int32 (R).
 */
export function generatedPositions(lengths: Tensor, users: Tensor, depths: Tensor): Tensor {
  checkPositions([lengths, users, depths]);
  return offset(lengths, users, depths, 0);
}

/**
 * The rows of (U T, C) with the last of the `lengths[u]` entries of each u = `users[r]`, int32 (R);
 * lengths int32 (U), users int32 (R).
 */
export function lastRows(lengths: Tensor, users: Tensor, T: number): Tensor {
  checkLastRows([lengths, users, T]);
  const before = lengths.device.tensor(new Int32Array(users.size).fill(-1));
  return offset(lengths, users, before, T);
}

/**
 * The rows of (U n, C) with entry `depths[r] + 1` of the n entries of each u = `users[r]`, int32
 * (R); lengths int32 (U) gives U alone.
 */
export function nextRows(
  lengths: Tensor,
  { users, depths }: Pick<CachedRows, "users" | "depths">,
  n: number,
): Tensor {
  checkPositions([lengths, users, depths]);
  return offset(lengths.device.tensor(new Int32Array(lengths.size).fill(1)), users, depths, n);
}

function offset(lengths: Tensor, users: Tensor, offsets: Tensor, stride: number): Tensor {
  const R = users.size;
  const out = lengths.device.empty([R], "int32", "offset lengths");
  const params = { R, U: lengths.size, stride };
  lengths.device.run(offsetLengths, { lengths, users, offsets, out }, params);
  return out;
}
