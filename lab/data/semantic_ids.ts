/**
 * Data sets of semantic ids. A catalogue has the codes of each item, in JSON such as `index.json`,
 *
 *     {"0": ["<a_12>", "<b_7>", "<c_3>"], "1": ["<a_12>", "<b_9>", "<c_0>"]}
 *
 * or in lines of codes, title and id, with tabs between them, such as `info.txt`:
 *
 *     <a_12><b_7><c_3>	Pen	0
 *
 * Users have items in time order, in JSON such as `inter.json`,
 *
 *     {"17": [0, 1, 5, 0], "18": [3, 1, 2]}
 *
 * or in lines of a user and items, with spaces between them, as in `sequential_data.txt`. Items may
 * have titles, in the lines of the catalogue or in JSON such as `items.json`:
 *
 *     {"0": {"title": "Pen"}}
 *
 * @module
 */
import * as v from "valibot";
import { pathTable, sortedItems } from "../../models/decode/paths.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { idText, loadJson, mapOf, missingFile, readJson, refuseFile } from "../read_file.ts";
import {
  BOS,
  type Dataset,
  itemCoded,
  leaveOneOut,
  plainPrompt,
  type UserHistory,
} from "./dataset.ts";
import { readLines } from "./lines.ts";
import { titleText } from "./title_files.ts";

/** The files of a data set of users' sequences, by their paths in its folder. */
export interface SequenceFiles {
  /** The data set's name; default the folder's. */
  readonly name?: string;
  /** The codes of the items. Without them, each item is one token. */
  readonly codes?: string;
  /** The items of the users. */
  readonly users: string;
  /** The titles, if there are any. */
  readonly titles?: string;
}

const interactions = mapOf(v.array(idText));
const index = mapOf(v.pipe(v.array(v.string()), v.minLength(1, "an item must have codes")));
const descriptions = mapOf(v.looseObject({ title: v.nullish(titleText) }));

/**
 * Loads a data set of users' sequences; default those of `index.json`, `inter.json` and, if it is
 * there, `items.json`. Each code is a token, in natural order ("<a_2>" before "<a_10>"). Items may
 * share their codes. Without a file of codes, the items are those of the users, in natural order.
 * Users with fewer than three items are skipped and counted. HTML entities in titles are decoded.
 *
 * @throws {DataError} if a file is missing, malformed or contradicts another.
 */
export function loadSemanticIds(place: string | Folder, files?: SequenceFiles): Dataset {
  const folder = folderAt(place);
  const { name, codes, users: userFile, titles } = files ??
    { codes: "index.json", users: "inter.json", titles: "items.json" };
  const catalogue = codes === undefined ? undefined : readCatalogue(folder, codes);
  const histories = readUsers(folder, userFile);
  const known = titles === undefined ? undefined : readTitlesOf(folder, titles);

  const items = catalogue?.items ?? inNaturalOrder(new Set([...histories.values()].flat()));
  const itemOf = new Map(items.map((item, i) => [item, i]));
  const indexOf = (item: string, user: string): number =>
    itemOf.get(item) ?? refuseFile(
      folder,
      userFile,
      `every item must have codes in ${codes}`,
      `item "${item}" of user "${user}"`,
    );
  const users = [...histories]
    .map(([id, ids]): UserHistory => ({ id, items: ids.map((item) => indexOf(item, id)) }))
    .filter(({ items }) => items.length >= 3);
  const few = histories.size - users.length;
  if (users.length === 0) {
    const actual = `${few} users with fewer`;
    refuseFile(folder, userFile, "at least one user must have three items", actual);
  }
  const data = {
    name: name ?? folder.name,
    items,
    ...(known && { titles: items.map((item) => known.get(item) ?? item) }),
    ...leaveOneOut(users),
    skipped: few > 0 ? [{ what: "users with fewer than 3 items", count: few }] : [],
  };
  if (catalogue === undefined) return itemCoded(data);
  const { paths, tokens } = catalogue;
  return { ...data, paths, tokens, bos: BOS, prompt: plainPrompt(paths) };
}

/** Items that are written as their codes. */
export interface Catalogue extends Pick<Dataset, "items" | "paths" | "tokens"> {
  /** The codes of each item. */
  readonly codes: readonly (readonly string[])[];
}

/**
 * Reads the codes of items, from JSON or, if the file ends in `.txt`, from lines of codes, title
 * and id.
 *
 * @throws {DataError} if the file is missing, malformed or empty, or the codes of an item begin
 * those of another.
 */
export function readCatalogue(folder: Folder, file: string): Catalogue {
  const known = file.endsWith(".txt")
    ? new Map(readInfo(folder, file).entries().map(([id, { codes }]) => [id, codes]))
    : loadJson(folder, file, index);
  if (known.size === 0) refuseFile(folder, file, "the catalogue must have items", "none");
  const [items, codes] = [[...known.keys()], [...known.values()]];
  const coded = codedPaths(codes);
  refusePrefixes(folder, file, items, coded.paths);
  return { items, codes, ...coded };
}

