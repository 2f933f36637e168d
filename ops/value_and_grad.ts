import { valueAndGradWith } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Tree } from "../core/tree.ts";
import { add } from "./binary.ts";
import { runFill, scalar } from "./launch.ts";

/**
 * Turns a function of parameters into one that also returns their gradients. `params` is a tensor,
 * or records and arrays of tensors; `grads` has its form. The function's value must be a scalar;
 * its further arguments are not differentiated. First derivatives only.
 *
 * @throws {ShapeError} if the value is not a scalar.
 * @throws {DTypeError} if a parameter is not of the device's float type.
 * @throws {TapeError} if a gradient of a gradient is asked for.
 *
 * @example
 * ```ts
 * import { cpu, mul, sum, type Tensor, valueAndGrad } from "beargrad";
 *
 * const loss = valueAndGrad(({ w }: { w: Tensor }, x: Tensor) => sum(mul(w, x)));
 * const device = cpu();
 * const { value, grads } = loss({ w: device.tensor([1, 2]) }, device.tensor([3, 4]));
 * console.log(await value.item(), await grads.w.data()); // 11 [3, 4]
 * ```
 */
export function valueAndGrad<P extends Tree, A extends unknown[]>(
  f: (params: P, ...args: A) => Tensor,
): (params: P, ...args: A) => { value: Tensor; grads: P } {
  const oneLike = (x: Tensor): Tensor => scalar(x.device, 1, x.dtype).view(x.shape);
  const zerosLike = (x: Tensor): Tensor => runFill(x.device, x.shape, 0, x.dtype);
  return valueAndGradWith({ oneLike, zerosLike, add }, f);
}
