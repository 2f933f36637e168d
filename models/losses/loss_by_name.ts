/**
 * Every loss by its name.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { bear } from "./bear.ts";
import type { Loss, LossName } from "./loss.ts";
import { msl } from "./msl.ts";
import { sft } from "./sft.ts";

/** What the losses that have a name can be told; each takes what it knows. */
export interface LossOptions {
  /** The temperature that divides the logits; 1 unless told. */
  readonly tau?: number;
  /** The temperature that divides the margin; 1 unless told. */
  readonly xi?: number;
  /** The weight of the regulariser; 1 unless told. */
  readonly lambda?: number;
  /** The beam width; 10 unless told. */
  readonly beam?: number;
}

const LOSSES = {
  sft: ({ tau }: LossOptions): Loss => sft({ tau }),
  msl: ({ tau }: LossOptions): Loss => msl({ tau }),
  bear: (options: LossOptions): Loss => bear({ ...options, form: "released" }),
  "bear-paper": (options: LossOptions): Loss => bear({ ...options, form: "paper" }),
  "bear-convex": (options: LossOptions): Loss => bear({ ...options, form: "convex" }),
} as const satisfies Record<LossName, (options: LossOptions) => Loss>;

/** The names of all losses. */
export const lossNames = Object.keys(LOSSES) as readonly LossName[];

/**
 * A loss by its name: "sft", "msl", "bear" (released), "bear-paper" or "bear-convex".
 *
 * @throws {ArgumentError} if there is no such loss, or for the reasons of the loss itself.
 *
 * @example
 * ```ts
 * import { lossByName } from "beargrad";
 *
 * const loss = lossByName("bear", { beam: 20, xi: 2.75, lambda: 0.25 });
 * console.log(typeof loss); // function
 * ```
 */
export function lossByName(name: string, options: LossOptions = {}): Loss {
  if (!Object.hasOwn(LOSSES, name)) {
    throw new ArgumentError(
      `Cannot make a loss: its name must be one of ${lossNames.join(", ")}, got ${name}`,
    );
  }
  const { tau, xi, lambda, beam } = options;
  return LOSSES[name as LossName]({ tau, xi, lambda, beam });
}
