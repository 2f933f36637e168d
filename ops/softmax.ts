import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op, type OpCase } from "../core/op.ts";
import { sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  logSoftmaxBackward,
  logSoftmaxForward,
  logSumExpBackward,
  logSumExpForward,
  softmaxBackward,
  softmaxForward,
} from "../kernels/softmax.ts";
import { sample } from "./cases.ts";
import { runFill } from "./launch.ts";

/** x seen as N rows of V. */
function rows(action: string, x: Tensor): { N: number; V: number } {
  const V = x.shape.at(-1);
  if (V === undefined) {
    throw new ShapeError(`Cannot ${action} over the last axis: there must be one, got a scalar`);
  }
  return { N: sizeOf(x.shape.slice(0, -1)), V };
}

const cases = (): readonly OpCase<[x: Tensor]>[] => [
  { name: "(2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1, -3, 3)] },
  { name: "(5)", args: (d) => [sample(d, [5], 2, -3, 3)] },
];

/**
 * Softmax over the last axis, `e^x / sum(e^x)`: x (..., V), out (..., V). A row that has NaN or
 * Infinity, or nothing but -Infinity, is NaN, as in PyTorch.
 *
 * @throws {ShapeError} if x is a scalar.
 *
 * @example
 * ```ts
 * import { cpu, softmax } from "beargrad";
 *
 * console.log(await softmax(cpu().tensor([1000, 1000])).data()); // [0.5, 0.5]
 * ```
 */
export const softmax: Op<[x: Tensor], Tensor> = defineOp({
  name: "softmax",
  inputs: { x: "float" },
  forward(x: Tensor): { out: Tensor; saved: Tensor } {
    const out = x.device.empty(x.shape, x.device.float, "softmax");
    x.device.run(softmaxForward, { x, out }, rows("softmax", x));
    return { out, saved: out };
  },
  backward: (dout, y, [x]) => [() => { // dx = y (dout - sum(dout y))
    const dx = x.device.empty(x.shape, x.dtype, "softmax gradient");
    x.device.run(softmaxBackward, { dout, y, dx }, rows("softmax", x));
    return dx;
  }],
  cases,
});

/**
 * The logarithm of softmax over the last axis, `x - log(sum(e^x))`: x (..., V), out (..., V). A row
 * that has NaN or Infinity, or nothing but -Infinity, is NaN, as in PyTorch.
 *
 * @throws {ShapeError} if x is a scalar.
 *
 * @example
 * ```ts
 * import { cpu, logSoftmax } from "beargrad";
 *
 * console.log(await logSoftmax(cpu().tensor([1000, 1000])).data()); // [-0.6931, -0.6931]
 * ```
 */
export const logSoftmax: Op<[x: Tensor], Tensor> = defineOp({
  name: "logSoftmax",
  inputs: { x: "float" },
  forward(x: Tensor): { out: Tensor; saved: Tensor } {
    const out = x.device.empty(x.shape, x.device.float, "logSoftmax");
    x.device.run(logSoftmaxForward, { x, out }, rows("logSoftmax", x));
    return { out, saved: out };
  },
  backward: (dout, y, [x]) => [() => { // dx = dout - e^y sum(dout)
    const dx = x.device.empty(x.shape, x.dtype, "logSoftmax gradient");
    x.device.run(logSoftmaxBackward, { dout, y, dx }, rows("logSoftmax", x));
    return dx;
  }],
  cases,
});

/**
 * The logarithm of the sum of exponentials over the last axis: x (..., V), out (...). It is
 * -Infinity if V is 0. A row of -Infinity gives -Infinity, as in PyTorch; its gradient, which is
 * the softmax, is NaN there.
 *
 * @throws {ShapeError} if x is a scalar.
 *
 * @example
 * ```ts
 * import { cpu, logSumExp } from "beargrad";
 *
 * console.log(await logSumExp(cpu().tensor([1000, 1000])).item()); // 1000.693
 * ```
 */
export const logSumExp: Op<[x: Tensor], Tensor> = defineOp({
  name: "logSumExp",
  inputs: { x: "float" },
  forward(x: Tensor): { out: Tensor; saved: Tensor } {
    const { N, V } = rows("logSumExp", x);
    const shape = x.shape.slice(0, -1);
    if (V === 0) {
      const out = runFill(x.device, shape, -Infinity);
      return { out, saved: out };
    }
    const out = x.device.empty(shape, x.device.float, "logSumExp");
    x.device.run(logSumExpForward, { x, out }, { N, V });
    return { out, saved: out };
  },
  backward: (dout, y, [x]) => [() => { // dx = dout e^(x - y)
    const dx = x.device.empty(x.shape, x.dtype, "logSumExp gradient");
    x.device.run(logSumExpBackward, { dout, x, y, dx }, rows("logSumExp", x));
    return dx;
  }],
  cases,
});
