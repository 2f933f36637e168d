/** Files of interactions as projects publish them, and what becomes of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import type { Dataset } from "../../lab/data/dataset.ts";
import { describeDataset } from "../../lab/data/describe.ts";
import { type InteractionOptions, loadInteractions } from "../../lab/data/interaction_dataset.ts";
import { readInteractions } from "../../lab/data/interactions.ts";
import { folderAt } from "../../lab/files.ts";
import { type Folder, memoryFolder } from "../../lab/folder.ts";
import { Trie } from "../../models/decode/trie.ts";
import { INTERACTION_FILES } from "./interaction_files.ts";
import { type Files, withFolder } from "./with_folder.ts";

function folderOf(files: Readonly<Record<string, string | Uint8Array>>): Folder {
  const bytes = Object.entries(files).map(([name, text]) =>
    [name, typeof text === "string" ? new TextEncoder().encode(text) : text] as const
  );
  return memoryFolder("shop", new Map(bytes));
}

/** The same in memory and on the disk. */
function load(
  files: Readonly<Record<string, string | Uint8Array>>,
  file: string,
  options: InteractionOptions = { kCore: 1 },
): Dataset {
  const inMemory = loadInteractions(folderOf(files), file, options);
  const onDisk = withFolder(
    files as Files,
    (path) => loadInteractions(folderAt(path), file, options),
  );
  assert.deepEqual(contentOf(onDisk), contentOf(inMemory));
  return inMemory;
}

/** A data set without its name, the names of its columns, and functions. */
function contentOf(dataset: Dataset): unknown {
  return JSON.parse(JSON.stringify({ ...dataset, name: "", columns: "" }));
}

/** The rows of a file: user, item, time. */
function rowsOf(text: string, file: string, options = {}): (readonly [string, string, number])[] {
  const { users, items, blocks } = readInteractions(folderOf({ [file]: text }), file, options);
  return blocks.flatMap((block) =>
    Array.from(
      block.users,
      (user, i) => [users[user], items[block.items[i]], block.times[i]] as const,
    )
  );
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof DataError, String(error));
    assert.ok(!error.message.includes("\n"));
    return error.message;
  }
  throw new Error("it was read");
}

const ROWS = [["u1", "i1", 3], ["u1", "i2", 1], ["u2", "i1", 2]] as const;

const FORMATS: readonly (readonly [file: string, text: string, options?: object])[] = [
  [
    "shop.inter",
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" +
    "u1\ti1\t5.0\t3.0\nu1\ti2\t1.0\t1.0\nu2\ti1\t3.5\t2.0\n",
  ],
  [
    "shop.inter",
    "item_id:token\tuser_id:token\ttimestamp:float\ni1\tu1\t3e0\ni2\tu1\t1\ni1\tu2\t2",
  ],
  [
    "shop.inter",
    "user_id:token\titem_id:token\tat:float\nu1\ti1\t3\nu1\ti2\t1\nu2\ti1\t2\n",
    { columns: { user: "user_id:token", item: "item_id", time: "at:float" } },
  ],
  ["ratings.csv", "userId,movieId,rating,timestamp\nu1,i1,5.0,3\nu1,i2,1.0,1\nu2,i1,3.5,2\n"],
  ["u.data", "u1\ti1\t5\t3\nu1\ti2\t1\t1\nu2\ti1\t3\t2\n"],
  ["ratings.dat", "u1::i1::5::3\nu1::i2::1::1\nu2::i1::3::2\n"],
  ["ratings_Pens.csv", "u1,i1,5.0,3\nu1,i2,1.0,1\nu2,i1,3.0,2\n"],
  [
    "Pens.csv",
    "user_id,parent_asin,rating,timestamp\r\nu1,i1,5.0,3\r\nu1,i2,1.0,1\r\nu2,i1,3,2\r\n",
  ],
  [
    "Pens_5.json",
    '{"reviewerID": "u1", "asin": "i1", "overall": 5.0, "unixReviewTime": 3, "summary": "a\\nb"}\n' +
    '{"reviewerID": "u1", "asin": "i2", "overall": 1.0, "unixReviewTime": 1}\n' +
    '{"reviewerID": "u2", "asin": "i1", "overall": 3.0, "unixReviewTime": 2}\n',
  ],
  [
    "own.csv",
    'sku,"who, if known",at\n"i1",u1,1970-01-01 00:00:03\ni2,"u1",1970-01-01T00:00:01Z\ni1,u2,1970-01-01T01:00:02+01:00\n',
    { columns: { user: "who, if known", item: "sku", time: "at" } },
  ],
  ["own.tsv", 'i1\t3\tx\tu1\ni2\t1\t\tu1\ni1\t2\t"\tu2\n', {
    columns: { user: "4", item: "1", time: "2" },
  }],
  [
    "own.jsonl",
    '{"u":"u1","i":"i1","t":3}\n\n{"u":"u1","i":"i2","t":"1"}\n{"u":"u2","i":"i1","t":2}',
    { columns: { user: "u", item: "i", time: "t" } },
  ],
];

