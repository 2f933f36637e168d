/**
 * What a data set is to the rest of the lab: a catalogue of items written as tokens, and users who took them in
 * a known order. Leave-one-out: a user's last item is the test target, the one before it the validation target, and
 * everything earlier is training.
 *
 * @module
 */

/** The token that every sequence begins with. */
export const BOS = 0;

/** Which of a user's two held-out items is to be predicted. */
export type Split = "validation" | "test";

/** One user: item indices in time order, at least three. */
export interface UserHistory {
  /** The data set's own id of the user. */
  readonly id: string;
  /** Item indices; the last is the test target, the one before the validation target, the rest training. */
  readonly items: readonly number[];
}

/** A catalogue and its users. */
export interface Dataset {
  /** A short name, for tables and files. */
  readonly name: string;
  /** The data set's own id of item i. */
  readonly items: readonly string[];
  /** What people call item i, where the data set knows it. */
  readonly titles?: readonly string[];
  /** The tokens of item i: ids in 1..vocabulary-1. Items may share theirs. */
  readonly paths: readonly (readonly number[])[];
  /** The text of each token id; token 0 is {@link BOS}, "<bos>". Its length is the vocabulary's size. */
  readonly tokens: readonly string[];
  /** The users. */
  readonly users: readonly UserHistory[];
  /** How many users were left out because they have fewer than three items. */
  readonly skippedUsers: number;
  /** The true distribution of the next item after a history of items, where it is known: one probability an item. */
  readonly oracle?: (history: readonly number[]) => Float64Array;
}

/** One prediction to be judged: what the model sees of a user, and what comes next. */
export interface EvaluationCase {
  /** The user's index in the data set. */
  readonly user: number;
  /** The most recent items before the target, oldest first; at least one. */
  readonly history: readonly number[];
  /** The item to be predicted. */
  readonly target: number;
}

/** A user's training items: all but the last two. */
export function trainItems(user: UserHistory): readonly number[] {
  return user.items.slice(0, -2);
}

/** A user's items in the time before the target of a split; before the test target comes the validation target. */
export function itemsBefore(user: UserHistory, split: Split): readonly number[] {
  return user.items.slice(0, split === "test" ? -1 : -2);
}

/**
 * The predictions of a split, one a user in the data set's order, with histories of at most `historyLength` items.
 * `limitUsers` takes the first so many users only.
 *
 * @example
 * ```ts
 * import { evaluationCases, synthetic } from "beargrad";
 *
 * const cases = evaluationCases(synthetic(), "test", 20);
 * console.log(cases.length, cases[0].history, cases[0].target);
 * ```
 */
export function evaluationCases(
  dataset: Dataset,
  split: Split,
  historyLength: number,
  limitUsers: number = dataset.users.length,
): EvaluationCase[] {
  return dataset.users.slice(0, limitUsers).map((user, index) => {
    const before = itemsBefore(user, split);
    return {
      user: index,
      history: before.slice(Math.max(0, before.length - historyLength)),
      target: user.items[before.length],
    };
  });
}

/** A history as the model reads it: {@link BOS}, then the tokens of its items. */
export function historyTokens(dataset: Dataset, history: readonly number[]): number[] {
  return [BOS, ...history.flatMap((item) => dataset.paths[item])];
}

/** How many different token sequences the items have: the leaves of the catalogue's trie. */
export function distinctPaths(dataset: Dataset): number {
  return new Set(dataset.paths.map((path) => path.join(" "))).size;
}
