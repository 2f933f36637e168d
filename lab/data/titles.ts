/**
 * Data sets of item titles; `title_files.ts` shows the files.
 *
 * @module
 */
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import { casesOf, inTimeOrder, type ItemOf, type Row, sequencesOf } from "./chains.ts";
import type { Dataset } from "./dataset.ts";
import { sequenceOf } from "./derived.ts";
import { readRows, readTitles, trainFileOf } from "./title_files.ts";
import { checkCount, type TitleTokenOptions, titleTokens } from "./title_tokens.ts";

/** Options of {@link loadTitles}. */
export interface TitleOptions extends TitleTokenOptions {
  /**
   * What is predicted in training. `all`, the default: the rows of a user are joined to one
   * sequence, and every item of it is a target (with a prompt, all but the first). `last`: the last
   * item of each row.
   */
  readonly targets?: "all" | "last";
  /** How many of the last training rows, by time, become validation cases; default 0. */
  readonly holdOut?: number;
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
 */
export function loadTitles(place: string | Folder, options: TitleOptions): Dataset {
  const { template, targets = "all", holdOut = 0, onProgress } = options;
  checkCount("holdOut", holdOut, 0);
  const folder = folderAt(place);

  const trainFile = trainFileOf(folder);
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
  if (training.length === 0) {
    const actual = `${rows.length} rows without any`;
    refuseFile(folder, trainFile, "it must have items to train on", actual);
  }
  if (test.length === 0) {
    const actual = `${testRows.length} rows without any`;
    refuseFile(folder, "test.csv", "it must have items to predict", actual);
  }
  const { skipped: cut, ...written } = titleTokens({ folder: folder.path, ids, titles }, options);
  const judged = heldOut.length + testRows.length - validation.length - test.length;
  const lost = judged + (targets === "last" ? fit.length - training.length : 0);
  const skipped = [
    { what: "titles without text", count: named.length - catalogue.length },
    { what: "ids in rows that have no title", count: unknownIds([...rows, ...testRows], itemOf) },
    { what: "rows whose target has no title, or without history", count: lost },
    ...cut,
  ];
  return {
    name: folder.name,
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

/** The number of ids without a title. */
function unknownIds(rows: readonly Row[], itemOf: ItemOf): number {
  return rows.reduce((sum, { ids }) => sum + ids.filter((id) => !itemOf.has(id)).length, 0);
}