for (const [file, text, options] of FORMATS) {
  test(`rows of ${file}: ${text.split("\n")[0]}`, () => {
    assert.deepEqual(rowsOf(text, file, options), ROWS);
  });
}

test("Amazon's ratings of 2018 have the item first", () => {
  const text =
    "0205616461,A2CX7LUOHB2NDG,5.0,1369699200\nB00005N7P0,A1VKW06X1O2X7V,1.0,1414281600\n";
  assert.deepEqual(rowsOf(text, "ratings.csv"), [
    ["A2CX7LUOHB2NDG", "0205616461", 1369699200],
    ["A1VKW06X1O2X7V", "B00005N7P0", 1414281600],
  ]);
});

test("ids of any length are kept apart", () => {
  const ids = Array.from({ length: 100 }, (_, i) => `${"x".repeat(i)}é${i}`);
  const text = `user,item\n${ids.map((id) => `${id},${id}`).join("\n")}`;
  assert.deepEqual(rowsOf(text, "a.csv"), ids.map((id) => [id, id, 0]));
});

const HEAD = "user,item,rating,time\n";

test("malformed rows are refused with file, line and column, or skipped and counted", () => {
  const table: readonly (readonly [row: string, requirement: string])[] = [
    ["a,b,3", 'a row must have 4 fields, as the first line, got "a,b,3"'],
    [",b,3,4", 'column "user" must be an id, got ""'],
    ["a,,3,4", 'column "item" must be an id, got ""'],
    ["a,b,3,soon", 'column "time" must be a number or an ISO date, got "soon"'],
    ["a,b,3,2020-13-01", 'column "time" must be a number or an ISO date, got "2020-13-01"'],
    ["a,b,3,2023-02-30", 'column "time" must be a number or an ISO date, got "2023-02-30"'],
    ["a,b,3,NaN", 'column "time" must be a number or an ISO date, got "NaN"'],
    ["a,b,3,1e999", 'column "time" must be a number or an ISO date, got "1e999"'],
    ["a,b,x,4", 'column "rating" must be a number, got "x"'],
    [
      'a,"b,3,4',
      'quotes must come in pairs around a field, got "a,"b,3,4"',
    ],
  ];
  for (const [row, requirement] of table) {
    const folder = folderOf({ "a.csv": `${HEAD}u,i,5,1\n\n${row}\nu,j,4,2\n` });
    const options = { minRating: 1 };
    assert.equal(
      refusal(() => readInteractions(folder, "a.csv", options)),
      `Cannot load shop/a.csv line 4: ${requirement}; --skip-bad-rows skips such rows`,
    );
    const { bad, blocks, users } = readInteractions(folder, "a.csv", {
      ...options,
      skipBadRows: true,
    });
    assert.deepEqual([bad, blocks[0].users.length, users], [1, 2, ["u"]], row);
  }
  const constructed = { columns: { user: "user", item: "constructor" } };
  const json: readonly (readonly [row: string, requirement: string, options?: object])[] = [
    ['{"user":9007199254740993,"item":2}', 'column "user" must be an id, got 9007199254740992'],
    ["[1]", 'a row must be a JSON object on a line of its own, got "[1]"'],
    ['{"user":1,"time":3}', 'a row may have a time only if the first row has one, got "{"user":1,'],
    ['{"user":1,"item":2}', 'column "constructor" must be an id, got none', constructed],
  ];
  for (const [row, requirement, options] of json) {
    const folder = folderOf({ "a.jsonl": `{"user":1,"item":2,"constructor":3}\n${row}\n` });
    const message = refusal(() => readInteractions(folder, "a.jsonl", options));
    assert.ok(message.startsWith(`Cannot load shop/a.jsonl line 2: ${requirement}`), message);
    assert.equal(readInteractions(folder, "a.jsonl", { ...options, skipBadRows: true }).bad, 1);
  }
});

