/** Cleaning and splits of interactions, against plain references on random data. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DataError } from "../../core/errors.ts";
import { clean, type Cleaning } from "../../lab/data/cleaning.ts";
import { joinValidation } from "../../lab/data/derived.ts";
import { describeDataset } from "../../lab/data/describe.ts";
import { type InteractionOptions, loadInteractions } from "../../lab/data/interaction_dataset.ts";
import { readInteractions } from "../../lab/data/interactions.ts";
import { type Folder, memoryFolder } from "../../lab/folder.ts";
import { Trie } from "../../models/decode/trie.ts";

interface Row {
  readonly user: string;
  readonly item: string;
  readonly time: number;
}

function folderOf(rows: readonly Row[]): Folder {
  const text = rows.map(({ user, item, time }) => `${user},${item},5,${time}\n`).join("");
  const bytes = new TextEncoder().encode(`user,item,rating,time\n${text}`);
  return memoryFolder("shop", new Map([["a.csv", bytes]]));
}

function cleaned(rows: readonly Row[], options: Cleaning, least = 1) {
  return clean(readInteractions(folderOf(rows), "a.csv"), options, least);
}

/** Each user's items, by id. */
function sequencesOf(rows: readonly Row[], options: Cleaning, least?: number) {
  const { users, items } = cleaned(rows, options, least);
  return users.map((user) => [user.id, user.items.map((item) => items[item])] as const);
}

/** The same, from the definition. */
function reference(rows: readonly Row[], { duplicates = "all", kCore = 5 }: Cleaning, least = 1) {
  let left = rows.map((row, at) => ({ ...row, at })).sort((a, b) => a.time - b.time || a.at - b.at);
  if (duplicates === "last") left.reverse();
  if (duplicates !== "all") {
    left = left.filter((row, i) =>
      left.findIndex(({ user, item }) => user === row.user && item === row.item) === i
    );
  }
  if (duplicates === "last") left.reverse();
  const count = (key: "user" | "item", value: string): number =>
    left.filter((row) => row[key] === value).length;
  for (let before = -1; before !== left.length;) {
    before = left.length;
    left = left.filter((row) => count("user", row.user) >= kCore); // one after the other here
    left = left.filter((row) => count("item", row.item) >= kCore);
  }
  left = left.filter((row) => count("user", row.user) >= least);
  const users = new Set(rows.map(({ user }) => user));
  return [...users].map((id) =>
    [id, left.filter(({ user }) => user === id).map(({ item }) => item)] as const
  ).filter(([, items]) => items.length > 0);
}

const someRows = fc.array(
  fc.record({
    user: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    item: fc.constantFrom("p", "q", "r", "s", "t", "u", "v"),
    time: fc.integer({ min: 0, max: 9 }),
  }),
  { minLength: 1, maxLength: 60 },
);

