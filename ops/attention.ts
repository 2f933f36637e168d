import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { attentionForward, checkHeadSize, type Sizes } from "../kernels/attention.ts";
import { attentionBackward, attentionDelta } from "../kernels/attention_backward.ts";
import { sample } from "./cases.ts";

/**
 * Causal attention: each row of qkv (B, T, H + 2 KVH, D) has H heads of queries, KVH of keys and
 * KVH of values; out (B, T, H, D). Query head h reads key and value head floor(h / (H / KVH)).
 * Scores are divided by sqrt(D). D must be a multiple of 4, at most 128. The forward keeps the
 * log-sum-exp of each row of scores, never the scores. Vaswani et al., arXiv:1706.03762; grouped
 * heads: Ainslie et al., arXiv:2305.13245.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { attention, cpu } from "beargrad";
 *
 * // a query, a key and a value
 * const token = (value: number) => [[0, 0, 0, 0], [0, 0, 0, 0], Array(4).fill(value)];
 * const qkv = cpu().tensor([[token(1), token(3)]]); // (1, 2, 3, 4)
 * console.log(await attention(qkv, 1, 1).data()); // [1, 1, 1, 1, 2, 2, 2, 2]
 * ```
 */
export const attention: Op<[qkv: Tensor, heads: number, kvHeads: number], Tensor> = defineOp({
  name: "attention",
  inputs: { qkv: "float", heads: "number", kvHeads: "number" },
  forward(qkv: Tensor, heads: number, kvHeads: number) {
    const { device, dtype } = qkv;
    const sizes = sizesOf(qkv, heads, kvHeads);
    const { B, T, H, D } = sizes;
    const out = device.empty([B, T, H, D], dtype, "attention");
    const lse = device.empty([B, T, H], dtype, "attention");
    device.run(attentionForward, { qkv, out, lse }, sizes);
    return { out, saved: { out, lse } };
  },
  backward: (dout, { out: attended, lse }, [qkv, heads, kvHeads]) => [() => {
    const { device, dtype } = qkv;
    const sizes = sizesOf(qkv, heads, kvHeads);
    const delta = device.empty(lse.shape, dtype, "attention gradient");
    device.run(attentionDelta, { dout, attended, delta }, { N: delta.size, D: sizes.D });
    const dqkv = device.empty(qkv.shape, dtype, "attention gradient");
    device.run(attentionBackward, { dout, qkv, lse, delta, dqkv }, sizes);
    return dqkv;
  }],
  cases: () =>
    [[2, 5, 4, 2, 4], [1, 9, 1, 1, 8], [1, 2, 2, 1, 4]].map(([B, T, H, KVH, D]) => ({
      name: `B ${B} T ${T} H ${H} KVH ${KVH} D ${D}`,
      args: (d) => [sample(d, [B, T, H + 2 * KVH, D], 1, -2, 2), H, KVH],
    })),
});

function sizesOf(qkv: Tensor, H: number, KVH: number): Sizes {
  const [B, T, all, D] = qkv.shape;
  if (qkv.rank !== 4 || !isCount(H) || !isCount(KVH) || H % KVH !== 0 || all !== H + 2 * KVH) {
    throw new ShapeError(
      `Cannot attend with ${H} query heads and ${KVH} key heads: H must be a multiple of KVH ` +
        `and qkv (B, T, H + 2 KVH, D), got ${formatShape(qkv.shape)}`,
    );
  }
  checkHeadSize("attend", D);
  return { B, T, H, KVH, D };
}

function isCount(n: number): boolean {
  return Number.isInteger(n) && n >= 1;
}
