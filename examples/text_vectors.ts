// deno-lint-ignore-file no-console -- it prints
/**
 * Vectors of the items' words, for codes made from text without a language model:
 *
 *     deno run -R -W examples/text_vectors.ts FOLDER/items.json vectors.csv
 *     deno task codes --data FOLDER --codes hierarchical:64x16,from=vectors.csv
 *
 * @module
 */
import { foldIn, keyOf, normal } from "beargrad";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";

/** Dimensions. Errors of cosines are about 1 / sqrt(DIM). */
const DIM = 256;

/**
 * A vector of length 1 for each item: the tf-idf weights of its words, ln(items / items with the
 * word) each, projected at random, which about keeps the angles (Johnson and Lindenstrauss, 1984).
 * An item without words gets zeros.
 */
export function textVectors(texts: readonly string[]): Float64Array[] {
  const items = texts.map((text) => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu)));
  const counts = new Map<string, number>();
  for (const words of items) {
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const directions = new Map(
    [...counts.keys()].map((word, i) => [word, normal(foldIn(keyOf(0), i), DIM)]),
  );
  return items.map((words) => {
    const sum = new Float64Array(DIM);
    for (const word of words) {
      const weight = Math.log(texts.length / counts.get(word)!);
      directions.get(word)!.forEach((x, i) => sum[i] += weight * x);
    }
    const length = Math.hypot(...sum) || 1;
    return sum.map((x) => x / length);
  });
}

if (import.meta.main) {
  const [from, to] = process.argv.slice(2);
  if (to === undefined) {
    console.error("usage: text_vectors.ts ITEMS.json VECTORS.csv");
    process.exit(2);
  }
  const items: Record<string, object> = JSON.parse(await readFile(from, "utf8"));
  const vectors = textVectors(Object.values(items).map((item) => Object.values(item).join(" ")));
  const lines = Object.keys(items).map((id, i) => `${id},${[...vectors[i]].join(",")}\n`);
  await writeFile(to, lines.join(""));
}