test("cleaning equals its definition on random rows", () => {
  const sizes = new Set<number>();
  fc.assert(
    fc.property(
      someRows,
      fc.constantFrom("all", "first", "last"),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      (rows, duplicates, kCore, least) => {
        const sequences = sequencesOf(rows, { duplicates, kCore }, least);
        assert.deepEqual(sequences, reference(rows, { duplicates, kCore }, least));
        sizes.add(sequences.length);
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(sizes.has(0) && sizes.size > 3, "from nothing to many users");
});

test("the items that are left are those of the sequences, in the order of the file", () => {
  fc.assert(fc.property(someRows, (rows) => {
    const { users, items } = cleaned(rows, { kCore: 2 });
    const left = new Set(users.flatMap((user) => user.items.map((item) => items[item])));
    assert.deepEqual(
      items,
      [...new Set(rows.map(({ item }) => item))].filter((id) => left.has(id)),
    );
    const times = users.map((user) => [...user.times]);
    assert.deepEqual(times, times.map((one) => one.toSorted((a, b) => a - b)));
  }));
});

test("steps count what is left", () => {
  const rows = [..."aaaabbbb"].map((user, i) => ({ user, item: "ppqrppqs"[i], time: i }));
  assert.deepEqual(cleaned(rows, { duplicates: "first", kCore: 2 }, 3).steps, [
    { step: "rows of the file", users: 2, items: 4, interactions: 8 },
    { step: "first of each user and item kept", users: 2, items: 4, interactions: 6 },
    { step: "2-core, 2 passes", users: 2, items: 2, interactions: 4 },
    { step: "users with at least 3", users: 0, items: 0, interactions: 0 },
  ]);
});

test("blocks of rows are joined", () => {
  const rows = Array.from({ length: 200_000 }, (_, i) => ({
    user: `u${i % 7}`,
    item: `i${i % 1001}`,
    time: -i,
  }));
  const { users, items } = cleaned(rows, { kCore: 1 });
  for (const [user, { items: found }] of users.entries()) {
    const own = rows.filter((_, i) => i % 7 === user).map(({ item }) => item).reverse();
    assert.deepEqual(found.map((item) => items[item]), own);
  }
});

const load = (rows: readonly Row[], options: InteractionOptions) =>
  loadInteractions(folderOf(rows), "a.csv", options);

test("leave-one-out: the last item is for the test, the one before it for validation", () => {
  const rows = [..."abacabb"].map((user, i) => ({ user, item: "pqrstuv"[i], time: 9 - i }));
  const { items, training, validation, test, skipped } = load(rows, { kCore: 1 });
  const named = (indices: readonly number[]): string => indices.map((item) => items[item]).join("");
  assert.deepEqual(training.map(({ items }) => named(items)), ["t", "v"]);
  assert.deepEqual(validation.map((one) => [one.id, named(one.history), items[one.target]]), [
    ["a", "t", "r"],
    ["b", "v", "u"],
  ]);
  assert.deepEqual(test.map((one) => [one.id, named(one.history), items[one.target]]), [
    ["a", "tr", "p"],
    ["b", "vu", "q"],
  ]);
  assert.deepEqual(skipped, []);
});

test("a split by time leaks nothing", () => {
  let split = 0;
  fc.assert(
    fc.property(
      someRows,
      fc.constantFrom([0.5, 0.7], [0.8, 0.9], [0.6, 0.6]),
      (given, [first, second]) => {
        // Every interaction has an item of its own, so that an item has one time.
        const rows = given.map((row, i) => ({ ...row, item: `${i}` }));
        const times = rows.map(({ time }) => time).sort((a, b) => a - b);
        const [from, to] = [first, second].map((share) => times[Math.floor(share * times.length)]);
        const options: InteractionOptions = { kCore: 1, split: { time: [first, second] } };
        const before = rows.filter(({ time }) => time < from);
        const targets = (low: number, high: number): string[] =>
          rows.filter((row, i) =>
            row.time >= low && row.time < high &&
            rows.some((other, j) =>
              other.user === row.user &&
              (other.time < row.time || (other.time === row.time && j < i))
            )
          ).map(({ item }) => item).sort();
        if (before.length === 0 || targets(to, Infinity).length === 0) {
          assert.throws(() => load(rows, options), DataError);
          return;
        }
        split++;
        const { items, training, validation, test, known } = load(rows, options);
        const rowOf = (item: number): Row => rows[Number(items[item])];
        assert.deepEqual(
          training.flatMap((one) => one.items.map((item) => items[item])).sort(),
          before.map(({ item }) => item).sort(),
        );
        assert.deepEqual(validation.map(({ target }) => items[target]).sort(), targets(from, to));
        assert.deepEqual(test.map(({ target }) => items[target]).sort(), targets(to, Infinity));
        for (const { user, history, target } of [...validation, ...test]) {
          assert.ok(history.length > 0);
          const own = history.map(rowOf);
          assert.ok(own.every((row) => row.user === user && row.time <= rowOf(target).time));
          assert.equal(new Set([...history, target]).size, history.length + 1);
        }
        assert.ok(known("validation").flat().every((item) => rowOf(item).time < from));
        assert.ok(known("test").flat().every((item) => rowOf(item).time < to));
        if (validation.length > 0) {
          const joined = joinValidation(load(rows, options)).training.flatMap(({ items }) => items);
          assert.ok(joined.every((item) => rowOf(item).time < to));
        }
      },
    ),
    { numRuns: 300 },
  );
  assert.ok(split > 100, `${split}`);
});

test("what cannot be split is refused", () => {
  const folder = memoryFolder(
    "shop",
    new Map([["a.csv", new TextEncoder().encode("user,item\na,p\na,q\na,r\n")]]),
  );
  const table: readonly (readonly [InteractionOptions, RegExp])[] = [
    [
      {},
      /cleaning must leave interactions, got rows of the file, in its order: 3; 5-core, 2 passes: 0$/,
    ],
    [{ kCore: 1, split: { time: [0.8, 0.9] } }, /it must have times to be split by time, got none/],
  ];
  for (const [options, message] of table) {
    assert.throws(() => loadInteractions(folder, "a.csv", options), message);
  }
  const many = Array.from({ length: 15_000 }, (_, i) => ({ user: "a", item: `${i}`, time: i }));
  assert.throws(
    () => load(many, { kCore: 1, split: { time: [0.1, 0.2] } }),
    /histories of a split by time must have at most 50000000 items in all .*, got 111368250$/,
  );
});

test("the head of train shows what cleaning dropped, in 80 columns", () => {
  const rows = Array.from({ length: 40_000 }, (_, i) => ({
    user: `u${i % 4000}`,
    item: `i${(i * i) % 5003}`,
    time: i,
  }));
  const dataset = load(rows, { duplicates: "last", kCore: 5 });
  const shown = describeDataset(dataset, new Trie(dataset.paths));
  const table = shown.split("\n").filter((line) => /^[┌│├└]/.test(line));
  assert.deepEqual(table.filter(({ length }) => length > 80), []);
  assert.match(shown, /rows of the file +│ 4,000 │ 2,502 │ +40,000 │ +- │/);
  assert.match(shown, /last of each user and item kept +│ 4,000 │ 2,502 │ +39,964 │ +36 │/);
  assert.match(shown, /5-core, 1 pass +│ 4,000 │ 2,502 │ +39,964 │ +0 │/);
});
