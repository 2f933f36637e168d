/**
 * One step of the optimiser on one batch or on several: captured programs, one a batch shape.
 *
 * @module
 */
import { capture, type HostTensor } from "../core/capture.ts";
import type { Device } from "../core/device.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Tree } from "../core/tree.ts";
import type { AdamW } from "../models/adamw.ts";
import { GradientMean, mixOf } from "../models/gradient_mean.ts";
import type { Meter } from "../models/meter.ts";
import type { NegativeInputs } from "./loss_inputs.ts";

/** What a batch is to a step. Whether there is what only some losses need is the same for all batches of a run. */
export type BatchInputs = Partial<NegativeInputs> & {
  readonly tokens: HostTensor; // int32 (B, T)
  readonly rows: HostTensor; // int32 (N)
  readonly nodes: HostTensor; // int32 (N)
  readonly labels: HostTensor; // int32 (N)
  readonly key: HostTensor; // int32 (2): its dropout key
  readonly thresholds?: HostTensor; // float (N)
};

/** The same on the device. */
export type BatchTensors = { readonly [K in keyof BatchInputs]: Tensor };

/** Takes a step on batches, told the float (3) of `hyperOf`. */
export interface TrainStep extends Disposable {
  /** Updates the parameters, and adds the loss of each batch to the meter. */
  (batches: readonly BatchInputs[], hyper: HostTensor): void;
}

/**
 * A step that updates the parameters by the mean of its batches' gradients: of one batch in one program, or of up to `accumulate`
 * in one program each and another for the update, with one more copy of the gradients.
 */
export function trainStep<P extends Tree>(
  device: Device,
  differentiate: (batch: BatchTensors) => { readonly value: Tensor; readonly grads: P },
  optimizer: AdamW<P>,
  meter: Meter,
  accumulate: number,
): TrainStep {
  if (accumulate === 1) {
    const whole = capture(device, ({ hyper, ...batch }: BatchTensors & { hyper: Tensor }) => {
      const { value, grads } = differentiate(batch);
      optimizer.update(grads, hyper);
      meter.add(value);
      return { value };
    });
    const step = ([batch]: readonly BatchInputs[], hyper: HostTensor): void => {
      whole({ ...(batch as Required<BatchInputs>), hyper });
    };
    return Object.assign(step, { [Symbol.dispose]: () => whole.dispose() });
  }
  const mean = new GradientMean(optimizer.first);
  const add = capture(device, ({ mix, ...batch }: BatchTensors & { mix: Tensor }) => {
    const { value, grads } = differentiate(batch);
    mean.add(grads, mix);
    meter.add(value);
    return { value };
  });
  const update = capture(device, ({ hyper }: { hyper: Tensor }) => {
    return optimizer.update(mean.total, hyper);
  });
  const step = (batches: readonly BatchInputs[], hyper: HostTensor): void => {
    batches.forEach((batch, i) => {
      add({
        ...(batch as Required<BatchInputs>),
        mix: { data: mixOf(i, batches.length), shape: [2] },
      });
    });
    update({ hyper });
  };
  const dispose = (): void => {
    add.dispose();
    update.dispose();
    mean[Symbol.dispose]();
  };
  return Object.assign(step, { [Symbol.dispose]: dispose });
}
