/**
 * A running mean that stays on the device.
 *
 * @module
 */
import type { Device, Tensor } from "../core/tensor.ts";
import { accumulate } from "../kernels/accumulate.ts";

/**
 * The mean of a scalar over many steps, with one read-back: a read-back in each step would stall
 * the device. If one value is NaN or infinite, so is the mean. Its tensor is written in place, as
 * parameters are.
 *
 * @example
 * ```ts
 * import { cpu, Meter } from "beargrad";
 *
 * const device = cpu();
 * const meter = new Meter(device);
 * meter.add(device.tensor(1));
 * meter.add(device.tensor(3));
 * console.log(await meter.take(2)); // 2
 * ```
 */
export class Meter implements Disposable {
  readonly #device: Device;
  readonly #total: Tensor;

  /** Starts at zero. Make it outside arenas and captured steps. It lives until it is disposed. */
  constructor(device: Device) {
    this.#device = device;
    this.#total = device.tensor([0]);
  }

  /** Adds a scalar to the total. May be part of a captured step. */
  add(value: Tensor): void {
    this.#device.run(accumulate, { total: this.#total, value }, {});
  }

  /** The mean of `count` added values. Starts again at zero, at once. One read-back. */
  async take(count: number): Promise<number> {
    const reading = this.#total.item();
    reading.catch(() => {}); // where it fails, so does the write
    this.#device.write(this.#total, new Float64Array(1)); // after the read, before later values
    return await reading / count;
  }

  /** Frees its memory. */
  dispose(): void {
    this.#total.dispose();
  }

  /** The same as {@link Meter.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
