/**
 * Damaged text files: each either loads or is refused in one line that names its folder, and a
 * folder in memory does the same.
 * `BEARGRAD_FUZZ=20000` tries that many instead of a few hundred.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadSemanticIds } from "../../lab/data/semantic_ids.ts";
import { loadTitles } from "../../lab/data/titles.ts";
import { folderAt } from "../../lab/files.ts";
import { type Folder, memoryFolder } from "../../lab/folder.ts";
import { readLists } from "../../lab/lists/read_lists.ts";
import { loadTemplate } from "../../lab/text/template.ts";
import { loadTokenizer, type Tokenizer } from "../../lab/text/tokenizer.ts";
import { Trie } from "../../models/decode/trie.ts";
import { assertRefusal, fuzzRuns, mutate, randomOf } from "../fuzz.ts";
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
    5,
    (place) => Object.keys(LISTS).map((file) => [...readLists(folderAt(place), file)]),
  );
});

test("fuzz: a tokenizer", { timeout }, async () => {
  await fuzz(TOKENIZER_FOLDER, 4, async (folder) => {
    const tokenizer = await loadTokenizer(folder);
    const ids = tokenizer.encode(" pen, ink 12 (é)");
    ids.forEach(tokenizer.text);
    assert.ok(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize));
    return ids;
  });
});
