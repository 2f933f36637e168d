import { inputCheck } from "../core/checks.ts";
import { defineOp, type Op, type OpCase } from "../core/op.ts";
import type { InputGradients } from "../core/tape.ts";
import { Tensor } from "../core/tensor.ts";
import { binary, binaryInt, comparison, type ComparisonKernels } from "../kernels/binary.ts";
import { unary } from "../kernels/pointwise.ts";
import { sample } from "./cases.ts";
import {
  operands,
  runBinary,
  runFill,
  runStrided,
  runUnary,
  runWhere,
  unbroadcast,
} from "./launch.ts";

/** A tensor, or a number that stands for a scalar of the other operand's dtype. */
export type Operand = Tensor | number;

/** An op of two operands. */
export type BinaryOp = Op<[a: Operand, b: Operand], Tensor>;

const OPERANDS = { a: "operand", b: "operand" } as const;

/** f(a, b) of floats or of integers. */
function arithmetic(name: keyof typeof binaryInt, a: Operand, b: Operand): Tensor {
  const first = a instanceof Tensor ? a : b;
  if (first instanceof Tensor && first.dtype === "int32") {
    return runStrided(() => binaryInt[name], name, operands(name, a, b), "int32");
  }
  return runBinary(binary[name], name, a, b);
}

/**
 * The gradients of those operands that are tensors, each summed over the axes along which it was
 * stretched.
 */
function gradients(
  [a, b]: readonly [Operand, Operand],
  da: () => Tensor,
  db: () => Tensor,
): InputGradients {
  const back: (() => Tensor)[] = [];
  if (a instanceof Tensor) back.push(() => unbroadcast(da(), a.shape));
  if (b instanceof Tensor) back.push(() => unbroadcast(db(), b.shape));
  return back;
}

const product = (a: Operand, b: Operand): Tensor => runBinary(binary.mul, "mul gradient", a, b);
const quotient = (a: Operand, b: Operand): Tensor => runBinary(binary.div, "div gradient", a, b);
const negative = (x: Tensor): Tensor => runUnary(unary.neg, "neg gradient", x);

/** 0 where the comparison holds, else dout; so dout beside a NaN. */
function blocked(test: ComparisonKernels, a: Operand, b: Operand, dout: Tensor): Tensor {
  const cond = runStrided(() => test.float, "compare", operands("compare", a, b), "int32");
  const zero = runFill(dout.device, dout.shape, 0);
  return runWhere("choose a gradient", cond, zero, dout);
}

function cases(low: number, high: number): readonly OpCase<[a: Operand, b: Operand]>[] {
  return [
    {
      name: "(2, 4) by (2, 4)",
      args: (d) => [sample(d, [2, 4], 1, low, high), sample(d, [2, 4], 2, low, high)],
    },
    {
      name: "(2, 1, 3) by (4, 1)",
      args: (d) => [sample(d, [2, 1, 3], 1, low, high), sample(d, [4, 1], 2, low, high)],
    },
    {
      name: "() by (2, 3)",
      args: (d) => [sample(d, [], 1, low, high), sample(d, [2, 3], 2, low, high)],
    },
    { name: "(3) by a number", args: (d) => [sample(d, [3], 1, low, high), 0.7] },
    { name: "a number by (3)", args: (d) => [0.7, sample(d, [3], 1, low, high)] },
  ];
}

/**
 * a + b, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { add, cpu } from "beargrad";
 *
 * const device = cpu();
 * const x = device.tensor([[1, 2], [3, 4]]);
 * console.log(await add(x, device.tensor([10, 20])).data()); // [11, 22, 13, 24]
 * ```
 */
export const add: BinaryOp = defineOp({
  name: "add",
  inputs: OPERANDS,
  forward: (a: Operand, b: Operand) => ({ out: arithmetic("add", a, b) }),
  backward: (dout, _, args) => gradients(args, () => dout, () => dout),
  cases: () => cases(-1, 1),
});

