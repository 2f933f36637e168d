/**
 * Learning rate schedules.
 *
 * @module
 */
import { checkOptions } from "../core/checks.ts";
import { ArgumentError } from "../core/errors.ts";

/** Options of {@link cosineSchedule}. */
export interface CosineScheduleOptions {
  /** The highest learning rate. */
  readonly peak: number;
  /** Steps of linear warm-up. */
  readonly warmup: number;
  /** Steps of the whole run, warm-up included. */
  readonly steps: number;
  /** The learning rate of the last step, as a share of `peak`. */
  readonly floor: number;
}

/**
 * The learning rate of each step, counted from 1: a linear warm-up, peak step / warmup, then half a
 * cosine, peak (floor + (1 - floor) (1 + cos(pi x)) / 2), with x from 0 at the end of warm-up to 1
 * at the last step (Loshchilov and Hutter, arXiv:1608.03983, without restarts). Later steps have
 * the rate of the last one.
 *
 * @throws {ArgumentError} if `steps` is below 1, `warmup` below 0, `peak` not above 0, or `floor`
 * outside [0, 1].
 *
 * @example
 * ```ts
 * import { cosineSchedule } from "beargrad";
 *
 * const lr = cosineSchedule({ peak: 1e-3, warmup: 10, steps: 110, floor: 0.1 });
 * console.log(lr(5), lr(10), lr(60), lr(110)); // 5e-4, 1e-3, 5.5e-4, 1e-4
 * ```
 */
export function cosineSchedule(options: CosineScheduleOptions): (step: number) => number {
  checkOptions("schedule a learning rate", options, ["peak", "warmup", "steps", "floor"]);
  const { peak, warmup, steps, floor } = options;
  const ensure = (holds: boolean, what: string, actual: number): void => {
    if (!holds) {
      throw new ArgumentError(`Cannot schedule a learning rate: ${what}, got ${actual}`);
    }
  };
  ensure(Number.isInteger(steps) && steps >= 1, "steps must be an integer of at least 1", steps);
  ensure(
    Number.isInteger(warmup) && warmup >= 0,
    "warmup must be an integer of at least 0",
    warmup,
  );
  ensure(peak > 0 && Number.isFinite(peak), "peak must be above 0", peak);
  ensure(floor >= 0 && floor <= 1, "floor must be between 0 and 1", floor);
  return (step) => {
    if (step < warmup) return (peak * step) / warmup;
    const x = Math.min((step - warmup) / Math.max(steps - warmup, 1), 1);
    return peak * (floor + (1 - floor) * (1 + Math.cos(Math.PI * x)) / 2);
  };
}
