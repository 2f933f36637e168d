import { checkOptions } from "../core/checks.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineComposite, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { indices, sample } from "./cases.ts";
import { gather } from "./gather.ts";
import { squeeze, unsqueeze } from "./layout.ts";
import { mean, sum } from "./reduce.ts";
import { logSoftmax } from "./softmax.ts";
import { neg } from "./unary.ts";

/** Options of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** The mean over all labels, their sum, or one value for each label. Default "mean". */
  readonly reduction?: "mean" | "sum" | "none";
}

/**
 * The cross-entropy of labels, `-log(softmax(logits)[label])`: logits (..., V), labels int32 (...),
 * out a scalar or, with reduction "none", (...). Labels must be in [0, V); one outside counts as
 * the nearest.
 *
 * @throws {ShapeError} if logits and labels do not agree on the axes before the last, or V is 0 and
 * there are labels.
 * @throws {DTypeError} if the labels are not int32.
 * @throws {ArgumentError} if there is no such reduction.
 *
 * @example
 * ```ts
 * import { cpu, crossEntropy } from "beargrad";
 *
 * const device = cpu();
 * const logits = device.tensor([[0, 0], [0, 0]]);
 * const labels = device.tensor([0, 1], [2], "int32");
 * console.log(await crossEntropy(logits, labels).item()); // log 2 = 0.6931
 * ```
 */
export const crossEntropy: Op<
  [logits: Tensor, labels: Tensor, options?: CrossEntropyOptions],
  Tensor
> = defineComposite({
  name: "crossEntropy",
  inputs: { logits: "float", labels: "int" },
  forward(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
    checkOptions("apply crossEntropy", options, ["reduction"]);
    const { reduction = "mean" } = options;
    if (logits.rank === 0 || !sameShape(logits.shape.slice(0, -1), labels.shape)) {
      throw new ShapeError(
        `Cannot apply crossEntropy to logits ${formatShape(logits.shape)}: labels must be ` +
          `${formatShape(logits.shape.slice(0, -1))}, got ${formatShape(labels.shape)}`,
      );
    }
    if (logits.shape.at(-1) === 0 && labels.size > 0) {
      throw new ShapeError(
        `Cannot apply crossEntropy to logits ${formatShape(logits.shape)}: ` +
          "there must be a logit for each label, got none",
      );
    }
    const losses = neg(squeeze(gather(logSoftmax(logits), unsqueeze(labels, -1)), -1));
    if (reduction === "none") return losses;
    if (reduction === "sum") return sum(losses);
    if (reduction === "mean") return mean(losses);
    throw new ArgumentError(
      `Cannot apply crossEntropy: reduction must be "mean", "sum" or "none", got ${reduction}`,
    );
  },
  cases: () =>
    (["mean", "sum", "none"] as const).map((reduction) => ({
      name: `(2, 3, 5), ${reduction}`,
      args: (d) => [sample(d, [2, 3, 5], 1, -3, 3), indices(d, [2, 3], 2, 5), { reduction }],
    })),
});
