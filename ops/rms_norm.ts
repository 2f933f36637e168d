import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { rmsNormBackwardWeight, rmsNormBackwardX, rmsNormForward } from "../kernels/rms_norm.ts";
import { sample } from "./cases.ts";

/**
 * RMSNorm over the last axis, `x / sqrt(mean(x^2) + eps) * weight`: x (..., C), weight (C), out (..., C).
 * Zhang and Sennrich, arXiv:1910.07467.
 *
 * @throws {ShapeError} if weight is not of shape (C).
 *
 * @example
 * ```ts
 * import { cpu, rmsNorm } from "beargrad";
 *
 * const device = cpu();
 * const y = rmsNorm(device.tensor([[3, 4]]), device.tensor([1, 1]), 0);
 * console.log(await y.data()); // [0.8485, 1.1314]
 * ```
 */
export const rmsNorm: Op<[x: Tensor, weight: Tensor, eps: number], Tensor> = defineOp({
  name: "rmsNorm",
  forward(x: Tensor, weight: Tensor, eps: number) {
    const { C, N } = rows(x, weight);
    const out = x.device.empty(x.shape, x.dtype, "rmsNorm");
    const rstd = x.device.empty([N], x.dtype, "rmsNorm");
    x.device.run(rmsNormForward, { x, weight, out, rstd }, { N, C, eps });
    return { out, saved: { rstd } };
  },
  backward(dout, { rstd }, [x, weight]) {
    const { C, N } = rows(x, weight);
    return [
      () => { // dx = r (w dout - xhat mean(w dout xhat))
        const dx = x.device.empty(x.shape, x.dtype, "rmsNorm gradient");
        x.device.run(rmsNormBackwardX, { dout, x, weight, rstd, dx }, { N, C });
        return dx;
      },
      () => { // dw = sum_n dout xhat
        const dweight = x.device.empty(weight.shape, x.dtype, "rmsNorm gradient");
        x.device.run(rmsNormBackwardWeight, { dout, x, rstd, dweight }, { N, C });
        return dweight;
      },
    ];
  },
  cases: () => [
    { name: "(2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), sample(d, [4], 2), 1e-5] },
    { name: "(5)", args: (d) => [sample(d, [5], 1), sample(d, [5], 2), 1e-5] },
  ],
});

function rows(x: Tensor, weight: Tensor): { N: number; C: number } {
  const C = weight.size;
  if (weight.rank !== 1 || x.shape.at(-1) !== C) {
    throw new ShapeError(
      `Cannot rmsNorm ${formatShape(x.shape)} with a weight of shape ${
        formatShape(weight.shape)
      }: ` +
        `the weight must be (${x.shape.at(-1) ?? "C"})`,
    );
  }
  return { N: x.size / C, C };
}
