import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { checkHeadSize } from "../kernels/attention.ts";
import { cachedAttentionForward, offsetLengths } from "../kernels/cached_attention.ts";
import { copyInto } from "./launch.ts";

/** Keys and values of one layer: those of the histories, and room for those of generated tokens. */
export interface AttentionCache {
  /** (U, T, KVH, D). */
  readonly historyKeys: Tensor;
  /** (U, T, KVH, D). */
  readonly historyValues: Tensor;
  /** (steps, R, KVH, D), written step by step. */
  readonly keys: Tensor;
  /** (steps, R, KVH, D), written step by step. */
  readonly values: Tensor;
}

/**
 * Attention of the tokens that R = U B beam rows feed at step `step`: q (R, H, D); k and v (R, KVH, D) are first put into
 * the cache. Row r of user floor(r / B) sees the first `lengths[u]` entries of the user's history, the entry of row
 * `ancestors[r, j]` at each step j < step, and its own. lengths int32 (U), ancestors int32 (R, steps), out (R, H, D).
 * Not differentiable, and it writes to the cache: for decoding, not for training.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { cachedAttention, cpu, full, zeros } from "beargrad";
 *
 * const device = cpu();
 * const cache = { // one user, a history of one entry, one beam row, room for one step
 *   historyKeys: zeros(device, [1, 1, 1, 4]),
 *   historyValues: full(device, [1, 1, 1, 4], 1),
 *   keys: zeros(device, [1, 1, 1, 4]),
 *   values: zeros(device, [1, 1, 1, 4]),
 * };
 * const [q, k, v] = [0, 0, 3].map((value) => full(device, [1, 1, 4], value));
 * const [lengths, ancestors] = [full(device, [1], 1, "int32"), zeros(device, [1, 1], "int32")];
 * console.log(await cachedAttention(q, k, v, cache, lengths, ancestors, 0).data()); // [2, 2, 2, 2]
 * ```
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  cache: AttentionCache,
  lengths: Tensor,
  ancestors: Tensor,
  step: number,
): Tensor {
  const { historyKeys, historyValues, keys, values } = cache;
  const [R, H, D] = q.shape;
  const [U, T, KVH] = historyKeys.shape;
  const [steps] = keys.shape;
  checkHeadSize("attend", D);
  const row = [KVH, D];
  const fits = [
    [k, [R, ...row]],
    [v, [R, ...row]],
    [historyKeys, [U, T, ...row]],
    [historyValues, [U, T, ...row]],
    [keys, [steps, R, ...row]],
    [values, [steps, R, ...row]],
    [lengths, [U]],
    [ancestors, [R, steps]],
  ] as const;
  for (const [tensor, shape] of fits) {
    if (!sameShape(tensor.shape, shape)) {
      throw new ShapeError(
        `Cannot attend to a cache with ${formatShape(q.shape)}: its parts must fit, ` +
          `got ${formatShape(tensor.shape)} for ${formatShape(shape)}`,
      );
    }
  }
  if (R % U !== 0 || H % KVH !== 0 || !(Number.isInteger(step) && step >= 0 && step < steps)) {
    throw new ShapeError(
      `Cannot attend to a cache of ${U} users, ${KVH} heads and ${steps} steps: rows and heads must be ` +
        `multiples, and the step inside, got ${R}, ${H} and ${step}`,
    );
  }
  for (const [from, to] of [[k, keys], [v, values]]) {
    const at = step * from.size;
    copyInto("cache", [from.size], from, { at: 0, strides: [1] }, to, { at, strides: [1] });
  }
  const out = q.device.empty(q.shape, q.dtype, "cachedAttention");
  q.device.run(
    cachedAttentionForward,
    { q, historyKeys, historyValues, lengths, keys, values, ancestors, out },
    { R, beam: R / U, H, KVH, D, T, steps, step },
  );
  return out;
}

/**
 * The positions of the tokens that beam rows feed at step `step`, int32 (R): `lengths[u] + step` for row r of user
 * u = floor(r / beam); lengths int32 (U).
 *
 * @example
 * ```ts
 * import { cpu, generatedPositions } from "beargrad";
 *
 * const lengths = cpu().tensor([5, 2], [2], "int32");
 * console.log(await generatedPositions(lengths, 2, 1).data()); // [6, 6, 3, 3]
 * ```
 */
export function generatedPositions(lengths: Tensor, beam: number, step: number): Tensor {
  return offset(lengths, beam, 0, step);
}

/**
 * The rows of (U T, C) that hold the last of each user's `lengths[u]` entries, int32 (U); lengths int32 (U).
 *
 * @example
 * ```ts
 * import { cpu, lastRows } from "beargrad";
 *
 * console.log(await lastRows(cpu().tensor([3, 1], [2], "int32"), 4).data()); // [2, 4]
 * ```
 */
export function lastRows(lengths: Tensor, T: number): Tensor {
  return offset(lengths, 1, T, -1);
}

function offset(lengths: Tensor, beam: number, stride: number, by: number): Tensor {
  const R = lengths.size * beam;
  const out = lengths.device.empty([R], "int32", "offset lengths");
  lengths.device.run(offsetLengths, { lengths, out }, { R, beam, stride, offset: by });
  return out;
}
