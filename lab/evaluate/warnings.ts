/**
 * What cannot be read in results. One place decides, for the tables of train.ts and for reports.
 *
 * @module
 */
import { listed } from "../report/format.ts";
import type { TrainHistory } from "../train/run.ts";
import type { MetricsLine } from "../train/run_folder.ts";

/** A rate of fewer targets, or a comparison of models that hit fewer, is mostly chance: tables do not show such rates. */
export const LEAST_TARGETS = 30;

/** A training loss that falls by a larger share in the last epoch is still falling. */
const FALLING = 0.02;

/** An NDCG@10 in validation that gains a larger share in the last two epochs is still rising. */
const RISING = 0.03;

/** The ranking that is a bound: no model is to be above it. */
export const ORACLE = "oracle";

/** The ranking that counts what models are trained on and no more. */
export const TRAINING_ONLY = "co-occurrence, training only";

/** The course of a run's training. */
export interface Course extends Pick<TrainHistory, "epochs" | "bestEpoch" | "validation"> {
  /** The loss: at each look its mean since the look before. */
  readonly curve: readonly Pick<MetricsLine, "epoch" | "loss">[];
}

/** A model, or several that differ in the seed alone: then the numbers are means over them. */
export interface JudgedModel {
  /** Its name. */
  readonly name: string;
  /** HR and NDCG of its lists. */
  readonly scores: readonly number[];
  /** Targets in its lists. */
  readonly hits: number;
  /** Targets in the exact top B. */
  readonly inExactTop: number;
  /** How its runs were trained. */
  readonly runs: readonly Course[];
}

/** A ranking that needs no training. */
export interface JudgedReference {
  /** Its name. */
  readonly name: string;
  /** HR and NDCG of its lists, which are as long as the models'. */
  readonly scores: readonly number[];
}

/** What cannot be read. */
export interface Unreadable {
  /**
   * By the name of a model, the rankings without training that one of its scores is below. Of co-occurrence that is {@link TRAINING_ONLY}
   * where it is known, else that which counts the validation targets too.
   */
  readonly below: ReadonlyMap<string, readonly string[]>;
  /** Models with a run that {@link isImproving}. */
  readonly improving: readonly string[];
  /** Other models with a run whose curve does not tell. */
  readonly noCurve: readonly string[];
  /** Models with fewer than 30 targets in the exact top B: their pruning rates cannot be read. */
  readonly fewInTop: readonly string[];
  /** Whether no model has 30 targets in its lists: no difference between models can be read. */
  readonly fewHits: boolean;
}

/**
 * Whether a run was still improving when it ended. If it was validated: its last two epochs raised the NDCG@10 in validation by more
 * than 3 %, and one of them is the best. If not: its last epoch lowered the training loss by more than 2 %. Undefined if the curve has
 * no numbers for these epochs; a single epoch does not improve.
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

/** What cannot be read of some models, beside rankings that need no training. */
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

/** The same in sentences, to stand before the results; none where all can be read. Lists are of length `k`. */
export function warningsOf(
  { below, improving, noCurve, fewInTop, fewHits }: Unreadable,
  k: number,
): string[] {
  const are = (names: readonly string[]): string =>
    `${listed(names)} ${names.length > 1 ? "are" : "is"}`;
  const warnings: string[] = [];
  for (const reference of new Set([...below.values()].flat())) {
    const names = [...below].filter(([, all]) => all.includes(reference)).map(([name]) => name);
    warnings.push(
      `${are(names)} below ${reference}, which needs no training, in HR@${k} or NDCG@${k}`,
    );
  }
  if (improving.length > 0) {
    warnings.push(`${are(improving)} still improving in the last epoch: train longer`);
  }
  if (noCurve.length > 0) {
    warnings.push(
      noCurve.length > 1
        ? `nobody can tell whether ${
          listed(noCurve)
        } were still improving: their training curves are missing`
        : `nobody can tell whether ${
          noCurve[0]
        } was still improving: its training curve is missing`,
    );
  }
  if (fewHits) {
    warnings.push(
      `no model has ${LEAST_TARGETS} targets in its first ${k} items, too few to compare models`,
    );
  }
  if (fewInTop.length > 0) {
    warnings.push(
      `fewer than ${LEAST_TARGETS} targets are in the exact top B of ${
        listed(fewInTop)
      }, too few for a pruning rate`,
    );
  }
  return warnings.map((warning) => `Warning: ${warning}.`);
}

/** Which rankings leave the history out. */
export function historyNote(excludeHistory: boolean): string {
  return `Co-occurrence always leaves the history out of its lists; all others do so ${
    excludeHistory ? "here too" : "only with --exclude-history"
  }.`;
}
