/** Tables. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderTable } from "../../lab/table.ts";

test("table: numbers at the right, words at the left, no colours", () => {
  const rows = [["sft", ".0569", 3, "-"], ["popularity", "-", 12, "4.5 %"], [
    "msl",
    "",
    7,
    "-10 %",
  ]];
  assert.equal(
    renderTable(["loss", "HR@10", "runs", "gain"], rows),
    [
      "┌────────────┬───────┬──────┬───────┐",
      "│ loss       │ HR@10 │ runs │  gain │",
      "├────────────┼───────┼──────┼───────┤",
      "│ sft        │ .0569 │    3 │     - │",
      "│ popularity │     - │   12 │ 4.5 % │",
      "│ msl        │       │    7 │ -10 % │",
      "└────────────┴───────┴──────┴───────┘",
    ].join("\n"),
  );
});

test("table: a column with a word is one of words; a column of gaps too", () => {
  const lines = renderTable(["a", "bb", "ccc"], [["1", "x1", "-"], ["22", "2", ""]]).split("\n");
  assert.equal(lines[3], "│  1 │ x1 │ -   │");
  assert.equal(lines[4], "│ 22 │ 2  │     │");
});

test("table: errors and exponents are numbers", () => {
  const lines = renderTable(["value"], [[".07 ± .003"], ["-1.5e-7"]]).split("\n");
  assert.equal(lines[4], "│    -1.5e-7 │");
});

test("table: wide characters and long words are shown in full", () => {
  const title = "日本語のタイトルです";
  assert.ok(renderTable(["", "title"], [["1", title]], 80).includes(`│ ${title} │`));
  const id = "an-identifier-without-a-space-".repeat(2);
  const lines = renderTable(["", "id"], [["1", id]], 40).split("\n");
  assert.ok(lines.every((line) => line.length <= 40));
  const shown = lines.slice(3, -1).map((line) => line.split("│")[2].trim()).join("");
  assert.equal(shown, id);
});

test("table: no rows", () => {
  assert.match(renderTable(["loss"], []), /│ loss │/);
});

test("table: one that does not fit wraps its widest column of words, and a wide terminal is used", () => {
  const rows = [["T1", "a statement that is long enough to be wrapped", 12]];
  assert.equal(
    renderTable(["id", "it says", "cases"], rows, 40),
    [
      "┌────┬─────────────────────────┬───────┐",
      "│ id │ it says                 │ cases │",
      "├────┼─────────────────────────┼───────┤",
      "│ T1 │ a statement that is     │    12 │",
      "│    │ long enough to be       │       │",
      "│    │ wrapped                 │       │",
      "└────┴─────────────────────────┴───────┘",
    ].join("\n"),
  );
  const lines = renderTable(["id", "it says", "cases"], rows, 80).split("\n");
  assert.equal(lines.length, 5);
  assert.equal(lines[0].length, 62);
});

test("table: where words cannot give way columns are split, each part with the first one", () => {
  const head = ["loss", ...Array.from({ length: 12 }, (_, t) => `step ${t + 1}`)];
  const rows = ["sft", "bear"].map((loss) => [loss, ...head.slice(1).map(() => ".123")]);
  const split = renderTable(head, rows, 80).split("\n");
  for (const line of split) assert.ok(line.length <= 80, line);
  assert.equal(split.filter((line) => line.startsWith("│ sft ")).length, 2);
  const steps = split.flatMap((line) => line.match(/step \d+/g) ?? []);
  assert.deepEqual(steps, head.slice(1));
  assert.equal(renderTable(head, rows, 200).split("\n").length, 6);
  const long = renderTable(["a".repeat(90), "b".repeat(90)], [["c".repeat(90), 1]], 80);
  for (const line of long.split("\n")) assert.ok(line.length <= 80, line);
});
