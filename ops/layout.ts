import { checkShape } from "../core/checks.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineComposite, defineOp, type Op } from "../core/op.ts";
import {
  broadcastShapes,
  formatShape,
  normalizeAxis,
  sameShape,
  type Shape,
  sizeOf,
  stridesOf,
} from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { sample } from "./cases.ts";
import {
  runBroadcast,
  runCopy,
  runFill,
  runInverseTranspose,
  runStridedCopy,
  runTranspose,
  unbroadcast,
} from "./launch.ts";

/**
 * The same elements under another shape, sharing memory. One size may be -1: it is inferred.
 *
 * @throws {ShapeError} if the number of elements differs, or sizes are both -1 and 0.
 *
 * @example
 * ```ts
 * import { cpu, reshape } from "beargrad";
 *
 * const x = cpu().tensor([1, 2, 3, 4, 5, 6]);
 * console.log(reshape(x, [2, -1]).shape); // [2, 3]
 * ```
 */
export const reshape: Op<[x: Tensor, shape: Shape], Tensor> = defineOp({
  name: "reshape",
  inputs: { x: "tensor", shape: "numbers" },
  forward: (x: Tensor, shape: Shape) => ({ out: x.view(completed(x, shape)) }),
  backward: (dout, _, [x]) => [() => dout.view(x.shape)],
  cases: () => [
    { name: "(2, 6) to (3, 4)", args: (d) => [sample(d, [2, 6], 1), [3, 4]] },
    { name: "(2, 6) to (3, -1, 2)", args: (d) => [sample(d, [2, 6], 1), [3, -1, 2]] },
    { name: "(1) to ()", args: (d) => [sample(d, [1], 1), []] },
  ],
});

function completed(x: Tensor, shape: Shape): Shape {
  const known = sizeOf(shape.filter((n) => n !== -1));
  if (known === 0 && shape.includes(-1)) {
    throw new ShapeError(
      `Cannot reshape ${formatShape(x.shape)} to ${formatShape(shape)}: ` +
        "the size -1 must follow from the others, got a 0 among them",
    );
  }
  const target = shape.map((n) => n === -1 ? x.size / known : n);
  if (shape.filter((n) => n === -1).length > 1) {
    throw new ShapeError(
      `Cannot reshape ${formatShape(x.shape)} to ${formatShape(shape)}: at most one size may be -1`,
    );
  }
  if (sizeOf(target) !== x.size || target.some((n) => !Number.isInteger(n))) {
    throw new ShapeError(
      `Cannot reshape ${formatShape(x.shape)} to ${formatShape(shape)}: ` +
        `the number of elements must be ${x.size}, got ${known}`,
    );
  }
  checkShape("reshape to a tensor", target);
  return target;
}

/**
 * x with its axes in another order: axis i of the result is axis `axes[i]` of x. Default: reversed.
 *
 * @throws {ShapeError} if `axes` is not an order of the axes.
 *
 * @example
 * ```ts
 * import { cpu, transpose } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(await transpose(x).data()); // [1, 4, 2, 5, 3, 6]
 * ```
 */
export const transpose: Op<[x: Tensor, axes?: readonly number[]], Tensor> = defineOp({
  name: "transpose",
  inputs: { x: "tensor", axes: "numbers?" },
  forward: (x: Tensor, axes?: readonly number[]) => ({
    out: runTranspose("transpose", x, orderOf(x, axes)),
  }),
  backward: (dout, _, [x, axes]) => [ // axis order[i] of dx is axis i of dout
    () => runInverseTranspose("transpose gradient", dout, orderOf(x, axes)),
  ],
  cases: () => [
    { name: "(2, 3)", args: (d) => [sample(d, [2, 3], 1)] },
    {
      name: "(2, 3, 4, 5) by [2, 0, -1, 1]",
      args: (d) => [sample(d, [2, 3, 4, 5], 1), [2, 0, -1, 1]],
    },
  ],
});

function orderOf(x: Tensor, axes?: readonly number[]): number[] {
  if (axes === undefined) return x.shape.map((_, i) => x.rank - 1 - i);
  const order = axes.map((axis) => normalizeAxis("transpose", x.shape, axis));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ShapeError(
      `Cannot transpose ${formatShape(x.shape)}: each of its ${x.rank} axes must be named once, ` +
        `got [${axes.join(", ")}]`,
    );
  }
  return order;
}

/**
 * The part of x from `start` up to, and not including, `end`, along each axis.
 *
 * @throws {ShapeError} if the part reaches outside of x.
 *
 * @example
 * ```ts
 * import { cpu, slice } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(await slice(x, [0, 1], [2, 3]).data()); // [2, 3, 5, 6]
 * ```
 */
export const slice: Op<[x: Tensor, start: readonly number[], end: readonly number[]], Tensor> =
  defineOp({
    name: "slice",
    inputs: { x: "tensor", start: "numbers", end: "numbers" },
    forward(x: Tensor, start: readonly number[], end: readonly number[]): { out: Tensor } {
      const { shape, side } = partOf(x, start, end);
      return { out: runStridedCopy("slice", shape, x, side) };
    },
    backward: (dout, _, [x, start, end]) => [() => { // dx is dout in its place, 0 around it
      const { shape, side } = partOf(x, start, end);
      const dx = runFill(x.device, x.shape, 0, x.dtype);
      runCopy(shape, dout, { at: 0, strides: stridesOf(shape) }, dx, side);
      return dx;
    }],
    cases: () => [
      { name: "(3, 4), columns 1 and 2", args: (d) => [sample(d, [3, 4], 1), [0, 1], [3, 3]] },
      {
        name: "(3, 4, 5), a block",
        args: (d) => [sample(d, [3, 4, 5], 2), [1, 0, 2], [3, 2, 5]],
      },
    ],
  });

