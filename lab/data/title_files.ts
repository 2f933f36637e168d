/**
 * The files of a folder of item titles. `id2name4Rec.json` has the title of each item,
 *
 *     {"3": "Texas Instruments TI-30X Calculator", "9": "DYMO Tape, &frac12;&quot; x 23'"}
 *
 * and `train.csv` (or `train_10000.csv`) and `test.csv` have rows of items in time order, of which
 * the last one came at `timestamp`:
 *
 *     user_id,item_ids,timestamp
 *     7,"[209, 171, 172]",1389916800
 *
 * @module
 */
import { decodeHTMLStrict } from "entities";
import * as v from "valibot";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { loadJson, mapOf, refuseFile } from "../read_file.ts";
import type { Row } from "./chains.ts";
import { readCsv } from "./lines.ts";

/** The file that makes a folder a data set of item titles. */
export const TITLES = "id2name4Rec.json";

/** The longest title. Tokenizers may take quadratic time for a long word. */
const MAX_TITLE = 10_000;

/**
 * A schema of titles. HTML entities are decoded once, and white space around a title is left out.
 *
 * @internal
 */
export const titleText = v.pipe(
  v.string(),
  v.maxLength(MAX_TITLE, `it must have at most ${MAX_TITLE} characters`),
  v.transform((text) => decodeHTMLStrict(text).trim()),
);

/** Reads the titles by item id, in ascending order of numeric ids. */
export function readTitles(folder: string | Folder): Map<string, string> {
  return loadJson(folder, TITLES, mapOf(titleText));
}

/** The file of training rows: `train.csv`, or `train_10000.csv` if it is the only one. */
export function trainFileOf(folder: string | Folder): string {
  const place = folderAt(folder);
  return place.has("train.csv") || !place.has("train_10000.csv") ? "train.csv" : "train_10000.csv";
}

/**
 * Reads the rows of a file, in its order.
 *
 * @throws {DataError} if the file is missing or a value is malformed.
 */
export function readRows(folder: string | Folder, file: string): Row[] {
  return readCsv(folder, file, ["user_id", "item_ids", "timestamp"]).map(({ line, values }) => {
    const [user, list, time] = values;
    const refuse = (column: string, requirement: string, actual: string): never =>
      refuseFile(folder, `${file} line ${line}`, `${column} must ${requirement}`, `"${actual}"`);
    if (user === "") refuse("user_id", "not be empty", user);
    if (!/^\d+(\.\d+)?$/.test(time) || !Number.isFinite(Number(time))) {
      refuse("timestamp", "be a number of seconds", time);
    }
    const ids = idsOf(list) ?? refuse("item_ids", "be a list of ids such as [3, 15]", list);
    return { line, user, ids, time: Number(time) };
  });
}

/** The ids in a list such as `[3, 15]`; undefined for other texts. */
function idsOf(list: string): string[] | undefined {
  const inside = /^\s*\[(.*)\]\s*$/.exec(list)?.[1];
  if (inside === undefined) return undefined;
  if (inside.trim() === "") return [];
  const ids = inside.split(",").map((id) => id.trim().replace(/^(["'])(.*)\1$/, "$2"));
  return ids.every((id) => /^[\p{L}\p{N}_.:-]+$/u.test(id)) ? ids : undefined;
}