/** The vocabulary and the paths of items whose codes are tokens, in natural order. */
export function codedPaths(
  codes: readonly (readonly string[])[],
): Pick<Dataset, "tokens" | "paths"> {
  const tokens = ["<bos>", ...inNaturalOrder(new Set(codes.flat()))];
  const tokenOf = new Map(tokens.map((text, token) => [text, token]));
  return { tokens, paths: codes.map((path) => path.map((code) => tokenOf.get(code) as number)) };
}

/** Reads the items of users, from JSON or, if the file ends in `.txt`, from lines. */
function readUsers(folder: Folder, file: string): ReadonlyMap<string, readonly string[]> {
  if (!file.endsWith(".txt")) return loadJson(folder, file, interactions);
  const users = new Map<string, readonly string[]>();
  for (const { line, text } of linesOf(folder, file)) {
    const [user, ...items] = text.trim().split(/\s+/);
    if (users.has(user)) {
      refuseFile(folder, `${file} line ${line}`, "a user must have one line", `"${user}" again`);
    }
    users.set(user, items);
  }
  return users;
}

/** An item of `info.txt`. */
export interface ItemInfo {
  /** Its line, from 1. */
  readonly line: number;
  /** Its codes. */
  readonly codes: readonly string[];
  /** Its title. */
  readonly title: string;
}

/**
 * Reads lines of codes, title and id, by id.
 *
 * @throws {DataError} if the file is missing or a line is malformed.
 */
export function readInfo(folder: Folder, file: string): Map<string, ItemInfo> {
  const items = new Map<string, ItemInfo>();
  for (const { line, text } of linesOf(folder, file)) {
    const refuse = (requirement: string, actual: string): never =>
      refuseFile(folder, `${file} line ${line}`, requirement, actual);
    const [, written, title, id] = /^([^\t]*)\t(.*)\t([^\t]+)$/.exec(text) ??
      refuse("it must be codes, a title and an id, with tabs between them", `"${text}"`);
    const codes = codesIn(written) ?? refuse("codes must be such as <a_1><b_2>", `"${written}"`);
    if (items.has(id)) refuse("an item must have one line", `"${id}" again`);
    const read = v.safeParse(titleText, title);
    if (!read.success) refuse(`its title: ${read.issues[0].message}`, `"${title}"`);
    items.set(id, { line, codes, title: read.output as string });
  }
  return items;
}

/** The codes in a text such as `<a_1><b_2>`; undefined for other texts. */
function codesIn(text: string): string[] | undefined {
  return /^(?:<[^<>]+>)+$/.test(text) ? text.match(/<[^<>]+>/g) ?? undefined : undefined;
}

/** Reads titles by item id. Items without a title, and a missing file of JSON, have none. */
export function readTitlesOf(
  folder: Folder,
  file: string,
): ReadonlyMap<string, string | undefined> | undefined {
  const known = file.endsWith(".txt")
    ? readInfo(folder, file)
    : readJson(folder, file, descriptions);
  return known && new Map([...known].map(([id, { title }]) => [id, title || undefined]));
}

/** The lines of a file that hold something, with their numbers from 1. */
function* linesOf(
  folder: Folder,
  file: string,
): Generator<{ readonly line: number; readonly text: string }> {
  if (!folder.has(file)) missingFile(folder, file);
  let line = 0;
  for (const text of readLines(folder, file)) {
    line++;
    if (text.trim() !== "") yield { line, text };
  }
}

/**
 * Refuses codes that begin those of another item: the two could not be told apart when generated.
 */
function refusePrefixes(
  folder: Folder,
  file: string,
  items: readonly string[],
  paths: Dataset["paths"],
): void {
  // In lexicographic order, a prefix is right before an item that it begins, or before an equal
  // one.
  const order = sortedItems(pathTable(paths));
  for (let i = 1; i < order.length; i++) {
    const [shorter, longer] = [paths[order[i - 1]], paths[order[i]]];
    if (shorter.length >= longer.length || shorter.some((token, t) => token !== longer[t])) {
      continue;
    }
    refuseFile(
      folder,
      file,
      "the codes of no item may begin those of another",
      `item "${items[order[i - 1]]}", which begins item "${items[order[i]]}"`,
    );
  }
}

/** Sorts texts, comparing the numbers in them by value: "<a_2>" before "<a_10>". */
export function inNaturalOrder(texts: Iterable<string>): string[] {
  return Array.from(texts, (text) => ({ text, parts: text.match(/\d+|\D+/g) ?? [] }))
    .sort((a, b) => compareParts(a.parts, b.parts))
    .map(({ text }) => text);
}

/** Compares texts that are cut into numbers and what is between them. */
function compareParts(x: readonly string[], y: readonly string[]): number {
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const byValue = /^\d/.test(x[i]) && /^\d/.test(y[i]) ? Number(x[i]) - Number(y[i]) : 0;
    if (byValue !== 0) return byValue;
    if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return x.length - y.length;
}
