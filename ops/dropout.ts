import { ArgumentError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import type { Tensor } from "../core/tensor.ts";
import { dropoutMap } from "../kernels/random.ts";
import { sample } from "./cases.ts";
import { checkKey } from "./random_uniform.ts";

/**
 * Dropout: zeroes each element with probability `rate` and divides the others by 1 - rate. What is
 * dropped depends on (key, index, stream) alone: give every call of a step its own `stream`. `key`
 * is an int32 tensor of shape (2), so that a captured step can be fed another each time. A rate of
 * 0 returns x itself. Srivastava et al., JMLR 15 (2014).
 *
 * @throws {ArgumentError} if rate is not in [0, 1), or stream not an integer from 0 to 2^32 - 1.
 * @throws {ShapeError} if the key is not of shape (2).
 * @throws {DTypeError} if the key is not int32.
 *
 * @example
 * ```ts
 * import { cpu, dropout, keyOf } from "beargrad";
 *
 * const device = cpu();
 * const key = device.tensor(Int32Array.from(keyOf(42)));
 * console.log(await dropout(device.tensor([1, 2, 3, 4]), 0.5, key, 0).data()); // each doubled or 0
 * ```
 */
export const dropout: Op<[x: Tensor, rate: number, key: Tensor, stream: number], Tensor> = defineOp(
  {
    name: "dropout",
    inputs: { x: "float", rate: "number", key: "int", stream: "number" },
    forward(x: Tensor, rate: number, key: Tensor, stream: number): { out: Tensor } {
      if (!(rate >= 0 && rate < 1)) {
        throw new ArgumentError(`Cannot drop out: the rate must be in [0, 1), got ${rate}`);
      }
      return { out: masked("dropout", x, rate, key, stream) };
    },
    backward: (dout, _saved, [, rate, key, stream]) => [
      () => masked("dropout gradient", dout, rate, key, stream), // dx = dout keep / (1 - rate)
      null,
    ],
    cases: () => [
      {
        name: "(3, 5), rate 0.4",
        args: (d) => [sample(d, [3, 5], 1), 0.4, d.tensor(Int32Array.of(7, 1)), 2],
      },
      { name: "rate 0", args: (d) => [sample(d, [4], 1), 0, d.tensor(Int32Array.of(7, 1)), 2] },
    ],
  },
);

/** x keep / (1 - rate). */
function masked(label: string, x: Tensor, rate: number, key: Tensor, stream: number): Tensor {
  checkKey("drop out", key, stream);
  if (rate === 0) return x;
  const out = x.device.empty(x.shape, x.dtype, label);
  const threshold = Math.ceil(rate * 2 ** 24);
  x.device.run(dropoutMap, { x, key, out }, {
    n: x.size,
    stream,
    threshold,
    scale: 1 / (1 - rate),
  });
  return out;
}
