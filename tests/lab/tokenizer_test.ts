/** Tokenizers: r50k, folders in Hugging Face's layout, and everything that can be wrong with one. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../core/errors.ts";
import { loadTokenizer, type Tokenizer } from "../../lab/text/tokenizer.ts";
import { TOKENIZER, TOKENIZER_FOLDER } from "./tokenizer_folder.ts";
import { type Files, makeFolder, removeFolder } from "./with_folder.ts";

async function load(files: Files): Promise<Tokenizer> {
  const folder = makeFolder(files);
  try {
    return await loadTokenizer(folder);
  } finally {
    removeFolder(folder);
  }
}

/** Asserts that a folder is refused in one line that names the file and says what `told` matches. */
async function refuses(files: Files, file: string, told: RegExp): Promise<void> {
  const folder = makeFolder(files);
  try {
    await assert.rejects(loadTokenizer(folder), (error: unknown) => {
      assert.ok(error instanceof DataError, `${(error as Error).stack}`);
      assert.ok(error.message.includes(join(folder, file)), error.message);
      assert.match(error.message, told);
      assert.ok(!error.message.includes("\n"), error.message);
      return true;
    });
  } finally {
    removeFolder(folder);
  }
}

/** The folder with another tokenizer.json, made by changes to parts of the valid one. */
function changed(parts: Readonly<Record<string, unknown>>): Files {
  return { ...TOKENIZER_FOLDER, "tokenizer.json": { ...TOKENIZER, ...parts } };
}

/** The folder with a changed model. */
function model(parts: Readonly<Record<string, unknown>>): Files {
  return changed({ model: { ...TOKENIZER.model, ...parts } });
}

test("tokenizer: r50k", async () => {
  const r50k = await loadTokenizer("r50k");
  assert.equal(r50k.vocabSize, 50257);
  assert.deepEqual([r50k.bos, r50k.eos], [50256, 50256]);
  // GPT-2's published example.
  assert.deepEqual(r50k.encode("Hello world"), [15496, 995]);
  assert.equal(r50k.text(995), " world");
  const [half, other] = r50k.encode("\u00bd\u65e5").slice(-2); // a character of two tokens
  assert.deepEqual([half, other, 995].map(r50k.text), ["\ufffd", "\ufffd", " world"]);
  assert.ok(!r50k.encode("<|endoftext|>").includes(50256), "in a title it is text");
});

test("tokenizer: a folder, by hand", async () => {
  const tokenizer = await load(TOKENIZER_FOLDER);
  assert.equal(tokenizer.vocabSize, 264);
  assert.deepEqual([tokenizer.bos, tokenizer.eos], [262, 263]);
  assert.deepEqual(tokenizer.encode(" pen ink"), [258, 261]);
  assert.deepEqual(tokenizer.encode("pen, pin"), [257, 0x2c, 0x20, 0x70, 259]);
  assert.deepEqual(tokenizer.encode("é"), [0xc3, 0xa9]);
  assert.deepEqual(tokenizer.encode(""), []);
  assert.equal([258, 261].map(tokenizer.text).join(""), " pen ink");
  assert.deepEqual([tokenizer.text(262), tokenizer.text(263), tokenizer.text(999)], [
    "<s>",
    "</s>",
    "",
  ]);
});

test("tokenizer: merges as pairs, no configuration, no beginning", async () => {
  const merges = TOKENIZER.model.merges.map((merge) => merge.split(" "));
  const { "tokenizer.json": file } = model({ merges });
  const tokenizer = await load({ "tokenizer.json": file });
  assert.deepEqual(tokenizer.encode(" pen ink"), [258, 261]);
  assert.deepEqual([tokenizer.bos, tokenizer.eos], [undefined, undefined]);
  const without = { bos_token: "<s>", eos_token: "</s>", add_bos_token: false };
  const other = await load({ ...TOKENIZER_FOLDER, "tokenizer_config.json": without });
  assert.deepEqual([other.bos, other.eos], [undefined, 263]);
});

test("tokenizer: WordPiece and Unigram", async () => {
  const words = await load({
    "tokenizer.json": {
      pre_tokenizer: { type: "Whitespace" },
      model: {
        type: "WordPiece",
        vocab: { "?": 0, pen: 1, "##s": 2 },
        unk_token: "?",
        continuing_subword_prefix: "##",
      },
    },
  });
  assert.deepEqual(words.encode(" pens ink pen"), [1, 2, 0, 1]);
  const pieces = await load({
    "tokenizer.json": {
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always" },
      model: {
        type: "Unigram",
        unk_id: 0,
        vocab: [["<unk>", 0], ["▁", -4], ["▁pen", -2], ["p", -5], ["en", -5], ["s", -3]],
      },
    },
  });
  assert.deepEqual(pieces.encode(" pens pen"), [2, 5, 2]);
});