test("a row that is not UTF-8 is refused, or skipped and counted", () => {
  const bytes = new TextEncoder().encode(`${HEAD}u,i,5,1\n?,i,5,1\nu,\ufffd,4,2\n`);
  bytes[bytes.indexOf(63)] = 0xff;
  const folder = folderOf({ "a.csv": bytes });
  assert.match(refusal(() => readInteractions(folder, "a.csv")), /line 3: it must be UTF-8 text/);
  const { bad, items } = readInteractions(folder, "a.csv", { skipBadRows: true });
  assert.deepEqual([bad, items], [1, ["i", "\ufffd"]]);
});

test("dates keep what is shorter than a millisecond", () => {
  const dates = ["2023-02-28 20:00:00.000250", "1969-12-31T23:59:59.5Z", "2024-02-29"];
  const text = `user,item,time\n${dates.map((date) => `u,i,${date}\n`).join("")}`;
  const seconds = [1677614400.00025, -0.5, 1709164800];
  assert.deepEqual(rowsOf(text, "a.csv").map(([, , time]) => time), seconds);
});

test("a file whose columns are not known is refused", () => {
  const table: readonly (readonly [text: string, options: object, message: RegExp])[] = [
    ["", {}, /a\.csv: it must have rows, got none/],
    [HEAD, {}, /a\.csv: it must have rows, got none/],
    ['[{"user":1,"item":2}]', {}, /line 1: a row must be a JSON object on a line of its own/],
    ["a,b,c\n1,2,3\n", {}, /line 1: the first line of a file must name columns/],
    ["1,2,3\n", {}, /line 1: the first line of a file must name columns/],
    ['{"a":1}\n', {}, /line 1: a row must have keys such as user_id/],
    [
      "user_id:token\titem_id_list:token_seq\titem_id:token\nu\ta b\tc\n",
      {},
      /line 1: a row must be one interaction, without a history such as item_id_list, got "user_id/,
    ],
    ["a,b\n", { columns: { user: "a", item: "c" } }, /must have a column "c", once/],
    ["a,b,b\n", { columns: { user: "a", item: "b" } }, /must have a column "b", once/],
    ["a,b\n", { columns: { user: "1", item: "3" } }, /must have at least 3 columns/],
    [
      "user,item\na,b\n",
      { minRating: 3 },
      /it must have a column of ratings for --min-rating, got none/,
    ],
  ];
  for (const [text, options, message] of table) {
    const folder = folderOf({ "a.csv": text });
    for (const skipBadRows of [false, true]) {
      assert.match(
        refusal(() => readInteractions(folder, "a.csv", { ...options, skipBadRows })),
        message,
      );
    }
  }
});

