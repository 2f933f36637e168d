/** Which kind of data a folder holds, in the shapes that projects publish, and its readers. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { parseOptions } from "../../lab/cli/options.ts";
import { loadDataset, type Reading } from "../../lab/data/load.ts";
import { pythonList } from "../../lab/data/python_list.ts";
import { openRun, recommendUser } from "../../lab/lists/recommend.ts";
import { runExperiment } from "../../lab/train/experiment.ts";
import { readSavedRun } from "../../lab/train/models.ts";
import { isRefusal } from "./datasets.ts";
import { INTERACTION_FILES } from "./interaction_files.ts";
import { type Files, folderInMemory, makeFolder, removeFolder, withFolder } from "./with_folder.ts";

const INDEX = {
  "0": ["<a_1>", "<b_0>"],
  "1": ["<a_1>", "<b_2>"],
  "2": ["<a_2>", "<b_0>"],
  "10": ["<a_2>", "<b_2>"],
};
const OTHER = { "0": ["<a_7>"], "1": ["<a_8>"], "2": ["<a_9>"], "10": ["<a_6>"] };
const INTER = { "7": [0, 1, 2, 10], "8": [10, 2, 1], "9": [1] };
const ITEMS = {
  "0": { title: "Pen", brand: "x" },
  "1": { title: "Ink &amp; more" },
  "2": { title: null },
};
const LINES = "7 0 1 2 10\n8 10 2 1\n9 1\n";

/** A data set of MiniOneRec: the rows of each user slide over its items. */
const HEADER =
  "user_id,history_item_title,item_title,history_item_id,item_id,history_item_sid,item_sid\n";
const TRAIN = HEADER +
  `A7,['Pen'],Ink & more,[0],1,['<a_1><b_0>'],<a_1><b_2>\n` +
  `A8,"[""Mom's box""]",2,[10],2,['<a_2><b_2>'],<a_2><b_0>\n` +
  `A7,"['Pen', 'Ink & more']",2,"[0, 1]",2,"['<a_1><b_0>', '<a_1><b_2>']",<a_2><b_0>\n`;
const VALID = HEADER +
  `A7,"['Ink & more', '2']","Mom's box","[1, 2]",10,"['<a_1><b_2>', '<a_2><b_0>']",<a_2><b_2>\n`;
const TEST = HEADER +
  `A8,"[""Mom's box"", '2']",Pen,"[10, 2]",0,"['<a_2><b_2>', '<a_2><b_0>']",<a_1><b_0>\n` +
  `A9,[],Pen,[],0,[],<a_1><b_0>\n`;
const INFO = "<a_1><b_0>\tPen\t0\n<a_1><b_2>\tInk & more\t1\n" +
  "<a_2><b_0>\t2\t2\n<a_2><b_2>\tMom's box\t10\n";
const ROWS: Files = {
  "train.csv": TRAIN,
  "valid.csv": VALID,
  "test.csv": TEST,
  "info.txt": INFO,
};
const AMAZON: Files = {
  "train/Pens_5_2016-10.csv": TRAIN,
  "valid/Pens_5_2016-10.csv": VALID,
  "test/Pens_5_2016-10.csv": TEST,
  "info/Pens_5_2016-10.txt": INFO,
  "index/Pens.index.json": INDEX,
  "index/Pens.item.json": ITEMS,
};
const BOOKS: Files = Object.fromEntries(
  Object.entries(AMAZON).map(([file, contents]) => [file.replace("Pens", "Books"), contents]),
);

/** Folders that hold the same data, with the data set's name and whether items have titles. */
const SEQUENCES: readonly [what: string, Files, Reading, name?: string, titles?: true][] = [
  ["index.json", { "index.json": INDEX, "inter.json": INTER, "items.json": ITEMS }, {}, , true],
  [
    "the index.json among others",
    { "index.json": INDEX, "index.old.json": OTHER, "inter.json": INTER },
    {},
  ],
  ["LC-Rec", { "Pens.index.json": INDEX, "Pens.inter.json": INTER }, {}, "Pens"],
  [
    "APAO",
    { "Pens.index.rqvae.json": INDEX, "Pens.inter.json": INTER, "Pens.item.json": ITEMS },
    {},
    "Pens",
    true,
  ],
  [
    "codes of MiniOneRec's rqkmeans_faiss.py",
    { "Pens.faiss-rq.index.json": INDEX, "Pens.inter.json": INTER, "Pens.item.json": ITEMS },
    {},
    "Pens",
    true,
  ],
  [
    "a hidden name",
    { ".index.json": INDEX, ".inter.json": INTER, ".item.json": ITEMS },
    {},
    ,
    true,
  ],
  ["sequential_data.txt", { "sequential_data.txt": LINES, "index.json": INDEX }, {}],
  [
    "one of several files",
    { "Pens.index.a.json": INDEX, "Pens.index.b.json": OTHER, "Pens.inter.json": INTER },
    { index: "Pens.index.a.json" },
    "Pens",
  ],
  [
    "one of several data sets",
    { "Pens.index.json": INDEX, "Pens.inter.json": INTER, "Ink.index.json": OTHER },
    { index: "Pens" },
    "Pens",
  ],
];

