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
import { decodeHTMLStrict } from "entities";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import { casesOf, sequencesOf } from "./chains.ts";
import { BOS, type Dataset, plainPrompt } from "./dataset.ts";
import { pythonList } from "./python_list.ts";
import { type Catalogue, readCatalogue, readInfo, readTitlesOf } from "./semantic_ids.ts";
import { readCsv, type Row } from "./title_files.ts";

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
  readonly train: string;
  readonly valid?: string;
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
  "item_title",
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
  const { name = folder.name, codes, info, train, valid, test, isOther = false } = files;
  const { items, paths, tokens, ...catalogue } = readCatalogue(folder, codes);
  const itemOf = new Map(items.map((item, i) => [item, i]));
  const sids = catalogue.codes.map((path) => path.join(""));
  if (info !== undefined && info !== codes && !isOther) {
    for (const [id, { line, codes: written }] of readInfo(folder, info)) {
      if (sids[itemOf.get(id) ?? -1] === written.join("")) continue;
      const requirement = `item "${id}" must have the codes that it has in ${codes}`;
      refuseFile(folder, `${info} line ${line}`, requirement, written.join(""));
    }
  }
  const titleFile = info ?? files.titles;
  const known = titleFile === undefined ? undefined : readTitlesOf(folder, titleFile);
  const titles = items.map((item) => known?.get(item));

  const rowsOf = (file: string | undefined): Row[] =>
    file === undefined ? [] : readCsv(folder, file, COLUMNS).map(({ line, values }) => {
      const [user, historyIds, target, historySids, sid, title] = values;
      const refuse = (requirement: string, actual: string): never =>
        refuseFile(folder, `${file} line ${line}`, requirement, actual);
      const listOf = (column: string, text: string): string[] =>
        pythonList(
          text,
          (found) => refuse(`${column} must be a Python list of integers and strings`, found),
        );
      if (user === "") refuse("user_id must not be empty", '""');
      const ids = [...listOf("history_item_id", historyIds), target];
      const indices = ids.map((id) =>
        itemOf.get(id) ?? refuse(`every item must have codes in ${codes}`, `item "${id}"`)
      );
      if (!isOther) {
        const written = [...listOf("history_item_sid", historySids), sid];
        const what = (i: number) => i === ids.length - 1 ? "item_sid" : `history_item_sid ${i + 1}`;
        if (written.length !== ids.length) {
          const requirement = "history_item_sid must be as long as history_item_id";
          refuse(requirement, `${written.length - 1} and ${ids.length - 1}`);
        }
        indices.forEach((item, i) => {
          if (written[i] === sids[item]) return;
          const requirement = `${what(i)} must be the codes of item "${ids[i]}" in ${codes}, ` +
            sids[item];
          refuse(requirement, `"${written[i]}"`);
        });
      }
      const own = titles[itemOf.get(target) as number];
      if (own !== undefined && plain(own) !== plain(decodeHTMLStrict(title))) {
        refuse(`item_title must be the title in ${titleFile}, "${own}"`, `"${title}"`);
      }
      return { line, user, ids, time: line };
    });
  const [trainRows, validRows, testRows] = [train, valid, test].map(rowsOf);
  const training = sequencesOf(trainRows, itemOf);
  const before = sequencesOf([...trainRows, ...validRows], itemOf);
  const [validation, cases] = [casesOf(validRows, itemOf), casesOf(testRows, itemOf)];
  if (training.length === 0) refuseFile(folder, train, "it must have rows to train on", "none");
  if (cases.length === 0) {
    const actual = `${testRows.length} rows without any`;
    refuseFile(folder, test, "it must have a row with a history", actual);
  }
  const lost = validRows.length + testRows.length - validation.length - cases.length;
  return {
    name,
    items,
    ...(known && { titles: titles.map((title, i) => title ?? items[i]) }),
    paths,
    tokens,
    bos: BOS,
    training: training.map((items) => ({ items, context: 0 })),
    validation,
    test: cases,
    known: (split) => (split === "test" ? before : training),
    prompt: plainPrompt(paths),
    skipped: lost > 0 ? [{ what: "rows to predict without history", count: lost }] : [],
  };
}
