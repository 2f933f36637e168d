import { inputCheck } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { rotate, rotate4 } from "../kernels/rope.ts";
import { indices, sample } from "./cases.ts";

/** What {@link rope} looks angles up in: constants, so no gradient flows to them. */
export interface RopeTable {
  /** (P, D): row p holds D/2 cosines, then D/2 sines, of the angles of position p. */
  readonly angles: Tensor;
}

const checkAngles = inputCheck("rope", { angles: "float" });

/**
 * Rotary position embedding: x (B, T, H, D), positions int32 (B, T), or (T) where all rows share them, each in [0, P);
 * out (B, T, H, D). Channel i < D/2 is rotated together with channel i + D/2, as in Hugging Face's Llama. With
 * `heads` only the first so many heads rotate and the others pass, such as the values behind queries and keys. Su et
 * al., arXiv:2104.09864.
 *
 * @throws {ShapeError} if the sizes do not fit.
 *
 * @example
 * ```ts
 * import { cpu, rope, ropeTable } from "beargrad";
 *
 * const device = cpu();
 * const angles = device.tensor(ropeTable(8, 2, 10000), [8, 2]); // 8 positions, heads of size 2
 * const x = device.tensor([1, 0], [1, 1, 1, 2]);
 * const y = rope(x, { angles }, device.tensor([3], [1], "int32"));
 * console.log(await y.data()); // [cos 3, sin 3]
 * ```
 */
export const rope: Op<
  [x: Tensor, table: RopeTable, positions: Tensor, heads?: number],
  Tensor
> = defineOp({
  name: "rope",
  inputs: { x: "float", table: "record", positions: "int", heads: "number?" },
  forward(x: Tensor, table: RopeTable, positions: Tensor, heads?: number): { out: Tensor } {
    checkAngles([table.angles]);
    return { out: rotated("rope", x, table, positions, heads, 1) };
  },
  backward: (dout, _, [, table, positions, heads]) => [ // a rotation's transpose is its inverse
    () => rotated("rope gradient", dout, table, positions, heads, -1),
    null,
  ],
  cases: () =>
    [{ shape: [3], heads: undefined }, { shape: [2, 3], heads: 2 }].map(({ shape, heads }) => ({
      name: `positions of shape (${shape}), ${heads ?? "all"} of 3 heads`,
      args: (d) => [
        sample(d, [2, 3, 3, 4], 1),
        { angles: sample(d, [5, 4], 2) },
        indices(d, shape, 3, 5),
        heads,
      ],
    })),
});

function rotated(
  label: string,
  x: Tensor,
  { angles }: RopeTable,
  positions: Tensor,
  heads: number | undefined,
  turn: number,
): Tensor {
  const [B, T, H, D] = x.shape;
  const turned = heads ?? H;
  if (x.rank !== 4 || D % 2 !== 0 || angles.rank !== 2 || angles.shape[1] !== D) {
    throw new ShapeError(
      `Cannot apply rope to ${formatShape(x.shape)} with a table of shape ${
        formatShape(angles.shape)
      }: ` +
        `they must be (B, T, H, D) and (P, D) with an even D`,
    );
  }
  if (!sameShape(positions.shape, [T]) && !sameShape(positions.shape, [B, T])) {
    throw new ShapeError(
      `Cannot apply rope to ${formatShape(x.shape)}: positions must be (${T}) or (${B}, ${T}), ` +
        `got ${formatShape(positions.shape)}`,
    );
  }
  if (!Number.isInteger(turned) || turned < 0 || turned > H) {
    throw new ShapeError(
      `Cannot apply rope to ${
        formatShape(x.shape)
      }: heads must be a number of its ${H} heads, got ${turned}`,
    );
  }
  const out = x.device.empty(x.shape, x.dtype, label);
  const params = { N: B * T, H, turned, D, period: positions.size, rows: angles.shape[0], turn };
  const kernel = D % 8 === 0 ? rotate4 : rotate;
  x.device.run(kernel, { x, table: angles, positions, out }, params);
  return out;
}
