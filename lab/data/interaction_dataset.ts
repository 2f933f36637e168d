/**
 * Data sets made of a file of interactions. `interactions.ts` shows the files.
 *
 * @module
 */
import * as v from "valibot";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import { clean, type Cleaning, splitByTime } from "./cleaning.ts";
import { type Dataset, itemCoded, leaveOneOut } from "./dataset.ts";
import { type InteractionReading, readInteractions } from "./interactions.ts";
import { csvFields, readLines } from "./lines.ts";
import { titleText } from "./title_files.ts";

/** How interactions become a data set. */
export interface InteractionOptions extends InteractionReading, Cleaning {
  /**
   * What is held out. `leave-one-out`, the default: the last item of each user is the test target
   * and the one before it the validation target. `time`: all interactions after two points in time,
   * at these shares of all interactions; a user without earlier ones is not a case.
   */
  readonly split?: "leave-one-out" | { readonly time: readonly [validation: number, test: number] };
}

/**
 * Loads interactions as a data set whose items are one token each. `onProgress` is called with the
 * bytes of the file that were read and the total.
 *
 * @throws {DataError} if a file is missing or malformed, or there is nothing to train on or no test
 * case.
 */
export function loadInteractions(
  folder: Folder,
  file: string,
  options: InteractionOptions = {},
  onProgress?: (done: number, total: number) => void,
): Dataset {
  const { split = "leave-one-out", skipBadRows = false } = options;
  const isByUser = split === "leave-one-out";
  const read = readInteractions(folder, file, options, onProgress);
  const { items, users, steps } = clean(read, options, isByUser ? 3 : 1);
  const fail = (requirement: string, actual: string): never =>
    refuseFile(folder, file, requirement, actual);
  if (users.length === 0) {
    const left = steps.map(({ step, interactions }) => `${step}: ${interactions}`).join("; ");
    fail("cleaning must leave interactions", left);
  }
  const { user, item, time } = read.columns;
  if (!isByUser && time === undefined) fail("it must have times to be split by time", "none");
  const parts = isByUser ? leaveOneOut(users) : splitByTime(users, split.time, fail);
  if (parts.training.length === 0 || parts.test.length === 0) {
    const actual = `${parts.training.length} and ${parts.test.length}`;
    fail("the split must leave users to train on and test cases", actual);
  }
  const titles = titlesOf(folder, file, items, skipBadRows);
  return itemCoded({
    name: /^(.+)\.inter$/.exec(file)?.[1] ?? folder.name,
    items,
    ...(titles && { titles }),
    ...parts,
    skipped: [],
    columns: `user ${user} (${read.users[0]}), item ${item} (${read.items[0]}), time ${
      time ?? "none: rows are in order"
    }`,
    cleaning: steps,
  });
}

/** How a file of titles is written, and its columns of ids and titles. */
interface TitleFile {
  readonly name: string;
  readonly fieldsOf: (line: string) => readonly string[] | undefined;
  /** Tests of the columns' names; without them the first two columns. */
  readonly header?: readonly [id: RegExp, title: RegExp];
}

const separated = (separator: string) => (line: string): string[] => line.split(separator);

/** The file of titles that is published with a file of interactions. */
function titleFileOf(file: string): TitleFile | undefined {
  switch (file) {
    case "ratings.csv":
      return { name: "movies.csv", fieldsOf: csvFields, header: [/^movieId$/, /^title$/] };
    case "u.data":
      return { name: "u.item", fieldsOf: separated("|") };
    case "ratings.dat":
      return { name: "movies.dat", fieldsOf: separated("::") };
  }
  const set = /^(.+)\.inter$/.exec(file)?.[1];
  if (set === undefined) return undefined;
  const header = [/^item_id:/, /^(.*_)?(title|name):/] as const;
  return { name: `${set}.item`, fieldsOf: separated("\t"), header };
}

/** The titles of items, where there are any. An item without a title has its id. */
function titlesOf(
  folder: Folder,
  file: string,
  items: readonly string[],
  skipBadRows: boolean,
): string[] | undefined {
  const source = titleFileOf(file);
  if (source === undefined || !folder.has(source.name)) return undefined;
  const itemOf = new Map(items.map((id, item) => [id, item]));
  const titles = [...items];
  let [line, columns, idAt, titleAt] = [0, 2, 0, 1];
  for (const text of readLines(folder, source.name, { latin1: true })) {
    line++;
    if (text === "") continue;
    const fields = source.fieldsOf(text) ?? [];
    if (line === 1 && source.header) {
      [idAt, titleAt] = source.header.map((test) => fields.findIndex((name) => test.test(name)));
      columns = fields.length;
      if (idAt < 0 || titleAt < 0) return undefined;
      continue;
    }
    const title = v.safeParse(titleText, fields[titleAt]);
    if (title.success && fields.length >= columns) {
      const item = itemOf.get(fields[idAt]);
      if (item !== undefined && title.output !== "") titles[item] = title.output;
    } else if (!skipBadRows) {
      refuseFile(
        folder,
        `${source.name} line ${line}`,
        "a row must have an id and a title",
        `"${text}"`,
      );
    }
  }
  return titles;
}
