/**
 * AdamW over a tree of parameters. Parameters and moments are written in place: they keep their
 * memory from step to step, so that a captured step finds them again. All parameters are packed
 * into one memory, and so are the moments and the gradients: a step is three launches, however many
 * parameters there are.
 *
 * @module
 */
import { perRun } from "../core/capture.ts";
import { checkOptions, inputCheck } from "../core/checks.ts";
import { ArgumentError, nameOf, ShapeError } from "../core/errors.ts";
import type { ParamValues } from "../core/kernel.ts";
import { collect, pack, packedSize } from "../core/pack.ts";
import { formatShape } from "../core/shape.ts";
import { type Device, Tensor } from "../core/tensor.ts";
import { gradientLeaves, mapTree, type Tree, treeEntries, treeLeaves } from "../core/tree.ts";
import { adamwUpdate, clipScale, sumSquares } from "../kernels/adamw.ts";
import { scalar } from "../ops/launch.ts";

/** Options of {@link AdamW}. */
export interface AdamWOptions {
  /** The decay of the first and the second moment. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment. Default 1e-8. */
  readonly eps?: number;
  /** A step subtracts this share of a weight, times the learning rate. Default 0.01. */
  readonly weightDecay?: number;
  /**
   * The largest global norm of the gradients. Longer ones are scaled down to it. Default no limit.
   */
  readonly clipNorm?: number;
  /** Which parameters decay. Default those of rank 2 and above, so neither norms nor biases. */
  readonly decays?: (path: string, tensor: Tensor) => boolean;
}

const BETAS = [0.9, 0.999] as const;
/**
 * Elements in a chunk of the sum of squares, for up to `MOST_CHUNKS` chunks. More elements make
 * longer chunks.
 */
const CHUNK = 256;
const MOST_CHUNKS = 4096;
/** A norm that no float32 gradient exceeds. */
const NO_CLIP = 3e38;

/**
 * AdamW with decoupled weight decay and clipping by the global norm (Loshchilov and Hutter,
 * arXiv:1711.05101):
 *
 *     m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
 *     param -= lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + decay param)
 *
 * with g = min(1, clipNorm / norm) grad. It works eagerly and inside `capture`. Its state is `m`,
 * `v` and `steps`, which a checkpoint must hold beside the parameters. Make it outside arenas and
 * captured steps: its moments live as long as the parameters.
 *
 * The constructor moves the parameters: they stay the same tensors with the same elements, but lie
 * in one memory, which is freed when all of them and the optimiser are disposed. A parameter
 * belongs to one optimiser at a time: another one takes it over, and the first then throws. On
 * webgpu all parameters together must fit one buffer of the adapter.
 *
 * @throws {ArgumentError} if a setting is outside its domain, or two parameters share memory.
 * @throws {CaptureError} inside a captured step.
 * @throws {DeviceError} if the parameters do not fit one buffer.
 *
 * @example
 * ```ts
 * import { AdamW, cpu, square, sum, valueAndGrad } from "beargrad";
 *
 * const device = cpu();
 * const params = { w: device.tensor([3, -2]) };
 * const optimizer = new AdamW(params, { weightDecay: 0 });
 * const loss = valueAndGrad((p: typeof params) => sum(square(p.w)));
 * for (let step = 1; step <= 100; step++) {
 *   using scope = device.arena();
 *   optimizer.step(loss(params).grads, 0.1);
 * }
 * console.log(await params.w.data()); // close to [0, 0]
 * ```
 */
export class AdamW<P extends Tree> implements Disposable {
  /** The first moments, zero at first. */
  readonly m: P;
  /** The second moments, zero at first. */
  readonly v: P;
  /** Steps taken. A checkpoint sets it. */
  steps = 0;
  readonly #device: Device;
  readonly #entries: readonly (readonly [path: string, param: Tensor])[];
  /** The order in which parameters are packed: those that decay first. */
  readonly #order: readonly number[];
  readonly #param: Tensor;
  readonly #ms: Tensor;
  readonly #vs: Tensor;
  readonly #betas: readonly [number, number];
  readonly #settings: Omit<ParamValues<typeof adamwUpdate.params>, "N">;
  readonly #clip: number;

