import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DataError } from "../../core/errors.ts";
import { csvFields, type LineOptions, readLines } from "../../lab/data/lines.ts";
import { memoryFolder } from "../../lab/folder.ts";

function linesOf(bytes: Uint8Array, options?: LineOptions): string[] {
  return [...readLines(memoryFolder("here", new Map([["a.txt", bytes]])), "a.txt", options)];
}

const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);

test("lines end with LF, CR LF or CR, and the last one may have none", () => {
  const table: [text: string, lines: string[]][] = [
    ["", []],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\r\nb\n\nc\rd", ["a", "b", "", "c", "d"]],
    ["\ufeffa\n\ufeffb", ["a", "\ufeffb"]],
    ["\n\n", ["", ""]],
  ];
  for (const [text, lines] of table) assert.deepEqual(linesOf(encoded(text)), lines);
});

for (const lineBreak of ["\n", "\r\n", "\r"]) {
  test(`lines across the borders of pieces, ${JSON.stringify(lineBreak)}`, () => {
    // Lines of 1 to 4000 characters of 1 to 4 bytes: every kind of border comes up.
    const lines = Array.from(
      { length: 3000 },
      (_, i) => [..."aé€😀"][i % 4].repeat(1 + (i * 37) % 1000),
    );
    const done: number[] = [];
    const bytes = encoded(lines.join(lineBreak));
    assert.ok(bytes.length > 3 * 2 ** 20);
    assert.deepEqual(linesOf(bytes, { onProgress: (at) => done.push(at) }), lines);
    assert.equal(done.at(-1), bytes.length);
    assert.ok(done.length > 3);
  });
}

test("a CR LF that a piece cuts in two is one line break", () => {
  const half = "x".repeat(2 ** 20 - 3);
  assert.deepEqual(linesOf(encoded(`a\r${half}\r\nb\r\nc`)), ["a", half, "b", "c"]);
});

test("what is wrong with a file is said with its line", () => {
  const bad = Uint8Array.of(97, 10, 98, 13, 10, 0xe9, 99, 10, 100);
  const long = encoded(`a\n${"x".repeat(2 ** 20 + 1)}\n`);
  const refusal = (bytes: Uint8Array): string => {
    try {
      linesOf(bytes);
    } catch (error) {
      assert.ok(error instanceof DataError);
      return error.message;
    }
    throw new Error("it was read");
  };
  assert.equal(
    refusal(bad),
    "Cannot load here/a.txt line 3: it must be UTF-8 text, got other bytes",
  );
  assert.deepEqual(linesOf(bad, { latin1: true }), ["a", "b", "éc", "d"]);
  let skipped = 0;
  const onBadLine = (): number => skipped++;
  assert.deepEqual(linesOf(bad, { onBadLine }), ["a", "b", "", "d"]);
  assert.deepEqual(linesOf(Uint8Array.of(97, 13, 0xe9), { onBadLine }), ["a", ""]);
  assert.equal(skipped, 2);
  assert.throws(() => linesOf(bad.subarray(5), { onBadLine }), /line 1: it must be UTF-8 text/);
  assert.equal(
    refusal(long),
    "Cannot load here/a.txt line 2: a line must have at most 1048576 bytes, got more",
  );
  assert.throws(() => [...readLines(memoryFolder("here", new Map()), "a.txt")], DataError);
});

test("fields of CSV", () => {
  const table: [line: string, fields: string[] | undefined][] = [
    ["a,b,c", ["a", "b", "c"]],
    ["", [""]],
    [",", ["", ""]],
    ['a,"b,c",d', ["a", "b,c", "d"]],
    ['"a ""b"" c",', ['a "b" c', ""]],
    ['"","",""', ["", "", ""]],
    ['a,"b', undefined],
    ['a,"b"c,d', undefined],
    ['a,b"c,d"e', undefined],
  ];
  for (const [line, fields] of table) assert.deepEqual(csvFields(line), fields, line);
});

test("fields that are written as CSV are read as they were", () => {
  const quoted = (field: string): string =>
    /[",]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
  fc.assert(fc.property(
    fc.array(fc.string({ unit: fc.constantFrom("a", '"', ",", " ", "é") }), { minLength: 1 }),
    (fields) => assert.deepEqual(csvFields(fields.map(quoted).join(",")), fields),
  ));
});
