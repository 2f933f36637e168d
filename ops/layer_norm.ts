import { ShapeError } from "../core/errors.ts";
import { defineComposite, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { add, div, mul, sub } from "./binary.ts";
import { sample } from "./cases.ts";
import { mean } from "./reduce.ts";
import { checkEps } from "./rms_norm.ts";
import { sqrt, square } from "./unary.ts";

/**
 * LayerNorm over the last axis, `(x - mean(x)) / sqrt(var(x) + eps) * weight + bias`: x (..., C),
 * weight and bias (C), out (..., C). Default eps 1e-5. Ba et al., arXiv:1607.06450.
 *
 * @throws {ShapeError} if weight or bias is not of shape (C).
 * @throws {ArgumentError} if eps is not a finite number from 0.
 *
 * @example
 * ```ts
 * import { cpu, layerNorm } from "beargrad";
 *
 * const device = cpu();
 * const y = layerNorm(device.tensor([[1, 3]]), device.tensor([1, 1]), device.tensor([0, 10]));
 * console.log(await y.data()); // [-1, 11]
 * ```
 */
export const layerNorm: Op<[x: Tensor, weight: Tensor, bias: Tensor, eps?: number], Tensor> =
  defineComposite({
    name: "layerNorm",
    inputs: { x: "float", weight: "float", bias: "float" },
    forward(x: Tensor, weight: Tensor, bias: Tensor, eps = 1e-5): Tensor {
      checkEps("layerNorm", eps);
      for (const [name, { shape, rank }] of Object.entries({ weight, bias })) {
        if (rank !== 1 || shape[0] !== x.shape.at(-1)) {
          throw new ShapeError(
            `Cannot apply layerNorm to ${formatShape(x.shape)}: ${name} must be ` +
              `(${x.shape.at(-1) ?? "C"}), got ${formatShape(shape)}`,
          );
        }
      }
      const centered = sub(x, mean(x, -1, true));
      const variance = mean(square(centered), -1, true);
      return add(mul(div(centered, sqrt(add(variance, eps))), weight), bias);
    },
    cases: () => [
      {
        name: "(2, 3, 4)",
        args: (d) => [sample(d, [2, 3, 4], 1), sample(d, [4], 2), sample(d, [4], 3)],
      },
      {
        name: "(5), eps 0.1",
        args: (d) => [sample(d, [5], 1), sample(d, [5], 2), sample(d, [5], 3), 0.1],
      },
    ],
  });
