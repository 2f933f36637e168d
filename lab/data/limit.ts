/**
 * A part of a data set, for a quick look.
 *
 * @module
 */
import { DataError } from "../../core/errors.ts";
import type { Dataset, EvaluationCase, TrainingSequence } from "./dataset.ts";

/** How much of a data set is taken; all unless told. */
export interface Limits {
  /** The first so many training sequences, and the first so many predictions of each split. */
  readonly users?: number;
  /** The first so many items of the catalogue; the others are dropped from every sequence and history. */
  readonly items?: number;
}

/**
 * The first items and users of a data set. A prediction goes if its target goes or its history is left empty, a training
 * sequence if nothing is left to be predicted, or, where there was a context, nothing to predict it from. Tokens keep their ids. With fewer items the true distribution is another, so
 * an oracle goes too.
 *
 * @throws {DataError} if nothing is left to train on or to judge by.
 *
 * @example
 * ```ts
 * import { limitDataset, synthetic } from "beargrad/lab";
 *
 * const part = limitDataset(synthetic(), { items: 100, users: 50 });
 * console.log(part.items.length, part.test.length); // 100 50
 * ```
 */
export function limitDataset(dataset: Dataset, { users = Infinity, items }: Limits): Dataset {
  const { oracle, ...rest } = items === undefined || items >= dataset.items.length
    ? dataset
    : firstItems(dataset, items);
  if (rest.training.length === 0 || rest.test.length === 0) {
    throw new DataError(
      `Cannot take the first ${items} items of ${dataset.name}: they must leave something to train on ` +
        `and to judge by, got ${rest.training.length} sequences and ${rest.test.length} predictions`,
    );
  }
  return {
    ...rest,
    ...(oracle && { oracle }),
    training: rest.training.slice(0, users),
    validation: rest.validation.slice(0, users),
    test: rest.test.slice(0, users),
    known: (split) => rest.known(split).slice(0, users),
  };
}

function firstItems(dataset: Dataset, count: number): Dataset {
  const { oracle: _gone, ...rest } = dataset;
  const kept = (items: readonly number[]): number[] => items.filter((item) => item < count);
  const casesOf = (cases: readonly EvaluationCase[]): EvaluationCase[] =>
    cases
      .filter(({ target }) => target < count)
      .map((one) => ({ ...one, history: kept(one.history) }))
      .filter(({ history }) => history.length > 0);
  // What had something before it is still predicted from something.
  const sequenceOf = ({ items, context }: TrainingSequence): TrainingSequence => ({
    items: kept(items),
    context: Math.max(kept(items.slice(0, context)).length, Math.min(context, 1)),
  });
  return {
    ...rest,
    items: dataset.items.slice(0, count),
    ...(dataset.titles && { titles: dataset.titles.slice(0, count) }),
    paths: dataset.paths.slice(0, count),
    training: dataset.training.map(sequenceOf).filter(({ items, context }) =>
      items.length > context
    ),
    validation: casesOf(dataset.validation),
    test: casesOf(dataset.test),
    known: (split) => dataset.known(split).map(kept),
  };
}
