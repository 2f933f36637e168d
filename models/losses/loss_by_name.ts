/**
 * Every loss by its name.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
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

/** A row of the table. */
interface NamedLoss {
  /** What its probabilities sum to 1 over. */
  readonly normalization: Normalization;
  make(options: LossOptions): Loss;
}

const LOSSES: Readonly<Record<LossName, NamedLoss>> = {
  sft: { normalization: "vocabulary", make: ({ tau }) => sft({ tau }) },
  msl: { normalization: "children", make: ({ tau }) => msl({ tau }) },
  bear: { normalization: "children", make: (o) => bear({ ...o, form: "released" }) },
  "bear-paper": { normalization: "children", make: (o) => bear({ ...o, form: "paper" }) },
  "bear-convex": { normalization: "children", make: (o) => bear({ ...o, form: "convex" }) },
};

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
  return LOSSES[name as LossName].make({ tau, xi, lambda, beam });
}

/**
 * What a loss normalises over. A model is decoded under the normalisation that it was trained with.
 *
 * @example
 * ```ts
 * import { normalizationOf } from "beargrad";
 *
 * console.log(normalizationOf("sft"), normalizationOf("bear")); // vocabulary children
 * ```
 */
export function normalizationOf(loss: LossName): Normalization {
  return LOSSES[loss].normalization;
}
