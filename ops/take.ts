import { DTypeError, ShapeError } from "../core/errors.ts";
import { defineOp, type Op } from "../core/op.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { sumRows, takeForward, takeHalf } from "../kernels/index_rows.ts";
import { pick } from "../kernels/pick.ts";
import { indices, sample } from "./cases.ts";
import { rowOrder } from "./row_order.ts";

/**
 * Rows of a table by their ids, also called embedding lookup: table (V, C), ids int32 of any shape,
 * out (..., C) with `out[..., :] = table[ids[...], :]`. Ids must be in [0, V); one outside takes
 * the nearest row.
 *
 * The table may be float16 if C is a multiple of 4; then it has no gradient.
 *
 * @throws {ShapeError} if the table does not have two axes, or has no rows and there are ids.
 * @throws {DTypeError} if the ids are not int32, or the table is float16 and C not a multiple of 4.
 *
 * @example
 * ```ts
 * import { cpu, take } from "beargrad";
 *
 * const device = cpu();
 * const table = device.tensor([[1, 2], [3, 4]]);
 * const ids = device.tensor([1, 0, 1], [3], "int32");
 * console.log(await take(table, ids).data()); // [3, 4, 1, 2, 3, 4]
 * ```
 */
export const take: Op<[table: Tensor, ids: Tensor], Tensor> = defineOp({
  name: "take",
  inputs: { table: "weights", ids: "int" },
  forward(table: Tensor, ids: Tensor): { out: Tensor } {
    if (table.rank !== 2) {
      throw new ShapeError(
        `Cannot take rows of a table ${formatShape(table.shape)}: it must have two axes, ` +
          `got ${table.rank}`,
      );
    }
    const [V, C] = table.shape;
    if (V === 0 && ids.size > 0) {
      throw new ShapeError(
        `Cannot take rows of a table ${formatShape(table.shape)}: ` +
          "there must be a row to take, got none",
      );
    }
    if (table.dtype === "float16" && C % 4 !== 0) {
      throw new DTypeError(
        `Cannot take rows of a float16 table ${formatShape(table.shape)}: ` +
          `their size must be a multiple of 4, got ${C}`,
      );
    }
    const { device } = table;
    const out = device.empty([...ids.shape, C], device.float, "take");
    const kernel = table.dtype === "float16" ? takeHalf : pick(takeForward, C);
    device.run(kernel, { table, ids, out }, { N: ids.size, V, C });
    return { out };
  },
  backward: (dout, _, [table, ids]) => [
    () => { // dtable[v] = sum of dout[n] over the n with ids_n = v, in the order of n
      const { device } = table;
      const [V, C] = table.shape;
      const N = ids.size;
      const order = rowOrder(ids, V, "take gradient");
      const dtable = device.empty(table.shape, table.dtype, "take gradient");
      device.run(pick(sumRows, C), { x: dout, ids, order, out: dtable }, { N, V, C });
      return dtable;
    },
    null,
  ],
  cases: () => [
    { name: "(5, 3) by (2, 4)", args: (d) => [sample(d, [5, 3], 1), indices(d, [2, 4], 2, 5)] },
    { name: "(7, 4) by (300)", args: (d) => [sample(d, [7, 4], 1), indices(d, [300], 2, 7)] },
    { name: "(3, 4) by ()", args: (d) => [sample(d, [3, 4], 1), indices(d, [], 2, 3)] },
  ],
});
