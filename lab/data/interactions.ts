/**
 * Files of interactions: a row for each time that a user met an item. Fields are separated by
 * commas, tabs or `::`, or a line is a JSON object.
 *
 *     user_id:token item_id:token rating:float timestamp:float    X.inter of RecBole, with tabs
 *     userId,movieId,rating,timestamp                             ratings.csv of MovieLens
 *     196 242 3 881250949                                         u.data of MovieLens, with tabs
 *     1::1193::5::978300760                                       ratings.dat of MovieLens
 *     A2CX7LUOHB2NDG,0205616461,5.0,1369699200                    ratings of Amazon
 *     {"reviewerID": "A2CX", "asin": "0205616461", "unixReviewTime": 1369699200}
 *
 * @module
 */
import { DataError } from "../../core/errors.ts";
import type { Folder } from "../folder.ts";
import { refuseFile } from "../read_file.ts";
import { csvFields, readLines } from "./lines.ts";

/** The column of each field: its name or, in a file without a header, its number from 1. */
export interface Columns {
  /** The user's id. */
  readonly user: string;
  /** The item's id. */
  readonly item: string;
  /** The time, a number or an ISO date. Default none: rows are in time order. */
  readonly time?: string;
  /** The rating. Default none. */
  readonly rating?: string;
}

/** Options of {@link readInteractions}. */
export interface InteractionReading {
  /** Default: the columns that the header names; without a header, those of MovieLens. */
  readonly columns?: Columns;
  /** Only rows of at least this rating. Default all. */
  readonly minRating?: number;
  /** Whether malformed rows are skipped and counted. Default false: they are refused. */
  readonly skipBadRows?: boolean;
}

/** The rows of a file in its order, 16 bytes each. */
export interface Interactions {
  /** The ids of users, in the order in which they come up. */
  readonly users: readonly string[];
  /** The ids of items, in the order in which they come up. */
  readonly items: readonly string[];
  /** The rows: 65,536 in each block, fewer in the last one. */
  readonly blocks: readonly Block[];
  /** How many malformed rows were skipped. */
  readonly bad: number;
  /** How many rows were left out because their rating is too low. */
  readonly low: number;
  /** The columns that were read. */
  readonly columns: Columns;
}

/** Rows, column by column. */
export interface Block {
  /** Indices of users. */
  readonly users: Int32Array;
  /** Indices of items. */
  readonly items: Int32Array;
  /** Times; 0 if rows have none. */
  readonly times: Float64Array;
}

const BLOCK = 2 ** 16;

/** The most ids that a Map can hold. */
const MOST_IDS = 2 ** 24;

/** What columns are for. */
export const ROLES = ["user", "item", "time", "rating"] as const;

/** Names of columns that need no `--columns`. The first one that is there is taken. */
const NAMES: Readonly<Record<typeof ROLES[number], readonly string[]>> = {
  user: ["user_id", "userId", "user", "reviewerID"],
  item: ["item_id", "itemId", "movieId", "item", "parent_asin", "asin"],
  time: ["timestamp", "time", "unixReviewTime"],
  rating: ["rating", "overall"],
};

/** The columns of a file without a header. */
const PLACES: Columns = { user: "1", item: "2", rating: "3", time: "4" };

const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(\.\d+)?)?)(Z|[-+]\d\d:\d\d)?)?$/;

/** Throws for a malformed line. */
type Refuse = (requirement: string, actual: string) => never;

/** How the rows of a file are written. */
interface Layout {
  readonly columns: Columns;
  readonly hasHeader: boolean;
  /** The values of a row, in the order of `ROLES`; undefined where it has none. */
  valuesOf(line: string): readonly unknown[];
}

/** Whether a file's name alone says that it has interactions. */
export function isInteractionFile(name: string): boolean {
  return /^(ratings(_.+)?\.csv|ratings\.dat|u\.data|.+\.inter)$/.test(name);
}

/**
 * Reads a file of interactions. `onProgress` is called with the bytes read and the total.
 *
 * @throws {DataError} if the file is missing or has no rows, its columns are not known, or a row
 * is malformed.
 */
