/**
 * AdamW over a tree of parameters. Apart from the total of a `Meter` this is the one place where tensors are written in
 * place: parameters and moments keep their memory from step to step, so that a captured step finds them again.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { mapTree, type Tree, treeEntries, treeLeaves } from "../core/tree.ts";
import { adamwUpdate, adamwUpdate4, clipScale, sumSquares, sumSquares4 } from "../kernels/adamw.ts";

/** How {@link AdamW} is set. */
export interface AdamWOptions {
  /** How much of the first and second moment a step keeps; [0.9, 0.999] unless told. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8 unless told. */
  readonly eps?: number;
  /** The share of a weight that a step takes off, times the learning rate; 0.01 unless told. */
  readonly weightDecay?: number;
  /** The largest global norm of the gradients; longer ones are scaled down to it. Unlimited unless told. */
  readonly clipNorm?: number;
  /** Which parameters decay; those of rank 2 and more unless told, so neither norms nor biases. */
  readonly decays?: (path: string, tensor: Tensor) => boolean;
}

const BETAS = [0.9, 0.999] as const;
/** Elements in a chunk of the sum of squares, for up to `MOST_CHUNKS` chunks; more elements make the chunks longer. */
const CHUNK = 256;
const MOST_CHUNKS = 4096;
/** A norm that no float32 gradient exceeds. */
const NO_CLIP = 3e38;

interface Slot {
  readonly path: string;
  readonly param: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
  readonly decay: number;
  /** Where its sums of squares begin among those of all. */
  readonly at: number;
}

/**
 * AdamW with decoupled weight decay and clipping by the global norm (Loshchilov and Hutter, arXiv:1711.05101):
 *
 *     m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
 *     param -= rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay param)
 *
 * with g = min(1, clipNorm / norm) grad. It holds no step count: what changes from step to step comes in through
 * `hyper`, so `update` works eagerly and inside `capture` alike. Make it outside every arena: its moments live as long
 * as the parameters.
 *
 * @throws {ArgumentError} if a setting is outside its domain.
 *
 * @example
 * ```ts
 * import { AdamW, cpu, hyperOf, square, sum, valueAndGrad } from "beargrad";
 *
 * const device = cpu();
 * const params = { w: device.tensor([3, -2]) };
 * const optimizer = new AdamW(params, { weightDecay: 0 });
 * const loss = valueAndGrad((p: typeof params) => sum(square(p.w)));
 * for (let step = 1; step <= 100; step++) {
 *   using scope = device.arena();
 *   optimizer.update(loss(params).grads, device.tensor(hyperOf(step, 0.1)));
 * }
 * console.log(await params.w.data()); // close to [0, 0]
 * ```
 */
export class AdamW<P extends Tree> implements Disposable {
  /** The first moments, m; zero at first. */
  readonly first: P;
  /** The second moments, v; zero at first. */
  readonly second: P;
  readonly #device: Device;
  readonly #slots: readonly Slot[];
  readonly #chunk: number;
  readonly #sums: number;
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #clip: number;

