/**
 * Data sets of semantic IDs. A folder has `index.json`, the codes of each item,
 *
 *     {"0": ["<a_12>", "<b_7>", "<c_3>"], "1": ["<a_12>", "<b_9>", "<c_0>"]}
 *
 * `inter.json`, the items of each user in time order,
 *
 *     {"17": [0, 1, 5, 0], "18": [3, 1, 2]}
 *
 * and may have `items.json`, in which an item may have a title: `{"0": {"title": "Pen"}}`.
 *
 * @module
 */
import * as v from "valibot";
import { pathTable, sortedItems } from "../../models/decode/paths.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { loadJson, mapOf, readJson, refuseFile } from "../read_file.ts";
import { BOS, type Dataset, leaveOneOut, plainPrompt, type UserHistory } from "./dataset.ts";
import { titleText } from "./title_files.ts";

const id = v.pipe(
  v.union([v.string(), v.number()]),
  v.check( // a larger number was rounded and may be another item's id
    (id) => typeof id === "string" || Number.isSafeInteger(id),
    "a number must be a safe integer",
  ),
  v.transform(String),
);
const interactions = mapOf(v.array(id));
const index = mapOf(v.pipe(v.array(v.string()), v.minLength(1, "an item must have codes")));
const descriptions = mapOf(v.looseObject({ title: v.optional(titleText) }));

/**
 * Loads a data set of semantic IDs. Each code is a token, in natural order ("<a_2>" before
 * "<a_10>"). Items may share their codes. Users with fewer than three items are skipped and
 * counted. HTML entities in titles are decoded.
 *
 * @throws {DataError} if a file is missing, malformed or contradicts another.
 */
export function loadSemanticIds(place: string | Folder): Dataset {
  const folder = folderAt(place);
  const codes = [...loadJson(folder, "index.json", index)];
  const histories = loadJson(folder, "inter.json", interactions);
  const known = readJson(folder, "items.json", descriptions);
  if (codes.length === 0) refuseFile(folder, "index.json", "the catalogue must have items", "none");

  const tokens = ["<bos>", ...inNaturalOrder(new Set(codes.flatMap(([, path]) => path)))];
  const tokenOf = new Map(tokens.map((text, token) => [text, token]));
  const paths = codes.map(([, path]) => path.map((code) => tokenOf.get(code) as number));
  refusePrefixes(folder, codes, paths);

  const itemOf = new Map(codes.map(([item], i) => [item, i]));
  const indexOf = (item: string, user: string): number =>
    itemOf.get(item) ?? refuseFile(
      folder,
      "inter.json",
      "every item must have codes in index.json",
      `item "${item}" of user "${user}"`,
    );
  const users = [...histories]
    .map(([id, ids]): UserHistory => ({ id, items: ids.map((item) => indexOf(item, id)) }))
    .filter(({ items }) => items.length >= 3);
  const few = histories.size - users.length;
  if (users.length === 0) {
    const actual = `${few} users with fewer`;
    refuseFile(folder, "inter.json", "at least one user must have three items", actual);
  }
  return {
    name: folder.name,
    items: codes.map(([item]) => item),
    ...(known && { titles: codes.map(([item]) => known.get(item)?.title ?? item) }),
    paths,
    tokens,
    bos: BOS,
    ...leaveOneOut(users),
    prompt: plainPrompt(paths),
    skipped: few > 0 ? [{ what: "users with fewer than 3 items", count: few }] : [],
  };
}

/**
 * Refuses codes that begin those of another item: the two could not be told apart when generated.
 */
function refusePrefixes(
  folder: Folder,
  codes: readonly (readonly [string, unknown])[],
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
      "index.json",
      "the codes of no item may begin those of another",
      `item "${codes[order[i - 1]][0]}", which begins item "${codes[order[i]][0]}"`,
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
