/**
 * Item titles: sequences, splits and tokens by hand, and everything that can be wrong with them.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ArgumentError } from "../../core/errors.ts";
import { makeWindows } from "../../lab/data/batches.ts";
import { chain, inTimeOrder, overlap } from "../../lab/data/chains.ts";
import type { Row } from "../../lab/data/chains.ts";
import { loadTitles, type TitleOptions } from "../../lab/data/titles.ts";
import { loadTemplate, renderPrompt } from "../../lab/text/template.ts";
import { loadTokenizer, type Tokenizer } from "../../lab/text/tokenizer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { isRefusal } from "./datasets.ts";
import { type Files, withFolder } from "./with_folder.ts";

const OFFICE = "../shared/data/office-titles";

/** Words with the space before them, signs, and spaces alone; ids in the order of this list. */
const PIECES = [..." Red| Blue| pen| ink| box|Red|Blue".split("|"), ...'", :', "Next", "\n"];
const words: Tokenizer = {
  name: "words",
  vocabSize: PIECES.length + 2,
  bos: 13,
  eos: 14,
  encode: (text) =>
    (text.match(/ ?[A-Za-z]+|[^A-Za-z]/g) ?? []).map((piece) => {
      const id = PIECES.indexOf(piece);
      assert.ok(id >= 0, `"${piece}" of "${text}"`);
      return id;
    }),
  text: (id) => [...PIECES, "<s>", "</s>"][id],
};

const HEADER = "user_id,item_ids,timestamp\n";
const FOLDER: Files = {
  "id2name4Rec.json": { "9": "Red pen", "2": "Blue ink", "5": "Red pen", "7": "Blue &#x62;ox" },
  // The user 1 has 2, 5, 9, 7 in windows of at most three; 3 has no title.
  "train.csv": `${HEADER}1,"[2, 5]",10\n4,"[7, 3, 2]",20\n1,"[2, 5, 9]",30\n` +
    `1,"[5, 9, 7]",40\n4,"[3, 2, 3]",50\n`,
  "test.csv": `${HEADER}1,"[9, 7, 2]",60\n1,"[7, 2, 5]",70\n6,"[2, 3]",70\n6,"[3, 2]",80\n`,
};

function load(files: Files, options: Partial<TitleOptions> = {}) {
  return withFolder(files, (folder) => loadTitles(folder, { tokenizer: words, ...options }));
}

/** The data set of a folder with a prompt. */
function loadPrompted(prompt: string, tokenizer: Tokenizer = words) {
  return withFolder({ ...FOLDER, "prompt.txt": prompt }, (folder) => {
    const template = loadTemplate(join(folder, "prompt.txt"));
    return { template, ...loadTitles(folder, { tokenizer, template }) };
  });
}

test("titles: catalogue, sequences and cases by hand", () => {
  const dataset = load(FOLDER);
  assert.deepEqual(dataset.items, ["2", "5", "7", "9"]);
  assert.deepEqual(dataset.titles, ["Blue ink", "Red pen", "Blue box", "Red pen"]);
  // Tokens that occur, by their old ids 0 to 4, from 2 on; 1 ends a title.
  assert.deepEqual(dataset.tokens, ["<bos>", "<end>", " Red", " Blue", " pen", " ink", " box"]);
  assert.deepEqual(dataset.paths, [[3, 5, 1], [2, 4, 1], [3, 6, 1], [2, 4, 1]]);
  assert.deepEqual(dataset.prompt([2, 0]), [0, 3, 6, 1, 3, 5, 1]);
  assert.deepEqual(dataset.training, [
    { items: [0, 1, 3, 2], context: 0 },
    { items: [2, 0], context: 0 },
  ]);
  assert.deepEqual(dataset.validation, []);
  assert.deepEqual(dataset.test, [
    { id: "1#2", user: "1", history: [3, 2], target: 0 },
    { id: "1#3", user: "1", history: [2, 0], target: 1 },
  ]);
  assert.deepEqual(dataset.known("test"), [[0, 1, 3, 2], [2, 0]]);
  assert.deepEqual(dataset.skipped, [
    { what: "ids in rows that have no title", count: 5 },
    { what: "rows whose target has no title, or without history", count: 2 },
  ]);
  const trie = new Trie(dataset.paths);
  assert.deepEqual([trie.leafCount, trie.leafOf[1]], [3, trie.leafOf[3]]);
});

