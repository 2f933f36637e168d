/**
 * One step of the optimiser on one batch or on several: captured programs, one a batch shape.
 *
 * @module
 */
import { capture, type HostTensor } from "../../core/capture.ts";
import type { Device } from "../../core/device.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Tree } from "../../core/tree.ts";
import type { AdamW } from "../../models/adamw.ts";
import { GradientMean } from "../../models/gradient_mean.ts";
import type { Meter } from "../../models/meter.ts";
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

/** Takes a step on batches with a learning rate, float (). */
export interface TrainStep extends Disposable {
  /** Updates the parameters, and adds the loss of each batch to the meter. */
  (batches: readonly BatchInputs[], lr: HostTensor): void;
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
    const whole = capture(device, ({ lr, ...batch }: BatchTensors & { lr: Tensor }) => {
      const { value, grads } = differentiate(batch);
      optimizer.step(grads, lr);
      meter.add(value);
      return { value };
    });
    const step = ([batch]: readonly BatchInputs[], lr: HostTensor): void => {
      whole({ ...(batch as Required<BatchInputs>), lr });
    };
    return Object.assign(step, { [Symbol.dispose]: () => whole.dispose() });
  }
  const mean = new GradientMean(optimizer.m);
  const add = capture(device, (batch: BatchTensors) => {
    const { value, grads } = differentiate(batch);
    mean.add(grads);
    meter.add(value);
    return { value };
  });
  const update = capture(
    device,
    ({ lr }: { lr: Tensor }) => optimizer.step(mean.total, lr),
  );
  const step = (batches: readonly BatchInputs[], lr: HostTensor): void => {
    mean.begin(batches.length);
    for (const batch of batches) add(batch as Required<BatchInputs>);
    update({ lr });
  };
  const dispose = (): void => {
    add.dispose();
    update.dispose();
    mean[Symbol.dispose]();
  };
  return Object.assign(step, { [Symbol.dispose]: dispose });
}
