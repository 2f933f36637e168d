import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  swigluBackward,
  swigluBackward4,
  swigluForward,
  swigluForward4,
} from "../kernels/swiglu.ts";
import { sample } from "./cases.ts";

/**
 * SwiGLU, `silu(gate) up`: two tensors of one shape. Shazeer, arXiv:2002.05202.
 *
 * @throws {ShapeError} if the shapes differ.
 *
 * @example
 * ```ts
 * import { cpu, swiglu } from "beargrad";
 *
 * const device = cpu();
 * console.log(await swiglu(device.tensor([0, 1]), device.tensor([2, 2])).data()); // [0, 1.462]
 * ```
 */
export const swiglu: Op<[gate: Tensor, up: Tensor], Tensor> = defineOp({
  name: "swiglu",
  forward(gate: Tensor, up: Tensor): { out: Tensor } {
    if (!sameShape(gate.shape, up.shape)) {
      throw new ShapeError(
        `Cannot swiglu ${formatShape(gate.shape)} and ${
          formatShape(up.shape)
        }: shapes must be equal`,
      );
    }
    const { device, size: n } = gate;
    const out = device.empty(gate.shape, gate.dtype, "swiglu");
    if (n % 4 === 0) device.run(swigluForward4, { gate, up, out }, { n });
    else device.run(swigluForward, { gate, up, out }, { n });
    return { out };
  },
  backward(dout, _, [gate, up]): InputGradients { // one kernel, both gradients
    const { device, size: n } = gate;
    const [dgate, dup] = [0, 1].map(() => device.empty(gate.shape, gate.dtype, "swiglu gradient"));
    const buffers = { dout, gate, up, dgate, dup };
    if (n % 4 === 0) device.run(swigluBackward4, buffers, { n });
    else device.run(swigluBackward, buffers, { n });
    return [
      () => dgate, // dout up s (1 + gate (1 - s))
      () => dup, // dout gate s
    ];
  },
  cases: () => [
    { name: "(2, 4)", args: (d) => [sample(d, [2, 4], 1, -3, 3), sample(d, [2, 4], 2)] },
    { name: "(5)", args: (d) => [sample(d, [5], 1, -3, 3), sample(d, [5], 2)] },
  ],
});
