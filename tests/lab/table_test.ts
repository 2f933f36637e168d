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

test("table: no rows", () => {
  assert.match(renderTable(["loss"], []), /│ loss │/);
});
