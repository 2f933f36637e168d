/**
 * Large inputs, whose time must not grow as their square. The limit is many times what each needs,
 * and a small part of what it needed with an algorithm that was quadratic.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { chain, inTimeOrder } from "../../lab/data/chains.ts";
import { joinValidation } from "../../lab/data/derived.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { loadTemplate } from "../../lab/text/template.ts";
import { datasetOf } from "./datasets.ts";
import { withFolder } from "./with_folder.ts";

/** CPU seconds for each. */
const LIMIT = 10;

const cases: Readonly<Record<string, () => void>> = {
  "8,000 rows of one user and one time": () => {
    const items = Array.from({ length: 8009 }, (_, i) => `${i}`);
    const rows = Array.from({ length: 8000 }, (_, i) => {
      const at = (i * 3001) % 8000; // in no order
      return { line: i + 2, user: "u", ids: items.slice(at, at + 10), time: 1 };
    });
    assert.deepEqual(chain(inTimeOrder(rows)), [items]);
  },
  "a prompt with 400,000 spaces": () => {
    const spaces = " ".repeat(400_000);
    withFolder({ "prompt.txt": `{history}${spaces}x${spaces}{item}` }, (folder) => {
      const { after, lead } = loadTemplate(join(folder, "prompt.txt"));
      assert.deepEqual([after, lead], [`${spaces}x`, spaces]);
    });
  },
  "100,000 validation cases of one history": () => {
    const dataset = datasetOf([[1], [2], [3]], new Array(100_000).fill([0, 1, 2]));
    assert.deepEqual(joinValidation(dataset).training.at(-1), { items: [0, 1], context: 0 });
  },
  "items of 6,000 codes": () => {
    const codes = Array.from({ length: 6000 }, (_, i) => `<${i}>`);
    const index = Array.from({ length: 100 }, (_, i) => [...codes, `<x_${i}>`]);
    const inter = { u: [0, 1, 2] };
    withFolder({ "index.json": { ...index }, "inter.json": inter }, (folder) => {
      assert.equal(loadSemanticIds(folder).tokens.length, 6101);
    });
  },
};

for (const [what, run] of Object.entries(cases)) {
  test(`scale: ${what}`, () => {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    assert.ok(seconds < LIMIT, `${seconds} s`);
  });
}