test("titles come with the files that are published beside interactions", () => {
  const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
  const csv = "userId,movieId,rating,timestamp\n7,1,5,1\n7,2,5,2\n7,3,5,3\n";
  const table:
    readonly (readonly [file: string, text: string, name: string, titles: string | Uint8Array])[] =
      [
        [
          "ratings.csv",
          csv,
          "movies.csv",
          'movieId,title,genres\n1,"Pen, The (1995)",Comedy|Drama\n2,Café &amp; Ink (1996),Drama\n',
        ],
        [
          "u.data",
          "7\t1\t5\t1\n7\t2\t5\t2\n7\t3\t5\t3\n",
          "u.item",
          latin1(
            "1|Pen, The (1995)|01-Jan-1995||http://here|0|1\n2|Caf\xe9 & Ink (1996)|01-Jan-1996|||0|1\n",
          ),
        ],
        [
          "ratings.dat",
          "7::1::5::1\n7::2::5::2\n7::3::5::3\n",
          "movies.dat",
          latin1("1::Pen, The (1995)::Comedy|Drama\n2::Caf\xe9 & Ink (1996)::Drama\n"),
        ],
        [
          "pens.inter",
          "user_id:token\titem_id:token\ttimestamp:float\n7\t1\t1\n7\t2\t2\n7\t3\t3\n",
          "pens.item",
          "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tPen, The (1995)\tComedy\n2\tCafé & Ink (1996)\t\n",
        ],
      ];
  for (const [file, text, name, titles] of table) {
    const dataset = load({ [file]: text, [name]: titles }, file);
    assert.deepEqual(dataset.titles, ["Pen, The (1995)", "Café & Ink (1996)", "3"], file);
    assert.equal(load({ [file]: text }, file).titles, undefined);
  }
  const bad = { "ratings.csv": csv, "movies.csv": "movieId,title\n1\n2,Ink\n" };
  assert.equal(
    refusal(() => load(bad, "ratings.csv")),
    'Cannot load shop/movies.csv line 2: a row must have an id and a title, got "1"',
  );
  assert.deepEqual(load(bad, "ratings.csv", { kCore: 1, skipBadRows: true }).titles, [
    "1",
    "Ink",
    "3",
  ]);
});

test("the columns that are read are said, with the first ids", () => {
  const [user, item] = ["A2CX7LUOHB2NDG", "0205616461"];
  const rows = (line: string): string => `${line}\n`.repeat(3);
  const said: readonly (readonly [file: string, text: string, columns: string])[] = [
    ["u.data", rows("196\t242\t3\t881250949"), "user 1 (196), item 2 (242), time 4"],
    ["r.csv", rows(`${user},${item},5.0,1369699200`), `user 1 (${user}), item 2 (${item}), time 4`],
    ["r.csv", rows(`${item},${user},5.0,1369699200`), `user 2 (${user}), item 1 (${item}), time 4`],
    [
      "s.inter",
      `user_id:token\titem_id:token\n${rows("u\ti")}`,
      "user user_id (u), item item_id (i), time none: rows are in order",
    ],
  ];
  for (const [file, text, columns] of said) {
    const dataset = load({ [file]: text }, file);
    const summary = describeDataset(dataset, new Trie(dataset.paths));
    assert.match(summary, /^Data set .*\n {2}columns {14}user /);
    assert.equal(dataset.columns, columns);
  }
});

test("the same rows are the same data in every format", () => {
  const rows = Array.from({ length: 400 }, (_, i) => ({
    user: `A00000000000${10 + (i * 7) % 23}`,
    item: `B0000000${10 + (i * i) % 31}`,
    rating: 1 + i % 5,
    time: 1e9 + (i * 37) % 101,
  }));
  const byRating = INTERACTION_FILES.filter(({ columns }) => columns === undefined);
  const split = { time: [0.7, 0.8] as const };
  for (
    const [files, options] of [
      [byRating, { kCore: 3, minRating: 2 }],
      [INTERACTION_FILES, { split }],
    ] as const
  ) {
    const [first, ...others] = files.map(({ name, columns, write }) =>
      contentOf(load({ [name]: write(rows) }, name, { ...options, columns }))
    );
    assert.ok((first as Dataset).test.length > 10);
    for (const other of others) assert.deepEqual(other, first);
  }
});
