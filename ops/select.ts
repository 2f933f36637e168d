import { ArgumentError, nameOf } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { broadcastShapes } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import { Tensor } from "../core/tensor.ts";
import { floatToInt, intToFloat } from "../kernels/pointwise.ts";
import { indices, sample } from "./cases.ts";
import { operands, runBroadcast, runFill, runWhere, unbroadcast } from "./launch.ts";

/**
 * a where cond is not 0, and b elsewhere, with broadcasting among the three; cond is int32.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if cond is not int32, or if one of a and b is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, greater, where } from "beargrad";
 *
 * const x = cpu().tensor([1, -2, 3]);
 * console.log(await where(greater(x, 0), x, 0).data()); // [1, 0, 3]
 * ```
 */
export const where: Op<[cond: Tensor, a: Tensor | number, b: Tensor | number], Tensor> = defineOp({
  name: "where",
  inputs: { cond: "int", a: "operand", b: "operand" },
  forward(cond: Tensor, a: Tensor | number, b: Tensor | number): { out: Tensor } {
    const like = (x: Tensor | number): Tensor =>
      x instanceof Tensor ? x : runFill(cond.device, [], x, dtype);
    const dtype = [a, b].find((x) => x instanceof Tensor)?.dtype ?? cond.device.float;
    const pair = operands("choose between", like(a), like(b));
    const shape = broadcastShapes(
      "choose between tensors by a condition of shapes",
      pair.shape,
      cond.shape,
    );
    const all = [cond, pair.a, pair.b].map((x) => runBroadcast("where", x, shape));
    return { out: runWhere("where", all[0], all[1], all[2]) };
  },
  backward(dout, _, [cond, a, b]): InputGradients {
    const wide = runBroadcast("where gradient", cond, dout.shape);
    const zero = runFill(dout.device, dout.shape, 0);
    const back: (() => Tensor)[] = [];
    if (a instanceof Tensor) {
      back.push(() => unbroadcast(runWhere("where gradient", wide, dout, zero), a.shape));
    }
    if (b instanceof Tensor) {
      back.push(() => unbroadcast(runWhere("where gradient", wide, zero, dout), b.shape));
    }
    return [null, ...back];
  },
  cases: () => [
    {
      name: "(2, 3) among three",
      args: (d) => [indices(d, [2, 3], 1, 2), sample(d, [2, 3], 2), sample(d, [2, 3], 3)],
    },
    {
      name: "(4, 1) between (3) and (2, 1, 1)",
      args: (d) => [indices(d, [4, 1], 1, 2), sample(d, [3], 2), sample(d, [2, 1, 1], 3)],
    },
    { name: "a number", args: (d) => [indices(d, [5], 1, 2), sample(d, [5], 2), -1] },
  ],
});

/**
 * x as floats of the device's type or as int32. To int32 fractions are cut off, what is beyond 32
 * bits becomes the nearest end, -2^31 or 2^31 - 1, and NaN becomes 0. Nothing flows back through
 * integers. Shares memory with x if nothing changes.
 *
 * @throws {ArgumentError} if `to` is neither "float" nor "int".
 *
 * @example
 * ```ts
 * import { cast, cpu } from "beargrad";
 *
 * console.log(await cast(cpu().tensor([1.5, -2.5]), "int").data()); // Int32Array [1, -2]
 * ```
 */
export const cast: Op<[x: Tensor, to: "float" | "int"], Tensor> = defineOp({
  name: "cast",
  inputs: { x: "tensor" },
  forward(x: Tensor, to: "float" | "int"): { out: Tensor } {
    if (to !== "float" && to !== "int") {
      throw new ArgumentError(
        `Cannot cast a tensor: it must be to "float" or "int", got ${nameOf(to)}`,
      );
    }
    const dtype = to === "int" ? "int32" : x.device.float;
    if (dtype === x.dtype) return { out: x };
    const out = x.device.empty(x.shape, dtype, "cast");
    if (to === "int") x.device.run(floatToInt, { x, out }, { n: x.size });
    else x.device.run(intToFloat, { x, out }, { n: x.size });
    return { out };
  },
  backward: (dout, _, [x, to]) => [x.dtype === "int32" || to === "int" ? null : () => dout],
  cases: () => [
    { name: "float to float", args: (d) => [sample(d, [2, 3], 1), "float"] },
    { name: "float to int", args: (d) => [sample(d, [2, 3], 1, -9, 9), "int"] },
    { name: "int to float", args: (d) => [indices(d, [2, 3], 1, 9), "float"] },
  ],
});

/**
 * x itself, but nothing flows back through it.
 *
 * @example
 * ```ts
 * import { cpu, mul, stopGradient, sum, type Tensor, valueAndGrad } from "beargrad";
 *
 * const f = valueAndGrad((x: Tensor) => sum(mul(x, stopGradient(x))));
 * console.log(await f(cpu().tensor([3])).grads.data()); // [3], not [6]
 * ```
 */
export const stopGradient: Op<[x: Tensor], Tensor> = defineOp({
  name: "stopGradient",
  inputs: { x: "tensor" },
  forward: (x: Tensor) => ({ out: x }),
  cases: () => [{ name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1)] }],
});
