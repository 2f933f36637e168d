/**
 * What a data set is to the rest of the lab: a catalogue of items written as tokens, item sequences to train on, and
 * predictions to be judged.
 *
 * @module
 */

/** The token that every sequence of a catalogue with its own vocabulary begins with. */
export const BOS = 0;

/** Which held-out items are to be predicted. */
export type Split = "validation" | "test";

/** Items in time order, of which the last ones are to be predicted. */
export interface TrainingSequence {
  /** Item indices. */
  readonly items: readonly number[];
  /** The items from this index on are targets, each predicted from those before it. */
  readonly context: number;
}

/** One prediction to be judged: what came before, and what comes next. */
export interface EvaluationCase {
  /** The user's or the row's id, for people. */
  readonly id: string;
  /** The user's, where a user may have several cases. */
  readonly user?: string;
  /** The items before the target, oldest first; at least one. */
  readonly history: readonly number[];
  /** The item to be predicted. */
  readonly target: number;
}

/** What was left out while a data set was read. */
export interface Skipped {
  /** What, in words that follow a number: "users with fewer than 3 items". */
  readonly what: string;
  /** How many. */
  readonly count: number;
}

/** A catalogue, and what was taken from it. */
export interface Dataset {
  /** A short name, for tables and files. */
  readonly name: string;
  /** The data set's own id of item i. */
  readonly items: readonly string[];
  /** What people call item i, where the data set knows it. */
  readonly titles?: readonly string[];
  /** What items are written as, where it is not what the data set says. */
  readonly codes?: "item" | "random";
  /** The tokens of item i. Items may share theirs. */
  readonly paths: readonly (readonly number[])[];
  /** The text of each token id. Its length is the vocabulary's size. */
  readonly tokens: readonly string[];
  /** The token that every prompt begins with, where there is one. */
  readonly bos?: number;
  /** The token that ends every item, where there is one. */
  readonly eos?: number;
  /** What a model learns from. */
  readonly training: readonly TrainingSequence[];
  /** The predictions to choose a model by, with whole histories; there may be none. */
  readonly validation: readonly EvaluationCase[];
  /** The predictions to judge it by, with whole histories. */
  readonly test: readonly EvaluationCase[];
  /** What was left out while the data were read, for people. */
  readonly skipped: readonly Skipped[];
  /** The item sequences that happened before the targets of a split: what a baseline may count. */
  known(split: Split): readonly (readonly number[])[];
  /** What a model reads before it predicts the item after a history. */
  prompt(history: readonly number[]): readonly number[];
  /**
   * Whether each target is predicted after a prompt of its own. Unless told, a prompt goes on with the items that were
   * predicted, so a training row can have many targets.
   */
  readonly promptPerTarget?: boolean;
  /** The true distribution of the next item after a history of items, where it is known: one probability an item. */
  readonly oracle?: (history: readonly number[]) => Float64Array;
}

/** One user: item indices in time order, at least three. */
export interface UserHistory {
  /** The data set's own id of the user. */
  readonly id: string;
  /** Item indices; the last is the test target, the one before the validation target, the rest training. */
  readonly items: readonly number[];
}

/**
 * Leave-one-out: a user's last item is the test target, the one before it the validation target, and everything earlier is
 * training. Before the test targets comes all but the last item, the validation target included.
 */
export function leaveOneOut(
  users: readonly UserHistory[],
): Pick<Dataset, "training" | "validation" | "test" | "known"> {
  const caseAt = ({ id, items }: UserHistory, fromEnd: number): EvaluationCase => {
    const at = items.length - fromEnd;
    return { id, history: items.slice(0, at), target: items[at] };
  };
  return {
    training: users.map(({ items }) => ({ items: items.slice(0, -2), context: 0 })),
    validation: users.map((user) => caseAt(user, 2)),
    test: users.map((user) => caseAt(user, 1)),
    known: (split) => users.map(({ items }) => items.slice(0, split === "test" ? -1 : -2)),
  };
}

/** The prompt of a catalogue with its own vocabulary: {@link BOS}, then the tokens of the history's items. */
export function plainPrompt(paths: Dataset["paths"]): Dataset["prompt"] {
  return (history) => [BOS, ...history.flatMap((item) => paths[item])];
}

/**
 * The predictions of a split in the data set's order, with histories of at most the last `historyLength` items. `limit`
 * takes the first so many only.
 *
 * @example
 * ```ts
 * import { evaluationCases, synthetic } from "beargrad/lab";
 *
 * const cases = evaluationCases(synthetic(), "test", 20);
 * console.log(cases.length, cases[0].history, cases[0].target);
 * ```
 */
export function evaluationCases(
  dataset: Dataset,
  split: Split,
  historyLength: number,
  limit: number = Infinity,
): EvaluationCase[] {
  return dataset[split].slice(0, limit).map((whole) => ({
    ...whole,
    history: whole.history.slice(Math.max(0, whole.history.length - historyLength)),
  }));
}

/** How many different token sequences the items have: the leaves of the catalogue's trie. */
export function distinctPaths(dataset: Pick<Dataset, "paths">): number {
  return new Set(dataset.paths.map((path) => path.join(" "))).size;
}
