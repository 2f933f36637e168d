// deno-lint-ignore-file no-console -- it prints
/**
 * Text to pretrain on: the titles of a data set, listed category by category, as a shop shows them,
 * without any user.
 *
 *     deno run -R -W examples/title_pages.ts TITLES ITEMS.json PAGES
 *     deno task train --data PAGES --loss sft --history 10 --epochs 5 --out runs/read
 *     deno task train --data TITLES --loss msl --history 10 --model runs/read/sft-seed0
 *
 * @module
 */
import { foldIn, keyOf, permutation } from "beargrad";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import process from "node:process";

/**
 * The items of each category, in `copies` random orders, as lines of a train.csv. Items whose
 * titles have no category are listed together.
 */
export function titlePages(
  titles: Readonly<Record<string, string>>,
  categoryOf: ReadonlyMap<string, string>,
  copies: number,
): string[] {
  const categories = [
    ...Map.groupBy(Object.keys(titles), (id) => categoryOf.get(titles[id])).values(),
  ];
  const pages = Array.from({ length: copies }, (_, copy) =>
    categories.map((ids, category) => {
      const key = foldIn(foldIn(keyOf(0), copy), category);
      return [...permutation(key, ids.length)].map((i) => ids[i]);
    })).flat();
  return pages.map((ids, page) => `${page},"[${ids.join(", ")}]",${page}`);
}

if (import.meta.main) {
  const [from, itemsFile, to] = process.argv.slice(2);
  if (to === undefined) {
    console.error("usage: title_pages.ts TITLES ITEMS.json PAGES");
    process.exit(2);
  }
  const titles = JSON.parse(await readFile(`${from}/id2name4Rec.json`, "utf8"));
  const items: Record<string, { title: string; categories: string }> = JSON.parse(
    await readFile(itemsFile, "utf8"),
  );
  const categoryOf = new Map(Object.values(items).map((item) => [item.title, item.categories]));
  const header = "user_id,item_ids,timestamp";
  const pages = titlePages(titles, categoryOf, 8);
  await mkdir(to, { recursive: true });
  await copyFile(`${from}/id2name4Rec.json`, `${to}/id2name4Rec.json`);
  await writeFile(`${to}/train.csv`, [header, ...pages, ""].join("\n"));
  const test = (await readFile(`${from}/test.csv`, "utf8")).split("\n").slice(0, 11);
  await writeFile(`${to}/test.csv`, test.join("\n")); // a data set must have test cases
}