test("titles: an id without a title does not part a sequence", () => {
  const train = `${HEADER}1,"[2, 3]",10\n1,"[3, 5]",20\n`;
  assert.deepEqual(load({ ...FOLDER, "train.csv": train }).training, [
    { items: [0, 1], context: 0 },
  ]);
});

test("titles: one target a row, as released", () => {
  const dataset = load(FOLDER, { targets: "last" });
  assert.deepEqual(dataset.training, [
    { items: [0, 1], context: 1 },
    { items: [2, 0], context: 1 },
    { items: [0, 1, 3], context: 2 },
    { items: [1, 3, 2], context: 2 },
  ]);
  assert.deepEqual(dataset.known("validation"), [[0, 1, 3, 2], [2, 0]]);
  assert.equal(dataset.skipped.at(-1)?.count, 3);
});

test("titles: held-out rows leave training", () => {
  const dataset = load(FOLDER, { holdOut: 2 });
  assert.deepEqual(dataset.training[0], { items: [0, 1, 3], context: 0 });
  // The last row's target has no title.
  assert.deepEqual(dataset.validation, [{ id: "1#5", user: "1", history: [1, 3], target: 2 }]);
  assert.deepEqual(dataset.known("validation"), [[0, 1, 3], [2, 0]]);
  assert.deepEqual(dataset.known("test"), [[0, 1, 3, 2], [2, 0]]);
});

test("titles: cut titles are counted, and those that become alike", () => {
  const dataset = load(FOLDER, { maxTokens: 1 });
  assert.deepEqual(dataset.tokens, ["<bos>", "<end>", " Red", " Blue"]);
  assert.deepEqual(dataset.paths, [[3, 1], [2, 1], [3, 1], [2, 1]]);
  assert.deepEqual(dataset.skipped.slice(2), [
    { what: "titles cut at 1 tokens", count: 4 },
    { what: "titles like another because they were cut", count: 1 },
  ]);
});

test("titles: the model's own vocabulary, without a prompt", () => {
  const dataset = load(FOLDER, { vocabulary: "model" });
  assert.equal(dataset.tokens.length, 15);
  assert.deepEqual(dataset.paths[2], [1, 4, 14]);
  assert.deepEqual(dataset.prompt([2]), [13, 1, 4, 14]);
});

test("titles: with a prompt every target has its own", () => {
  const dataset = loadPrompted("Red: {history}\nNext: {item}\n");
  assert.deepEqual(dataset.paths[0], [1, 3, 14]); // the prompt's last space is the item's first
  assert.deepEqual(dataset.training[1], { items: [2, 0], context: 1 });
  const prompt = [13, 5, 10, 9, 7, 6, 4, 7, 12, 11, 10]; // Red: "Blue box"\nNext:
  assert.deepEqual(dataset.prompt([2]), prompt);
  const told: number[][] = [];
  const tell = (...of: number[]): void => void told.push(of);
  const windows = makeWindows(dataset, new Trie(dataset.paths), 2, tell);
  assert.deepEqual(told, [[1, 2], [2, 2]]);
  assert.equal(windows.length, 3 + 1);
  const { tokens, labels, nodes } = windows[3];
  assert.deepEqual([...tokens], [...prompt, 1, 3]);
  assert.deepEqual([...labels], [...new Array<number>(10).fill(0), 1, 3, 14]);
  assert.deepEqual(Array.from(nodes, (node) => node >= 0), Array.from(labels, (_, t) => t >= 10));
  // Each target after the two before it: 1 after 0; 3 after 0, 1; 2 after 1, 3.
  const text = (at: number): string =>
    [...windows[at].tokens, windows[at].labels.at(-1) as number].map(words.text).join("");
  assert.equal(text(2), '<s>Red: "Red pen", "Red pen"\nNext: Blue box</s>');
  assert.equal(text(0), '<s>Red: "Blue ink"\nNext: Red pen</s>');
});

