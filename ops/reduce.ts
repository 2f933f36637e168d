import { ArgumentError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { normalizeAxis, type Shape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { mul } from "./binary.ts";
import { sample } from "./cases.ts";
import { stretched, summed } from "./launch.ts";

/** One axis, several, or all where there is none. Negative axes count from the back. */
export type Axes = number | readonly number[];

/** The axes that a reduction runs over, sorted, and the shapes it leaves. */
function reduction(
  name: string,
  x: Tensor,
  axis: Axes | undefined,
  keepDims: boolean,
): { axes: number[]; shape: Shape; keptShape: Shape } {
  const given = axis === undefined ? x.shape.map((_, i) => i) : [axis].flat();
  const axes = given.map((a) => normalizeAxis(name, x.shape, a)).sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length) {
    throw new ArgumentError(
      `Cannot ${name} over axes [${given.join(", ")}]: each axis must be named once`,
    );
  }
  const keptShape = x.shape.map((n, i) => axes.includes(i) ? 1 : n);
  return {
    axes,
    keptShape,
    shape: keepDims ? keptShape : x.shape.filter((_, i) => !axes.includes(i)),
  };
}

/**
 * The sum over some axes, or over all. With `keepDims` the axes stay, with size 1.
 *
 * @throws {ShapeError} if x has no such axis.
 * @throws {ArgumentError} if an axis is named twice.
 *
 * @example
 * ```ts
 * import { cpu, sum } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(await sum(x).item(), await sum(x, 0).data()); // 21 [5, 7, 9]
 * ```
 */
export const sum: Op<[x: Tensor, axis?: Axes, keepDims?: boolean], Tensor> = defineOp({
  name: "sum",
  forward(x: Tensor, axis?: Axes, keepDims = false): { out: Tensor } {
    const { axes, shape } = reduction("sum", x, axis, keepDims);
    return { out: summed("sum", x, axes).view(shape) };
  },
  backward: (dout, _, [x, axis, keepDims = false]) => [
    () =>
      stretched("sum gradient", dout.view(reduction("sum", x, axis, keepDims).keptShape), x.shape),
  ],
  cases: () => [
    { name: "all of (2, 3)", args: (d) => [sample(d, [2, 3], 1)] },
    { name: "the middle of (2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), 1] },
    { name: "the ends of (2, 3, 4), kept", args: (d) => [sample(d, [2, 3, 4], 1), [-1, 0], true] },
    { name: "a scalar", args: (d) => [sample(d, [], 1)] },
  ],
});

/**
 * The mean over some axes, or over all. With `keepDims` the axes stay, with size 1.
 *
 * @throws {ShapeError} if x has no such axis.
 * @throws {ArgumentError} if an axis is named twice.
 *
 * @example
 * ```ts
 * import { cpu, mean } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(await mean(x, 1).data()); // [2, 5]
 * ```
 */
export function mean(x: Tensor, axis?: Axes, keepDims?: boolean): Tensor {
  const { axes } = reduction("mean", x, axis, false);
  return mul(sum(x, axis, keepDims), 1 / sizeOf(axes.map((a) => x.shape[a])));
}
