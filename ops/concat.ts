import { ArgumentError, DTypeError, ShapeError } from "../core/errors.ts";
import { defineComposite, defineOp, type Op } from "../core/op.ts";
import {
  formatShape,
  normalizeAxis,
  sameShape,
  type Shape,
  sizeOf,
  stridesOf,
} from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { sample } from "./cases.ts";
import { runCopy, runStridedCopy } from "./launch.ts";
import { slice, unsqueeze } from "./layout.ts";

/**
 * Tensors joined along an axis; their other sizes must agree.
 *
 * @throws {ShapeError} if they do not fit.
 * @throws {DTypeError} if their dtypes differ.
 * @throws {ArgumentError} if there are none.
 *
 * @example
 * ```ts
 * import { concat, cpu } from "beargrad";
 *
 * const device = cpu();
 * const xs = [device.tensor([[1, 2]]), device.tensor([[3, 4]])];
 * console.log(await concat(xs, 1).data()); // [1, 2, 3, 4]
 * ```
 */
export const concat: Op<[tensors: readonly Tensor[], axis: number], Tensor> = defineOp({
  name: "concat",
  inputs: { tensors: "tensors", axis: "number" },
  forward(tensors: readonly Tensor[], axis: number): { out: Tensor } {
    const { shape, starts } = joined(tensors, axis);
    const out = tensors[0].device.empty(shape, tensors[0].dtype, "concat");
    const strides = stridesOf(shape);
    tensors.forEach((x, i) => {
      runCopy(x.shape, x, whole(x), out, { at: starts[i], strides });
    });
    return { out };
  },
  backward(dout, _, [tensors, axis]): InputGradients {
    const { starts } = joined(tensors, axis);
    const strides = stridesOf(dout.shape);
    return tensors.map((x, i) => () =>
      runStridedCopy("concat gradient", x.shape, dout, { at: starts[i], strides })
    );
  },
  cases: () => [
    {
      name: "(2, 1), (2, 3) and (2, 2) along the last axis",
      args: (d) => [[sample(d, [2, 1], 1), sample(d, [2, 3], 2), sample(d, [2, 2], 3)], -1],
    },
    {
      name: "(1, 3) and (2, 3) along the first axis",
      args: (d) => [[sample(d, [1, 3], 1), sample(d, [2, 3], 2)], 0],
    },
  ],
});

const whole = (x: Tensor): { at: number; strides: Shape } => ({
  at: 0,
  strides: stridesOf(x.shape),
});

/** The shape of the joined tensor, and where each part begins in it. */
function joined(tensors: readonly Tensor[], axis: number): { shape: Shape; starts: number[] } {
  const first = tensors[0];
  if (first === undefined) {
    throw new ArgumentError("Cannot concat no tensors: there must be at least one, got 0");
  }
  const along = normalizeAxis("concat", first.shape, axis);
  const shape = [...first.shape];
  shape[along] = 0;
  const inner = sizeOf(first.shape.slice(along + 1));
  const starts = tensors.map((x) => {
    const refuse = (why: string): never => {
      const [a, b] = [formatShape(first.shape), formatShape(x.shape)];
      throw new ShapeError(`Cannot concat ${a} and ${b} along axis ${along}: ${why}`);
    };
    if (x.rank !== first.rank) {
      refuse(`they must have as many axes, got ${first.rank} and ${x.rank}`);
    }
    first.shape.forEach((n, axis) => {
      const other = x.shape[axis];
      if (axis !== along && n !== other) refuse(`other sizes must be equal, got ${n} and ${other}`);
    });
    if (x.dtype !== first.dtype) {
      throw new DTypeError(
        `Cannot concat tensors of two dtypes: they must be equal, got ${first.dtype} and ${x.dtype}`,
      );
    }
    const start = shape[along] * inner;
    shape[along] += x.shape[along];
    return start;
  });
  return { shape, starts };
}