  /** Starts with moments of zero. `params` must be on one device. */
  constructor(params: P, options: AdamWOptions = {}) {
    const known = ["betas", "eps", "weightDecay", "clipNorm", "decays"] as const;
    checkOptions("make AdamW", options, known);
    const entries = treeEntries(params);
    const { betas = BETAS, eps = 1e-8, weightDecay = 0.01, clipNorm = NO_CLIP } = options;
    const { decays = (_path, tensor): boolean => tensor.rank >= 2 } = options;
    ensure(entries.length > 0, "there must be a parameter", 0);
    const pair = Array.isArray(betas) && betas.length === 2;
    ensure(pair, "betas must be an array of two numbers", betas);
    for (const beta of betas) {
      ensure(Number.isFinite(beta) && beta >= 0 && beta < 1, "betas must be in [0, 1)", beta);
    }
    ensure(Number.isFinite(eps) && eps > 0, "eps must be finite and above 0", eps);
    ensure(
      Number.isFinite(weightDecay) && weightDecay >= 0,
      "weightDecay must be finite and at least 0",
      weightDecay,
    );
    ensure(typeof clipNorm === "number" && clipNorm > 0, "clipNorm must be above 0", clipNorm);
    ensure(typeof decays === "function", "decays must be a function", decays);
    this.#betas = betas;
    this.#clip = Math.min(clipNorm, NO_CLIP);
    this.#device = entries[0][1].device;
    this.#entries = entries;
    const decaying = entries.map(([path, tensor]) => decays(path, tensor));
    const indices = entries.map((_, i) => i);
    this.#order = [...indices.filter((i) => decaying[i]), ...indices.filter((i) => !decaying[i])];
    const decayed = entries.reduce((n, [, t], i) => decaying[i] ? n + packedSize(t.size) : n, 0);
    const [keep1, keep2] = betas;
    const takes = { take1: 1 - keep1, take2: 1 - keep2 };
    this.#settings = { decayed, decay: weightDecay, keep1, keep2, ...takes, eps };

    using scope = this.#device.arena(); // an error frees everything
    const packed = (tree: Tree): Tensor => pack(this.#ordered(treeLeaves(tree)));
    const zeros = (t: Tensor): Tensor => t.device.tensor(new Float64Array(t.size), t.shape);
    this.#param = packed(params); // first: the moments are zeroed in the memory that it frees
    this.m = mapTree(params, zeros);
    this.#ms = packed(this.m);
    this.v = mapTree(params, zeros);
    this.#vs = packed(this.v);
    this.#own().forEach(scope.keep);
  }

  /**
   * One step: overwrites the parameters and the moments. `grads` is shaped like the parameters.
   * `lr` is the learning rate, a number or a float tensor of one element. A captured step records a
   * number as a constant: there a learning rate that changes must be a tensor. Returns the global
   * norm of the gradients before clipping, a scalar.
   *
   * @throws {ShapeError} if the gradients are not shaped like the parameters, or `lr` does not have
   * one element.
   * @throws {ArgumentError} if `lr` is neither a finite number nor a tensor.
   * @throws {DTypeError} if a gradient or `lr` is not of the device's float type.
   */
  step(grads: P, lr: Tensor | number): { norm: Tensor } {
    const device = this.#device;
    const inputs = stepInputs("AdamW", this.#param, this.#entries, grads, lr);
    const grad = collect(this.#ordered(inputs.leaves));
    const N = grad.size;
    const chunk = CHUNK * Math.ceil(N / (CHUNK * MOST_CHUNKS));
    const M = Math.ceil(N / chunk);
    const sums = device.empty([M], device.float, "gradient norm");
    const norm = device.empty([], device.float, "gradient norm");
    const scale = device.empty([], device.float, "gradient norm");
    device.run(sumSquares, { grad, sums }, { N, chunk });
    device.run(clipScale, { sums, norm, scale }, { M, clip: this.#clip });
    const corrections = perRun(device, 2, () => {
      this.steps++;
      return Float64Array.from(this.#betas, (beta) => 1 - power(beta, this.steps));
    });
    device.run(
      adamwUpdate,
      { param: this.#param, m: this.#ms, v: this.#vs, grad, lr: inputs.lr, corrections, scale },
      { N, ...this.#settings },
    );
    return { norm };
  }

  /** Frees the memory of the moments. The parameters stay. */
  dispose(): void {
    for (const tensor of this.#own()) tensor.dispose();
  }

  /** The same as {@link AdamW.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The tensors that {@link dispose} frees. */
  #own(): Tensor[] {
    const moments = [...treeLeaves(this.m), ...treeLeaves(this.v)];
    return [this.#param, this.#ms, this.#vs, ...moments];
  }

  /** Leaves in the order in which they are packed. */
  #ordered(leaves: readonly Tensor[]): Tensor[] {
    return this.#order.map((i) => leaves[i]);
  }
}

/**
 * The gradients and the learning rate of a step of an optimiser, checked and as tensors. `whole` is
 * the pack of the parameters.
 *
 * @throws {ShapeError} if the gradients are not shaped like the parameters, or `lr` does not have
 * one element.
 * @throws {ArgumentError} if `lr` is neither a finite number nor a tensor.
 * @throws {DTypeError} if a gradient or `lr` is not of the device's float type.
 * @throws {DisposedError} if a tensor's memory was freed.
 * @throws {DeviceError} if a tensor is another device's.
 */
export function stepInputs(
  optimizer: string,
  whole: Tensor,
  params: readonly (readonly [path: string, param: Tensor])[],
  grads: Tree,
  lr: Tensor | number,
): { leaves: Tensor[]; lr: Tensor } {
  const leaves = gradientLeaves(`apply ${optimizer}`, grads, params);
  const check = inputCheck(optimizer, { params: "tensors", grads: "tensors", lr: "float operand" });
  check([[whole, ...params.map(([, param]) => param)], leaves, lr]);
  const isTensor = lr instanceof Tensor;
  if (isTensor && lr.size !== 1) {
    throw new ShapeError(
      `Cannot apply ${optimizer}: lr must have one element, got ${formatShape(lr.shape)}`,
    );
  }
  if (!isTensor && !Number.isFinite(lr)) {
    throw new ArgumentError(`Cannot apply ${optimizer}: lr must be a finite number, got ${lr}`);
  }
  return { leaves, lr: isTensor ? lr : scalar(whole.device, lr) };
}

/** base^n for a positive integer n, by squaring. The last bits of `**` differ between runtimes. */
export function power(base: number, n: number): number {
  let product = 1;
  for (; n > 0; n = Math.floor(n / 2), base *= base) if (n % 2 === 1) product *= base;
  return product;
}

function ensure(holds: boolean, what: string, actual: unknown): void {
  if (!holds) throw new ArgumentError(`Cannot make AdamW: ${what}, got ${nameOf(actual)}`);
}
