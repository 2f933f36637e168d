/**
 * Data sets of semantic IDs: a folder with `inter.json` (user -> item ids in time order), `index.json` (item id ->
 * codes) and, if there is one, `items.json` (item id -> what is known of it, its title among it).
 *
 * @module
 */
import { basename, resolve } from "node:path";
import * as v from "valibot";
import { pathTable, sortedItems } from "../../models/decode/paths.ts";
import { mapOf, missingFile, readJson, refuseFile } from "../folder_files.ts";
import { decodeHtml } from "../text/html.ts";
import { BOS, type Dataset, leaveOneOut, plainPrompt, type UserHistory } from "./dataset.ts";
import { titleText } from "./title_files.ts";

const id = v.pipe(
  v.union([v.string(), v.number()]),
  // A larger number has been rounded to that of another item.
  v.check(
    (id) => typeof id === "string" || Number.isSafeInteger(id),
    "a number must be a safe integer",
  ),
  v.transform(String),
);
const interactions = mapOf(v.array(id));
const index = mapOf(v.pipe(v.array(v.string()), v.minLength(1, "an item must have codes")));
const descriptions = mapOf(v.looseObject({ title: v.optional(titleText) }));

/**
 * Loads a data set of semantic IDs. Each distinct code becomes a token, in natural order ("<a_2>" before "<a_10>"). Items
 * that share their codes are legal; users with fewer than three items are skipped and counted. HTML entities in titles are
 * decoded.
 *
 * @throws {DataError} if a file is missing, malformed or contradicts another: one line that names file and place.
 *
 * @example
 * ```ts ignore
 * import { loadSemanticIds } from "beargrad/lab";
 *
 * const dataset = loadSemanticIds("data/office");
 * console.log(dataset.items.length, "items", dataset.test.length, "users");
 * ```
 */
export function loadSemanticIds(folder: string): Dataset {
  const codes = [...readJson(folder, "index.json", index) ?? missingFile(folder, "index.json")];
  const histories = readJson(folder, "inter.json", interactions) ??
    missingFile(folder, "inter.json");
  const known = readJson(folder, "items.json", descriptions);
  if (codes.length === 0) refuseFile(folder, "index.json", "the catalogue must have items", "none");

  const tokens = ["<bos>", ...inNaturalOrder(new Set(codes.flatMap(([, path]) => path)))];
  const tokenOf = new Map(tokens.map((text, token) => [text, token]));
  const paths = codes.map(([, path]) => path.map((code) => tokenOf.get(code) as number));
  refusePrefixes(folder, codes, paths);

  const itemOf = new Map(codes.map(([item], i) => [item, i]));
  const users: UserHistory[] = [];
  for (const [user, ids] of histories) {
    const items = ids.map((item) =>
      itemOf.get(item) ?? refuseFile(
        folder,
        "inter.json",
        "every item must have codes in index.json",
        `item "${item}" of user "${user}"`,
      )
    );
    if (items.length >= 3) users.push({ id: user, items });
  }
  const few = histories.size - users.length;
  if (users.length === 0) {
    refuseFile(
      folder,
      "inter.json",
      "at least one user must have three items",
      `${few} users with fewer`,
    );
  }
  return {
    name: basename(resolve(folder)),
    items: codes.map(([item]) => item),
    ...(known && { titles: codes.map(([item]) => decodeHtml(known.get(item)?.title ?? item)) }),
    paths,
    tokens,
    bos: BOS,
    ...leaveOneOut(users),
    prompt: plainPrompt(paths),
    skipped: few > 0 ? [{ what: "users with fewer than 3 items", count: few }] : [],
  };
}

/** An item whose codes begin another's could never be told from it while they are generated. */
function refusePrefixes(
  folder: string,
  codes: readonly (readonly [string, unknown])[],
  paths: Dataset["paths"],
): void {
  // In lexicographic order it is right before one of them, or before its like.
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

/** Texts in an order that compares their numbers by value: "<a_2>" before "<a_10>". */
function inNaturalOrder(texts: Iterable<string>): string[] {
  const parts = (text: string): string[] => text.match(/\d+|\D+/g) ?? [];
  return Array.from(texts, (text) => ({ text, parts: parts(text) }))
    .sort((a, b) => naturally(a.parts, b.parts)).map(({ text }) => text);
}

/** Compares texts that are cut into numbers and what is between them. */
function naturally(x: readonly string[], y: readonly string[]): number {
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const byValue = /^\d/.test(x[i]) && /^\d/.test(y[i]) ? Number(x[i]) - Number(y[i]) : 0;
    if (byValue !== 0) return byValue;
    if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
  }
  return x.length - y.length;
}
