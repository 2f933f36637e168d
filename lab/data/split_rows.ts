/**
 * Data sets of semantic ids whose splits are given, as MiniOneRec publishes them. CSV files for
 * training, validation and test have rows of a history and the item after it, in time order:
 *
 *     user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid
 *     A7,"['Pen', 'Ink']",Box,"[0, 1]",2,"['<a_1><b_0>', '<a_1><b_1>']",<a_2><b_0>
 *
 * `semantic_ids.ts` shows the files of codes and titles.
 *
 * @module
 */
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import { casesOf, type ItemOf, sequencesOf } from "./chains.ts";
import { BOS, type Dataset, plainPrompt } from "./dataset.ts";
import { pythonList } from "./python_list.ts";
import { type Catalogue, readCatalogue, readInfo, readTitlesOf } from "./semantic_ids.ts";
import type { Row } from "./chains.ts";
import { readCsv } from "./lines.ts";

/** The files of a data set whose splits are given, by their paths in its folder. */
export interface SplitFiles {
  /** The data set's name; default the folder's. */
  readonly name?: string;
  /** The codes of the items. */
  readonly codes: string;
  /** Lines of codes, title and id, if there are any. */
  readonly info?: string;
  /** The titles in JSON, if they are not in `info`. */
  readonly titles?: string;
  /** The rows to train on. */
  readonly train: string;
  /** The rows that choose a model. */
  readonly valid?: string;
  /** The rows that judge it. */
  readonly test: string;
  /** Whether `codes` replace those in the other files. Else all must be the same. */
  readonly isOther?: boolean;
}

const COLUMNS = [
  "user_id",
  "history_item_id",
  "item_id",
  "history_item_sid",
  "item_sid",
];

/**
 * Loads a data set whose splits are given. The rows of a user are joined to one sequence in the
 * order of the file, so that sliding windows are not trained on twice; every item of it is a
 * target. Cases without a history are dropped and counted.
 *
 * @throws {DataError} if a file is missing, malformed or contradicts another, or there is nothing
 * to train on or no test case.
 */
export function loadSplitRows(place: string | Folder, files: SplitFiles): Dataset {
  const folder = folderAt(place);
  const { name = folder.name, train, valid, test } = files;
  const catalogue = readItems(folder, files);
  const { items, titles, itemOf, paths, tokens } = catalogue;
  const rowsOf = (file: string): Row[] => readRows(folder, file, catalogue, files);
  const trainRows = rowsOf(train);
  const validRows = valid === undefined ? [] : rowsOf(valid);
  const testRows = rowsOf(test);

  const sequences = sequencesOf(trainRows, itemOf);
  const before = sequencesOf([...trainRows, ...validRows], itemOf);
  const [validation, cases] = [casesOf(validRows, itemOf), casesOf(testRows, itemOf)];
  if (sequences.length === 0) refuseFile(folder, train, "it must have rows to train on", "none");
  if (cases.length === 0) {
    const actual = `${testRows.length} rows without any`;
    refuseFile(folder, test, "it must have a row with a history", actual);
  }
  const lost = validRows.length + testRows.length - validation.length - cases.length;
  return {
    name,
    items,
    ...(titles && { titles: titles.map((title, item) => title ?? items[item]) }),
    paths,
    tokens,
    bos: BOS,
    training: sequences.map((items) => ({ items, context: 0 })),
    validation,
    test: cases,
    known: (split) => (split === "test" ? before : sequences),
    prompt: plainPrompt(paths),
    skipped: lost > 0 ? [{ what: "rows to predict without history", count: lost }] : [],
  };
}

/** What rows are checked against: codes and ids. A title is for reading, and may differ. */
interface Items extends Pick<Catalogue, "items" | "paths" | "tokens"> {
  readonly itemOf: ItemOf;
  /** The codes of each item as one text. */
  readonly sids: readonly string[];
  readonly titles: readonly (string | undefined)[] | undefined;
}

/** Reads the files of codes and titles. */
function readItems(folder: Folder, { codes, info, titles, isOther }: SplitFiles): Items {
  const catalogue = readCatalogue(folder, codes);
  const { items } = catalogue;
  const itemOf = new Map(items.map((item, i) => [item, i]));
  const sids = catalogue.codes.map((path) => path.join(""));
  if (info !== undefined && !isOther) {
    for (const [id, { line, codes: written }] of readInfo(folder, info)) {
      const own = sids[itemOf.get(id) ?? -1];
      if (own === written.join("")) continue;
      const requirement = `the codes of item "${id}" must be those in ${codes}, ${own ?? "none"}`;
      refuseFile(folder, `${info} line ${line}`, requirement, written.join(""));
    }
  }
  const file = info ?? titles;
  const known = file === undefined ? undefined : readTitlesOf(folder, file);
  return { ...catalogue, itemOf, sids, titles: known && items.map((item) => known.get(item)) };
}

/** Reads the rows of a file and checks them. */
function readRows(folder: Folder, file: string, known: Items, files: SplitFiles): Row[] {
  const { itemOf, sids } = known;
  return readCsv(folder, file, COLUMNS).map(({ line, values }) => {
    const [user, historyIds, target, historySids, sid] = values;
    const refuse = (requirement: string, actual: string): never =>
      refuseFile(folder, `${file} line ${line}`, requirement, actual);
    const listOf = (column: string, text: string): string[] => {
      const requirement = `${column} must be a Python list of integers and strings`;
      return pythonList(text, (found) => refuse(requirement, found));
    };
    if (user === "") refuse("user_id must not be empty", '""');
    const ids = [...listOf("history_item_id", historyIds), target];
    const items = ids.map((id) =>
      itemOf.get(id) ?? refuse(`every item must have codes in ${files.codes}`, `item "${id}"`)
    );
    if (!files.isOther) {
      const written = [...listOf("history_item_sid", historySids), sid];
      if (written.length !== ids.length) {
        const requirement = `history_item_sid must have ${
          ids.length - 1
        } items, as history_item_id`;
        refuse(requirement, `${written.length - 1}`);
      }
      const bad = items.findIndex((item, i) => written[i] !== sids[item]);
      if (bad >= 0) {
        const requirement = `the codes of item "${ids[bad]}" must be those in ${files.codes}, ` +
          sids[items[bad]];
        refuse(requirement, written[bad]);
      }
    }
    return { line, user, ids, time: line };
  });
}
