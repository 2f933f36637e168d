import { ArgumentError, nameOf, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { pick } from "../kernels/pick.ts";
import {
  addRmsNormBackward,
  addRmsNormForward,
  rmsNormBackwardWeight,
  rmsNormBackwardX,
  rmsNormForward,
} from "../kernels/rms_norm.ts";
import { sample } from "./cases.ts";
import { runFill } from "./launch.ts";

/**
 * RMSNorm over the last axis, `x / sqrt(mean(x^2) + eps) * weight`: x (..., C), weight (C), out
 * (..., C). Zhang and Sennrich, arXiv:1910.07467.
 *
 * @throws {ShapeError} if weight is not of shape (C).
 * @throws {ArgumentError} if eps is not a finite number from 0.
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
  inputs: { x: "float", weight: "float", eps: "number" },
  forward(x: Tensor, weight: Tensor, eps: number) {
    checkEps("rmsNorm", eps);
    const { C, N } = rows(x, weight);
    const out = x.device.empty(x.shape, x.dtype, "rmsNorm");
    const rstd = x.device.empty([N], x.dtype, "rmsNorm");
    x.device.run(pick(rmsNormForward, C), { x, weight, out, rstd }, { N, C, eps });
    return { out, saved: { rstd } };
  },
  backward: (dout, { rstd }, [x, weight]) => [
    () => gradientOfX(dout, x, weight, rstd),
    () => gradientOfWeight(dout, x, weight, rstd),
  ],
  cases: () => [
    { name: "(2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), sample(d, [4], 2), 1e-5] },
    { name: "(5)", args: (d) => [sample(d, [5], 1), sample(d, [5], 2), 1e-5] },
  ],
});

/**
 * The sum of two tensors and its {@link rmsNorm}, as in a residual connection and the norm behind
 * it: x and y (..., C), weight (C); sum and normed (..., C).
 *
 * @throws {ShapeError} if x and y differ in shape, or weight is not of shape (C).
 * @throws {ArgumentError} if eps is not a finite number from 0.
 *
 * @example
 * ```ts
 * import { addRmsNorm, cpu } from "beargrad";
 *
 * const device = cpu();
 * const [x, y] = [device.tensor([[1, 2]]), device.tensor([[2, 2]])];
 * const { sum, normed } = addRmsNorm(x, y, device.tensor([1, 1]), 0);
 * console.log(await sum.data(), await normed.data()); // [3, 4] [0.8485, 1.1314]
 * ```
 */
export const addRmsNorm: Op<
  [x: Tensor, y: Tensor, weight: Tensor, eps: number],
  { sum: Tensor; normed: Tensor }
> = defineOp({
  name: "addRmsNorm",
  inputs: { x: "float", y: "float", weight: "float", eps: "number" },
  forward(x: Tensor, y: Tensor, weight: Tensor, eps: number) {
    checkEps("addRmsNorm", eps);
    const { device, shape, dtype } = x;
    const { C, N } = rows(x, weight);
    if (!sameShape(shape, y.shape)) {
      throw new ShapeError(
        `Cannot apply addRmsNorm: x and y must have one shape, got ${formatShape(shape)} and ` +
          formatShape(y.shape),
      );
    }
    const [sum, normed] = [0, 1].map(() => device.empty(shape, dtype, "addRmsNorm"));
    const rstd = device.empty([N], dtype, "addRmsNorm");
    const buffers = { x, y, weight, sum, out: normed, rstd };
    device.run(pick(addRmsNormForward, C), buffers, { N, C, eps });
    return { out: { sum, normed }, saved: { sum, rstd } };
  },
  backward({ sum: dsum, normed: dout }, { sum, rstd }, [, , weight]) {
    const { device, shape, dtype } = sum;
    let dx = dout === undefined ? dsum : undefined;
    const shared = (): Tensor => { // dx = dy = dsum + r (w dout - xhat mean(w dout xhat))
      if (dx !== undefined || dout === undefined) return dx as Tensor;
      if (dsum === undefined) return dx = gradientOfX(dout, sum, weight, rstd);
      const { N, C } = rows(sum, weight);
      dx = device.empty(shape, dtype, "addRmsNorm gradient");
      const buffers = { dout, dsum, sum, weight, rstd, dx };
      device.run(pick(addRmsNormBackward, C), buffers, { N, C });
      return dx;
    };
    return [
      shared,
      shared,
      () => dout ? gradientOfWeight(dout, sum, weight, rstd) : runFill(device, weight.shape, 0),
    ];
  },
  cases: () => [
    {
      name: "(2, 3, 4)",
      args: (d) => [sample(d, [2, 3, 4], 1), sample(d, [2, 3, 4], 3), sample(d, [4], 2), 1e-5],
    },
    { name: "(5)", args: (d) => [sample(d, [5], 1), sample(d, [5], 3), sample(d, [5], 2), 1e-5] },
  ],
});

/**
 * Checks the eps of a norm.
 *
 * @throws {ArgumentError} if it is not a finite number from 0.
 */
export function checkEps(norm: string, eps: number): void {
  if (Number.isFinite(eps) && eps >= 0) return;
  throw new ArgumentError(
    `Cannot apply ${norm}: eps must be a finite number from 0, got ${nameOf(eps)}`,
  );
}

/** dx = r (w dout - xhat mean(w dout xhat)). */
function gradientOfX(dout: Tensor, x: Tensor, weight: Tensor, rstd: Tensor): Tensor {
  const { N, C } = rows(x, weight);
  const dx = x.device.empty(x.shape, x.dtype, "rmsNorm gradient");
  x.device.run(pick(rmsNormBackwardX, C), { dout, x, weight, rstd, dx }, { N, C });
  return dx;
}

/** dw = sum_n dout xhat. */
function gradientOfWeight(dout: Tensor, x: Tensor, weight: Tensor, rstd: Tensor): Tensor {
  const { N, C } = rows(x, weight);
  const dweight = x.device.empty(weight.shape, x.dtype, "rmsNorm gradient");
  x.device.run(pick(rmsNormBackwardWeight, C), { dout, x, rstd, dweight }, { N, C });
  return dweight;
}

function rows(x: Tensor, weight: Tensor): { N: number; C: number } {
  const C = weight.size;
  if (weight.rank !== 1 || x.shape.at(-1) !== C) {
    throw new ShapeError(
      `Cannot apply rmsNorm to ${formatShape(x.shape)}: weight must be ` +
        `(${x.shape.at(-1) ?? "C"}), got ${formatShape(weight.shape)}`,
    );
  }
  return { N: sizeOf(x.shape.slice(0, -1)), C };
}