/**
 * Tensors of one shape joined along a new axis, which becomes axis `axis` of the result, default 0.
 *
 * @throws {ShapeError} if their shapes differ, or the result has no such axis.
 * @throws {DTypeError} if their dtypes differ.
 * @throws {ArgumentError} if there are none.
 *
 * @example
 * ```ts
 * import { cpu, stack } from "beargrad";
 *
 * const device = cpu();
 * const xs = [device.tensor([1, 2]), device.tensor([3, 4])];
 * console.log(await stack(xs).data(), await stack(xs, 1).data()); // [1, 2, 3, 4] [1, 3, 2, 4]
 * ```
 */
export const stack: Op<[tensors: readonly Tensor[], axis?: number], Tensor> = defineComposite({
  name: "stack",
  inputs: { tensors: "tensors", axis: "number?" },
  forward(tensors: readonly Tensor[], axis = 0): Tensor {
    if (tensors.length === 0) {
      throw new ArgumentError("Cannot stack no tensors: there must be at least one, got 0");
    }
    for (const { shape } of tensors) {
      if (!sameShape(shape, tensors[0].shape)) {
        throw new ShapeError(
          `Cannot stack ${formatShape(tensors[0].shape)} and ${formatShape(shape)}: ` +
            "shapes must be equal",
        );
      }
    }
    return concat(tensors.map((x) => unsqueeze(x, axis)), axis);
  },
  cases: () => [
    { name: "two of (2, 3)", args: (d) => [[sample(d, [2, 3], 1), sample(d, [2, 3], 2)]] },
    { name: "two of (2), last", args: (d) => [[sample(d, [2], 1), sample(d, [2], 2)], -1] },
  ],
});

/**
 * The parts of x along an axis, default 0: parts of size `size`, the last one possibly smaller, or
 * parts of the sizes given, which must add up to the whole. The opposite of {@link concat}.
 *
 * @throws {ShapeError} if x has no such axis, or the sizes do not add up to its size.
 * @throws {ArgumentError} if `size` is not a positive integer.
 *
 * @example
 * ```ts
 * import { cpu, split } from "beargrad";
 *
 * const [a, b] = split(cpu().tensor([[1, 2, 3], [4, 5, 6]]), [1, 2], -1);
 * console.log(await a.data(), await b.data()); // [1, 4] [2, 3, 5, 6]
 * ```
 */
export const split: Op<
  [x: Tensor, size: number | readonly number[], axis?: number],
  readonly Tensor[]
> = defineComposite({
  name: "split",
  inputs: { x: "tensor", size: "axes", axis: "number?" },
  forward(x: Tensor, size: number | readonly number[], axis = 0): readonly Tensor[] {
    const along = normalizeAxis("split", x.shape, axis);
    const n = x.shape[along];
    const sizes = typeof size === "number" ? equalParts(n, size) : size;
    const total = sizes.reduce((a, b) => a + b, 0);
    if (total !== n || sizes.some((part) => !(Number.isInteger(part) && part >= 0))) {
      throw new ShapeError(
        `Cannot split axis ${along} of ${
          formatShape(x.shape)
        }: the sizes must be integers from 0 that add up to ${n}, ` +
          `got [${sizes.join(", ")}]`,
      );
    }
    let start = 0;
    return sizes.map((part) => {
      const from = x.shape.map((_, a) => a === along ? start : 0);
      start += part;
      return slice(x, from, x.shape.with(along, start));
    });
  },
  cases: () => [
    { name: "(5, 2) by 2", args: (d) => [sample(d, [5, 2], 1), 2] },
    { name: "(2, 4) into 1 and 3 columns", args: (d) => [sample(d, [2, 4], 1), [1, 3], -1] },
  ],
});

/** Parts of `size` that make up n, the last one possibly smaller. */
function equalParts(n: number, size: number): number[] {
  if (!Number.isInteger(size) || size < 1) {
    throw new ArgumentError(
      `Cannot split a tensor: the size of its parts must be a positive integer, got ${size}`,
    );
  }
  const count = Math.max(Math.ceil(n / size), 1);
  return Array.from({ length: count }, (_, i) => Math.min(size, n - i * size));
}
