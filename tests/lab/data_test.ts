/** Leave-one-out, and folders of semantic IDs with everything that can be wrong with them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { distinctPaths, evaluationCases } from "../../lab/data/dataset.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { datasetOf, isRefusal } from "./datasets.ts";
import { type Files, withFolder } from "./with_folder.ts";

const OFFICE = "../shared/data/office-sid";

const INDEX = {
  "0": ["<a_10>", "<b_0>"],
  "1": ["<a_2>", "<b_0>"],
  "2": ["<a_2>", "<b_1>"],
  "3": ["<a_2>", "<b_1>"],
};
const FOLDER: Files = {
  "index.json": INDEX,
  "inter.json": { "7": [0, 1, 2, 3], "8": [3, 2], "9": ["1", "0", "2"] },
};

test("data: a folder of semantic IDs", () => {
  const items = {
    "0": { title: " Pen\n" },
    "1": { title: "Ink &amp; more", brand: "x" },
    "2": {},
    "3": { title: " \r\n" },
  };
  const dataset = withFolder({ ...FOLDER, "items.json": items }, loadSemanticIds);
  assert.deepEqual(dataset.tokens, ["<bos>", "<a_2>", "<a_10>", "<b_0>", "<b_1>"]);
  assert.deepEqual(dataset.paths, [[2, 3], [1, 3], [1, 4], [1, 4]]);
  assert.deepEqual(dataset.items, ["0", "1", "2", "3"]);
  assert.deepEqual(dataset.titles, ["Pen", "Ink & more", "2", "3"]);
  assert.deepEqual(dataset.training, [{ items: [0, 1], context: 0 }, { items: [1], context: 0 }]);
  assert.deepEqual(dataset.validation, [
    { id: "7", history: [0, 1], target: 2 },
    { id: "9", history: [1], target: 0 },
  ]);
  assert.deepEqual(dataset.test, [
    { id: "7", history: [0, 1, 2], target: 3 },
    { id: "9", history: [1, 0], target: 2 },
  ]);
  assert.deepEqual(dataset.skipped, [{ what: "users with fewer than 3 items", count: 1 }]);
  assert.equal(distinctPaths(dataset), 3);
  assert.equal(withFolder(FOLDER, loadSemanticIds).titles, undefined);
});

test("data: codes are in natural order", () => {
  const codes = ["c10", "c9x2", "c9x10", "b", "c9", "c09"];
  const index = Object.fromEntries(codes.map((code, item) => [item, [code]]));
  const { tokens } = withFolder(
    { "index.json": index, "inter.json": { u: [0, 1, 2] } },
    loadSemanticIds,
  );
  assert.deepEqual(tokens, ["<bos>", "b", "c09", "c9", "c9x2", "c9x10", "c10"]);
});

test("data: users and items may have any name", () => {
  const names = ["constructor", "prototype", "__proto__", "toString"];
  const object = (values: readonly unknown[]): string =>
    `{${names.map((name, i) => `"${name}": ${JSON.stringify(values[i])}`).join(", ")}}`;
  const dataset = withFolder({
    "index.json": object([["<a>"], ["<b>"], ["<c>"], ["<d>"]]),
    "inter.json": object(names.map((_, i) => names.slice(i).concat(names))),
    "items.json": '{"__proto__": {"title": "Pen"}}',
  }, loadSemanticIds);
  assert.deepEqual(dataset.items, names);
  assert.deepEqual(dataset.titles, ["constructor", "prototype", "Pen", "toString"]);
  assert.deepEqual(dataset.test.map(({ id }) => id), names);
  assert.deepEqual(dataset.test[2], { id: "__proto__", history: [2, 3, 0, 1, 2], target: 3 });
});

/** Changes to the folder, with the file that the error names and its message. */
const REFUSED: readonly [what: string, changes: Files, file: string, message: RegExp][] = [
  ["no codes", { "index.json": undefined }, "", /it must hold index\.json, got none$/],
  ["no users", { "inter.json": undefined }, "", /it must hold inter\.json, got none$/],
  ["truncated JSON", { "inter.json": '{"7": [0' }, "inter.json", /it must be JSON, got /],
  ["an empty file", { "index.json": "" }, "index.json", /it must be JSON, got /],
  ["an array", { "index.json": [1] }, "index.json", /must be an object, got an array$/],
  ["null", { "inter.json": "null" }, "inter.json", /must be an object, got null$/],
  [
    "a code that is a number",
    { "index.json": { ...INDEX, "2": ["<a_2>", 5] } },
    "index.json",
    /at "2\.1".*must be string, got 5$/,
  ],
  [
    "a user without a list",
    { "inter.json": { "8": 3 } },
    "inter.json",
    /at "8".*must be Array, got 3$/,
  ],
  [
    "an id that is rounded",
    { "inter.json": '{"8": [0, 9007199254740993]}' },
    "inter.json",
    /at "8\.1": a number must be a safe integer.*got 9007199254740992$/,
  ],
  [
    "a title that is a number",
    { "items.json": { "0": { title: 5 } } },
    "items.json",
    /at "0\.title"/,
  ],
  [
    "a long title",
    { "items.json": { "1": { title: "pen".repeat(4000) } } },
    "items.json",
    /at "1\.title".*must have at most 10000 characters, got 12000$/,
  ],
  [
    "a user twice",
    { "inter.json": '{"7": [0, 1, 2], "\\u0037": [2, 1, 0]}' },
    "inter.json",
    /a key twice, got "7"$/,
  ],
  [
    "a field twice",
    { "items.json": '{"0": {"title": "a \\" {", "x": {"title": "b"}, "title": "c"}}' },
    "items.json",
    /a key twice, got "title"$/,
  ],
  ["an unknown item", { "inter.json": { "8": [3, 77] } }, "inter.json", /item "77" of user "8"$/],
  ["an empty catalogue", { "index.json": {} }, "index.json", /the catalogue must have items/],
  ["no code", { "index.json": { ...INDEX, "1": [] } }, "index.json", /at "1".*must have codes/],
  [
    "codes that begin others",
    { "index.json": { ...INDEX, "5": ["<a_10>"] } },
    "index.json",
    /item "5", which begins item "0"$/,
  ],
  [
    "short users",
    { "inter.json": { "7": [0, 1], "8": [] } },
    "inter.json",
    /three items, got 2 users/,
  ],
  ["other bytes", { "inter.json": Uint8Array.of(0x7b, 0xff) }, "inter.json", /must be UTF-8 text/],
];

