/**
 * Gradient accumulation: the mean over several batches, which equals the gradient of one large
 * batch.
 *
 * @module
 */
import { perRun } from "../core/capture.ts";
import { ArgumentError, nameOf } from "../core/errors.ts";
import { gradientLeaves, mapTree, type Tree, treeEntries, treeLeaves } from "../core/tree.ts";
import { blend } from "../kernels/accumulate.ts";

/**
 * A running mean of gradients, shaped like the parameters. Its tensors are written in place, as
 * parameters are, so that captured steps find them again. Make it outside arenas and captured
 * steps. It lives until it is disposed.
 *
 * @example
 * ```ts
 * import { cpu, GradientMean } from "beargrad";
 *
 * const device = cpu();
 * const grads = { w: device.tensor([1, 2]) };
 * const mean = new GradientMean(grads);
 * mean.begin(4);
 * for (let batch = 0; batch < 4; batch++) mean.add(grads);
 * console.log(await mean.total.w.data()); // [1, 2]
 * ```
 */
export class GradientMean<P extends Tree> implements Disposable {
  /** The mean so far. */
  readonly total: P;
  #count = 1;
  #added = 0;

  /** Zeros in the shape of the parameters. */
  constructor(params: P) {
    this.total = mapTree(params, (t) => t.device.tensor(new Float64Array(t.size), t.shape));
  }

  /**
   * Starts a mean of `count` gradients.
   *
   * @throws {ArgumentError} if count is not a positive integer.
   */
  begin(count: number): void {
    if (!(Number.isInteger(count) && count >= 1)) {
      throw new ArgumentError(
        `Cannot average gradients: count must be a positive integer, got ${nameOf(count)}`,
      );
    }
    this.#count = count;
    this.#added = 0;
  }

  /**
   * Adds the gradients of one batch. May be part of a captured step.
   *
   * @throws {ShapeError} if the gradients are not shaped like the parameters.
   * @throws {DTypeError} if a gradient is not of the device's float type.
   */
  add(grads: P): void {
    const totals = treeEntries(this.total);
    const leaves = gradientLeaves("average gradients", grads, totals);
    // The factors of the total and of the batch. The first batch replaces the total.
    const mix = perRun(
      leaves[0].device,
      2,
      () => Float64Array.of(this.#added++ === 0 ? 0 : 1, 1 / this.#count),
    );
    leaves.forEach((x, i) => x.device.run(blend, { total: totals[i][1], x, mix }, { n: x.size }));
  }

  /** Frees its memory. */
  dispose(): void {
    for (const tensor of treeLeaves(this.total)) tensor.dispose();
  }

  /** The same as {@link GradientMean.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
