import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { attentionForward, checkHeadSize, type Sizes } from "../kernels/attention.ts";
import {
  attentionBackwardKeys,
  attentionBackwardQuery,
  attentionDelta,
} from "../kernels/attention_backward.ts";
import { sample } from "./cases.ts";

/**
 * Causal attention: q (B, T, H, D), k and v (B, T, KVH, D), out (B, T, H, D). Query head h reads key and value head
 * floor(h / (H / KVH)); scores are divided by sqrt(D). D must be a multiple of 4, at most 128. The forward keeps the
 * log-sum-exp of each row of scores, never the scores. Vaswani et al., arXiv:1706.03762; grouped heads: Ainslie et
 * al., arXiv:2305.13245.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { attention, cpu } from "beargrad";
 *
 * const device = cpu();
 * const [q, k] = [0, 1].map(() => device.tensor([0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 1, 4]));
 * const v = device.tensor([1, 1, 1, 1, 3, 3, 3, 3], [1, 2, 1, 4]);
 * console.log(await attention(q, k, v).data()); // [1, 1, 1, 1, 2, 2, 2, 2]
 * ```
 */
export const attention: Op<[q: Tensor, k: Tensor, v: Tensor], Tensor> = defineOp({
  name: "attention",
  forward(q: Tensor, k: Tensor, v: Tensor): { out: Tensor; saved: { out: Tensor; lse: Tensor } } {
    const sizes = sizesOf(q, k, v);
    const out = q.device.empty(q.shape, q.dtype, "attention");
    const lse = q.device.empty([sizes.B, sizes.H, sizes.T], q.dtype, "attention");
    q.device.run(attentionForward, { q, k, v, out, lse }, sizes);
    return { out, saved: { out, lse } };
  },
  backward(dout, { out: attended, lse }, [q, k, v]): InputGradients {
    const { device, dtype } = q;
    const sizes = sizesOf(q, k, v);
    const make = ({ shape }: Tensor): Tensor => device.empty(shape, dtype, "attention gradient");
    const delta = make(lse); // delta_t = dout_t . out_t
    device.run(attentionDelta, { dout, attended, delta }, sizes);
    const inputs = { dout, q, k, v, lse, delta };
    const [dq, dk, dv] = [q, k, v].map(make); // with ds_tj = p_tj (dout_t . v_j - delta_t) / sqrt(D)
    device.run(attentionBackwardQuery, { ...inputs, dq }, sizes);
    device.run(attentionBackwardKeys, { ...inputs, dk, dv }, sizes);
    return [
      () => dq, // dq_t = sum_j ds_tj k_j
      () => dk, // dk_j = sum_t ds_tj q_t
      () => dv, // dv_j = sum_t p_tj dout_t
    ];
  },
  cases: () =>
    [[2, 5, 4, 2, 4], [1, 9, 1, 1, 8], [1, 2, 2, 1, 4]].map(([B, T, H, KVH, D]) => ({
      name: `B ${B} T ${T} H ${H} KVH ${KVH} D ${D}`,
      args: (d) => [
        sample(d, [B, T, H, D], 1, -2, 2),
        sample(d, [B, T, KVH, D], 2, -2, 2),
        sample(d, [B, T, KVH, D], 3),
      ],
    })),
});

function sizesOf(q: Tensor, k: Tensor, v: Tensor): Sizes {
  const [B, T, H, D] = q.shape;
  const KVH = k.shape[2];
  const fits = q.rank === 4 && sameShape(k.shape, [B, T, KVH, D]) && sameShape(v.shape, k.shape) &&
    H % KVH === 0;
  if (!fits) {
    throw new ShapeError(
      `Cannot attend with ${formatShape(q.shape)}, ${formatShape(k.shape)} and ${
        formatShape(v.shape)
      }: ` +
        `they must be (B, T, H, D), (B, T, KVH, D) and (B, T, KVH, D), H a multiple of KVH`,
    );
  }
  checkHeadSize("attend", D);
  return { B, T, H, KVH, D };
}