for (const [what, files, reading, name = "shop", titled] of SEQUENCES) {
  test(`formats: users' sequences: ${what}`, async () => {
    const dataset = await loadDataset(folderInMemory("shop", files), reading);
    assert.equal(dataset.name, name);
    assert.deepEqual(dataset.items, ["0", "1", "2", "10"]);
    assert.deepEqual(dataset.tokens, ["<bos>", "<a_1>", "<a_2>", "<b_0>", "<b_2>"]);
    assert.deepEqual(dataset.paths, [[1, 3], [1, 4], [2, 3], [2, 4]]);
    assert.deepEqual(dataset.titles, titled && ["Pen", "Ink & more", "2", "10"]);
    assert.deepEqual(dataset.test, [
      { id: "7", history: [0, 1, 2], target: 3 },
      { id: "8", history: [3, 2], target: 1 },
    ]);
    assert.deepEqual(dataset.skipped, [{ what: "users with fewer than 3 items", count: 1 }]);
  });
}

for (const files of [{ "inter.json": INTER }, { "sequential_data.txt": LINES }] as Files[]) {
  test(`formats: ${Object.keys(files)} without codes`, async () => {
    const folder = folderInMemory("shop", { ...files, "item.json": ITEMS });
    const dataset = await loadDataset(folder, { codes: "item" });
    assert.deepEqual([dataset.items, dataset.codes], [["0", "1", "2", "10"], "item"]);
    assert.deepEqual(dataset.paths, [[1], [2], [3], [4]]);
    assert.deepEqual(dataset.titles, ["Pen", "Ink & more", "2", "10"]);
    await assert.rejects(
      loadDataset(folder),
      /^UsageError: Cannot load shop\/.*, which has no codes: an index\.json beside it must .* semantic$/,
    );
  });
}

test("formats: one file as the data", async () => {
  const folder = makeFolder({
    "Pens.index.a.json": INDEX,
    "Pens.index.b.json": OTHER,
    "Pens.inter.json": INTER,
    "Ink.inter.json": { "1": [5, 6, 7] },
    "id2name4Rec.json": {},
    "notes.md": "",
    "Pens.csv.gz": "",
  });
  try {
    const tokens = async (file: string, reading?: Reading) =>
      (await loadDataset(join(folder, file), reading)).tokens.length;
    assert.equal(await tokens("Pens.index.b.json"), 5);
    assert.equal(await tokens("Pens.inter.json", { index: "Pens.index.b.json" }), 5);
    assert.equal(await tokens("Ink.inter.json", { codes: "item" }), 4);
    await assert.rejects(
      tokens("Pens.inter.json"),
      /--index must choose its file of codes, got Pens.index.a.json, Pens.index.b.json$/,
    );
    await assert.rejects(tokens("notes.md"), / may name another file\), got notes.md$/);
    await assert.rejects(tokens("Pens.csv.gz"), /: its files must be unpacked, got Pens.csv.gz$/);
  } finally {
    removeFolder(folder);
  }
});

const SPLITS: readonly [what: string, Files, Reading, name?: string][] = [
  ["info.txt", ROWS, {}],
  ["info.txt and .index.json", { ...ROWS, ".index.json": INDEX }, {}],
  ["folders", AMAZON, {}, "Pens"],
  [
    "folders without index",
    { ...AMAZON, "index/Pens.index.json": undefined },
    {},
    "Pens_5_2016-10",
  ],
  ["folders of two", { ...AMAZON, ...BOOKS }, { index: "Pens" }, "Pens"],
  [
    "titles that differ",
    { ...ROWS, "train.csv": TRAIN.replace(",Ink & more,", ',"Ink & m...",') },
    {},
  ],
];

