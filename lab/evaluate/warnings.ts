/**
 * Warnings about results that do not support a conclusion, for the tables of `train` and for
 * reports.
 *
 * @module
 */
import { listed } from "../table.ts";
import { TRAINING_ONLY } from "./baselines.ts";
import type { TrainHistory } from "../train/run.ts";
import type { MetricsLine } from "../train/run_folder.ts";

/**
 * With fewer targets, a rate or a comparison of models is mostly chance. Tables omit such rates.
 */
export const LEAST_TARGETS = 30;

/** A training loss is still falling if it falls by a larger share in the last epoch. */
const FALLING = 0.02;

/** The NDCG@10 in validation is still rising if it gains a larger share in the last two epochs. */
const RISING = 0.03;

/** The ranking by true probabilities, an upper bound. */
export const ORACLE = "oracle";

/** How a run was trained. */
export interface Course extends Pick<TrainHistory, "epochs" | "bestEpoch" | "validation"> {
  /** The training loss, as means over the steps between two lines of the metrics file. */
  readonly curve: readonly Pick<MetricsLine, "epoch" | "loss">[];
}

/** A ranking that needs no training. */
export interface JudgedReference {
  /** The name of the ranking. */
  readonly name: string;
  /** HR and NDCG of its lists, which are as long as the models'. */
  readonly scores: readonly number[];
}

/** A model. The numbers are means where several runs differ in the seed alone. */
export interface JudgedModel extends JudgedReference {
  /** The number of targets in its lists. */
  readonly hits: number;
  /** The number of targets in the exact top B. */
  readonly inExactTop: number;
  /** How its runs were trained. */
  readonly runs: readonly Course[];
}

/** What results do not support. */
export interface Unreadable {
  /**
   * The untrained rankings that a score of a model is below, by the name of the model. Of
   * co-occurrence only {@link TRAINING_ONLY} counts, where it is known: models do not see the
   * validation targets.
   */
  readonly below: ReadonlyMap<string, readonly string[]>;
  /** Models with a run that {@link isImproving}. */
  readonly improving: readonly string[];
  /** Other models with a run whose curve is missing. */
  readonly noCurve: readonly string[];
  /** Models with fewer than 30 targets in the exact top B, too few for a pruning rate. */
  readonly fewInTop: readonly string[];
  /** Whether no model has 30 targets in its lists, so that models cannot be compared. */
  readonly fewHits: boolean;
}

/**
 * Whether a run was still improving when it ended. With validation: the last two epochs raised
 * NDCG@10 by more than 3 %, and one of them is the best. Without: the last epoch lowered the
 * training loss by more than 2 %. A single epoch does not improve. Undefined if the curve does not
 * have these epochs.
 */
export function isImproving(
  { curve, epochs, bestEpoch, validation }: Course,
): boolean | undefined {
  if (epochs < 2) return false;
  if (validation.length > 0) {
    const [from, to] = [Math.max(1, epochs - 2), epochs].map((epoch) =>
      validation.find((point) => point.epoch === epoch)?.ndcg ?? NaN
    );
    if (Number.isNaN(from + to)) return undefined;
    return bestEpoch > epochs - 2 && to > (1 + RISING) * from;
  }
  const lossOf = (epoch: number): number => {
    const losses = curve.filter((look) => look.epoch === epoch - 1).map(({ loss }) => loss);
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  };
  const before = lossOf(epochs - 1);
  const fall = (before - lossOf(epochs)) / Math.abs(before);
  return Number.isNaN(fall) ? undefined : fall > FALLING;
}

/** Finds what the results of some models do not support. */
export function unreadable(
  models: readonly JudgedModel[],
  references: readonly JudgedReference[],
): Unreadable {
  const isFair = ({ name }: JudgedReference): boolean =>
    name === TRAINING_ONLY || !name.startsWith("co-occurrence") ||
    references.every((other) => other.name !== TRAINING_ONLY);
  const below = models.map(({ name, scores }): [string, readonly string[]] => [
    name,
    references.filter((other) =>
      other.name !== ORACLE && isFair(other) &&
      scores.some((score, s) => score < other.scores[s])
    ).map((other) => other.name.replace(/, (.*)/, " ($1)")),
  ]);
  const namesOf = (holds: (model: JudgedModel) => boolean): string[] =>
    models.filter(holds).map(({ name }) => name);
  const improving = namesOf(({ runs }) => runs.some(isImproving));
  return {
    below: new Map(below.filter(([, names]) => names.length > 0)),
    improving,
    noCurve: namesOf(({ name, runs }) =>
      !improving.includes(name) && runs.some((run) => isImproving(run) === undefined)
    ),
    fewInTop: namesOf(({ inExactTop }) => inExactTop < LEAST_TARGETS),
    fewHits: models.length > 0 && models.every(({ hits }) => hits < LEAST_TARGETS),
  };
}

/** The warnings as sentences, for lists of length `k`. */
export function warningsOf(
  { below, improving, noCurve, fewInTop, fewHits }: Unreadable,
  k: number,
): string[] {
  const are = (names: readonly string[]): string =>
    `${listed(names)} ${names.length > 1 ? "are" : "is"}`;
  const [were, their] = noCurve.length > 1
    ? ["were", "their training curves are"]
    : ["was", "its training curve is"];
  const references = [...new Set([...below.values()].flat())];
  const warnings = [
    ...references.map((reference) => {
      const names = [...below].filter(([, all]) => all.includes(reference)).map(([name]) => name);
      return `${are(names)} below ${reference}, which needs no training, in HR@${k} or NDCG@${k}`;
    }),
    improving.length > 0 && `${are(improving)} still improving in the last epoch: train longer`,
    noCurve.length > 0 &&
    `nobody can tell whether ${listed(noCurve)} ${were} still improving: ${their} missing`,
    fewHits &&
    `no model has ${LEAST_TARGETS} targets in its first ${k} items, too few to compare models`,
    fewInTop.length > 0 &&
    `fewer than ${LEAST_TARGETS} targets are in the exact top B of ${listed(fewInTop)}, too few ` +
      "for a pruning rate",
  ];
  return warnings.flatMap((warning) => warning ? [`Warning: ${warning}.`] : []);
}

/** Says whether lists, of models and of other rankings, may have items of the history. */
export function historyNote(excludeHistory: boolean): string {
  return excludeHistory
    ? "The history is taken out of all lists."
    : "All lists may have items of the history; --exclude-history takes them out.";
}
