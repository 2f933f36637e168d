/**
 * Every loss by its name.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { bear } from "./bear.ts";
import type { Loss, LossName, LossNeeds } from "./loss.ts";
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

/** A loss that has a name, and what there is to know of it before it is made. */
export interface NamedLoss {
  /** Its name. */
  readonly name: string;
  /** What its probabilities sum to 1 over. A model is decoded under the normalisation that it was trained with. */
  readonly normalization: Normalization;
  /** What it must be given beside logits, nodes and labels. */
  readonly needs: LossNeeds;
  /** The options that it heeds. */
  readonly reads: readonly (keyof LossOptions)[];
  /** Makes it. */
  make(options: LossOptions): Loss;
}

type Row = Omit<NamedLoss, "name" | "needs"> & { readonly needs?: LossNeeds };

const BEAR = ["tau", "xi", "lambda", "beam"] as const;

const LOSSES: Readonly<Record<LossName, Row>> = {
  sft: { normalization: "vocabulary", reads: ["tau"], make: ({ tau }) => sft({ tau }) },
  msl: { normalization: "children", reads: ["tau"], make: ({ tau }) => msl({ tau }) },
  bear: {
    normalization: "children",
    reads: BEAR,
    make: (o) => bear({ ...bearOptions(o), form: "released" }),
  },
  "bear-paper": {
    normalization: "children",
    reads: BEAR,
    make: (o) => bear({ ...bearOptions(o), form: "paper" }),
  },
  "bear-convex": {
    normalization: "children",
    reads: BEAR,
    make: (o) => bear({ ...bearOptions(o), form: "convex" }),
  },
};

const bearOptions = ({ tau, xi, lambda, beam }: LossOptions): LossOptions => (
  { tau, xi, lambda, beam }
);

/** The names of all losses. */
export const lossNames = Object.keys(LOSSES) as readonly LossName[];

/**
 * A loss by its name, not made yet: "sft", "msl", "bear" (released), "bear-paper" or "bear-convex".
 *
 * @throws {ArgumentError} if there is no such loss.
 *
 * @example
 * ```ts
 * import { namedLoss } from "beargrad";
 *
 * const { normalization, needs, reads } = namedLoss("sft");
 * console.log(normalization, needs, reads); // vocabulary {} ["tau"]
 * ```
 */
export function namedLoss(name: string): NamedLoss {
  if (!Object.hasOwn(LOSSES, name)) {
    throw new ArgumentError(
      `Cannot make a loss: its name must be one of ${lossNames.join(", ")}, got ${name}`,
    );
  }
  return { name, needs: {}, ...LOSSES[name as LossName] };
}

/**
 * A loss by its name.
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
  return namedLoss(name).make(options);
}
