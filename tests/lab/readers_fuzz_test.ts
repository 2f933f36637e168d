/**
 * Damaged text files: each either loads or is refused in one line that names its folder, and a
 * folder in memory does the same.
 * `BEARGRAD_FUZZ=20000` tries that many instead of a few hundred.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadInteractions } from "../../lab/data/interaction_dataset.ts";
import { loadDataset } from "../../lab/data/load.ts";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { readVectors } from "../../lab/codes/vector_files.ts";
import { folderAt } from "../../lab/files.ts";
import { loadTitles } from "../../lab/data/titles.ts";
import { type Folder, memoryFolder } from "../../lab/folder.ts";
import { readLists } from "../../lab/lists/read_lists.ts";
import { loadTemplate } from "../../lab/text/template.ts";
import { loadTokenizer, type Tokenizer } from "../../lab/text/tokenizer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
import { VECTOR_ITEMS, vectorFiles } from "./vector_files.ts";
import { TOKENIZER_FOLDER } from "./tokenizer_folder.ts";
import { type Files, makeFolder, removeFolder } from "./with_folder.ts";

const HEADER = "user_id,item_ids,timestamp\n";
const TITLES: Files = {
  "id2name4Rec.json": {
    "1": "Red pen, 5 &quot;",
    "2": "Blue &#105;nk",
    "3": "Red pen",
    "40": "B&eacute;",
  },
  "train.csv":
    `${HEADER}7,"[1, 2, 3]",10\n8,"[3, 40]",20\n7,"[2, 3, 40, 1]",30\n8,"[3, 40, 2]",40\n`,
  "test.csv": `${HEADER}7,"[3, 40, 1, 2]",60\n8,"['40', '2', '1']",70\n`,
  "prompt.txt": "Bought {history}.\nNext: {item}\n",
};
const SEMANTIC: Files = {
  "index.json": { "0": ["<a_1>", "<b_0>"], "1": ["<a_2>", "<b_0>"], "2": ["<a_2>", "<b_1>"] },
  "inter.json": { "7": [0, 1, 2, 1], "8": ["2", 1, 0], "9": [1] },
  "items.json": { "0": { title: "Pen" }, "1": { title: "Ink", brand: "x" } },
};
const LINES: Files = {
  "Pens.index.a.json": SEMANTIC["index.json"],
  "sequential_data.txt": "7 0 1 2 1\n8 2 1 0\n9 1\n",
  "Pens.item.json": SEMANTIC["items.json"],
};
const NOTE = "what is not read ".repeat(20);
const COLUMNS = "note,user_id,item_title,history_item_id,item_id,history_item_sid,item_sid\n";
const ROWS: Files = {
  "info.txt": "<a_1><b_0>\tPen\t0\n<a_2><b_0>\tInk\t1\n<a_2><b_1>\t5 &quot;\t2\n",
  "train.csv": `${COLUMNS}${NOTE},A,Ink,[0],1,['<a_1><b_0>'],<a_2><b_0>\n` +
    `x,A,"5 """,['1'],2,['<a_2><b_0>'],<a_2><b_1>\n`,
  "valid.csv": `${COLUMNS}${NOTE},B,Pen,"[1, 2]",0,"['<a_2><b_0>', ""<a_2><b_1>""]",<a_1><b_0>\n`,
  "test.csv": `${COLUMNS}${NOTE},B,Ink,[0],1,['<a_1><b_0>'],<a_2><b_0>\n` +
    "x,A,Pen,[],0,[],<a_1><b_0>\n",
};

const PREDICTED = { input: "Next: <a_1><b_0>, <a_2><b_0>", output: "<a_2><b_1>\n", predict: ["x"] };
const LISTS: Files = {
  "plain.jsonl":
    '{"user": 7, "items": ["0", ["1", 2]], "logProbs": [-1, -2.5], "bestPruned": null}\n' +
    '{"user": "8", "history": [1], "target": "2", "items": [], "certified": 0}\n',
  "predict.json": JSON.stringify([PREDICTED, { ...PREDICTED, output: ["Pen"] }], null, 4),
  "frame.json": [{ input: ["<a_1><b_0>"], target: "<a_2><b_1>", rec_items: ["<a_2> <b_1>", ""] }],
};

/** A token a character. */
const characters: Tokenizer = {
  name: "characters",
  vocabSize: 2 ** 16,
  eos: 1,
  encode: (text) => [...text].map((c) => (c.codePointAt(0) as number) % 2 ** 16),
  text: String,
};

/**
 * Damages one file after the other and hands the folder, on the disk and in memory, to `load`,
 * which may only refuse it. What it returns must be the same for both, or the error's message.
 */
