/**
 * The files of a folder of item titles: `id2name4Rec.json` (id -> title), and `train.csv` or `train_10000.csv` and `test.csv`
 * with the columns user_id, item_ids and timestamp.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { isPresent } from "../files.ts";
import { mapOf, missingFile, readJson, refuseFile } from "../folder_files.ts";
import { decodeHtml } from "../text/html.ts";
import { readCsv } from "./csv.ts";

const TITLES = "id2name4Rec.json";

/** The most characters of a title. A tokenizer may take time that grows as the square of a word, or give up on it. */
const LONGEST = 10_000;

/** A title as a file has it. */
export const titleText = v.pipe(
  v.string(),
  v.maxLength(LONGEST, `it must have at most ${LONGEST} characters`),
);

/** A file with training rows. */
export type TrainFile = "train.csv" | "train_10000.csv";

/** The items before one point in time, oldest first, and the one that came then. */
export interface Row {
  /** Its line in the file, from 1. */
  readonly line: number;
  /** The data set's own id of the user. */
  readonly user: string;
  /** Item ids, the last of which is the target. */
  readonly ids: readonly string[];
  /** When the target came, in seconds. */
  readonly time: number;
}

/**
 * Whether a folder holds a data set of item titles: whether it has `id2name4Rec.json`.
 *
 * @throws {DataError} if the system refuses to say.
 */
export function isTitleFolder(folder: string): boolean {
  return isPresent(join(folder, TITLES));
}

/** The titles by id, in ascending order of the ids where they are numbers, with HTML entities decoded. */
export function readTitles(folder: string): Map<string, string> {
  const titles = readJson(folder, TITLES, mapOf(titleText)) ?? missingFile(folder, TITLES);
  return new Map(titles.entries().map(([id, title]) => [id, decodeHtml(title).trim()]));
}

/** The file with training rows: the one asked for, else `train.csv` where there is one, else `train_10000.csv`. */
export function trainFileOf(folder: string, wanted?: TrainFile): TrainFile {
  if (wanted !== undefined) return wanted;
  const small = isPresent(join(folder, "train_10000.csv"));
  return isPresent(join(folder, "train.csv")) || !small ? "train.csv" : "train_10000.csv";
}

/**
 * The rows of a file, in its order.
 *
 * @throws {DataError} if the file is missing or a value is malformed: file, line, column and value.
 */
export function readRows(folder: string, file: string): Row[] {
  return readCsv(folder, file, ["user_id", "item_ids", "timestamp"]).map(({ line, values }) => {
    const [user, list, time] = values;
    const refuse = (column: string, requirement: string, actual: string): never =>
      refuseFile(folder, `${file} line ${line}`, `${column} must be ${requirement}`, `"${actual}"`);
    if (user === "") refuse("user_id", "there", user);
    if (!/^\d+(\.\d+)?$/.test(time) || !Number.isFinite(Number(time))) {
      refuse("timestamp", "a number of seconds", time);
    }
    const ids = idsOf(list) ?? refuse("item_ids", "a list of ids such as [3, 15]", list);
    return { line, user, ids, time: Number(time) };
  });
}

/** The ids in a list such as `[3, 15]`; undefined if it is none. */
function idsOf(list: string): string[] | undefined {
  const inside = /^\s*\[(.*)\]\s*$/.exec(list)?.[1];
  if (inside === undefined) return undefined;
  if (inside.trim() === "") return [];
  const ids = inside.split(",").map((id) => id.trim().replace(/^(["'])(.*)\1$/, "$2"));
  return ids.every((id) => /^[\p{L}\p{N}_.:-]+$/u.test(id)) ? ids : undefined;
}
