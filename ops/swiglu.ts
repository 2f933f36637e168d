import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { pick } from "../kernels/pick.ts";
import { swigluBackward, swigluForward } from "../kernels/swiglu.ts";
import { sample } from "./cases.ts";

/**
 * SwiGLU, `silu(gate) up`: x (..., 2 F), out (..., F). Each row of x has F gates and then F ups, as
 * one matrix product gives them. Shazeer, arXiv:2002.05202.
 *
 * @throws {ShapeError} if the size of the last axis is odd.
 *
 * @example
 * ```ts
 * import { cpu, swiglu } from "beargrad";
 *
 * // Gates 0 and 1, ups 2 and 2:
 * console.log(await swiglu(cpu().tensor([0, 1, 2, 2])).data()); // [0, 1.462]
 * ```
 */
export const swiglu: Op<[x: Tensor], Tensor> = defineOp({
  name: "swiglu",
  inputs: { x: "float" },
  forward(x: Tensor): { out: Tensor } {
    const params = rows(x);
    const out = x.device.empty([...x.shape.slice(0, -1), params.F], x.dtype, "swiglu");
    x.device.run(pick(swigluForward, params.F), { x, out }, params);
    return { out };
  },
  backward: (dout, _, [x]) => [() => { // dgate = dout up s (1 + gate (1 - s)), dup = dout gate s
    const params = rows(x);
    const dx = x.device.empty(x.shape, x.dtype, "swiglu gradient");
    x.device.run(pick(swigluBackward, params.F), { dout, x, dx }, params);
    return dx;
  }],
  cases: () => [
    { name: "(2, 3, 8)", args: (d) => [sample(d, [2, 3, 8], 1, -3, 3)] },
    { name: "(10)", args: (d) => [sample(d, [10], 1, -3, 3)] },
  ],
});

/** Rows, and gates in each. */
function rows(x: Tensor): { N: number; F: number } {
  const width = x.shape.at(-1) ?? 1;
  if (width % 2 !== 0) {
    throw new ShapeError(
      `Cannot apply swiglu to ${formatShape(x.shape)}: the size of the last axis must be even`,
    );
  }
  return { N: sizeOf(x.shape.slice(0, -1)), F: width / 2 };
}
