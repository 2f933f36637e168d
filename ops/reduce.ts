import { inputCheck } from "../core/checks.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, normalizeAxis, type Shape, sizeOf, stridesOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { gatherForward, scatterAddForward } from "../kernels/gather.ts";
import { cumsumChunks } from "../kernels/cumsum.ts";
import { CHUNK, extremeOfCandidates, extremeOfChunks, sumChunks } from "../kernels/reduce.ts";
import { mul } from "./binary.ts";
import { sample } from "./cases.ts";
import {
  type Rows,
  rowsOver,
  runBroadcast,
  runInverseTranspose,
  runStridedCopy,
  runSum,
} from "./launch.ts";

/** One axis, several, or all where there is none. Negative axes count from the back. */
export type Axes = number | readonly number[];

/** A reduction over some axes, or over all. */
export type Reduce = Op<[x: Tensor, axis?: Axes, keepDims?: boolean], Tensor>;

const REDUCE = { x: "float", axis: "axes?", keepDims: "boolean?" } as const;

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
      `Cannot ${name} over some axes: each must be named once, got [${given.join(", ")}]`,
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
export const sum: Reduce = defineOp({
  name: "sum",
  inputs: REDUCE,
  forward(x: Tensor, axis?: Axes, keepDims = false): { out: Tensor } {
    const { axes, shape } = reduction("sum", x, axis, keepDims);
    const total = runSum("sum", x, axes).view(shape);
    if (total.storage !== x.storage) return { out: total };
    // All summed axes have size 1.
    return { out: runStridedCopy("sum", shape, total, { at: 0, strides: stridesOf(shape) }) };
  },
  backward: (dout, _, [x, axis, keepDims = false]) => [
    () =>
      runBroadcast(
        "sum gradient",
        dout.view(reduction("sum", x, axis, keepDims).keptShape),
        x.shape,
      ),
  ],
  cases: () => [
    { name: "all of (2, 3)", args: (d) => [sample(d, [2, 3], 1)] },
    { name: "the middle of (2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), 1] },
    { name: "the ends of (2, 3, 4), kept", args: (d) => [sample(d, [2, 3, 4], 1), [-1, 0], true] },
    { name: "a scalar", args: (d) => [sample(d, [], 1)] },
  ],
});

const checkMean = inputCheck("mean", REDUCE);

/**
 * The mean over some axes, or over all. With `keepDims` the axes stay, with size 1. The mean of no
 * elements is NaN.
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
  checkMean([x, axis, keepDims]);
  const { axes } = reduction("mean", x, axis, false);
  return mul(sum(x, axis, keepDims), 1 / sizeOf(axes.map((a) => x.shape[a])));
}

/** x seen as rows over `axes`, and where the extreme of each row lies. */
function extremes(name: string, x: Tensor, axes: readonly number[], sign: 1 | -1): Extremes {
  const rows = rowsOver(name, x, axes);
  const { outer, n, inner } = rows;
  if (n === 0) {
    throw new ShapeError(
      `Cannot ${name} a tensor of shape ${formatShape(x.shape)}: ` +
        "there must be an element to choose, got none",
    );
  }
  const chunk = n > 2 * CHUNK ? CHUNK : n;
  const chunks = Math.ceil(n / chunk);
  const { device } = x;
  const candidates = device.empty([outer, chunks, inner], "int32", name);
  device.run(extremeOfChunks, { x: rows.x, index: candidates }, { outer, n, inner, chunk, sign });
  let index = candidates;
  if (chunks > 1) {
    index = device.empty([outer, 1, inner], "int32", name);
    const params = { outer, n, inner, chunks, sign };
    device.run(extremeOfCandidates, { x: rows.x, candidates, index }, params);
  }
  return { ...rows, index };
}

interface Extremes extends Rows {
  readonly index: Tensor;
}

function extreme(name: "max" | "min", sign: 1 | -1): Reduce {
  return defineOp({
    name,
    inputs: REDUCE,
    forward(x: Tensor, axis?: Axes, keepDims = false): { out: Tensor; saved: Extremes } {
      const { axes, shape } = reduction(name, x, axis, keepDims);
      const saved = extremes(name, x, axes, sign);
      const { outer, n, inner, index } = saved;
      const out = x.device.empty(shape, x.dtype, name);
      const params = { outer, V: n, K: 1, inner };
      x.device.run(gatherForward, { x: saved.x, index, out }, params);
      return { out, saved };
    },
    backward: (dout, { outer, n, inner, index, order }, [x]) => [() => { // all to the extreme
      const dx = x.device.empty(order.map((axis) => x.shape[axis]), x.dtype, `${name} gradient`);
      const params = { outer, V: n, K: 1, inner };
      x.device.run(scatterAddForward, { index, values: dout, out: dx }, params);
      return runInverseTranspose(`${name} gradient`, dx, order);
    }],
    cases: () => [
      { name: "all of (2, 3)", args: (d) => [sample(d, [2, 3], 1)] },
      { name: "the middle of (2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), 1] },
      {
        name: "the ends of (2, 3, 4), kept",
        args: (d) => [sample(d, [2, 3, 4], 1), [0, -1], true],
      },
    ],
  });
}

/**
 * The largest over some axes, or over all; NaN if there is one. With `keepDims` the axes stay, with
 * size 1. Among equals the gradient goes to the first.
 *
 * @throws {ShapeError} if x has no such axis, or there is nothing to choose from.
 * @throws {ArgumentError} if an axis is named twice.
 *
 * @example
 * ```ts
 * import { cpu, max } from "beargrad";
 *
 * const x = cpu().tensor([[1, 5, 3], [4, 2, 6]]);
 * console.log(await max(x).item(), await max(x, 0).data()); // 6 [4, 5, 6]
 * ```
 */
export const max: Reduce = extreme("max", 1);

/**
 * The smallest over some axes, or over all; NaN if there is one. With `keepDims` the axes stay,
 * with size 1. Among equals the gradient goes to the first.
 *
 * @throws {ShapeError} if x has no such axis, or there is nothing to choose from.
 * @throws {ArgumentError} if an axis is named twice.
 *
 * @example
 * ```ts
 * import { cpu, min } from "beargrad";
 *
 * const x = cpu().tensor([[1, 5, 3], [4, 2, 6]]);
 * console.log(await min(x).item(), await min(x, 1).data()); // 1 [1, 2]
 * ```
 */
export const min: Reduce = extreme("min", -1);

/** The place of an extreme along an axis. */
export type ArgReduce = Op<[x: Tensor, axis?: number, keepDims?: boolean], Tensor>;

function extremeIndex(name: "argmax" | "argmin", sign: 1 | -1): ArgReduce {
  return defineOp({
    name,
    inputs: { x: "float", axis: "number?", keepDims: "boolean?" },
    forward(x: Tensor, axis = -1, keepDims = false): { out: Tensor } {
      const { axes, shape } = reduction(name, x, axis, keepDims);
      return { out: extremes(name, x, axes, sign).index.view(shape) };
    },
    cases: () => [
      { name: "(3, 4)", args: (d) => [sample(d, [3, 4], 1)] },
      { name: "the middle of (2, 3, 4), kept", args: (d) => [sample(d, [2, 3, 4], 1), 1, true] },
    ],
  });
}

/**
 * Where the largest lies along an axis, default the last, int32. With `keepDims` the axis stays,
 * with size 1. Among equals the lowest index. NaN counts as the largest.
 *
 * @throws {ShapeError} if x has no such axis, or there is nothing to choose from.
 *
 * @example
 * ```ts
 * import { argmax, cpu } from "beargrad";
 *
 * const x = cpu().tensor([[1, 5, 5], [4, 2, 3]]);
 * console.log(await argmax(x).data(), await argmax(x, 0).data()); // [1, 0] [1, 0, 0]
 * ```
 */
export const argmax: ArgReduce = extremeIndex("argmax", 1);

/**
 * Where the smallest lies along an axis, default the last, int32. With `keepDims` the axis stays,
 * with size 1. Among equals the lowest index. NaN counts as the smallest.
 *
 * @throws {ShapeError} if x has no such axis, or there is nothing to choose from.
 *
 * @example
 * ```ts
 * import { argmin, cpu } from "beargrad";
 *
 * console.log(await argmin(cpu().tensor([[1, 5, 1], [4, 2, 3]])).data()); // Int32Array [0, 1]
 * ```
 */
export const argmin: ArgReduce = extremeIndex("argmin", -1);

/**
 * The running sums along an axis, default the last: element k is the sum of x from 0 to k.
 *
 * @throws {ShapeError} if x has no such axis.
 *
 * @example
 * ```ts
 * import { cpu, cumsum } from "beargrad";
 *
 * const x = cpu().tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(await cumsum(x).data()); // [1, 3, 6, 4, 9, 15]
 * ```
 */
export const cumsum: Op<[x: Tensor, axis?: number], Tensor> = defineOp({
  name: "cumsum",
  inputs: { x: "float", axis: "number?" },
  forward: (x: Tensor, axis = -1) => ({ out: runningSums("cumsum", x, axis, 0) }),
  backward: (dout, _, [, axis = -1]) => [ // dx_k = the sum of dout from k on
    () => runningSums("cumsum gradient", dout, axis, 1),
  ],
  cases: () => [
    { name: "(2, 5)", args: (d) => [sample(d, [2, 5], 1)] },
    { name: "the middle of (2, 3, 4)", args: (d) => [sample(d, [2, 3, 4], 1), 1] },
    { name: "(700), three chunks", args: (d) => [sample(d, [700], 1)] },
  ],
});

/** Running sums along an axis, from its end if `reverse` is 1; a long axis is cut into chunks. */
function runningSums(label: string, x: Tensor, axis: number, reverse: 0 | 1): Tensor {
  const along = normalizeAxis("cumsum", x.shape, axis);
  const { outer, n, inner } = rowsOver(label, x, [along]);
  const chunk = n > 2 * CHUNK ? CHUNK : n;
  let running = x;
  if (chunk < n) {
    const totals = x.device.empty([outer, Math.ceil(n / chunk), inner], x.dtype, label);
    x.device.run(sumChunks, { x, out: totals }, { outer, n, inner, chunk });
    running = runningSums(label, totals, 1, reverse);
  }
  const out = x.device.empty(x.shape, x.dtype, label);
  x.device.run(cumsumChunks, { x, running, out }, { outer, n, inner, chunk, reverse });
  return out;
}