for (const [what, files, reading, name = "shop"] of SPLITS) {
  test(`formats: rows of splits: ${what}`, async () => {
    const dataset = await loadDataset(folderInMemory("shop", files), reading);
    assert.equal(dataset.name, name);
    assert.deepEqual(dataset.paths, [[1, 3], [1, 4], [2, 3], [2, 4]]);
    assert.deepEqual(dataset.titles, ["Pen", "Ink & more", "2", "Mom's box"]);
    // The two rows of A7 are one sequence.
    assert.deepEqual(dataset.training, [
      { items: [0, 1, 2], context: 0 },
      { items: [3, 2], context: 0 },
    ]);
    assert.deepEqual(dataset.validation, [{ id: "A7#2", user: "A7", history: [1, 2], target: 3 }]);
    assert.deepEqual(dataset.test, [{ id: "A8#2", user: "A8", history: [3, 2], target: 0 }]);
    assert.deepEqual(dataset.known("validation"), [[0, 1, 2], [3, 2]]);
    assert.deepEqual(dataset.known("test"), [[0, 1, 2, 3], [3, 2]]);
    assert.deepEqual(dataset.skipped, [{ what: "rows to predict without history", count: 1 }]);
  });
}

test("formats: other codes for given rows", async () => {
  const folder = folderInMemory("shop", { ...AMAZON, "index/Pens.index.new.json": OTHER });
  const dataset = await loadDataset(folder, { index: "Pens.index.new.json" });
  assert.deepEqual(dataset.paths, [[2], [3], [4], [1]]);
  assert.deepEqual(dataset.titles?.[3], "Mom's box");
  assert.equal(dataset.training.length, 2);
});

const LC_REC: Files = { "Pens.index.json": INDEX, "Pens.inter.json": INTER };
const row = (cells: string): Files => ({ ...ROWS, "train.csv": `${HEADER}${cells}\n` });

