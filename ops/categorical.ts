import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { broadcastShapes, formatShape, sameShape, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { add, maximum } from "./binary.ts";
import { sample } from "./cases.ts";
import { randomUniform } from "./random_uniform.ts";
import { argmax } from "./reduce.ts";
import { log, neg } from "./unary.ts";

/**
 * Draws indices with the probabilities softmax(logits): logits (..., V), out int32 (...), or of
 * shape `shape`, to which (...) must broadcast. A logit of -Infinity is never drawn while others
 * are finite. The draw depends on (key, stream) alone: give every call of a step its own `stream`,
 * as for `randomUniform`. No gradient.
 *
 * By the Gumbel-max trick: argmax(logits - log(-log(u))) with u uniform. Maddison et al.,
 * arXiv:1411.0030.
 *
 * @throws {ShapeError} if logits is a scalar or does not broadcast to `shape`, V is 0 and something
 * is to be drawn, or the key is not of shape (2).
 * @throws {DTypeError} if the key is not int32, or logits are not floats.
 *
 * @example
 * ```ts
 * import { categorical, cpu, keyOf, log } from "beargrad";
 *
 * const device = cpu();
 * const key = device.tensor(Int32Array.from(keyOf(42)));
 * const logits = log(device.tensor([0.5, 0, 0.5]));
 * console.log(await categorical(key, logits, 0, [5]).data()); // five of 0 and 2
 * ```
 */
export const categorical: Op<
  [key: Tensor, logits: Tensor, stream: number, shape?: Shape],
  Tensor
> = defineOp({
  name: "categorical",
  inputs: { key: "int", logits: "float", stream: "number", shape: "numbers?" },
  forward(key: Tensor, logits: Tensor, stream: number, shape?: Shape): { out: Tensor } {
    const lead = logits.shape.slice(0, -1);
    const target = shape ?? lead;
    if (logits.rank === 0 || !sameShape(broadcastShapes("draw", lead, target), target)) {
      throw new ShapeError(
        `Cannot draw indices of shape ${formatShape(target)}: logits must be (..., V), where ` +
          `(...) broadcasts to it, got ${formatShape(logits.shape)}`,
      );
    }
    if (logits.shape[lead.length] === 0 && sizeOf(target) > 0) {
      throw new ShapeError(
        `Cannot draw indices by logits ${formatShape(logits.shape)}: ` +
          "there must be an index to draw, got none",
      );
    }
    const u = randomUniform(key, [...target, logits.shape[lead.length]], stream);
    const gumbel = neg(log(neg(log(maximum(u, 2 ** -25))))); // u may be 0
    return { out: argmax(add(logits, gumbel)) };
  },
  cases: () => [
    {
      name: "(3, 4)",
      args: (d) => [d.tensor(Int32Array.of(7, 0)), sample(d, [3, 4], 1, -2, 2), 0],
    },
    {
      name: "(4) to (2, 5)",
      args: (d) => [d.tensor(Int32Array.of(7, 0)), sample(d, [4], 1, -2, 2), 1, [2, 5]],
    },
  ],
});