export function readInteractions(
  folder: Folder,
  file: string,
  { columns, minRating, skipBadRows = false }: InteractionReading = {},
  onProgress?: (done: number, total: number) => void,
): Interactions {
  let [line, low, bad] = [0, 0, 0];
  const refuse: Refuse = (requirement, actual) =>
    refuseFile(folder, `${file} line ${line}`, requirement, actual);
  const users = new Ids("users", refuse);
  const items = new Ids("items", refuse);
  const rows = new Rows();
  let layout: Layout | undefined;
  const onBadLine = skipBadRows ? () => bad++ : undefined;
  for (const text of readLines(folder, file, { onBadLine, onProgress })) {
    line++;
    if (text === "") continue;
    if (layout === undefined) {
      layout = layoutOf(text, columns, refuse);
      if (minRating !== undefined && layout.columns.rating === undefined) {
        refuse("it must have a column of ratings for --min-rating", "none");
      }
      if (layout.hasHeader) continue;
    }
    let user: string, item: string, time: number, isLow: boolean;
    try {
      const values = layout.valuesOf(text);
      user = idOf(values[0], layout.columns.user, refuse);
      item = idOf(values[1], layout.columns.item, refuse);
      time = layout.columns.time === undefined ? 0 : timeOf(values[2], layout.columns.time, refuse);
      isLow = minRating !== undefined &&
        numberOf(values[3], layout.columns.rating as string, refuse) < minRating;
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      if (!skipBadRows) {
        // Where no row is good, the columns are wrong.
        if (users.ids.length === 0) throw error;
        throw new DataError(`${error.message}; --skip-bad-rows skips such rows`);
      }
      bad++;
      continue;
    }
    const [userIndex, itemIndex] = [users.indexOf(user), items.indexOf(item)];
    if (isLow) low++;
    else rows.push(userIndex, itemIndex, time);
  }
  if (layout === undefined || users.ids.length + bad === 0) {
    refuseFile(folder, file, "it must have rows", "none");
  }
  return {
    users: users.ids,
    items: items.ids,
    blocks: rows.blocks(),
    bad,
    low,
    columns: layout.columns,
  };
}

