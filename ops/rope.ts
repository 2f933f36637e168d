import { inputCheck } from "../core/checks.ts";
import { ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { pick } from "../kernels/pick.ts";
import { rotate } from "../kernels/rope.ts";
import { indices, sample } from "./cases.ts";

/** The angles of {@link rope}: constants, so no gradient flows to them. */
export interface RopeTable {
  /** (P, D): row p holds D/2 cosines, then D/2 sines, of the angles of position p. */
  readonly angles: Tensor;
}

const checkAngles = inputCheck("rope", { angles: "float" });

/**
 * Rotary position embedding: x (B, T, H, D), out (B, T, H, D). Positions are int32 (B, T), or (T)
 * if all rows share them, each in [0, P). Channel i < D/2 rotates together with channel i + D/2, as
 * in Hugging Face's Llama. Only the first `heads` heads rotate, default all; the others are copied,
 * such as the values after queries and keys. Su et al., arXiv:2104.09864.
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

/** x rotated by its positions; back if `turn` is -1. */
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
  const action = `Cannot apply rope to ${formatShape(x.shape)}`;
  if (x.rank !== 4 || D % 2 !== 0 || angles.rank !== 2 || angles.shape[1] !== D) {
    throw new ShapeError(
      `${action}: it must be (B, T, H, D) with an even D, and the table (P, D), ` +
        `got a table of shape ${formatShape(angles.shape)}`,
    );
  }
  if (!sameShape(positions.shape, [T]) && !sameShape(positions.shape, [B, T])) {
    throw new ShapeError(
      `${action}: positions must be (${T}) or (${B}, ${T}), got ${formatShape(positions.shape)}`,
    );
  }
  if (!Number.isInteger(turned) || turned < 0 || turned > H) {
    throw new ShapeError(`${action}: heads must be an integer from 0 to ${H}, got ${turned}`);
  }
  const out = x.device.empty(x.shape, x.dtype, label);
  const params = { N: B * T, H, turned, D, period: positions.size, rows: angles.shape[0], turn };
  x.device.run(pick(rotate, D / 2), { x, table: angles, positions, out }, params);
  return out;
}
