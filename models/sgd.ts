/**
 * Stochastic gradient descent over a tree of parameters. As in `adamw.ts`, parameters and
 * velocities are packed and written in place, so a step is one launch.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { ArgumentError, nameOf } from "../core/errors.ts";
import { collect, pack } from "../core/pack.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { mapTree, type Tree, treeEntries, treeLeaves } from "../core/tree.ts";
import { sgdUpdate } from "../kernels/sgd.ts";
import { stepInputs } from "./adamw.ts";

/** Options of {@link SGD}. */
export interface SGDOptions {
  /** The decay of the velocity, in [0, 1). Default 0. */
  readonly momentum?: number;
  /** Whether to use Nesterov's momentum. Default false. */
  readonly nesterov?: boolean;
  /** The multiple of each weight that is added to its gradient. Default 0. */
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent with momentum and weight decay, as in PyTorch:
 *
 *     g = grad + weightDecay param,   velocity = momentum velocity + g
 *     param -= lr velocity,   or with nesterov   param -= lr (g + momentum velocity)
 *
 * (Sutskever et al., ICML 2013). It works eagerly and inside `capture`. Its state is `velocity`,
 * which a checkpoint must hold beside the parameters. Make it outside arenas and captured steps:
 * the velocities live as long as the parameters. As with `AdamW`, the constructor moves the
 * parameters, and a parameter belongs to one optimiser at a time.
 *
 * @throws {ArgumentError} if a setting is outside its domain, or two parameters share memory.
 * @throws {CaptureError} inside a captured step.
 * @throws {DeviceError} if the parameters do not fit one buffer.
 *
 * @example
 * ```ts
 * import { cpu, SGD, square, sum, valueAndGrad } from "beargrad";
 *
 * const device = cpu();
 * const params = { w: device.tensor([3, -2]) };
 * const optimizer = new SGD(params, { momentum: 0.9 });
 * const loss = valueAndGrad((p: typeof params) => sum(square(p.w)));
 * for (let step = 1; step <= 200; step++) {
 *   using scope = device.arena();
 *   optimizer.step(loss(params).grads, 0.05);
 * }
 * console.log(await params.w.data()); // close to [0, 0]
 * ```
 */
export class SGD<P extends Tree> implements Disposable {
  /** The velocities, zero at first. */
  readonly velocity: P;
  readonly #device: Device;
  readonly #entries: readonly (readonly [path: string, param: Tensor])[];
  readonly #param: Tensor;
  readonly #velocities: Tensor;
  readonly #settings: { momentum: number; decay: number; nesterov: number };

  /** Starts with velocities of zero. `params` must be on one device. */
  constructor(params: P, options: SGDOptions = {}) {
    checkOptions("make SGD", options, ["momentum", "nesterov", "weightDecay"]);
    const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
    const entries = treeEntries(params);
    ensure(entries.length > 0, "there must be a parameter", 0);
    ensure(
      Number.isFinite(momentum) && momentum >= 0 && momentum < 1,
      "momentum must be in [0, 1)",
      momentum,
    );
    ensure(typeof nesterov === "boolean", "nesterov must be true or false", nesterov);
    ensure(!nesterov || momentum > 0, "nesterov needs a momentum above 0", momentum);
    ensure(
      weightDecay >= 0 && Number.isFinite(weightDecay),
      "weightDecay must be finite and at least 0",
      weightDecay,
    );
    this.#settings = { momentum, decay: weightDecay, nesterov: Number(nesterov) };
    this.#entries = entries;
    const device = this.#device = entries[0][1].device;

    using scope = device.arena(); // an error frees everything
    this.#param = pack(treeLeaves(params));
    this.velocity = mapTree(params, (t) => device.tensor(new Float64Array(t.size), t.shape));
    this.#velocities = pack(treeLeaves(this.velocity));
    this.#own().forEach(scope.keep);
  }

  /**
   * One step: overwrites the parameters and the velocities. `grads` is shaped like the parameters.
   * `lr` is the learning rate, a number or a float tensor of one element. A captured step records a
   * number as a constant: there a learning rate that changes must be a tensor.
   *
   * @throws {ShapeError} if the gradients are not shaped like the parameters, or `lr` does not have
   * one element.
   * @throws {ArgumentError} if `lr` is neither a finite number nor a tensor.
   * @throws {DTypeError} if a gradient or `lr` is not of the device's float type.
   */
  step(grads: P, lr: Tensor | number): void {
    const device = this.#device;
    const inputs = stepInputs("SGD", this.#param, this.#entries, grads, lr);
    const grad = collect(inputs.leaves);
    device.run(
      sgdUpdate,
      { param: this.#param, velocity: this.#velocities, grad, lr: inputs.lr },
      { N: grad.size, ...this.#settings },
    );
  }

  /** Frees the memory of the velocities. The parameters stay. */
  dispose(): void {
    for (const tensor of this.#own()) tensor.dispose();
  }

  /** The same as {@link SGD.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The tensors that {@link dispose} frees. */
  #own(): Tensor[] {
    return [this.#param, this.#velocities, ...treeLeaves(this.velocity)];
  }
}

function ensure(holds: boolean, what: string, actual: unknown): void {
  if (!holds) throw new ArgumentError(`Cannot make SGD: ${what}, got ${nameOf(actual)}`);
}
