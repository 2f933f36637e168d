import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { randomUniform as randomUniformKernel } from "../kernels/random.ts";

/**
 * Random numbers, uniform in [0, 1), of shape `shape`. The number at row-major index i depends on
 * (key, i, stream) alone and has the same bits on every device. `key` is an int32 tensor of shape
 * (2), so that a captured step can be fed another each time. No gradient.
 * Threefry-2x32: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 *
 * @throws {ArgumentError} if stream is not an integer from 0 to 2^32 - 1.
 * @throws {ShapeError} if the key is not of shape (2).
 * @throws {DTypeError} if the key is not int32.
 *
 * @example
 * ```ts
 * import { cpu, keyOf, randomUniform } from "beargrad";
 *
 * const device = cpu();
 * const key = device.tensor(Int32Array.from(keyOf(42)));
 * console.log(await randomUniform(key, [2, 3], 0).data()); // six numbers, the same in every run
 * ```
 */
export const randomUniform: Op<[key: Tensor, shape: Shape, stream: number], Tensor> = defineOp({
  name: "randomUniform",
  inputs: { key: "int", shape: "numbers", stream: "number" },
  forward(key: Tensor, shape: Shape, stream: number): { out: Tensor } {
    checkKey("draw random numbers", key, stream);
    const out = key.device.empty(shape, key.device.float, "randomUniform");
    key.device.run(randomUniformKernel, { key, out }, { n: sizeOf(shape), stream });
    return { out };
  },
  cases: () => [
    { name: "(2, 3)", args: (d) => [d.tensor(Int32Array.of(7, 0)), [2, 3], 0] },
  ],
});

/**
 * Checks a key and a stream of random numbers.
 *
 * @throws {ArgumentError} if the stream is not an integer from 0 to 2^32 - 1.
 * @throws {ShapeError} if the key is not of shape (2).
 */
export function checkKey(action: string, key: Tensor, stream: number): void {
  if (stream >>> 0 !== stream) {
    throw new ArgumentError(
      `Cannot ${action}: the stream must be an integer from 0 to 2^32 - 1, got ${stream}`,
    );
  }
  if (key.rank !== 1 || key.size !== 2) {
    throw new ShapeError(
      `Cannot ${action}: the key must have shape (2), got ${formatShape(key.shape)}`,
    );
  }
}