/** Finds out from the first line of a file how its rows are written. */
function layoutOf(first: string, columns: Columns | undefined, refuse: Refuse): Layout {
  if (/^[{[]/.test(first)) return jsonLayout(first, columns, refuse);
  const separator = ["\t", "::"].find((one) => first.includes(one)) ?? ",";
  const fieldsOf = (line: string): readonly string[] =>
    (separator === "," ? csvFields(line) : line.split(separator)) ??
      refuse("quotes must come in pairs around a field", `"${line}"`);
  // RecBole's names have types: user_id:token
  const untyped = (name: string): string => name.replace(/:(token|float)(_seq)?$/, "");
  const names = fieldsOf(first).map(untyped);
  const named = columns ?? columnsIn(names);
  const chosen = named ?? placesIn(names) ?? refuse(
    "the first line of a file must name columns such as user_id and item_id, or --columns must",
    `"${first}"`,
  );
  // As in X.train.inter, which RecBole reads with benchmark_filename and MiniOneRec makes.
  const list = `${chosen.item}_list`;
  if (names.includes(list)) {
    refuse(`a row must be one interaction, without a history such as ${list}`, `"${first}"`);
  }
  const given = ROLES.map((role) => chosen[role] && untyped(chosen[role]));
  const isNumbered = given.every((name) => name === undefined || /^[1-9]\d{0,5}$/.test(name));
  const places = given.map((name) => {
    if (name === undefined) return names.length; // where there is never a value
    const place = isNumbered ? Number(name) - 1 : names.indexOf(name);
    if (place < 0 || place >= names.length || (!isNumbered && names.lastIndexOf(name) !== place)) {
      const what = isNumbered ? `at least ${name} columns` : `a column "${name}", once`;
      refuse(`the first line must have ${what}`, `"${first}"`);
    }
    return place;
  });
  const [user, item, time, rating] = places;
  return {
    columns: chosen,
    hasHeader: !isNumbered,
    valuesOf(line) {
      const fields = fieldsOf(line);
      if (fields.length !== names.length) {
        refuse(`a row must have ${names.length} fields, as the first line`, `"${line}"`);
      }
      return [fields[user], fields[item], fields[time], fields[rating]];
    },
  };
}

function jsonLayout(first: string, columns: Columns | undefined, refuse: Refuse): Layout {
  const objectIn = (line: string): Readonly<Record<string, unknown>> => {
    try {
      const value = JSON.parse(line);
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    } catch {
      // refused below
    }
    return refuse("a row must be a JSON object on a line of its own", `"${line}"`);
  };
  const keys = Object.keys(objectIn(first));
  const { user, item, time, rating } = columns ?? columnsIn(keys) ?? refuse(
    "a row must have keys such as user_id and item_id, or --columns must name them",
    keys.join(", "),
  );
  const isUntimed = columns === undefined && time === undefined;
  return {
    columns: { user, item, time, rating },
    hasHeader: false,
    valuesOf(line) {
      const row = objectIn(line);
      if (isUntimed && NAMES.time.some((name) => Object.hasOwn(row, name))) {
        refuse("a row may have a time only if the first row has one", `"${line}"`);
      }
      return [user, item, time, rating].map((key) =>
        key !== undefined && Object.hasOwn(row, key) ? row[key] : undefined
      );
    },
  };
}

/** The columns with known names; undefined without users or items. */
function columnsIn(names: readonly string[]): Columns | undefined {
  const [user, item, time, rating] = ROLES.map((role) =>
    NAMES[role].find((name) => names.includes(name))
  );
  return user === undefined || item === undefined ? undefined : { user, item, time, rating };
}

/**
 * The columns of a file without a header, such as u.data: user, item, rating, time. In Amazon's
 * ratings of 2018 the item comes first.
 */
function placesIn([a, b, ...numbers]: readonly string[]): Columns | undefined {
  if (numbers.length !== 2 || !numbers.every((field) => NUMBER.test(field))) return undefined;
  const isSwapped = /^(B[0-9A-Z]{9}|\d{9}[\dX])$/.test(a) && /^A[0-9A-Z]{10,}$/.test(b);
  return isSwapped ? { ...PLACES, user: "2", item: "1" } : PLACES;
}

/** A column in messages. */
function nameOf(column: string): string {
  return `column "${column}"`;
}

function idOf(value: unknown, column: string, refuse: Refuse): string {
  if (typeof value === "string" && value !== "") return value;
  // A larger number was rounded and may be another id.
  if (typeof value === "number" && Number.isSafeInteger(value)) return String(value);
  return refuse(`${nameOf(column)} must be an id`, textOf(value));
}

function numberOf(value: unknown, column: string, refuse: Refuse): number {
  return numberIn(value) ?? refuse(`${nameOf(column)} must be a number`, textOf(value));
}

/** A number, or the seconds of a date such as 2018-07-07 22:09:11, which is in UTC. */
function timeOf(value: unknown, column: string, refuse: Refuse): number {
  return numberIn(value) ?? secondsIn(value) ??
    refuse(`${nameOf(column)} must be a number or an ISO date`, textOf(value));
}

function numberIn(value: unknown): number | undefined {
  const number = typeof value === "string" && NUMBER.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function secondsIn(value: unknown): number | undefined {
  const date = typeof value === "string" ? DATE.exec(value) : null;
  if (date === null) return undefined;
  const [, day, time = "00:00", fraction = "", zone = "Z"] = date;
  // Dates end at milliseconds, and some runtimes take February 30 for a day in March.
  const seconds = Math.floor(Date.parse(`${day}T${time}${zone}`) / 1000) + Number(fraction);
  const isDay = new Date(day).getUTCDate() === Number(day.slice(-2));
  return isDay && !Number.isNaN(seconds) ? seconds : undefined;
}

function textOf(value: unknown): string {
  return value === undefined ? "none" : JSON.stringify(value);
}

/** Numbers for ids, from 0. */
class Ids {
  readonly ids: string[] = [];
  readonly #indices = new Map<string, number>();
  #last = ""; // no id is empty
  #lastIndex = 0;
  readonly #what: string;
  readonly #refuse: Refuse;

  constructor(what: string, refuse: Refuse) {
    this.#what = what;
    this.#refuse = refuse;
  }

  indexOf(id: string): number {
    if (id === this.#last) return this.#lastIndex; // many files have a user's rows together
    this.#last = id;
    return this.#lastIndex = this.#find(id);
  }

  #find(id: string): number {
    const known = this.#indices.get(id);
    if (known !== undefined) return known;
    const index = this.ids.length;
    if (index === MOST_IDS) {
      this.#refuse(`a file must have at most ${MOST_IDS} ${this.#what}`, "more");
    }
    // A long id may be a view of the piece that was read, and keep that in memory. This is a copy.
    const own = id.split("").join("");
    this.ids.push(own);
    this.#indices.set(own, index);
    return index;
  }
}

/** Rows, in blocks. */
class Rows {
  readonly #full: Block[] = [];
  #open = newBlock();
  #count = 0; // of the open block

  push(user: number, item: number, time: number): void {
    if (this.#count === BLOCK) {
      this.#full.push(this.#open);
      this.#open = newBlock();
      this.#count = 0;
    }
    this.#open.users[this.#count] = user;
    this.#open.items[this.#count] = item;
    this.#open.times[this.#count++] = time;
  }

  blocks(): Block[] {
    const { users, items, times } = this.#open;
    const last = {
      users: users.subarray(0, this.#count),
      items: items.subarray(0, this.#count),
      times: times.subarray(0, this.#count),
    };
    return [...this.#full, last];
  }
}

function newBlock(): Block {
  return {
    users: new Int32Array(BLOCK),
    items: new Int32Array(BLOCK),
    times: new Float64Array(BLOCK),
  };
}
