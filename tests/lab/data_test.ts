/** Data sets: leave-one-out, and semantic-ID folders with everything that can be wrong with them. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import {
  type Dataset,
  distinctPaths,
  evaluationCases,
  leaveOneOut,
  plainPrompt,
} from "../../lab/data/dataset.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";

const OFFICE = "../shared/data/office-sid";

const INDEX = {
  "0": ["<a_10>", "<b_0>"],
  "1": ["<a_2>", "<b_0>"],
  "2": ["<a_2>", "<b_1>"],
  "3": ["<a_2>", "<b_1>"],
};
const INTER = { "7": [0, 1, 2, 3], "8": [3, 2], "9": ["1", "0", "2"] };

/** Runs `use` on a folder with the given files: objects are written as JSON, strings as they are. */
function withFolder<T>(files: Readonly<Record<string, unknown>>, use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-"));
  try {
    for (const [file, contents] of Object.entries(files)) {
      const text = typeof contents === "string" ? contents : JSON.stringify(contents);
      writeFileSync(join(folder, file), text);
    }
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Asserts that a folder is refused in one line that names the file and says what `told` matches. */
function refuses(files: Readonly<Record<string, unknown>>, file: string, told: RegExp): void {
  withFolder(files, (folder) =>
    assert.throws(() => loadSemanticIds(folder), (error: unknown) => {
      assert.ok(error instanceof DataError, `${error}`);
      assert.ok(error.message.startsWith(`Cannot load ${join(folder, file)}`), error.message);
      assert.match(error.message, told);
      assert.ok(!error.message.includes("\n"), error.message);
      return true;
    }));
}

test("data: a folder of semantic IDs", () => {
  const items = { "0": { title: "Pen" }, "1": { title: "Ink &amp; more", brand: "x" }, "2": {} };
  const dataset = withFolder(
    { "index.json": INDEX, "inter.json": INTER, "items.json": items },
    loadSemanticIds,
  );
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
});

test("data: titles are optional", () => {
  const dataset = withFolder({ "index.json": INDEX, "inter.json": INTER }, loadSemanticIds);
  assert.equal(dataset.titles, undefined);
});

test("data: natural order goes number by number", () => {
  const index = {
    "0": ["c10"],
    "1": ["c9x2"],
    "2": ["c9x10"],
    "3": ["b"],
    "4": ["c9"],
    "5": ["c09"],
  };
  const dataset = withFolder(
    { "index.json": index, "inter.json": { u: [0, 1, 2] } },
    loadSemanticIds,
  );
  assert.deepEqual(dataset.tokens, ["<bos>", "b", "c09", "c9", "c9x2", "c9x10", "c10"]);
});

test("data: a folder that does not exist", () => {
  const folder = join(tmpdir(), "beargrad-nowhere");
  assert.throws(() => loadSemanticIds(folder), (error: unknown) => {
    assert.ok(error instanceof DataError);
    assert.match(error.message, /beargrad-nowhere.*the folder must exist/);
    return true;
  });
});

test("data: a file that does not exist", () => {
  refuses({ "inter.json": INTER }, "index.json", /the file must be there/);
  refuses({ "index.json": INDEX }, "inter.json", /the file must be there/);
});

test("data: truncated JSON", () => {
  const text = JSON.stringify(INTER).slice(0, -4);
  refuses({ "index.json": INDEX, "inter.json": text }, "inter.json", /well-formed JSON/);
  refuses({ "index.json": "", "inter.json": INTER }, "index.json", /well-formed JSON/);
});

test("data: a wrong structure is named with its place", () => {
  refuses(
    { "index.json": [1], "inter.json": INTER },
    "index.json",
    /must be an object, got an array/,
  );
  refuses(
    { "index.json": INDEX, "inter.json": "null" },
    "inter.json",
    /must be an object, got null/,
  );
  const index = { ...INDEX, "2": ["<a_2>", 5] };
  refuses(
    { "index.json": index, "inter.json": INTER },
    "index.json",
    /at "2\.1".*must be string, got 5/,
  );
  const inter = { ...INTER, "8": 3 };
  refuses(
    { "index.json": INDEX, "inter.json": inter },
    "inter.json",
    /at "8".*must be Array, got 3/,
  );
  refuses(
    { "index.json": INDEX, "inter.json": '{"8": [0, 9007199254740993]}' },
    "inter.json",
    /at "8\.1": a number must be a safe integer.*got 9007199254740992/,
  );
  const items = { "0": { title: 5 } };
  refuses(
    { "index.json": INDEX, "inter.json": INTER, "items.json": items },
    "items.json",
    /at "0\.title"/,
  );
});

test("data: users and items may be called anything", () => {
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

test("data: a key twice", () => {
  const pair = '{"7": [0, 1, 2], "\\u0037": [2, 1, 0]}';
  refuses({ "index.json": INDEX, "inter.json": pair }, "inter.json", /a key twice, got 7$/);
  const items = '{"0": {"title": "a \\" {", "x": {"title": "b"}, "title": "c"}}';
  const files = { "index.json": INDEX, "inter.json": INTER, "items.json": items };
  refuses(files, "items.json", /a key twice, got title$/);
});

test("data: a title that is too long", () => {
  const items = { "1": { title: "pen".repeat(4000) } };
  refuses(
    { "index.json": INDEX, "inter.json": INTER, "items.json": items },
    "items.json",
    /at "1\.title".*must have at most 10000 characters, got 12000$/,
  );
});

test("data: an item of a user that has no codes", () => {
  const inter = { ...INTER, "8": [3, 77] };
  refuses({ "index.json": INDEX, "inter.json": inter }, "inter.json", /item "77" of user "8"/);
});

test("data: an empty catalogue", () => {
  refuses({ "index.json": {}, "inter.json": INTER }, "index.json", /the catalogue must have items/);
});

test("data: an item with an empty list of codes", () => {
  const index = { ...INDEX, "1": [] };
  refuses({ "index.json": index, "inter.json": INTER }, "index.json", /at "1".*must have codes/);
});

test("data: codes that begin those of another item", () => {
  const index = { ...INDEX, "5": ["<a_10>"] };
  refuses(
    { "index.json": index, "inter.json": INTER },
    "index.json",
    /item "5", which begins item "0"/,
  );
});

test("data: no user with three items", () => {
  const inter = { "7": [0, 1], "8": [] };
  refuses({ "index.json": INDEX, "inter.json": inter }, "inter.json", /three items, got 2 users/);
});

test("data: leave one out", () => {
  const paths = [[1, 2], [3], [2, 1, 3], [2, 2]];
  const dataset: Dataset = {
    name: "hand-made",
    items: ["0", "1", "2", "3"],
    paths,
    tokens: ["<bos>", "a", "b", "c"],
    ...leaveOneOut([{ id: "x", items: [0, 1, 2, 3, 0] }, { id: "y", items: [2, 1, 3] }]),
    prompt: plainPrompt(paths),
    skipped: [],
  };
  assert.deepEqual(dataset.training[0], { items: [0, 1, 2], context: 0 });
  assert.deepEqual(dataset.known("validation"), [[0, 1, 2], [2]]);
  assert.deepEqual(dataset.known("test"), [[0, 1, 2, 3], [2, 1]]);
  assert.deepEqual(evaluationCases(dataset, "validation", 2), [
    { id: "x", history: [1, 2], target: 3 },
    { id: "y", history: [2], target: 1 },
  ]);
  assert.deepEqual(evaluationCases(dataset, "test", 20, 1), [
    { id: "x", history: [0, 1, 2, 3], target: 0 },
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