test("titles: prompts put together from pieces are what the tokenizer makes of them whole", () => {
  let encoded: string[] = [];
  /** Adds a token to a text that begins with a space and a blue title, as some tokenizers do. */
  const starting: Tokenizer = {
    ...words,
    encode: (text) => {
      encoded.push(text);
      return [...(text.startsWith(' "Blue') ? [0] : []), ...words.encode(text)];
    },
  };
  const prompts = ["Red: {history}\nNext: {item}", '"{history}\n{item}', "{history}: {item}"];
  for (const prompt of prompts) {
    for (const tokenizer of [words, starting]) {
      const { titles = [], template, ...dataset } = loadPrompted(prompt, tokenizer);
      for (const history of [[], [0], [1], [1, 3], [1, 2, 3], [2, 0, 1, 1], [3, 1, 3]]) {
        const text = renderPrompt(template, history.map((item) => titles[item]));
        encoded = [];
        assert.deepEqual(dataset.prompt(history), [13, ...words.encode(text)], text);
        const red = history.length > 1 && history.every((item) => item % 2 === 1);
        if (red) assert.ok(!encoded.includes(text), "whole, though its pieces would do");
      }
    }
  }
});

test("titles: what cannot be tokenised alike everywhere is refused", () => {
  /** Joins a quote to the word after it, but not to red ones. */
  const joining: Tokenizer = {
    ...words,
    encode: (text) =>
      (text.match(/"?Blue| ?[A-Za-z]+|[^A-Za-z]/g) ?? []).map((piece) => piece.length + 1),
  };
  /** Ends a title in another way after two titles. */
  const counting: Tokenizer = {
    ...words,
    encode: (text) => {
      const [last, ...rest] = words.encode(text).reverse();
      const isOther = last < 5 && text.split('"').length > 3;
      return [...rest.reverse(), isOther ? (last + 1) % 5 : last];
    },
  };
  const unlike = [
    [joining, "{history}", /got 2 of 4 that do not: item "2" \(Blue ink\), item "7" \(Blue box\)$/],
    [counting, "{history}: {item}", /got 4 of 4 that do not: item "2" .*item "5" .*item "7"[^,]*$/],
  ] as const;
  for (const [tokenizer, prompt, message] of unlike) {
    assert.throws(
      () => loadPrompted(prompt, tokenizer),
      (error) => isRefusal(error, "after prompt.txt with words", message),
    );
  }
  const refused: readonly [tokenizer: Partial<Tokenizer>, RegExp][] = [
    [{ eos: undefined }, /must name an eos_token/],
    [{ eos: 2 }, /item "5" \(Red pen\).*got the token that ends titles$/],
    [{ encode: () => [] }, /item "2" \(Blue ink\).*got none$/],
  ];
  for (const [change, message] of refused) {
    const tokenizer = { ...words, ...change };
    assert.throws(
      () => load(FOLDER, { tokenizer, vocabulary: "model" }),
      (error) => isRefusal(error, "words", message),
    );
  }
  const { template } = loadPrompted("{history}");
  for (const options of [{ template, vocabulary: "compact" }, { maxTokens: 0 }, { holdOut: -1 }]) {
    assert.throws(() => load(FOLDER, options as Partial<TitleOptions>), ArgumentError);
  }
});

test("titles: progress", () => {
  const told: string[] = [];
  load(FOLDER, { onProgress: (what, done, total) => told.push(`${what} ${done}/${total}`) });
  assert.deepEqual(told, [
    "reading files 1/3",
    "reading files 2/3",
    "reading files 3/3",
    ...[1, 2, 3, 4].map((n) => `tokenising titles ${n}/4`),
  ]);
});

test("titles: which file has the training rows", () => {
  const { "train.csv": rows, ...rest } = FOLDER;
  assert.equal(load({ ...rest, "train_10000.csv": rows }).training.length, 2);
  const both = load({ ...FOLDER, "train_10000.csv": HEADER });
  assert.equal(both.training.length, 2);
});

test("titles: columns by name, quotes, other line ends, other ways to write a list", () => {
  const train =
    'timestamp,note,user_id,item_ids\r\n10,"a, ""b""",x,"[\'2\', ""5""]"\r\n\r\n20,,x,[9]\r\n';
  const dataset = load({ ...FOLDER, "train.csv": train });
  assert.deepEqual(dataset.training.map(({ items }) => items), [[0, 1], [3]]);
});

test("titles: ids may be called anything", () => {
  const ids = ["2", "constructor", "__proto__", "prototype"];
  const titles = ["Blue ink", "Red pen", "Red ink", "Blue pen"];
  const fields = ids.map((id, i) => `"${id}": "${titles[i]}"`);
  const dataset = load({
    "id2name4Rec.json": `{${fields.join(", ")}}`,
    "train.csv": `${HEADER}1,"[2, constructor]",10\n`,
    "test.csv": `${HEADER}1,"[constructor, __proto__, prototype]",20\n`,
  });
  assert.deepEqual([dataset.items, dataset.titles, dataset.skipped], [ids, titles, []]);
  assert.deepEqual(dataset.test.map(({ history, target }) => [...history, target]), [[1, 2, 3]]);
});

const NAMES = /must name the columns user_id, item_ids, timestamp once each/;
const VALUES = /must have the 3 values of the header/;

const LINE_2 = "train.csv line 2";
const train = (rows: string): Files => ({ "train.csv": HEADER + rows });
const titles = (contents: unknown): Files => ({ "id2name4Rec.json": contents });

/** Changes to the folder, with the place that the error names and its message. */
const REFUSED: readonly [what: string, changes: Files, place: string, message: RegExp][] = [
  ["an open list", train('1,"[2, 5",10\n'), LINE_2, /item_ids must be a list of.*got "\[2, 5"$/],
  ["an empty id", train('1,"[2, 5]",10\n1,"[2,, 5]",10\n'), "train.csv line 3", /item_ids/],
  ["a list of lists", train('1,"[2, [5]]",10\n'), LINE_2, /item_ids/],
  ["an open quote", train('1,"[2, 5],10\n1,"[2]",10\n'), LINE_2, /quotes must come in pairs/],
  ["a time in words", train('1,"[2, 5]",soon\n'), LINE_2, /timestamp must be.*got "soon"$/],
  ["a huge time", train(`1,"[2, 5]",${"9".repeat(400)}\n`), LINE_2, /timestamp must be.*got "9/],
  ["no time", train('1,"[2, 5]",\n'), LINE_2, /timestamp must be.*got ""$/],
  ["no user", train(',"[2, 5]",10\n'), LINE_2, /user_id must not be empty, got ""$/],
  ["two values", train('1,"[2, 5]"\n'), LINE_2, VALUES],
  ["four values", train('1,"[2, 5]",10,x\n'), LINE_2, VALUES],
  ["a list without quotes", train("1,2,5,10\n"), LINE_2, VALUES],
  ["one value", train("1\n"), LINE_2, /must have the 3 values of the header, got "1"$/],
  ["no rows", train(""), "train.csv", /items to train on, got 0 rows/],
  ["no training file", { "train.csv": undefined }, "", /it must hold train\.csv, got none$/],
  ["a column twice", { "train.csv": `user_id,${HEADER}1,2,"[2]",10\n` }, "train.csv", NAMES],
  ["no rows to predict", { "test.csv": HEADER }, "test.csv", /items to predict, got 0 rows/],
  ["another column", { "test.csv": "user,item_ids,timestamp\n" }, "test.csv", NAMES],
  ["an empty file", { "test.csv": "" }, "test.csv", NAMES],
  ["a line break in a name", { "test.csv": HEADER.replace("time", "\r") }, "test.csv", NAMES],
  ["an open header", { "test.csv": `"${HEADER}` }, "test.csv line 1", /quotes must come in pairs/],
  ["other bytes", { "test.csv": Uint8Array.of(0x31, 0xff) }, "test.csv", /must be UTF-8/],
  ["no titles", titles({}), "id2name4Rec.json", /must have titles/],
  ["broken JSON", titles('{"3": "x'), "id2name4Rec.json", /must be JSON/],
  ["a number", titles({ "3": 4 }), 'id2name4Rec.json at "3"', /must be string, got 4$/],
  [
    "a long title",
    titles({ "3": "pen".repeat(4000) }),
    'id2name4Rec.json at "3"',
    /at most 10000 characters, got 12000$/,
  ],
];

for (const [what, changes, place, message] of REFUSED) {
  test(`titles: refuses ${what}`, () => {
    withFolder({ ...FOLDER, ...changes }, (folder) =>
      assert.throws(
        () => loadTitles(folder, { tokenizer: words }),
        (error) => isRefusal(error, `Cannot load ${join(folder, place)}`, message),
      ));
  });
}

test("titles: HTML entities are decoded once, and titles without text are left out", () => {
  const titles = {
    "1": "&frac12;&quot; x 23' &amp; more &reg;&Acirc;&nbsp;&copy;&lt;&yuml;&eacute;",
    "2": "&#153;&#x2122;&#38;&trade;&#8364;&euro;",
    "3": "&amp;quot; AT&T R&D; &amp &#0;",
    "4": "",
    "5": " &nbsp; ",
  };
  const files = { ...FOLDER, "id2name4Rec.json": { ...titles, "7": "Red pen", "9": "Ink" } };
  const dataset = load(files, { tokenizer: { ...words, encode: (text) => [text.length] } });
  assert.deepEqual(dataset.titles?.slice(0, 3), [
    "½\" x 23' & more ®Â\u00a0©<ÿé",
    "™™&™€€",
    "&quot; AT&T R&D; &amp \ufffd",
  ]);
  assert.deepEqual(dataset.skipped[0], { what: "titles without text", count: 2 });
});

test("titles: overlaps", () => {
  const cases = [
    ["abcde", "cdef", 3],
    ["abab", "ababx", 4],
    ["aabaab", "aabaabaab", 6],
    ["abc", "abc", 3],
    ["abc", "xyz", 0],
    ["xabc", "c", 1],
    ["", "a", 0],
    ["ab", "", 0],
  ] as const;
  for (const [end, beginning, size] of cases) {
    assert.equal(overlap([...end], [...beginning]), size, `${end} ${beginning}`);
  }
});

test("titles: windows in any order become the sequence they are from", () => {
  const items = [..."abcdefghijklmnop"];
  const rows: Row[] = items.slice(1).map((_, i) => ({
    line: i + 2,
    user: "u",
    ids: items.slice(Math.max(0, i - 2), i + 2),
    time: Math.floor(i / 3), // three targets a day
  }));
  for (let turn = 0; turn < 20; turn++) {
    const shuffled = rows.map((row, i) => [(i * 7 + turn * 5) % 16, row] as const)
      .sort(([a], [b]) => a - b).map(([, row]) => row);
    const ordered = inTimeOrder(shuffled);
    assert.deepEqual(ordered.map(({ line }) => line), rows.map(({ line }) => line));
    assert.deepEqual(chain(ordered), [items]);
  }
  // A window is missing, so another overlaps less; then so many that none does.
  assert.deepEqual(chain(rows.filter((_, i) => i !== 6)), [items]);
  assert.deepEqual(chain(rows.filter((_, i) => i < 4 || i > 9)), [[..."abcde"], [..."ijklmnop"]]);
});

test("titles: rows of one moment each bring the fewest new items", () => {
  const list = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 5 });
  const added = (before: Row, row: Row): number => {
    const known = overlap(before.ids, row.ids);
    return known === 0 ? Infinity : row.ids.length - known;
  };
  fc.assert(fc.property(fc.option(list), fc.array(list, { minLength: 2 }), (first, lists) => {
    const left = lists.map((ids, line): Row => ({ line, user: "u", ids, time: 1 }));
    const earlier = first === null ? [] : [{ line: -1, user: "u", ids: first, time: 0 }];
    const ordered = inTimeOrder([...left, ...earlier]);
    ordered.forEach((row, i) => {
      if (row.time === 0) return;
      const costs = left.map((one) =>
        i > 0
          ? added(ordered[i - 1], one)
          : -Math.min(...left.filter((other) => other !== one).map((other) => added(other, one)))
      );
      assert.equal(row, left[costs.indexOf(Math.min(...costs))]);
      left.splice(left.indexOf(row), 1);
    });
    assert.deepEqual(left, []);
  }));
});

test("titles: office-titles", {
  skip: existsSync(OFFICE) ? false : `there is no ${OFFICE}`,
  timeout: 60_000,
}, async () => {
  const dataset = loadTitles(OFFICE, { tokenizer: await loadTokenizer("r50k") });
  assert.equal(dataset.items.length, 2414);
  assert.equal(
    dataset.titles?.[8],
    "DYMO Labeling Tape, ½\" x 23', Black Print on White Tape (45013) D1 Label Cassette, Split Back Easy Peel Adhesive",
  );
  assert.equal(dataset.test.length, 1925);
  assert.equal(dataset.training.length, 3718);
  const targets = dataset.training.reduce((sum, { items }) => sum + items.length, 0);
  assert.equal(targets, 41_662);
  const trie = new Trie(dataset.paths);
  const choices = Array.from({ length: trie.nodeCount }, (_, node) => trie.childCount(node))
    .filter((count) => count > 1);
  assert.equal(trie.childCount(0), 373);
  assert.equal(choices.length, 844);
  assert.equal(trie.leafCount, 2411);
  assert.equal(trie.maxDepth, 41);
  // Tokens beyond the cut do not occur: with them there are 4,306.
  assert.equal(dataset.tokens.length, 4251);
  assert.equal(trie.nodeCount, 47_294);
});
