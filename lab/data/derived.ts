/**
 * Data sets made from another one: a part of it, other codes, or validation targets moved to
 * training.
 *
 * @module
 */
import { ArgumentError, DataError } from "../../core/errors.ts";
import { foldIn, keyOf, permutation } from "../../core/random.ts";
import {
  type Dataset,
  type EvaluationCase,
  itemCoded,
  type ItemInput,
  paddedVocabulary,
  type TrainingSequence,
} from "./dataset.ts";

/** How much of a data set to take; default all of it. */
export interface Limits {
  /** Only the first training sequences, and the first cases of each split. */
  readonly users?: number;
  /** Only the first items of the catalogue. Others are dropped from sequences and histories. */
  readonly items?: number;
}

/**
 * Takes the first items and users of a data set. A case is dropped if its target is, or its
 * history becomes empty. A training sequence is dropped if it has no target left, or had a context
 * and has none left. Tokens keep their ids. With fewer items the oracle is no longer true and is
 * dropped.
 *
 * @throws {DataError} if no training sequence or no test case is left.
 */
export function limitDataset(dataset: Dataset, { users = Infinity, items }: Limits): Dataset {
  const { oracle, ...rest } = items === undefined || items >= dataset.items.length
    ? dataset
    : firstItems(dataset, items);
  if (rest.training.length === 0 || rest.test.length === 0) {
    throw new DataError(
      `Cannot take the first ${items} items of ${dataset.name}: they must leave sequences to ` +
        `train on and test cases, got ${rest.training.length} sequences and ` +
        `${rest.test.length} cases`,
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
  const { oracle: _untrue, ...rest } = dataset;
  const kept = (items: readonly number[]): number[] => items.filter((item) => item < count);
  const casesOf = (cases: readonly EvaluationCase[]): EvaluationCase[] =>
    cases
      .filter(({ target }) => target < count)
      .map((one) => ({ ...one, history: kept(one.history) }))
      .filter(({ history }) => history.length > 0);
  // A sequence with a context keeps at least one item of context.
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

/**
 * Moves the validation targets to training, once they have chosen a recipe. Baselines such as
 * co-occurrence count the validation target before a test target, so a model should see it, too. A
 * training sequence that is the history of a validation case is extended by its target. Other
 * cases become training sequences with one target.
 *
 * @throws {DataError} if there are no validation cases.
 */
export function joinValidation(dataset: Dataset): Dataset {
  const { training, validation } = dataset;
  if (validation.length === 0) {
    throw new DataError(
      `Cannot train on the validation targets of ${dataset.name}: it must have some, got none`,
    );
  }
  const byHistory = Map.groupBy(validation, ({ history }) => history.join());
  const open = new Map(byHistory.entries().map(([key, cases]) => [key, cases.values()]));
  const longer = training.map((sequence): TrainingSequence => {
    const next = open.get(sequence.items.join())?.next().value;
    return next ? { ...sequence, items: [...sequence.items, next.target] } : sequence;
  });
  const others = [...open.values()].flatMap((left) => [...left]).map(sequenceOf);
  return { ...dataset, training: [...longer, ...others], validation: [] };
}

/** A case as a training sequence with one target. */
export function sequenceOf({ history, target }: EvaluationCase): TrainingSequence {
  return { items: [...history, target], context: history.length };
}

/** How items are written; see {@link withCodes}. */
export const CODES = ["semantic", "item", "random"] as const;

/** One of {@link CODES}. */
export type Codes = typeof CODES[number];

/** Whether `--codes` names one of {@link CODES}, rather than how to make codes. */
export function isPlainCodes(codes: string): codes is Codes {
  return CODES.some((name) => name === codes);
}

/**
 * Writes the items of a data set in another way, to measure what their codes contribute. Items,
 * users and targets stay the same, so that results can be compared user by user.
 *
 * - `semantic`: the data set's own codes, semantic ids or titles. Returns the data set itself.
 * - `item`: one token for each item, in the catalogue's order, with a vocabulary of items + 1. The
 *   trie is one choice among all items, so beam search is exact and BEAR is a top-B loss. Items no
 *   longer share a path. What is left is a decoder over items (Kang and McAuley, SASRec, 2018).
 *   The difference to `semantic` is the effect of codes and search together.
 * - `random`: the items' own paths in another order, a permutation drawn from `seed`. The trie
 *   does not change, but a path no longer says what its item is like. (New random codes would
 *   change the trie as well, and a difference could be due to that.) The difference to `semantic`
 *   is the effect of the codes' meaning. In prompts of text, an item is named by the title whose
 *   path it got.
 *
 * @throws {ArgumentError} for `item` if prompts are text.
 */
export function withCodes(dataset: Dataset, codes: Codes, seed = 0): Dataset {
  if (codes === "semantic") return dataset;
  return codes === "item" ? withItemCodes(dataset) : withRandomCodes(dataset, seed);
}

/**
 * A data set whose prompts have one token for each item of the history, after those of the
 * vocabulary. Items are predicted by their codes as before. A decoder needs their codes for it; see
 * `TransformerConfig.itemCodes`, and `codeHeads` for "items-parallel".
 *
 * @throws {ArgumentError} if prompts are text.
 */
export function withItemInput(dataset: Dataset, itemInput: ItemInput = "items"): Dataset {
  if (dataset.promptPerTarget) {
    throw new ArgumentError(
      `Cannot read each item of ${dataset.name} as one token: prompts must be of items, ` +
        "got prompts of text",
    );
  }
  const begin = dataset.prompt([]);
  const first = paddedVocabulary(dataset.tokens.length);
  return {
    ...dataset,
    itemInput,
    prompt: (history) => [...begin, ...history.map((item) => first + item)],
  };
}

function withItemCodes(dataset: Dataset): Dataset {
  const { eos: _none, promptPerTarget, ...rest } = dataset;
  if (promptPerTarget) {
    throw new ArgumentError(
      `Cannot write each item of ${dataset.name} as one token: prompts must be of items, ` +
        "got prompts of text",
    );
  }
  return itemCoded(rest);
}

function withRandomCodes(dataset: Dataset, seed: number): Dataset {
  const { paths, prompt } = dataset;
  const order = permutation(foldIn(keyOf(seed), 0xc0de), paths.length);
  return {
    ...dataset,
    codes: "random",
    paths: paths.map((_, item) => paths[order[item]]),
    prompt: (history) => prompt(history.map((item) => order[item])),
  };
}
