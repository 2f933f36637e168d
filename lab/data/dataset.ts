/**
 * The common form of all data sets: a catalogue of items written as tokens, item sequences to train
 * on, and held-out items to predict.
 *
 * @module
 */

/** The token that begins every sequence, where a catalogue has its own vocabulary. */
export const BOS = 0;

/** The held-out items to predict: those that choose a model, or those that judge it. */
export type Split = "validation" | "test";

/** Items in time order, of which the last ones are predicted. */
export interface TrainingSequence {
  /** Item indices. */
  readonly items: readonly number[];
  /** Items from this index on are targets. Each is predicted from the items before it. */
  readonly context: number;
}

/** One item to predict. */
export interface EvaluationCase {
  /** The id of the user or the row, for people. */
  readonly id: string;
  /** The user's id, where a user may have several cases. */
  readonly user?: string;
  /** The items before the target, oldest first; at least one. */
  readonly history: readonly number[];
  /** The item to predict. */
  readonly target: number;
}

/** Something that was left out while a data set was read. */
export interface Skipped {
  /** What it is, in words that follow a number: "users with fewer than 3 items". */
  readonly what: string;
  /** How many. */
  readonly count: number;
}

/** What was left after a step of cleaning. */
export interface CleaningStep {
  /** The step, in words. */
  readonly step: string;
  /** Users with interactions. */
  readonly users: number;
  /** Items with interactions. */
  readonly items: number;
  /** Interactions. */
  readonly interactions: number;
}

/** How a decoder with one position an item predicts codes: in turn (`items`), or at once. */
export type ItemInput = "items" | "items-parallel";

/** A data set. */
export interface Dataset {
  /** A short name, for tables and files. */
  readonly name: string;
  /** The data set's own id of each item. */
  readonly items: readonly string[];
  /** The title of each item, where the data set has titles. */
  readonly titles?: readonly string[];
  /**
   * How items are written, where it is not the data set's own way: `item`, `random`, or how codes
   * were made, such as `hierarchical:64x16`.
   */
  readonly codes?: string;
  /** The tokens of each item. Items may share theirs. */
  readonly paths: readonly (readonly number[])[];
  /** The text of each token id; its length is the size of the vocabulary. */
  readonly tokens: readonly string[];
  /** The token that begins every prompt, if there is one. */
  readonly bos?: number;
  /** The token that ends every item, if there is one. */
  readonly eos?: number;
  /** The sequences to train on. */
  readonly training: readonly TrainingSequence[];
  /** The cases that choose a model, with whole histories; may be empty. */
  readonly validation: readonly EvaluationCase[];
  /** The cases that judge a model, with whole histories. */
  readonly test: readonly EvaluationCase[];
  /** What was left out, for people. */
  readonly skipped: readonly Skipped[];
  /** Which columns of interactions were read as what, with the first ids, for people. */
  readonly columns?: string;
  /** What each step of cleaning left, for people. */
  readonly cleaning?: readonly CleaningStep[];
  /** The item sequences before the targets of a split. Baselines count these. */
  known(split: Split): readonly (readonly number[])[];
  /** The tokens that a model reads before it predicts the item after a history. */
  prompt(history: readonly number[]): readonly number[];
  /**
   * Whether each target has its own prompt. By default a prompt continues with the predicted items,
   * so that a training row can have many targets.
   */
  readonly promptPerTarget?: boolean;
  /**
   * Whether a prompt has one token an item, and how the codes of the next item are then predicted:
   * one after the other, or at once. See `withItemInput`.
   */
  readonly itemInput?: ItemInput;
  /**
   * The true distribution of the next item after a history, where it is known: one probability for
   * each item.
   */
  readonly oracle?: (history: readonly number[]) => Float64Array;
}

/** A user's items. */
export interface UserHistory {
  /** The data set's own id of the user. */
  readonly id: string;
  /** At least three item indices in time order. */
  readonly items: readonly number[];
}

/**
 * Splits users by leave-one-out: the last item of a user is the test target, the one before it is
 * the validation target, and the rest is for training. The history of the test target includes the
 * validation target.
 */
export function leaveOneOut(
  users: readonly UserHistory[],
): Pick<Dataset, "training" | "validation" | "test" | "known"> {
  const caseAt = ({ id, items }: UserHistory, fromEnd: number): EvaluationCase => {
    const at = items.length - fromEnd;
    return { id, history: items.slice(0, at), target: items[at] };
  };
  const validation = users.map((user) => caseAt(user, 2));
  const test = users.map((user) => caseAt(user, 1));
  return {
    training: validation.map(({ history }) => ({ items: history, context: 0 })),
    validation,
    test,
    known: (split) => (split === "test" ? test : validation).map(({ history }) => history),
  };
}

/** The prompt of a catalogue with its own vocabulary: `begin`, then the tokens of the history. */
export function plainPrompt(paths: Dataset["paths"], begin: number = BOS): Dataset["prompt"] {
  return (history) => [begin, ...history.flatMap((item) => paths[item])];
}

/** The vocabulary of a new model, a multiple of 4; the extra tokens never occur. */
export function paddedVocabulary(tokens: number): number {
  return Math.ceil(tokens / 4) * 4;
}

/** A data set before its items are written as tokens. */
export type Uncoded = Omit<
  Dataset,
  "codes" | "paths" | "tokens" | "bos" | "eos" | "prompt" | "promptPerTarget"
>;

/** A data set whose items are one token each, in the catalogue's order. */
export function itemCoded(data: Uncoded): Dataset {
  const paths = data.items.map((_, item) => [item + 1]);
  return {
    ...data,
    codes: "item",
    paths,
    tokens: ["<bos>", ...data.items],
    bos: BOS,
    prompt: plainPrompt(paths),
  };
}

/**
 * The cases of a split, in the data set's order, with the last `historyLength` items of each
 * history. `limit` takes only the first cases.
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

/** The number of different token sequences: the leaves of the catalogue's trie. */
export function distinctPaths({ paths }: Pick<Dataset, "paths">): number {
  return new Set(paths.map((path) => path.join())).size;
}