for (const [what, changes, file, message] of REFUSED) {
  test(`data: refuses ${what}`, () => {
    const files = { ...FOLDER, ...changes };
    withFolder(files, (folder) =>
      assert.throws(
        () => loadSemanticIds(folder),
        (error) => isRefusal(error, `Cannot load ${join(folder, file)}`, message),
      ));
  });
}

test("data: refuses a folder that does not exist", () => {
  const folder = join(tmpdir(), "beargrad-nowhere");
  assert.throws(
    () => loadSemanticIds(folder),
    (error) => isRefusal(error, folder, /: the folder must exist, got none$/),
  );
});

test("data: leave one out", () => {
  const dataset = datasetOf([[1, 2], [3], [2, 1, 3], [2, 2]], [[0, 1, 2, 3, 0], [2, 1, 3]]);
  assert.deepEqual(dataset.training[0], { items: [0, 1, 2], context: 0 });
  assert.deepEqual(dataset.known("validation"), [[0, 1, 2], [2]]);
  assert.deepEqual(dataset.known("test"), [[0, 1, 2, 3], [2, 1]]);
  assert.deepEqual(evaluationCases(dataset, "validation", 2), [
    { id: "u", history: [1, 2], target: 3 },
    { id: "v", history: [2], target: 1 },
  ]);
  assert.deepEqual(evaluationCases(dataset, "test", 20, 1), [
    { id: "u", history: [0, 1, 2, 3], target: 0 },
  ]);
  assert.deepEqual(dataset.prompt([2, 0]), [0, 2, 1, 3, 1, 2]);
});

test("data: office-sid", {
  skip: existsSync(OFFICE) ? false : `there is no ${OFFICE}`,
}, () => {
  const dataset = loadSemanticIds(OFFICE);
  assert.equal(dataset.name, "office-sid");
  assert.equal(dataset.test.length, 4905);
  assert.equal(dataset.items.length, 2420);
  assert.equal(distinctPaths(dataset), 2415);
  assert.equal(dataset.test.reduce((sum, { history }) => sum + history.length + 1, 0), 53258);
  assert.equal(dataset.tokens.length, 1021);
  assert.deepEqual(dataset.skipped, []);
});
