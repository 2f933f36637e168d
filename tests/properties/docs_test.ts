/**
 * docs/theory.md, the catalogue of the code, and these tests name the same statements in the same
 * words.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { D2 } from "../../lab/theorems/d2_devices.ts";
import { plantedFaults } from "../../lab/theorems/faults.ts";
import {
  exactRefutations,
  exactTheorems,
  lossPropositions,
  roundingRefutations,
  roundingTheorems,
} from "../../lab/theorems/index.ts";
import * as engine from "../../mod.ts";
import * as lab from "../../lab.ts";
import * as theory from "../../theory.ts";

const page = readFileSync("docs/theory.md", "utf8");
const propositions = [...exactTheorems, ...roundingTheorems, ...lossPropositions, D2];
const refutations = [...exactRefutations, ...roundingRefutations];

/** The page's sections by the id that heads them. */
const sections = new Map(
  page.split(/^### /m).slice(1).map((text): [string, string] => [
    text.slice(0, text.indexOf("\n")),
    text.split(/^## /m)[0],
  ]),
);

/** The faults that a statement catches. */
const caughtBy = (id: string): string[] =>
  plantedFaults.filter((fault) => fault.caughtBy.some((by) => by.split(":")[0] === id))
    .map(({ name }) => name);

/** Words alone: the page may break lines and escape characters. */
const words = (text: string): string => text.replaceAll("\\", "").replaceAll(/\s+/g, " ");

test("docs: every id of the code has one section, and every section an id", () => {
  const ids = [...propositions, ...refutations].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual([...sections.keys()].toSorted(), ids.toSorted());
  // T2' stands beside T2, T13' beside T13.
  const numbers = (letter: string): string[] =>
    ids.filter((id) => id.startsWith(letter) && !id.endsWith("'")).map((id) => id.slice(1));
  const upTo = (n: number): string[] => Array.from({ length: n }, (_, i) => `${i + 1}`);
  assert.deepEqual(numbers("T").toSorted(), upTo(17).toSorted());
  assert.deepEqual(numbers("R").toSorted(), upTo(12).toSorted());
});

for (const { id, statement } of propositions) {
  test(`docs: ${id} says what the code says, with its proof`, () => {
    const section = sections.get(id) ?? "";
    assert.ok(words(section).includes(`\`${words(statement)}\``), statement);
    assert.match(section, /\nHypothesis: .+\n[^]*\nProof: ./);
    const catches = `Catches: ${words(caughtBy(id).join("; "))}.`;
    assert.ok(words(section).includes(catches), catches);
  });
}

for (const { id, statement } of refutations) {
  test(`docs: ${id} says what the code says, with a picture`, () => {
    const section = sections.get(id) ?? "";
    assert.ok(words(section).includes(`\`${words(statement)}\``), statement);
    assert.match(section, /\n```\n[^`]+\n```/);
  });
}

test("docs: the table names the code and the test of every statement once", () => {
  const rows = [
    ...page.matchAll(/^\| ([TSDR]\d[\w' ]*?) +\| \[.+\(\.\.\/(.+)\) +\| \[.+\(\.\.\/(.+)\)/gm),
  ];
  const ids = rows.flatMap(([, statements]) => statements.split(" "));
  assert.deepEqual(ids.toSorted(), [...sections.keys()].toSorted());
  for (const [, statements, file, test] of rows) {
    const [code, tests] = [file, test].map((name) => readFileSync(name, "utf8"));
    for (const id of statements.split(" ")) {
      assert.match(code, new RegExp(`const ${id}\\b|"${id}",`), `${file} states ${id}`);
    }
    // Tests are named by the ids of these lists; the rest names its id itself.
    assert.match(tests, /\$\{(theorem|surrogate|refutation)\.id\}|D2/, test);
  }
});

test("docs: the number of planted faults", () => {
  assert.ok(page.includes(`${plantedFaults.length} deliberate mistakes`));
});

test("docs: functions that pages name are exported", () => {
  // Of trieLogProb's result, of a model, of options, of lists, and of other projects' files.
  const fields = ["logProb", "logBeta", "maxLength", "onNote", "logProbs", "bestPruned"];
  fields.push("reviewerID", "unixReviewTime", "userId", "itemId", "movieId");
  const pages = readdirSync("docs").filter((name) =>
    name.endsWith(".md") && name !== "architecture.md" // which names internals
  );
  for (const file of ["README.md", ...pages.map((name) => join("docs", name))]) {
    const prose = readFileSync(file, "utf8").replaceAll(/```[^]*?```/g, "");
    for (const [, name] of prose.matchAll(/`([a-z]+[A-Z]\w*)(?=[`(])/g)) {
      assert.ok(
        name in engine || name in lab || name in theory || fields.includes(name),
        `${file}: ${name}`,
      );
    }
  }
});
