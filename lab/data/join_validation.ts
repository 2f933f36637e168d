/**
 * Training on the validation targets too, once they have chosen a recipe.
 *
 * @module
 */
import { DataError } from "../../core/errors.ts";
import type { Dataset, TrainingSequence } from "./dataset.ts";

/**
 * A data set whose validation targets are training targets, and which has no validation cases any more. Before a test target a
 * baseline such as co-occurrence counts the validation target, so a model that was only chosen by it has seen less. A training
 * sequence that is the history of a validation case goes on with its target; of other cases the target alone is added.
 *
 * @throws {DataError} if there are no validation cases.
 *
 * @example
 * ```ts
 * import { joinValidation, synthetic } from "beargrad/lab";
 *
 * const { training, validation, test } = joinValidation(synthetic());
 * console.log(training[0].items.length === test[0].history.length, validation.length); // true 0
 * ```
 */
export function joinValidation(dataset: Dataset): Dataset {
  const { training, validation } = dataset;
  if (validation.length === 0) {
    throw new DataError(
      `Cannot train on the validation targets of ${dataset.name}: it must have some, got none`,
    );
  }
  const byHistory = Map.groupBy(validation, ({ history }) => history.join(" "));
  const open = new Map(byHistory.entries().map(([key, cases]) => [key, cases.values()]));
  const longer = training.map((sequence): TrainingSequence => {
    const next = open.get(sequence.items.join(" "))?.next().value;
    return next ? { ...sequence, items: [...sequence.items, next.target] } : sequence;
  });
  const others = [...open.values()].flatMap((left) => [...left]).map((
    { history, target },
  ): TrainingSequence => ({
    items: [...history, target],
    context: history.length,
  }));
  return { ...dataset, training: [...longer, ...others], validation: [] };
}