function partOf(
  x: Tensor,
  start: readonly number[],
  end: readonly number[],
): { shape: Shape; side: { at: number; strides: Shape } } {
  const shape = x.shape.map((n, axis) => {
    const from = start[axis];
    const to = end[axis];
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || from > to || to > n) {
      throw new ShapeError(
        `Cannot slice ${formatShape(x.shape)} from [${start.join(", ")}] to [${end.join(", ")}]: ` +
          `axis ${axis} needs 0 <= start <= end <= ${n}, got ${from} and ${to}`,
      );
    }
    return to - from;
  });
  if (start.length !== x.rank || end.length !== x.rank) {
    throw new ShapeError(
      `Cannot slice ${formatShape(x.shape)} from [${start.join(", ")}] to [${end.join(", ")}]: ` +
        `there must be ${x.rank} starts and ends, got ${start.length} and ${end.length}`,
    );
  }
  const strides = stridesOf(x.shape);
  const at = strides.reduce((sum, stride, axis) => sum + stride * start[axis], 0);
  return { shape, side: { at, strides } };
}

/**
 * x broadcast to a shape by NumPy's rule: axes are aligned at the back, and sizes of 1 repeat.
 * Shares memory with x if nothing repeats.
 *
 * @throws {ShapeError} if x does not broadcast to that shape.
 *
 * @example
 * ```ts
 * import { broadcastTo, cpu } from "beargrad";
 *
 * const x = cpu().tensor([1, 2]);
 * console.log(await broadcastTo(x, [2, 2]).data()); // [1, 2, 1, 2]
 * ```
 */
export const broadcastTo: Op<[x: Tensor, shape: Shape], Tensor> = defineOp({
  name: "broadcastTo",
  inputs: { x: "tensor", shape: "numbers" },
  forward(x: Tensor, shape: Shape): { out: Tensor } {
    checkShape("broadcast to a tensor", shape);
    const common = broadcastShapes("broadcast", x.shape, shape);
    if (!sameShape(common, shape)) {
      throw new ShapeError(
        `Cannot broadcast ${formatShape(x.shape)} to ${formatShape(shape)}: ` +
          `it must stretch to that shape, got ${formatShape(common)}`,
      );
    }
    return { out: runBroadcast("broadcastTo", x, shape) };
  },
  backward: (dout, _, [x]) => [() => unbroadcast(dout, x.shape)],
  cases: () => [
    { name: "(3, 1) to (2, 3, 4)", args: (d) => [sample(d, [3, 1], 1), [2, 3, 4]] },
    { name: "() to (2, 2)", args: (d) => [sample(d, [], 1), [2, 2]] },
    { name: "(1, 3) to (3)'s own shape", args: (d) => [sample(d, [1, 3], 1), [1, 3]] },
  ],
});

/**
 * x without axes of size 1: without the given ones, or without all of them.
 *
 * @throws {ShapeError} if x has no such axis, or its size is not 1.
 * @throws {ArgumentError} if an axis is named twice.
 *
 * @example
 * ```ts
 * import { cpu, squeeze } from "beargrad";
 *
 * const x = cpu().tensor([[[1], [2]]]);
 * console.log(squeeze(x).shape, squeeze(x, -1).shape); // [2] [1, 2]
 * ```
 */
export const squeeze: Op<[x: Tensor, axis?: number | readonly number[]], Tensor> = defineComposite({
  name: "squeeze",
  inputs: { x: "tensor", axis: "axes?" },
  forward(x: Tensor, axis?: number | readonly number[]): Tensor {
    if (axis === undefined) return reshape(x, x.shape.filter((n) => n !== 1));
    const axes = [axis].flat().map((a) => normalizeAxis("squeeze", x.shape, a));
    if (new Set(axes).size !== axes.length) {
      throw new ArgumentError(
        `Cannot squeeze some axes: each must be named once, got [${[axis].flat().join(", ")}]`,
      );
    }
    const wide = axes.find((a) => x.shape[a] !== 1);
    if (wide !== undefined) {
      throw new ShapeError(
        `Cannot squeeze axis ${wide} of ${formatShape(x.shape)}: ` +
          `its size must be 1, got ${x.shape[wide]}`,
      );
    }
    return reshape(x, x.shape.filter((_, a) => !axes.includes(a)));
  },
  cases: () => [
    { name: "(1, 3, 1), all", args: (d) => [sample(d, [1, 3, 1], 1)] },
    { name: "(1, 3, 1), the last", args: (d) => [sample(d, [1, 3, 1], 1), -1] },
  ],
});

/**
 * x with a new axis of size 1, which becomes axis `axis` of the result.
 *
 * @throws {ShapeError} if the result has no such axis.
 *
 * @example
 * ```ts
 * import { cpu, unsqueeze } from "beargrad";
 *
 * const x = cpu().tensor([1, 2, 3]);
 * console.log(unsqueeze(x, 0).shape, unsqueeze(x, -1).shape); // [1, 3] [3, 1]
 * ```
 */
export const unsqueeze: Op<[x: Tensor, axis: number], Tensor> = defineComposite({
  name: "unsqueeze",
  inputs: { x: "tensor", axis: "number" },
  forward(x: Tensor, axis: number): Tensor {
    const at = normalizeAxis("unsqueeze", [...x.shape, 1], axis);
    return reshape(x, x.shape.toSpliced(at, 0, 1));
  },
  cases: () => [
    { name: "(2, 3) to (2, 1, 3)", args: (d) => [sample(d, [2, 3], 1), 1] },
    { name: "() to (1)", args: (d) => [sample(d, [], 1), -1] },
  ],
});
