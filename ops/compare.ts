import { defineOp, type Op } from "../core/op.ts";
import { Tensor } from "../core/tensor.ts";
import { comparison } from "../kernels/binary.ts";
import { indices, sample } from "./cases.ts";
import { operands, runStrided } from "./launch.ts";

/** A comparison: 1 where it holds and 0 where not, int32. Nothing flows back through it. */
export type Comparison = Op<[a: Tensor | number, b: Tensor | number], Tensor>;

function compare(name: keyof typeof comparison): Comparison {
  return defineOp({
    name,
    inputs: { a: "operand", b: "operand" },
    forward(a: Tensor | number, b: Tensor | number): { out: Tensor } {
      const pair = operands(name, a, b);
      const kernels = comparison[name];
      const kernel = pair.dtype === "int32" ? kernels.int : kernels.float;
      return { out: runStrided(() => kernel, name, pair, "int32") };
    },
    cases: () => [
      { name: "(2, 3) by (3)", args: (d) => [sample(d, [2, 3], 1), sample(d, [3], 2)] },
      { name: "(5) by 2, int32", args: (d) => [indices(d, [5], 1, 4), 2] },
    ],
  });
}

/**
 * 1 where a > b and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, greater } from "beargrad";
 *
 * console.log(await greater(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [0, 0, 1]
 * ```
 */
export const greater: Comparison = compare("greater");

/**
 * 1 where a >= b and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, greaterEqual } from "beargrad";
 *
 * console.log(await greaterEqual(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [0, 1, 1]
 * ```
 */
export const greaterEqual: Comparison = compare("greaterEqual");

/**
 * 1 where a < b and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, less } from "beargrad";
 *
 * console.log(await less(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [1, 0, 0]
 * ```
 */
export const less: Comparison = compare("less");

/**
 * 1 where a <= b and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, lessEqual } from "beargrad";
 *
 * console.log(await lessEqual(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [1, 1, 0]
 * ```
 */
export const lessEqual: Comparison = compare("lessEqual");

/**
 * 1 where a = b and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, equal } from "beargrad";
 *
 * console.log(await equal(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [0, 1, 0]
 * ```
 */
export const equal: Comparison = compare("equal");

/**
 * 1 where a and b differ and 0 elsewhere, with broadcasting.
 *
 * @throws {ShapeError} if the shapes do not broadcast.
 * @throws {DTypeError} if one is float and the other int32.
 *
 * @example
 * ```ts
 * import { cpu, notEqual } from "beargrad";
 *
 * console.log(await notEqual(cpu().tensor([1, 2, 3]), 2).data()); // Int32Array [1, 0, 1]
 * ```
 */
export const notEqual: Comparison = compare("notEqual");
