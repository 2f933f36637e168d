import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { pathSumBackward, pathSumForward } from "../kernels/path_sum.ts";
import { sample } from "./cases.ts";

/**
 * Running sums along the rows of each item: x float (N), nodes int32 (N), out (N). The rows of an
 * item follow one another, the first at the root, node 0; element n is the sum of x from that row
 * to row n. For log-probabilities this is the log-probability of a prefix. Rows with a node of -1
 * belong to no item and give 0.
 *
 * @throws {ShapeError} if x and nodes are not both (N).
 *
 * @example
 * ```ts
 * import { cpu, pathSum } from "beargrad";
 *
 * const device = cpu();
 * const nodes = device.tensor(new Int32Array([0, 3, -1, 0])); // items: rows 0 and 1; row 3
 * console.log(await pathSum(device.tensor([1, 2, 4, 8]), nodes).data()); // [1, 3, 0, 8]
 * ```
 */
export const pathSum: Op<[x: Tensor, nodes: Tensor], Tensor> = defineOp({
  name: "pathSum",
  inputs: { x: "float", nodes: "int" },
  forward(x: Tensor, nodes: Tensor): { out: Tensor } {
    if (x.rank !== 1 || !sameShape(x.shape, nodes.shape)) {
      throw new ShapeError(
        `Cannot apply pathSum: x and nodes must be (N), got ${formatShape(x.shape)} and ` +
          formatShape(nodes.shape),
      );
    }
    const out = x.device.empty(x.shape, x.dtype, "pathSum");
    x.device.run(pathSumForward, { x, nodes, out }, { N: x.size });
    return { out };
  },
  backward: (dout, _, [x, nodes]): InputGradients => [
    () => { // dx_n = the sum of dout over the rows of its item from n on
      const dx = x.device.empty(x.shape, x.dtype, "pathSum gradient");
      x.device.run(pathSumBackward, { dout, nodes, dx }, { N: x.size });
      return dx;
    },
    null,
  ],
  cases: () => [{
    name: "items of 3, 1 and 2 rows",
    args: (d) => [
      sample(d, [10], 1),
      d.tensor(Int32Array.from([0, 3, 4, -1, -1, 0, 0, 2, -1, 0])),
    ],
  }],
});
