import { checkOptions } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import type { InputGradients } from "../core/tape.ts";
import type { Tensor } from "../core/tensor.ts";
import { runMatmul } from "../kernels/matmul.ts";
import { sample } from "./cases.ts";
import { runFill, runTranspose, unbroadcast } from "./launch.ts";

/** Which operands of {@link matmul} to transpose: to exchange their last two axes. */
export interface MatmulOptions {
  /** Whether to use the transpose of a; default false. */
  readonly transposeA?: boolean;
  /** Whether to use the transpose of b; default false. */
  readonly transposeB?: boolean;
}

/**
 * Matrix product: a (..., M, K) by b (..., K, N) is (..., M, N). The leading axes are the same, or
 * one operand has none and is used for all matrices of the other. b may be float16; the product is
 * a float tensor. On webgpu an element is summed in sequence, which loses digits as K grows: with a
 * K of 100,000 or more sum parts of it.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { cpu, matmul } from "beargrad";
 *
 * const device = cpu();
 * const a = device.tensor([[1, 2], [3, 4]]);
 * console.log(await matmul(a, a, { transposeB: true }).data()); // [5, 11, 11, 25]
 * ```
 */
export const matmul: Op<[a: Tensor, b: Tensor, options?: MatmulOptions], Tensor> = defineOp({
  name: "matmul",
  inputs: { a: "float", b: "weights" },
  forward(a: Tensor, b: Tensor, options: MatmulOptions = {}): { out: Tensor } {
    checkOptions("apply matmul", options, ["transposeA", "transposeB"]);
    return { out: product(a, b, options) };
  },
  backward(dout, _, [a, b, { transposeA = false, transposeB = false } = {}]): InputGradients {
    const rows = (x: Tensor): Tensor => b.rank === 2 && !transposeA ? flat(x) : x;
    return [ // of A and B after their transposes: dA = dout B^T, dB = A^T dout
      () => {
        if (!transposeA) return unbroadcast(product(dout, b, { transposeB: !transposeB }), a.shape);
        const da = b.dtype === "float16" // which only the second operand may be
          ? swapped(product(dout, b, { transposeB: !transposeB }))
          : product(b, dout, { transposeA: transposeB, transposeB: true });
        return unbroadcast(da, a.shape);
      },
      () => {
        const db = transposeB
          ? product(rows(dout), rows(a), { transposeA: true, transposeB: transposeA })
          : product(rows(a), rows(dout), { transposeA: !transposeA });
        return unbroadcast(db, b.shape);
      },
    ];
  },
  cases: () =>
    [false, true].flatMap((transposeA) =>
      [false, true].flatMap((transposeB) =>
        [[[], []], [[2], []], [[], [2]], [[2, 2], [2, 2]]].map(([aLead, bLead]) => ({
          name: `a${transposeA ? " transposed" : ""} with ${aLead.length} leading axes, ` +
            `b${transposeB ? " transposed" : ""} with ${bLead.length}`,
          args: (d) => [
            sample(d, [...aLead, ...(transposeA ? [4, 3] : [3, 4])], 1),
            sample(d, [...bLead, ...(transposeB ? [5, 4] : [4, 5])], 2),
            { transposeA, transposeB },
          ],
        }))
      )
    ),
});

/**
 * A linear layer without bias, `x w^T`: x (..., in), w (out, in), out (..., out). Weights have the
 * layout of PyTorch and Hugging Face. They may be float16.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { cpu, linear } from "beargrad";
 *
 * const device = cpu();
 * const y = linear(device.tensor([1, 2]), device.tensor([[1, 1], [0, 1], [1, 0]]));
 * console.log(await y.data()); // [3, 2, 1]
 * ```
 */
export const linear: Op<[x: Tensor, w: Tensor], Tensor> = defineOp({
  name: "linear",
  inputs: { x: "float", w: "weights" },
  forward(x: Tensor, w: Tensor): { out: Tensor } {
    if (x.rank === 0 || w.rank !== 2 || x.shape.at(-1) !== w.shape[1]) {
      throw new ShapeError(
        `Cannot apply linear to ${formatShape(x.shape)}: ` +
          `weights must be (out, ${x.shape.at(-1) ?? "in"}), got ${formatShape(w.shape)}`,
      );
    }
    const out = product(flat(x), w, { transposeB: true });
    return { out: out.view([...x.shape.slice(0, -1), w.shape[0]]) };
  },
  backward: (dout, _, [x, w]) => [
    () => product(flat(dout), w).view(x.shape), // dx = dout w
    () => product(flat(dout), flat(x), { transposeA: true }), // dw = dout^T x
  ],
  cases: () => [
    { name: "(2, 3, 4) by (5, 4)", args: (d) => [sample(d, [2, 3, 4], 1), sample(d, [5, 4], 2)] },
    { name: "(3) by (2, 3)", args: (d) => [sample(d, [3], 1), sample(d, [2, 3], 2)] },
  ],
});

/** x with its last two axes exchanged. */
function swapped(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return runTranspose("matmul gradient", x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** x as a matrix, with its leading axes as rows. */
function flat(x: Tensor): Tensor {
  return x.view([sizeOf(x.shape.slice(0, -1)), x.shape.at(-1) as number]);
}

/** a b. */
function product(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  const action = `Cannot multiply ${formatShape(a.shape)} by ${formatShape(b.shape)}`;
  if (a.rank < 2 || b.rank < 2) {
    throw new ShapeError(`${action}: each must have two axes or more, got ${a.rank} and ${b.rank}`);
  }
  const [sharedA, sharedB] = [a.rank === 2, b.rank === 2];
  const lead = (sharedA ? b : a).shape.slice(0, -2);
  if (!sharedA && !sharedB && !sameShape(lead, b.shape.slice(0, -2))) {
    throw new ShapeError(`${action}: leading axes must match, or one operand must have none`);
  }
  const [M, K] = lastTwo(a, transposeA);
  const [inner, N] = lastTwo(b, transposeB);
  if (K !== inner) {
    throw new ShapeError(`${action}: inner sizes must match, got ${K} and ${inner}`);
  }
  if (K === 0) return runFill(a.device, [...lead, M, N], 0); // empty sums
  const out = a.device.empty([...lead, M, N], a.dtype, "matmul");
  const batch = sizeOf(lead);
  const form = { transposeA, transposeB, sharedA, sharedB };
  runMatmul(
    a.device,
    { a, b, out },
    sharedB && !transposeA // the batch is one matrix with more rows
      ? { batch: 1, M: batch * M, N, K, ...form }
      : { batch, M, N, K, ...form },
  );
  return out;
}

/** The sizes of the last two axes, after the transpose. */
function lastTwo({ shape, rank }: Tensor, transposed: boolean): readonly [number, number] {
  const [rows, columns] = [shape[rank - 2], shape[rank - 1]];
  return transposed ? [columns, rows] : [rows, columns];
}
