/**
 * Every loss by its name.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { apaoPair } from "./apao_pair.ts";
import { apaoPoint } from "./apao_point.ts";
import { beamExact } from "./beam_exact.ts";
import { bear } from "./bear.ts";
import type { Loss, LossName, LossNeeds } from "./loss.ts";
import { msl } from "./msl.ts";
import { ATS_START, mslAts } from "./msl_ats.ts";
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
  /** The weight of prefix losses; 0.1 unless told. */
  readonly beta?: number;
  /** How much the worst prefix stands out; 0 unless told. */
  readonly eta?: number;
  /** How many negatives a target gets, where the loss needs them; 4 unless told. */
  readonly negatives?: number;
  /** A search in every so many steps, where the loss needs thresholds; 1 unless told. */
  readonly searchEvery?: number;
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
  "msl-ats": {
    normalization: "children",
    needs: { state: ATS_START },
    reads: [],
    make: () => mslAts(),
  },
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
  "apao-point": {
    normalization: "vocabulary",
    reads: ["tau", "beta", "eta"],
    make: ({ tau, beta, eta }) => apaoPoint({ tau, beta, eta }),
  },
  "apao-pair": {
    normalization: "vocabulary",
    needs: { negatives: true },
    reads: ["tau", "beta", "eta", "negatives"],
    make: ({ tau, beta, eta }) => apaoPair({ tau, beta, eta }),
  },
  "beam-exact": {
    normalization: "children",
    needs: { thresholds: true },
    reads: ["tau", "xi", "lambda", "beam", "searchEvery"],
    make: ({ tau, xi, lambda }) => beamExact({ tau, xi, lambda }),
  },
};

const OPTIONS = [...new Set(Object.values(LOSSES).flatMap(({ reads }) => reads))];

const bearOptions = ({ tau, xi, lambda, beam }: LossOptions): LossOptions => (
  { tau, xi, lambda, beam }
);

/** The names of all losses. */
export const lossNames = Object.keys(LOSSES) as readonly LossName[];

/**
 * A loss by its name, not made yet: one of {@link lossNames}. "bear" is its released form.
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
  const loss = namedLoss(name);
  checkOptions("make a loss", options, OPTIONS);
  return loss.make(options);
}
