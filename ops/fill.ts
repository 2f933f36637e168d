import type { DType } from "../core/dtype.ts";
import { defineOp, type Op } from "../core/op.ts";
import type { Shape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { sample } from "./cases.ts";
import { runFill } from "./launch.ts";

/**
 * A tensor of the given shape filled with a value. Floats unless `dtype` is `"int32"`.
 *
 * @throws {ArgumentError} if an int32 tensor is to be filled with anything but an integer of 32
 * bits.
 * @throws {DTypeError} if dtype is float16, or another that the device does not have.
 *
 * @example
 * ```ts
 * import { cpu, full } from "beargrad";
 *
 * const x = full(cpu(), [2, 2], 7);
 * console.log(await x.data()); // [7, 7, 7, 7]
 * ```
 */
export const full: Op<[device: Device, shape: Shape, value: number, dtype?: DType], Tensor> =
  defineOp({
    name: "full",
    inputs: { device: "device", shape: "numbers", value: "number", dtype: "string?" },
    forward(device: Device, shape: Shape, value: number, dtype?: DType): { out: Tensor } {
      return { out: runFill(device, shape, value, dtype) };
    },
    cases: () => [
      { name: "(2, 3)", args: (d) => [d, [2, 3], 0.5] },
      { name: "(), int32", args: (d) => [d, [], -3, "int32"] },
    ],
  });

/**
 * A tensor of zeros.
 *
 * @throws {DTypeError} if dtype is float16, or another that the device does not have.
 *
 * @example
 * ```ts
 * import { cpu, zeros } from "beargrad";
 *
 * console.log(await zeros(cpu(), [3]).data()); // [0, 0, 0]
 * ```
 */
export function zeros(device: Device, shape: Shape, dtype?: DType): Tensor {
  return full(device, shape, 0, dtype);
}

/**
 * A tensor of ones.
 *
 * @throws {DTypeError} if dtype is float16, or another that the device does not have.
 *
 * @example
 * ```ts
 * import { cpu, ones } from "beargrad";
 *
 * console.log(await ones(cpu(), [3]).data()); // [1, 1, 1]
 * ```
 */
export function ones(device: Device, shape: Shape, dtype?: DType): Tensor {
  return full(device, shape, 1, dtype);
}

/**
 * A tensor of the device, shape and dtype of another, filled with a value. Nothing flows back
 * through it.
 *
 * @example
 * ```ts
 * import { cpu, fullLike } from "beargrad";
 *
 * const x = cpu().tensor([1, 2, 3]);
 * console.log(await fullLike(x, 5).data()); // [5, 5, 5]
 * ```
 */
export const fullLike: Op<[x: Tensor, value: number], Tensor> = defineOp({
  name: "fullLike",
  inputs: { x: "tensor", value: "number" },
  forward(x: Tensor, value: number): { out: Tensor } {
    return { out: runFill(x.device, x.shape, value, x.dtype) };
  },
  cases: () => [{ name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1), 0.5] }],
});