/** Folders that are refused, with what follows "Cannot load shop". */
const REFUSED: readonly [what: string, Files, message: RegExp][] = [
  ["nothing", {}, /shop: it must hold data of a known kind \(docs\/data.md\): .*, got none$/],
  [
    "other files",
    { "a.bin": "", "b.md": "" },
    /shop: it must hold data of a known.*, got a.bin, b.md$/,
  ],
  [
    "codes alone",
    { "Pens.index.json": INDEX },
    /shop: beside Pens.index.json it must hold Pens.inter.json, .*, got Pens.index.json$/,
  ],
  [
    "codes of another data set",
    { "Pens.index.json": INDEX, "Ink.inter.json": INTER },
    /shop: beside Pens.index.json .* got Ink.inter.json, Pens.index.json$/,
  ],
  [
    "two data sets",
    { ...LC_REC, "Ink.index.json": INDEX },
    /shop: --index must choose its file of codes, got Ink.index.json, Pens.index.json$/,
  ],
  [
    "two data sets without codes",
    { "Ink.inter.json": INTER, "Pens.inter.json": INTER },
    /shop: --data must name one of its files, got Ink.inter.json, Pens.inter.json$/,
  ],
  [
    "splits without codes",
    { ...ROWS, "info.txt": undefined },
    /shop: beside train.csv it must hold codes, .*, got test.csv, train.csv, valid.csv$/,
  ],
  [
    "an unknown item",
    { ...LC_REC, "Pens.inter.json": { "1": [0, 5] } },
    /shop\/Pens.inter.json: every item must have codes in Pens.index.json, got item "5" of user "1"$/,
  ],
  [
    "a user twice",
    { "index.json": INDEX, "sequential_data.txt": `${LINES}7 1 2 0\n` },
    /shop\/sequential_data.txt line 4: a user must have one line, got "7" again$/,
  ],
  [
    "a line of two values",
    { ...ROWS, "info.txt": "<a_1>\t0\n" },
    /shop\/info.txt line 1: it must be codes, a title and an id, .*, got "<a_1> 0"$/,
  ],
  [
    "codes without brackets",
    { ...ROWS, "info.txt": "a1b2\tPen\t0\n" },
    /shop\/info.txt line 1: codes must be such as <a_1><b_2>, got "a1b2"$/,
  ],
  [
    "an item twice",
    { ...ROWS, "info.txt": `${INFO}<a_9>\tPen\t0\n` },
    /shop\/info.txt line 5: an item must have one line, got "0" again$/,
  ],
  [
    "a long title",
    { ...ROWS, "info.txt": `<a_9>\t${"pen".repeat(4000)}\t0\n` },
    /shop\/info.txt line 1: its title: it must have at most 10000 characters, got "penpen.*$/,
  ],
  [
    "info of other codes",
    { ...ROWS, "index.json": { ...INDEX, "10": ["<a_2>", "<b_3>"] } },
    /shop\/info.txt line 4: the codes of item "10" must be those in index.json, <a_2><b_3>, got <a_2><b_2>$/,
  ],
  [
    "info of an item without codes",
    { ...ROWS, "index.json": { "0": INDEX[0], "1": INDEX[1], "2": INDEX[2] } },
    /shop\/info.txt line 4: the codes of item "10" must be those in index.json, none, got <a_2><b_2>$/,
  ],
  [
    "rows of other codes",
    row("A7,['Pen'],Ink & more,[0],1,['<a_1><b_2>'],<a_1><b_2>"),
    /shop\/train.csv line 2: the codes of item "0" must be those in info.txt, <a_1><b_0>, got <a_1><b_2>$/,
  ],
  [
    "a target of other codes",
    row("A7,['Pen'],Ink & more,[0],1,['<a_1><b_0>'],<a_1><b_0>"),
    /shop\/train.csv line 2: the codes of item "1" must be .*, got <a_1><b_0>$/,
  ],
  [
    "codes too few",
    row("A7,['Pen'],Ink & more,[0],1,[],<a_1><b_2>"),
    /shop\/train.csv line 2: history_item_sid must have 1 items, as history_item_id, got 0$/,
  ],
  [
    "an item of no catalogue",
    row("A7,['Pen'],Box,[0],5,['<a_1><b_0>'],<a_1><b_2>"),
    /shop\/train.csv line 2: every item must have codes in info.txt, got item "5"$/,
  ],
  [
    "None",
    row("A7,['Pen'],Ink & more,\"[0, None]\",1,['<a_1><b_0>'],<a_1><b_2>"),
    /shop\/train.csv line 2: history_item_id must be a Python list of .*, got None at character 5$/,
  ],
  ["no user", row(",[],Pen,[],0,[],<a_1><b_0>"), /line 2: user_id must not be empty, got ""$/],
  ["no rows", { ...ROWS, "train.csv": HEADER }, /shop\/train.csv: it must have rows .*, got none$/],
  [
    "no history",
    { ...ROWS, "test.csv": `${HEADER}A9,[],Pen,[],0,[],<a_1><b_0>\n` },
    /shop\/test.csv: it must have a row with a history, got 1 rows without any$/,
  ],
  ["no columns", { ...ROWS, "test.csv": "a,b\n" }, /shop\/test.csv: its first line must name the/],
  [
    "the rows of two",
    {
      ...AMAZON,
      ...BOOKS,
      "index/Books.index.json": undefined,
      "index/Pens.index.json": undefined,
    },
    /shop: --index must choose its file of codes, got info\/Books_5_2016-10.txt, info\/Pens_5_/,
  ],
];

for (const [what, files, message] of REFUSED) {
  test(`formats: refuses ${what}`, async () => {
    await assert.rejects(
      loadDataset(folderInMemory("shop", files)),
      (error) => isRefusal(error, "Cannot load shop", message),
    );
  });
}

test("formats: --index names a file of codes, elsewhere too", async () => {
  for (
    const [files, index, message] of [
      [LC_REC, "Ink", "it must be one of Pens.index.json"],
      [{ "id2name4Rec.json": {} }, "Ink", "shop must hold files of codes such as index.json"],
    ] as const
  ) {
    await assert.rejects(loadDataset(folderInMemory("shop", files), { index }), {
      name: "UsageError",
      message: `Cannot use --index: ${message}, got "${index}"`,
    });
  }
  await assert.rejects(loadDataset("synthetic", { index: "a" }), {
    message: "Cannot use --index: --data must have files of codes, got synthetic",
  });
});

