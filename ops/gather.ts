import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { indices, sample } from "./cases.ts";
import { mul } from "./binary.ts";
import { greaterEqual, less } from "./compare.ts";
import { unsqueeze } from "./layout.ts";
import { cast } from "./select.ts";
import { runGather, runScatterAdd } from "./launch.ts";

/**
 * Elements of x along its last axis by their indices: x (..., V), index int32 (..., K), out (...,
 * K). Indices must be in [0, V); one outside takes the nearest element.
 *
 * @throws {ShapeError} if x and index do not agree on the axes before the last, or x is empty where
 * index is not.
 * @throws {DTypeError} if index is not int32.
 *
 * @example
 * ```ts
 * import { cpu, gather } from "beargrad";
 *
 * const device = cpu();
 * const x = device.tensor([[1, 2, 3], [4, 5, 6]]);
 * const index = device.tensor([[2, 2], [0, 1]], [2, 2], "int32");
 * console.log(await gather(x, index).data()); // [3, 3, 4, 5]
 * ```
 */
export const gather: Op<[x: Tensor, index: Tensor], Tensor> = defineOp({
  name: "gather",
  inputs: { x: "float", index: "int" },
  forward(x: Tensor, index: Tensor): { out: Tensor } {
    const fits = x.rank > 0 && x.rank === index.rank &&
      sameShape(x.shape.slice(0, -1), index.shape.slice(0, -1));
    if (!fits) {
      throw new ShapeError(
        `Cannot gather from ${formatShape(x.shape)} by ${formatShape(index.shape)}: ` +
          `their shapes must agree up to the last axis`,
      );
    }
    if (x.shape.at(-1) === 0 && index.size > 0) {
      throw new ShapeError(
        `Cannot gather from ${formatShape(x.shape)} by ${formatShape(index.shape)}: ` +
          "there must be an element to take, got none",
      );
    }
    return { out: runGather("gather", x, index) };
  },
  backward: (dout, _, [x, index]) => [ // the adjoint: dx[..., v] sums dout where the index is v
    () => runScatterAdd("gather gradient", index, dout, x.shape.at(-1) ?? 1),
    null,
  ],
  cases: () => [
    {
      name: "(2, 5) by (2, 3)",
      args: (d) => [sample(d, [2, 5], 1), indices(d, [2, 3], 2, 5)],
    },
    { name: "(3) by (4)", args: (d) => [sample(d, [3], 1), indices(d, [4], 2, 3)] },
  ],
});

/**
 * Adds values into zeros along the last axis: index int32 (..., K), values (..., K), out (...,
 * size) with `out[..., v]` the sum of the values whose index is v. The adjoint of {@link gather}.
 * Indices must be in [0, size); one outside counts as the nearest.
 *
 * @throws {ShapeError} if index and values differ in shape, or if size is not a positive integer
 * (or 0, if there are no values).
 * @throws {DTypeError} if index is not int32.
 *
 * @example
 * ```ts
 * import { cpu, scatterAdd } from "beargrad";
 *
 * const device = cpu();
 * const index = device.tensor([0, 2, 0], [3], "int32");
 * console.log(await scatterAdd(index, device.tensor([1, 2, 3]), 4).data()); // [4, 0, 2, 0]
 * ```
 */
export const scatterAdd: Op<[index: Tensor, values: Tensor, size: number], Tensor> = defineOp({
  name: "scatterAdd",
  inputs: { index: "int", values: "float", size: "number" },
  forward(index: Tensor, values: Tensor, size: number): { out: Tensor } {
    if (index.rank === 0 || !sameShape(index.shape, values.shape)) {
      throw new ShapeError(
        `Cannot scatter ${formatShape(values.shape)} by ${formatShape(index.shape)}: ` +
          "their shapes must be equal, with at least one axis",
      );
    }
    if (size === 0 && values.size > 0) {
      throw new ShapeError(
        `Cannot scatter ${formatShape(values.shape)}: size must be positive where there are ` +
          "values, got 0",
      );
    }
    return { out: runScatterAdd("scatterAdd", index, values, size) };
  },
  backward: (dout, _, [index]) => [
    null,
    () => runGather("scatterAdd gradient", dout, index),
  ],
  cases: () => [
    {
      name: "(2, 4) into (2, 3)",
      args: (d) => [indices(d, [2, 4], 1, 3), sample(d, [2, 4], 2), 3],
    },
    { name: "(3) into (5)", args: (d) => [indices(d, [3], 1, 5), sample(d, [3], 2), 5] },
  ],
});

/**
 * Rows of zeros with a one at the given index each: indices int32 (...), out float (..., classes).
 * An index outside of [0, classes) gives a row of zeros.
 *
 * @throws {ArgumentError} if `classes` is not an integer from 0 to 2^31 - 1.
 * @throws {DTypeError} if the indices are not int32.
 *
 * @example
 * ```ts
 * import { cpu, oneHot } from "beargrad";
 *
 * const indices = cpu().tensor([2, 0], [2], "int32");
 * console.log(await oneHot(indices, 3).data()); // [0, 0, 1, 1, 0, 0]
 * ```
 */
export const oneHot: Op<[indices: Tensor, classes: number], Tensor> = defineOp({
  name: "oneHot",
  inputs: { indices: "int", classes: "number" },
  forward(indices: Tensor, classes: number): { out: Tensor } {
    if (!Number.isInteger(classes) || classes < 0 || classes >= 2 ** 31) {
      throw new ArgumentError(
        `Cannot apply oneHot: classes must be an integer from 0 to 2^31 - 1, got ${classes}`,
      );
    }
    const index = unsqueeze(indices, -1);
    const inside = mul(greaterEqual(index, 0), less(index, classes));
    return { out: runScatterAdd("oneHot", mul(index, inside), cast(inside, "float"), classes) };
  },
  cases: () => [
    { name: "(2, 3) of 4", args: (d) => [indices(d, [2, 3], 1, 4), 4] },
    { name: "()", args: (d) => [indices(d, [], 1, 4), 4] },
  ],
});
