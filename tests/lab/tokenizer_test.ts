/**
 * Tokenizers: r50k, folders in Hugging Face's layout, and everything that can be wrong with one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadTokenizer, type Tokenizer } from "../../lab/text/tokenizer.ts";
import { isRefusal } from "./datasets.ts";
import { TOKENIZER, TOKENIZER_FOLDER } from "./tokenizer_folder.ts";
import { type Files, withFolder } from "./with_folder.ts";

const load = (files: Files): Promise<Tokenizer> => withFolder(files, loadTokenizer);

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
  const text = "toString __proto__ prototype constructor valueOf";
  assert.deepEqual(tokenizer.encode(text), [4, 3, 2, 1, 0]);
});

/** JSON that nests more deeply than the stack can hold. */
const DEEP = "[".repeat(50_000) + "]".repeat(50_000);
const deep = (part: string): Files => {
  const found = JSON.stringify({ ...TOKENIZER, [part]: { type: "Sequence", of: "here" } });
  return { "tokenizer.json": found.replace('"here"', DEEP) };
};
const config = (contents: unknown): Files => ({
  ...TOKENIZER_FOLDER,
  "tokenizer_config.json": contents,
});
const vocab = (parts: object): Files => model({ vocab: { ...TOKENIZER.model.vocab, ...parts } });
const split = (pattern: unknown): Files =>
  changed({ pre_tokenizer: { type: "Split", pattern, behavior: "Isolated" } });
const endless = { type: "Sequence", pretokenizers: [{ type: "FixedLength", length: 0 }] };
const more = [...TOKENIZER.model.merges, "p zz"];

/** Folders that are refused, with the message that each must give. */
const REFUSED: readonly [what: string, files: Files, message: RegExp][] = [
  ["an empty folder", {}, /it must hold tokenizer\.json, got none$/],
  ["broken JSON", { "tokenizer.json": '{"model": ' }, /tokenizer\.json: it must be JSON, got /],
  ["an array", { "tokenizer.json": [] }, /must be an object, got an array$/],
  ["no model", { "tokenizer.json": {} }, /at "model"/],
  ["a broken configuration", config("{"), /tokenizer_config\.json: it must be JSON/],
  ["a deep normalizer", deep("normalizer"), /at "normalizer": its parts must nest at most 100/],
  ["a deep pre_tokenizer", deep("pre_tokenizer"), /at "pre_tokenizer": its parts must nest/],
  ["a deep decoder", deep("decoder"), /at "decoder": its parts must nest at most 100 deep/],
  ["another model", model({ type: "Magic" }), /at "model\.type": it must be .*"BPE".*got "Magic"$/],
  ["a model from Object", model({ type: "constructor" }), /at "model\.type"/],
  ["a list of tokens", model({ vocab: ["a"] }), /at "model\.vocab/],
  [
    "an unknown id",
    changed({ model: { type: "Unigram", unk_id: 1, vocab: [["<unk>", 0]] } }),
    /at "model\.unk_id": it must be one of the 1 tokens, got 1$/,
  ],
  ["a negative id", vocab({ pen: -1 }), /at "model\.vocab\.pen".*negative, got -1$/],
  ["a huge id", vocab({ pen: 1e9 }), /at "model\.vocab\.pen".*below 4194304/],
  ["an id of text", vocab({ pen: "4" }), /at "model\.vocab\.pen".*number, got "4"$/],
  ["an id twice", vocab({ pen: 4 }), /an id of its own, got \[".*",4\]$/],
  [
    "no tokens",
    changed({ added_tokens: [], model: { type: "BPE", vocab: {}, merges: [] } }),
    /none$/,
  ],
  ["an unknown token", model({ unk_token: "<unk>" }), /unk_token": .*in the vocab.*got "<unk>"$/],
  ["an unknown part", model({ merges: more }), /at "model\.merges\.6": .*to a third, got "zz"$/],
  ["an unknown product", model({ merges: ["p k"] }), /at "model\.merges\.0": .*got "pk"$/],
  ["one part", model({ merges: ["p"] }), /at "model\.merges\.0": it must be a pair/],
  ["two ways", model({ merges: ["p e", ["pe", "n"]] }), /at "model\.merges\.1": it must be a pair/],
  ["no merges", model({ merges: 5 }), /at "model\.merges"/],
  [
    "another normalizer",
    changed({ normalizer: { type: "Magic" } }),
    /Unknown Normalizer type: Magic/,
  ],
  ["another splitter", changed({ pre_tokenizer: { type: "Magic" } }), /Unknown PreTokenizer/],
  ["another decoder", changed({ decoder: { type: "Magic" } }), /Unknown Decoder type/],
  ["a number", changed({ pre_tokenizer: 5 }), /at "pre_tokenizer"/],
  ["an added token", changed({ added_tokens: [{ id: 1 }] }), /added_tokens\.0\.content/],
  ["a broken pattern", split({ Regex: "(" }), /its parts must be supported/],
  ["no pattern", split(5), /pre_tokenizer\.pattern": it must be a Regex or a String, got 5$/],
  [
    "pieces without end",
    changed({ pre_tokenizer: endless }),
    /pretokenizers\.0\.length": it must be a positive integer, got 0$/,
  ],
  ["no such end", config({ eos_token: "<end>" }), /config\.json at "eos_token": .*"<end>"$/],
  ["a number to begin", config({ bos_token: 5 }), /config\.json at "bos_token"/],
];

for (const [what, files, message] of REFUSED) {
  test(`tokenizer: refuses ${what}`, async () => {
    await withFolder(
      files,
      (folder) =>
        assert.rejects(loadTokenizer(folder), (error) => isRefusal(error, folder, message)),
    );
  });
}

test("tokenizer: refuses a folder that does not exist", async () => {
  await assert.rejects(
    loadTokenizer("no such folder"),
    (error) => isRefusal(error, "no such folder", /: the folder must exist, got none$/),
  );
});
