import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  weightedMeanBackwardValues,
  weightedMeanBackwardWeights,
  weightedMeanForward,
} from "../kernels/weighted_mean.ts";
import { sample } from "./cases.ts";

/**
 * The mean of all values, `sum(weights * values) / sum(weights)`, a scalar; 0 if all weights are 0.
 * Weights have the shape of the values and must not be negative.
 *
 * @throws {ShapeError} if the shapes differ.
 *
 * @example
 * ```ts
 * import { cpu, weightedMean } from "beargrad";
 *
 * const device = cpu();
 * const mean = weightedMean(device.tensor([1, 2, 300]), device.tensor([3, 1, 0]));
 * console.log(await mean.item()); // 1.25
 * ```
 */
export const weightedMean: Op<[values: Tensor, weights: Tensor], Tensor> = defineOp({
  name: "weightedMean",
  inputs: { values: "float", weights: "float" },
  forward(values: Tensor, weights: Tensor): { out: Tensor; saved: Record<string, Tensor> } {
    const { device, dtype, size: n } = values;
    if (!sameShape(values.shape, weights.shape)) {
      throw new ShapeError(
        `Cannot compute a weighted mean of ${formatShape(values.shape)}: ` +
          `weights must have the same shape, got ${formatShape(weights.shape)}`,
      );
    }
    const [out, total] = [0, 1].map(() => device.empty([], dtype, "weightedMean"));
    device.run(weightedMeanForward, { values, weights, out, total }, { n });
    return { out, saved: { out, total } };
  },
  backward: (dout, { out, total }, [values, weights]) => {
    const { device, dtype, shape, size: n } = values;
    return [
      () => { // dv = dout w / total
        const dvalues = device.empty(shape, dtype, "weightedMean gradient");
        device.run(weightedMeanBackwardValues, { dout, weights, total, dvalues }, { n });
        return dvalues;
      },
      () => { // dw = dout (v - out) / total
        const dweights = device.empty(shape, dtype, "weightedMean gradient");
        device.run(weightedMeanBackwardWeights, { dout, values, out, total, dweights }, { n });
        return dweights;
      },
    ];
  },
  cases: () => [
    { name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1), sample(d, [2, 3], 2, 0.5, 2)] },
    { name: "a scalar", args: (d) => [sample(d, [], 1), sample(d, [], 2, 0.5, 2)] },
  ],
});