test("tokenizer: tokens that are names of what every object has", async () => {
  const vocab = '{"?": 0, "constructor": 1, "prototype": 2, "__proto__": 3, "toString": 4}';
  const tokenizer = await load({
    "tokenizer.json": `{"pre_tokenizer": {"type": "WhitespaceSplit"},
      "model": {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "vocab": ${vocab}}}`,
  });
  assert.equal(tokenizer.vocabSize, 5);
  assert.deepEqual(tokenizer.encode("toString __proto__ prototype constructor valueOf"), [
    4,
    3,
    2,
    1,
    0,
  ]);
});

test("tokenizer: a missing file, broken JSON", async () => {
  await refuses({}, "tokenizer.json", /the file must be there, got no such file/);
  await refuses({ "tokenizer.json": '{"model": ' }, "tokenizer.json", /well-formed JSON/);
  await refuses({ "tokenizer.json": [] }, "tokenizer.json", /must be an object, got an array/);
  await refuses({ "tokenizer.json": {} }, "tokenizer.json", /at "model"/);
  await refuses(
    { ...TOKENIZER_FOLDER, "tokenizer_config.json": "{" },
    "tokenizer_config.json",
    /well-formed JSON/,
  );
  await assert.rejects(loadTokenizer("no such folder"), /the folder must exist/);
});

test("tokenizer: JSON that nests deeper than the stack is refused in one line", async () => {
  const deep = "[".repeat(50_000) + "]".repeat(50_000);
  for (const part of ["normalizer", "pre_tokenizer", "decoder"]) {
    const found = JSON.stringify({ ...TOKENIZER, [part]: { type: "Sequence", of: "here" } });
    await refuses(
      { ...TOKENIZER_FOLDER, "tokenizer.json": found.replace('"here"', deep) },
      "tokenizer.json",
      new RegExp(`at "${part}": its parts must nest at most 100 deep`),
    );
  }
});

test("tokenizer: a model that is not known or does not hold together", async () => {
  const file = "tokenizer.json";
  await refuses(model({ type: "Magic" }), file, /at "model\.type": it must be BPE.*got "Magic"/);
  await refuses(model({ type: "constructor" }), file, /at "model\.type"/);
  await refuses(model({ vocab: ["a"] }), file, /at "model\.vocab/);
  await refuses(
    model({ vocab: { ...TOKENIZER.model.vocab, pen: -1 } }),
    file,
    /model\.vocab\.pen.*negative, got -1/,
  );
  await refuses(
    model({ vocab: { ...TOKENIZER.model.vocab, pen: 1e9 } }),
    file,
    /model\.vocab\.pen.*below 4194304/,
  );
  await refuses(model({ vocab: { ...TOKENIZER.model.vocab, pen: 4 } }), file, /an id of its own/);
  await refuses(
    model({ unk_token: "<unk>" }),
    file,
    /unk_token": it must be in the vocabulary, got "<unk>"/,
  );
  await refuses(
    model({ merges: [...TOKENIZER.model.merges, "p zz"] }),
    file,
    /at "model\.merges\.6": it must merge tokens of the vocabulary to another, got "zz"/,
  );
  await refuses(model({ merges: ["p k"] }), file, /model\.merges\.0.*got "pk"/);
  await refuses(model({ merges: ["p"] }), file, /model\.merges\.0": it must be a pair/);
  await refuses(
    model({ merges: ["p e", ["pe", "n"]] }),
    file,
    /model\.merges\.1": it must be a pair/,
  );
  await refuses(model({ merges: 5 }), file, /model\.merges/);
});

test("tokenizer: parts that are not known or cannot work", async () => {
  const file = "tokenizer.json";
  await refuses(changed({ normalizer: { type: "Magic" } }), file, /Unknown Normalizer type: Magic/);
  await refuses(changed({ pre_tokenizer: { type: "Magic" } }), file, /Unknown PreTokenizer/);
  await refuses(changed({ decoder: { type: "Magic" } }), file, /Unknown Decoder type/);
  await refuses(changed({ pre_tokenizer: 5 }), file, /at "pre_tokenizer"/);
  await refuses(changed({ added_tokens: [{ id: 1 }] }), file, /added_tokens\.0\.content/);
  await refuses(
    changed({ pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" } }),
    file,
    /must be supported/,
  );
  await refuses(
    changed({ pre_tokenizer: { type: "Split", pattern: 5, behavior: "Isolated" } }),
    file,
    /pre_tokenizer\.pattern": it must be a Regex or a String, got 5/,
  );
  // The library would never come to an end.
  await refuses(
    changed({
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "FixedLength", length: 0 }] },
    }),
    file,
    /pretokenizers\.0\.length": it must be a positive integer, got 0/,
  );
});

test("tokenizer: special tokens that are not there", async () => {
  const config = "tokenizer_config.json";
  await refuses(
    { ...TOKENIZER_FOLDER, [config]: { eos_token: "<end>" } },
    config,
    /at "eos_token": .*"<end>"/,
  );
  await refuses({ ...TOKENIZER_FOLDER, [config]: { bos_token: 5 } }, config, /at "bos_token"/);
});