/**
 * a - b, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, sub } from "beargrad";
 *
 * console.log(await sub(1, cpu().tensor([10, 20])).data()); // [-9, -19]
 * ```
 */
export const sub: BinaryOp = defineOp({
  name: "sub",
  inputs: OPERANDS,
  forward: (a: Operand, b: Operand) => ({ out: arithmetic("sub", a, b) }),
  backward: (dout, _, args) => gradients(args, () => dout, () => negative(dout)),
  cases: () => cases(-1, 1),
});

/**
 * a b, element by element, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, mul } from "beargrad";
 *
 * console.log(await mul(cpu().tensor([10, 20]), 3).data()); // [30, 60]
 * ```
 */
export const mul: BinaryOp = defineOp({
  name: "mul",
  inputs: OPERANDS,
  forward: (a: Operand, b: Operand) => ({ out: arithmetic("mul", a, b) }),
  backward: (dout, _, [a, b]) => gradients([a, b], () => product(dout, b), () => product(dout, a)),
  cases: () => cases(-1, 1),
});

/**
 * a / b of floats, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if an operand is int32.
 *
 * @example
 * ```ts
 * import { cpu, div } from "beargrad";
 *
 * console.log(await div(cpu().tensor([10, 20]), 4).data()); // [2.5, 5]
 * ```
 */
export const div: BinaryOp = defineOp({
  name: "div",
  inputs: { a: "float operand", b: "float operand" },
  forward(a: Operand, b: Operand): { out: Tensor; saved: Tensor } {
    const out = runBinary(binary.div, "div", a, b);
    return { out, saved: out };
  },
  backward: (dout, out, [a, b]) =>
    gradients([a, b], () => quotient(dout, b), () =>
      // d(a / b) / db = -(a / b) / b: b^2 could over- or underflow where this does not
      negative(product(dout, quotient(out, b)))),
  cases: () => cases(0.5, 2),
});

/**
 * The larger of a and b, with broadcasting; NaN if either is. Where they are equal the gradient
 * goes to a, and beside a NaN to both.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, maximum } from "beargrad";
 *
 * console.log(await maximum(cpu().tensor([10, 20]), 15).data()); // [15, 20]
 * ```
 */
export const maximum: BinaryOp = defineOp({
  name: "maximum",
  inputs: OPERANDS,
  forward: (a: Operand, b: Operand) => ({ out: arithmetic("maximum", a, b) }),
  backward: (dout, _, [a, b]) =>
    gradients(
      [a, b],
      () => blocked(comparison.less, a, b, dout),
      () => blocked(comparison.greaterEqual, a, b, dout),
    ),
  cases: () => cases(-1, 1),
});

/**
 * The smaller of a and b, with broadcasting; NaN if either is. Where they are equal the gradient
 * goes to a, and beside a NaN to both.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, minimum } from "beargrad";
 *
 * console.log(await minimum(cpu().tensor([10, 20]), 15).data()); // [10, 15]
 * ```
 */
export const minimum: BinaryOp = defineOp({
  name: "minimum",
  inputs: OPERANDS,
  forward: (a: Operand, b: Operand) => ({ out: arithmetic("minimum", a, b) }),
  backward: (dout, _, [a, b]) =>
    gradients(
      [a, b],
      () => blocked(comparison.greater, a, b, dout),
      () => blocked(comparison.lessEqual, a, b, dout),
    ),
  cases: () => cases(-1, 1),
});

const checkClamp = inputCheck("clamp", { x: "tensor", low: "number", high: "number" });

/**
 * x, but at least `low` and at most `high`; NaN stays NaN. Nothing flows back where x is outside,
 * and all of it where x is NaN.
 *
 * @throws {ArgumentError} if low or high is not a number.
 *
 * @example
 * ```ts
 * import { clamp, cpu } from "beargrad";
 *
 * console.log(await clamp(cpu().tensor([-5, 0.5, 5]), 0, 1).data()); // [0, 0.5, 1]
 * ```
 */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  checkClamp([x, low, high]);
  return minimum(maximum(x, low), high);
}