  /** Zeroes the moments of `params`, which must be on one device. */
  constructor(params: P, options: AdamWOptions = {}) {
    const entries = treeEntries(params);
    const { betas = BETAS, eps = 1e-8, weightDecay = 0.01, clipNorm = NO_CLIP } = options;
    const { decays = (_path, tensor): boolean => tensor.rank >= 2 } = options;
    require(entries.length > 0, "there must be a parameter", "none");
    require(betas.every((b) => b >= 0 && b < 1), "betas must be in [0, 1)", betas.join(" and "));
    require(eps > 0, "eps must be above 0", eps);
    require(weightDecay >= 0, "weightDecay must be at least 0", weightDecay);
    require(clipNorm > 0, "clipNorm must be above 0", clipNorm);
    this.#betas = betas;
    this.#eps = eps;
    this.#clip = Math.min(clipNorm, NO_CLIP);
    this.#device = entries[0][1].device;
    const zeros = (t: Tensor): Tensor => t.device.tensor(new Float64Array(t.size), t.shape);
    this.first = mapTree(params, zeros);
    this.second = mapTree(params, zeros);

    const total = entries.reduce((n, [, t]) => n + t.size, 0);
    this.#chunk = CHUNK * Math.ceil(total / (CHUNK * MOST_CHUNKS));
    const firsts = treeLeaves(this.first);
    const seconds = treeLeaves(this.second);
    let at = 0;
    this.#slots = entries.map(([path, param], i) => {
      const decay = decays(path, param) ? weightDecay : 0;
      const slot = { path, param, first: firsts[i], second: seconds[i], decay, at };
      at += Math.ceil(param.size / this.#chunk);
      return slot;
    });
    this.#sums = at;
  }

  /**
   * One step: overwrites the parameters and the moments. `grads` is shaped like the parameters; `hyper` is a float
   * tensor (3) made of {@link hyperOf}. Returns the global norm of the gradients before clipping, a scalar.
   *
   * @throws {ShapeError} if the gradients are not shaped like the parameters, or `hyper` is not of shape (3).
   */
  update(grads: P, hyper: Tensor): { norm: Tensor } {
    const leaves = this.#check(grads, hyper);
    const device = this.#device;
    const sums = device.empty([this.#sums], device.float, "gradient norm");
    const norm = device.empty([], device.float, "gradient norm");
    const scale = device.empty([], device.float, "gradient norm");
    this.#slots.forEach(({ at }, i) => {
      const grad = leaves[i];
      const kernel = grad.size % 4 === 0 ? sumSquares4 : sumSquares;
      device.run(kernel, { grad, sums }, { N: grad.size, chunk: this.#chunk, at });
    });
    device.run(clipScale, { sums, norm, scale }, { M: this.#sums, clip: this.#clip });
    const [beta1, beta2] = this.#betas;
    const settings = {
      keep1: beta1,
      take1: 1 - beta1,
      keep2: beta2,
      take2: 1 - beta2,
      eps: this.#eps,
    };
    this.#slots.forEach(({ param, first, second, decay }, i) => {
      const kernel = param.size % 4 === 0 ? adamwUpdate4 : adamwUpdate;
      device.run(
        kernel,
        { param, first, second, grad: leaves[i], hyper, scale },
        { N: param.size, ...settings, decay },
      );
    });
    return { norm };
  }

  /** Gives the memory of the moments back; the parameters are left alone. */
  dispose(): void {
    for (const moment of [...treeLeaves(this.first), ...treeLeaves(this.second)]) moment.dispose();
  }

  /** The same as {@link AdamW.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(grads: P, hyper: Tensor): Tensor[] {
    if (!sameShape(hyper.shape, [3])) {
      throw new ShapeError(
        `Cannot update parameters by AdamW: hyper must be of shape (3), got ${
          formatShape(hyper.shape)
        }`,
      );
    }
    const entries = treeEntries(grads);
    this.#slots.forEach(({ path, param }, i) => {
      const [name, grad] = entries[i] ?? [];
      if (name !== path || grad === undefined || !sameShape(grad.shape, param.shape)) {
        throw new ShapeError(
          `Cannot update parameters by AdamW: the gradient of ${path} must be of shape ` +
            `${formatShape(param.shape)}, got ${
              grad ? `${name} ${formatShape(grad.shape)}` : "none"
            }`,
        );
      }
    });
    return entries.map(([, grad]) => grad);
  }
}

/**
 * What an AdamW step is told, (3): [rate, 1 - beta1^step, 1 - beta2^step], with `step` counted from 1 and the betas of the
 * optimiser.
 *
 * @throws {ArgumentError} if `step` is not an integer of at least 1, or `rate` is not a number.
 *
 * @example
 * ```ts
 * import { hyperOf } from "beargrad";
 *
 * console.log(hyperOf(1, 0.01, [0.9, 0.98])); // Float64Array [0.01, 0.1, 0.02]
 * ```
 */
export function hyperOf(
  step: number,
  rate: number,
  betas: readonly [number, number] = BETAS,
): Float64Array {
  require(Number.isInteger(step) && step >= 1, "step must be an integer of at least 1", step);
  require(Number.isFinite(rate), "rate must be a number", rate);
  return Float64Array.of(rate, 1 - betas[0] ** step, 1 - betas[1] ** step);
}

function require(holds: boolean, what: string, actual: number | string): void {
  if (!holds) throw new ArgumentError(`Cannot set AdamW: ${what}, got ${actual}`);
}
