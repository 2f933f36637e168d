import { ArgumentError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sizeOf, stridesOf } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { topKForward } from "../kernels/top_k.ts";
import { sample } from "./cases.ts";
import { runScatterAdd, runStridedCopy } from "./launch.ts";

/** What {@link topK} returns, each (..., k). */
export interface TopK {
  /** Both, by name. */
  readonly [name: string]: Tensor;
  /** The values, largest first. */
  readonly values: Tensor;
  /** Where they are, int32. */
  readonly indices: Tensor;
}

function largest(action: string, x: Tensor, k: number): TopK {
  const V = x.shape.at(-1) ?? 0;
  if (!Number.isInteger(k) || k < 1 || k > V) {
    throw new ArgumentError(
      `Cannot take the ${action} ${k} of a tensor of shape ${formatShape(x.shape)}: ` +
        `k must be an integer from 1 to ${V}, got ${k}`,
    );
  }
  const shape = [...x.shape.slice(0, -1), k];
  const values = x.device.empty(shape, x.device.float, "topK");
  const indices = x.device.empty(shape, "int32", "topK");
  x.device.run(topKForward, { x, values, indices }, { N: sizeOf(shape) / k, V, k });
  return { values, indices };
}

/**
 * The k largest along the last axis, in descending order, and where they are: x (..., V), values
 * and indices (..., k). Among equals the lower index comes first; NaN counts as the largest.
 * Gradients flow back through the values.
 *
 * @throws {ArgumentError} if k is not an integer from 1 to V.
 *
 * @example
 * ```ts
 * import { cpu, topK } from "beargrad";
 *
 * const { values, indices } = topK(cpu().tensor([3, 9, 5, 9]), 3);
 * console.log(await values.data(), await indices.data()); // [9, 9, 5] [1, 3, 2]
 * ```
 */
export const topK: Op<[x: Tensor, k: number], TopK> = defineOp({
  name: "topK",
  inputs: { x: "float", k: "number" },
  forward(x: Tensor, k: number): { out: TopK; saved: Tensor } {
    const out = largest("top", x, k);
    return { out, saved: out.indices };
  },
  backward(dout, indices, [x]): InputGradients {
    const { values } = dout;
    if (values === undefined) return [null];
    return [() => runScatterAdd("topK gradient", indices, values, x.shape.at(-1) ?? 1)];
  },
  cases: () => [
    { name: "2 of (3, 5)", args: (d) => [sample(d, [3, 5], 1), 2] },
    { name: "all of (4)", args: (d) => [sample(d, [4], 2), 4] },
  ],
});

/**
 * The k-th largest along the last axis: x (..., V), out (...). k = 1 is the maximum. The gradient
 * flows to the element that {@link topK} would put last.
 *
 * @throws {ArgumentError} if k is not an integer from 1 to V.
 *
 * @example
 * ```ts
 * import { cpu, kthLargest } from "beargrad";
 *
 * console.log(await kthLargest(cpu().tensor([3, 9, 5, 9]), 3).item()); // 5
 * ```
 */
export const kthLargest: Op<[x: Tensor, k: number], Tensor> = defineOp({
  name: "kthLargest",
  inputs: { x: "float", k: "number" },
  forward(x: Tensor, k: number): { out: Tensor; saved: Tensor } {
    const { values, indices } = largest("k-th largest with k =", x, k);
    return { out: lastOf(values), saved: lastOf(indices) };
  },
  backward: (dout, index, [x]) => [() => { // a one in the place of the k-th largest
    const column = [...dout.shape, 1];
    const V = x.shape.at(-1) ?? 1;
    return runScatterAdd("kthLargest gradient", index.view(column), dout.view(column), V);
  }],
  cases: () => [
    { name: "the 2nd of (3, 5)", args: (d) => [sample(d, [3, 5], 1), 2] },
    { name: "the 1st of (4)", args: (d) => [sample(d, [4], 2), 1] },
  ],
});

/** The last element of each row: (..., k) to (...). */
function lastOf(x: Tensor): Tensor {
  const k = x.shape.at(-1) ?? 1;
  const shape = x.shape.slice(0, -1);
  return runStridedCopy("kthLargest", shape, x, {
    at: k - 1,
    strides: stridesOf(x.shape).slice(0, -1),
  });
}