test("formats: a run keeps --index, and is read again without it", async () => {
  const files = {
    "Pens.index.a.json": INDEX,
    "Pens.index.b.json": OTHER,
    "Pens.inter.json": INTER,
  };
  const folder = makeFolder(files);
  try {
    const out = join(folder, "out");
    const size =
      "--layers 1 --dim 16 --ffn 32 --epochs 1 --beam 2 --device cpu --losses msl --cost-users 0";
    const args = `--data ${folder} --index Pens.index.b.json ${size} --out ${out}`;
    await runExperiment(parseOptions(args.split(" ")), {});
    const { dataset } = await readSavedRun(join(out, "msl-seed0"), folder);
    assert.equal(dataset.tokens.length, 5);
  } finally {
    removeFolder(folder);
  }
});

/** A data set as a project publishes it: its files, and the one to name if it is not the folder. */
interface Published {
  readonly what: string;
  readonly files: Files;
  readonly file?: string;
  readonly reading?: Reading;
}

const INTERACTIONS = Array.from({ length: 200 }, (_, i) => ({
  user: `A00000000000${10 + i % 20}`,
  item: `B0000000${10 + (i * i + i) % 17}`,
  rating: 1 + i % 5,
  time: 1e9 + i,
}));

const PUBLISHED: readonly Published[] = [
  ...[...SEQUENCES, ...SPLITS].map(([what, files, reading]) => ({ what, files, reading })),
  { what: "inter.json alone", files: { "inter.json": INTER } },
  { what: "sequential_data.txt alone", files: { "sequential_data.txt": LINES } },
  ...INTERACTION_FILES.map(({ what, name, columns, write }) => ({
    what,
    files: { [name]: write(INTERACTIONS) },
    file: name,
    reading: { columns },
  })),
];

for (const { what, files, file = "", reading: { index, columns } = {} } of PUBLISHED) {
  test(`formats: made codes, a run and its lists: ${what}`, () =>
    withFolder(files, async (folder) => {
      const data = join(folder, file);
      const out = join(folder, "out");
      const named = Object.entries(columns ?? {}).map(([role, name]) => `${role}=${name}`).join();
      const args = `--codes hierarchical:4x2 --layers 1 --dim 16 --heads 2 --ffn 32 --epochs 1 ` +
        "--batch 8 --beam 4 --device cpu --losses msl";
      const given = [...args.split(" "), "--data", data, "--out", out];
      if (index !== undefined) given.push("--index", index);
      if (columns !== undefined) given.push("--columns", named);
      await runExperiment(parseOptions(given), {});

      using run = await openRun(join(out, "msl-seed0"), data);
      const { dataset } = run;
      assert.equal(dataset.codes, "hierarchical:4x2");
      assert.equal(new Set(dataset.paths.map(String)).size, dataset.items.length);
      const { id, user = id } = dataset.test[0];
      const { list, target } = await recommendUser(run, user);
      assert.equal(target?.id, dataset.items[dataset.test[0].target]);
      const ids = list.flatMap(({ items }) => items.map((item) => item.id));
      assert.equal(new Set(ids).size, 4);
      assert.ok(ids.every((id) => dataset.items.includes(id)));
    }));
}

test("Python lists", () => {
  const read = (text: string): string[] =>
    pythonList(text, (found) => {
      throw new Error(found);
    });
  const good: readonly [string, string[]][] = [
    ["[]", []],
    [" [ 1 , -20,0 , ] ", ["1", "-20", "0"]],
    [`['a, "b"', "it's", 'it\\'s \\\\ \\n\\x41\\u00e9\\U0001f600']`, [
      'a, "b"',
      "it's",
      "it's \\ \nAé😀",
    ]],
    ["['a']", ["a"]],
  ];
  for (const [text, values] of good) assert.deepEqual(read(text), values, text);
  const bad: readonly [string, string][] = [
    ["", "the end at character 1"],
    ["3", "3 at character 1"],
    ["[1 2]", "2 at character 4"],
    ["[1,,2]", ", at character 4"],
    ["[,]", ", at character 2"],
    ["[1, None]", "None at character 5"],
    ["[1.5]", "1.5 at character 2"],
    ["[007]", "007 at character 2"],
    ["[1", "the end at character 3"],
    ["['a", "' at character 2"],
    ["[['a']]", "[ at character 2"],
    ["[1] x", "x at character 5"],
    ["(1, 2)", "( at character 1"],
    ["['\\q']", "the escape \\q"],
    ["['\\ud800']", "the escape \\ud800"],
    ["['\\U00110000']", "the escape \\U00110000"],
    ["['\\x4']", "the escape \\x"],
  ];
  for (const [text, message] of bad) assert.throws(() => read(text), { message }, text);
});
