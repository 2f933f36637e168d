/**
 * Data sets of item titles; `title_files.ts` shows the files.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { ArgumentError } from "../../core/errors.ts";
import { refuseFile } from "../read_file.ts";
import type { Template } from "../text/template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { chain, inTimeOrder } from "./chains.ts";
import type { Dataset, EvaluationCase } from "./dataset.ts";
import { sequenceOf } from "./derived.ts";
import { readRows, readTitles, type Row, type TrainFile, trainFileOf } from "./title_files.ts";
import { titleTokens } from "./title_tokens.ts";

/** Options of {@link loadTitles}. */
export interface TitleOptions {
  /** The tokenizer of the titles. */
  readonly tokenizer: Tokenizer;
  /** The prompt around the history. Without one, a model reads titles one after the other. */
  readonly template?: Template;
  /**
   * What is predicted in training. `all`, the default: the rows of a user are joined to one
   * sequence, and every item of it is a target (with a prompt, all but the first). `last`: the last
   * item of each row.
   */
  readonly targets?: "all" | "last";
  /**
   * The vocabulary. `compact`: only the tokens that occur, numbered anew, after 0 for the beginning
   * of a sequence and 1 for the end of a title. `model`: the tokenizer's ids and special tokens.
   * The default is `model` with a prompt, else `compact`.
   */
  readonly vocabulary?: "compact" | "model";
  /** The most tokens of a title before its end token; longer titles are cut. Default 40. */
  readonly maxTokens?: number;
  /** How many of the last training rows, by time, become validation cases; default 0. */
  readonly holdOut?: number;
  /** The file of training rows; default `train.csv`, or `train_10000.csv` if it is the only one. */
  readonly train?: TrainFile;
  /** Called with what is being done, how much of it is done, and the total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/**
 * Loads a data set of item titles. HTML entities in titles are decoded once. Items with equal
 * titles share a leaf of the trie. Ids without a title are dropped from rows, and so are cases
 * without a target or a history; both are counted.
 *
 * Held-out rows are the last rows of the training file by time. They are not trained on.
 * `known("validation")` are the sequences of the other rows, `known("test")` those of all training
 * rows.
 *
 * @throws {DataError} if a file is missing or malformed, a title becomes different tokens in
 * different places, or there is nothing to train on or no test case.
 * @throws {ArgumentError} if an option is out of range.
 *
 * @example
 * ```ts ignore
 * import { loadTitles, loadTokenizer } from "beargrad/lab";
 *
 * const dataset = loadTitles("data/office-titles", { tokenizer: await loadTokenizer("r50k") });
 * console.log(dataset.titles![0], dataset.paths[0], dataset.training.length);
 * ```
 */
export function loadTitles(folder: string, options: TitleOptions): Dataset {
  const { tokenizer, template, targets = "all", maxTokens = 40, holdOut = 0 } = options;
  const { vocabulary = template === undefined ? "compact" : "model", onProgress } = options;
  checkCount("maxTokens", maxTokens, 1);
  checkCount("holdOut", holdOut, 0);

  const trainFile = trainFileOf(folder, options.train);
  const named = [...readTitles(folder)];
  onProgress?.("reading files", 1, 3);
  const trainRows = readRows(folder, trainFile);
  onProgress?.("reading files", 2, 3);
  const testRows = readRows(folder, "test.csv");
  onProgress?.("reading files", 3, 3);

  const catalogue = named.filter(([, title]) => title !== "");
  const [ids, titles] = [catalogue.map(([id]) => id), catalogue.map(([, title]) => title)];
  if (ids.length === 0) {
    refuseFile(folder, "id2name4Rec.json", "the catalogue must have titles", "none");
  }
  const itemOf = new Map(ids.map((id, item) => [id, item]));
  const rows = inTimeOrder(trainRows);
  const fit = rows.slice(0, Math.max(0, rows.length - holdOut));
  const heldOut = rows.slice(fit.length);

  const sequences = sequencesOf(fit, itemOf);
  const before = holdOut > 0 ? sequencesOf(rows, itemOf) : sequences;
  const training = targets === "last"
    ? casesOf(fit, itemOf).map(sequenceOf)
    : sequences.map((items) => ({ items, context: template === undefined ? 0 : 1 }))
      .filter(({ items, context }) => items.length > context);
  const validation = casesOf(heldOut, itemOf);
  const test = casesOf(testRows, itemOf);
  const usable = (
    file: string,
    found: readonly unknown[],
    of: readonly Row[],
    use: string,
  ): void => {
    if (found.length > 0) return;
    refuseFile(
      folder,
      file,
      `it must have items to ${use}`,
      `${of.length} rows without such items`,
    );
  };
  usable(trainFile, training, rows, "train on");
  usable("test.csv", test, testRows, "predict");
  const { cut, alike, collisions, ...written } = titleTokens({ folder, ids, titles }, {
    tokenizer,
    template,
    vocabulary,
    maxTokens,
    onProgress: (done, total) => onProgress?.("tokenising titles", done, total),
  });
  const judged = heldOut.length + testRows.length - validation.length - test.length;
  const lost = judged + (targets === "last" ? fit.length - training.length : 0);
  const skipped = [
    { what: "titles without text", count: named.length - catalogue.length },
    { what: "ids in rows that have no title", count: unknownIds([...rows, ...testRows], itemOf) },
    { what: "rows whose target has no title, or without history", count: lost },
    { what: `titles cut at ${maxTokens} tokens`, count: cut },
    { what: "titles that the tokenizer does not tell from another", count: alike },
    { what: "titles like another because they were cut", count: collisions },
  ];
  return {
    name: basename(resolve(folder)),
    items: ids,
    titles,
    ...written,
    ...(template !== undefined && { promptPerTarget: true }),
    training,
    validation,
    test,
    known: (split) => (split === "test" ? before : sequences),
    skipped: skipped.filter(({ count }) => count > 0),
  };
}

type ItemOf = ReadonlyMap<string, number>;

/** The indices of the ids that have a title. */
function indicesOf(ids: readonly string[], itemOf: ItemOf): number[] {
  return ids.flatMap((id) => itemOf.get(id) ?? []);
}

/**
 * Users' sequences. Rows are joined before ids without a title are dropped, which could part them.
 */
function sequencesOf(rows: readonly Row[], itemOf: ItemOf): number[][] {
  return chain(rows).map((ids) => indicesOf(ids, itemOf)).filter((items) => items.length > 0);
}

/** The rows that have a target with a title and a history, named by user and line. */
function casesOf(rows: readonly Row[], itemOf: ItemOf): EvaluationCase[] {
  return rows.flatMap(({ user, line, ids }) => {
    const target = itemOf.get(ids.at(-1) ?? "");
    const history = indicesOf(ids.slice(0, -1), itemOf);
    return target === undefined || history.length === 0
      ? []
      : [{ id: `${user}#${line}`, user, history, target }];
  });
}

/** The number of ids without a title. */
function unknownIds(rows: readonly Row[], itemOf: ItemOf): number {
  return rows.reduce((sum, { ids }) => sum + ids.filter((id) => !itemOf.has(id)).length, 0);
}

function checkCount(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new ArgumentError(
    `Cannot load titles: ${name} must be an integer of at least ${least}, got ${value}`,
  );
}
