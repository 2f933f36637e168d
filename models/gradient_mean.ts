/**
 * The mean of the gradients of several batches, which stands for that of one large batch.
 *
 * @module
 */
import { mapTree, type Tree, treeLeaves } from "../core/tree.ts";
import { ArgumentError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { blend } from "../kernels/accumulate.ts";

/**
 * A running mean of gradients, shaped like the parameters. Its tensors are written in place, as parameters are, so that
 * captured steps find them again. Make it outside arenas and captured steps; it lives until disposed.
 *
 * @example
 * ```ts
 * import { cpu, GradientMean, mixOf } from "beargrad";
 *
 * const device = cpu();
 * const grads = { w: device.tensor([1, 2]) };
 * const mean = new GradientMean(grads);
 * for (let batch = 0; batch < 4; batch++) mean.add(grads, device.tensor(mixOf(batch, 4)));
 * console.log(await mean.total.w.data()); // [1, 2]
 * ```
 */
export class GradientMean<P extends Tree> implements Disposable {
  /** The mean so far. */
  readonly total: P;

  /** Zeros in the shape of the parameters. */
  constructor(params: P) {
    this.total = mapTree(params, (t) => t.device.tensor(new Float64Array(t.size), t.shape));
  }

  /** Adds the gradients of a batch; `mix` is a float tensor (2) made of {@link mixOf}. May be part of a captured step. */
  add(grads: P, mix: Tensor): void {
    const totals = treeLeaves(this.total);
    treeLeaves(grads).forEach((x, i) => {
      x.device.run(blend, { total: totals[i], x, mix }, { n: x.size });
    });
  }

  /** Gives its memory back. */
  [Symbol.dispose](): void {
    for (const tensor of treeLeaves(this.total)) tensor.dispose();
  }
}

/**
 * What {@link GradientMean.add} is told of batch number `index` of `count`, (2): the share of the total that stays, and that of
 * the batch. The first batch begins anew.
 *
 * @throws {ArgumentError} if `index` is not one of the `count`.
 */
export function mixOf(index: number, count: number): Float64Array {
  if (!(Number.isInteger(index) && Number.isInteger(count) && index >= 0 && index < count)) {
    throw new ArgumentError(
      `Cannot add to a mean of ${count} gradients: the index must be from 0 to ${
        count - 1
      }, got ${index}`,
    );
  }
  return Float64Array.of(index === 0 ? 0 : 1, 1 / count);
}
