/** That the assertions of browsers accept and refuse what those of Node do. */
import ours from "./assert.ts";
import theirs from "node:assert/strict";
import { test } from "node:test";

class Point {
  x: number;
  constructor(x: number) {
    this.x = x;
  }
}

const VALUES: readonly unknown[] = [
  ...[undefined, null, true, 0, -0, 1, NaN, "", "1", 1n, Symbol.iterator],
  ...[[], [1], [1, 2], [undefined], [, 1], {}, { x: 1 }, { x: 1, y: undefined }, { y: 2, x: 1 }],
  ...[{ x: 1, y: 2 }, new Point(1), new Point(2), { [Symbol.iterator]: 1 }, Object.create(null)],
  ...[Float32Array.of(1), Float64Array.of(1), Float32Array.of(2), Float32Array.of(NaN)],
  ...[new Map([[1, { x: 1 }]]), new Map([[1, { x: 2 }]]), new Set([1, 2]), new Set([2, 1])],
  ...[new Set([[1], [2]]), new Set([[2], [3]]), new Date(0), new Date(1), /a/, /a/g],
  ...[new Error("a"), new Error("b"), new TypeError("a"), Float32Array.of(1).buffer],
  ...[new ArrayBuffer(4), [[1, [2]], { a: { b: [3] } }], [[1, [2]], { a: { b: [4] } }]],
];

const accepts = (run: () => void): boolean => {
  try {
    run();
    return true;
  } catch {
    return false;
  }
};

test("assertions of browsers: values are equal where they are in Node", () => {
  const names = ["equal", "notEqual", "deepEqual", "notDeepEqual"] as const;
  const node: Readonly<Record<typeof names[number], (a: unknown, b: unknown) => void>> = theirs;
  VALUES.forEach((a, i) => {
    theirs.equal(accepts(() => ours.ok(a)), accepts(() => theirs.ok(a)), `ok of value ${i}`);
    const copy: unknown = Array.isArray(a) ? [...a] : a;
    [...VALUES, copy].forEach((b, j) => {
      for (const name of names) {
        const expected = accepts(() => node[name](a, b));
        theirs.equal(accepts(() => ours[name](a, b)), expected, `${name} of values ${i} and ${j}`);
      }
    });
  });
});

test("assertions of browsers: errors are refused where they are in Node", async () => {
  const fails = (): never => {
    throw Object.assign(new TypeError("no way"), { code: 7 });
  };
  const expectations = [
    ...[undefined, /no way/, /^TypeError: no way$/, /^no way/, TypeError, RangeError, Error],
    ...[{ code: 7 }, { code: 8 }, { name: "TypeError", message: /way/ }, { message: "way" }],
    ...[() => true, () => false, (error: unknown) => error instanceof TypeError],
  ];
  for (const expected of expectations as Parameters<typeof theirs.throws>[1][]) {
    for (const run of [fails, () => {}]) {
      const ok = accepts(() => theirs.throws(run, expected));
      theirs.equal(accepts(() => ours.throws(run, expected)), ok, `${expected}`);
      const later = ours.rejects(async () => await run(), expected);
      theirs.equal(await later.then(() => true, () => false), ok, `${expected}`);
    }
  }
  for (const [text, pattern] of [["abc", /b/], ["abc", /d/]] as const) {
    for (const name of ["match", "doesNotMatch"] as const) {
      const expected = accepts(() => theirs[name](text, pattern));
      theirs.equal(accepts(() => ours[name](text, pattern)), expected, name);
    }
  }
});