async function fuzz(
  files: Files,
  seed: number,
  load: (folder: string | Folder) => unknown,
): Promise<void> {
  const folder = makeFolder(files);
  after(() => removeFolder(folder));
  const random = randomOf(seed);
  const names = Object.keys(files);
  const valid = names.map((name) => {
    const contents = files[name];
    if (contents instanceof Uint8Array) return contents;
    return new TextEncoder().encode(
      typeof contents === "string" ? contents : JSON.stringify(contents),
    );
  });
  const runs = fuzzRuns(300);
  let loaded = 0;
  for (let run = 0; run < runs; run++) {
    const at = run % names.length;
    const damaged = mutate(random, valid[at]);
    writeFileSync(join(folder, names[at]), damaged);
    const files = new Map(names.map((name, i) => [name, i === at ? damaged : valid[i]]));
    const inMemory = await outcomeOf(() => load(memoryFolder(folder, files)));
    try {
      assert.equal(inMemory, JSON.stringify(await load(folder)));
      loaded++;
    } catch (error) {
      try {
        assertRefusal(error, folder);
        assert.equal(inMemory, (error as Error).message);
      } catch (unlike) {
        const text = JSON.stringify(new TextDecoder().decode(damaged));
        throw new Error(`seed ${seed}, run ${run}, ${names[at]}: ${text.slice(0, 2000)}`, {
          cause: unlike,
        });
      }
    }
    writeFileSync(join(folder, names[at]), valid[at]);
  }
  // If all or none loaded, the mutator would be of no use here.
  assert.ok(loaded > runs / 50 && loaded < runs * 0.98, `${loaded} of ${runs} loaded`);
}

/** What something returns, or the message of what it throws. */
async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    return JSON.stringify(await run());
  } catch (error) {
    return (error as Error).message;
  }
}

const timeout = 1_800_000;

test("fuzz: a folder of titles", { timeout }, async () => {
  await fuzz(TITLES, 1, (folder) => {
    const dataset = loadTitles(folder, { tokenizer: characters, holdOut: 1 });
    new Trie(dataset.paths);
    return dataset;
  });
});

test("fuzz: a folder of titles with a prompt, one target a row", { timeout }, async () => {
  await fuzz(TITLES, 2, (folder) => {
    const path = typeof folder === "string" ? folder : folder.path; // prompts are on the disk
    const template = loadTemplate(join(path, "prompt.txt"));
    const dataset = loadTitles(folder, { tokenizer: characters, template, targets: "last" });
    new Trie(dataset.paths);
    return dataset;
  });
});

test("fuzz: a folder of semantic ids", { timeout }, async () => {
  await fuzz(SEMANTIC, 3, loadSemanticIds);
});

test("fuzz: files of lists", { timeout }, async () => {
  await fuzz(
    LISTS,
    9,
    (place) => Object.keys(LISTS).map((file) => [...readLists(folderAt(place), file)]),
  );
});

for (const [i, [name, contents]] of Object.entries(vectorFiles()).entries()) {
  test(`fuzz: vectors of items in ${name}`, { timeout }, async () => {
    await fuzz({ [name]: contents }, 20 + i, (folder) => {
      const { data, dim } = readVectors(name, VECTOR_ITEMS, { folder: folderAt(folder) });
      assert.ok(data.length === VECTOR_ITEMS.length * dim && data.every(Number.isFinite));
      return [...data];
    });
  });
}

test("fuzz: lines of users with the codes of another project", { timeout }, async () => {
  await fuzz(LINES, 5, (folder) => loadDataset(folder));
});

test("fuzz: rows of given splits", { timeout }, async () => {
  await fuzz(ROWS, 6, (folder) => loadDataset(folder));
});
const INTERACTIONS: readonly (readonly [file: string, files: Files])[] = [
  ["ratings.csv", {
    "ratings.csv": "userId,movieId,rating,timestamp\n7,1,5.0,3\n7,2,4.5,1\n7,3,1.0,2\n8,1,1,1\n",
    "movies.csv": 'movieId,title,genres\n1,"Pen, The (1995)",Drama\n2,Caf\u00e9,A|B\n3,Ink,C\n',
  }],
  ["u.data", {
    "u.data": "7\t1\t5\t3\n7\t2\t4\t1\n7\t3\t1\t2\n8\t1\t1\t1\n",
    "u.item": "1|Pen (1995)|01-Jan-1995||http://here|0\n2|Ink (1996)|01-Jan-1996|||1\n",
  }],
  ["ratings.dat", {
    "ratings.dat": "7::1::5::3\n7::2::4::1\n7::3::1::2\n8::1::1::1\n",
    "movies.dat": "1::Pen (1995)::Comedy|Drama\n2::Ink::Drama\n",
  }],
  ["pens.inter", {
    "pens.inter":
      "user_id:token\titem_id:token\ttimestamp:float\n7\t1\t3.0\n7\t2\t1\n7\t3\t2e0\n8\t1\t1\n",
    "pens.item": "item_id:token\ttitle:token_seq\tbrand:token\n1\tPen\ta\n2\tInk\tb\n",
  }],
  ["pens.jsonl", {
    "pens.jsonl": '{"reviewerID":"A","asin":"1","unixReviewTime":1}\n'.repeat(2) +
      '{"reviewerID":"A","asin":"2","overall":5.0,"unixReviewTime":2,"text":"a \\"b\\""}\n',
  }],
];

for (const [i, [file, files]] of INTERACTIONS.entries()) {
  test(`fuzz: interactions, ${file}`, { timeout }, async () => {
    for (const skipBadRows of [false, true]) {
      await fuzz(files, 10 + i, (folder) => {
        const dataset = loadInteractions(folderAt(folder), file, { kCore: 1, skipBadRows });
        new Trie(dataset.paths);
        return dataset;
      });
    }
  });
}

test("fuzz: a tokenizer", { timeout }, async () => {
  await fuzz(TOKENIZER_FOLDER, 4, async (folder) => {
    const tokenizer = await loadTokenizer(folder);
    const ids = tokenizer.encode(" pen, ink 12 (é)");
    ids.forEach(tokenizer.text);
    assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize));
    return ids;
  });
});
