/** A small tokenizer in Hugging Face's layout, byte pairs over bytes as Llama 3 has them. */
import { type Files } from "./with_folder.ts";

const MERGES = [["p", "e"], ["pe", "n"], ["Ġ", "pen"], ["i", "n"], ["in", "k"], ["Ġ", "ink"]];

/**
 * The characters that stand for bytes: printable ones for themselves, the others from U+0100 on.
 */
export const BYTES = Array.from({ length: 256 }, (_, byte) => byte).map((byte, _, all) => {
  const printable = (b: number): boolean =>
    (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  const others = all.slice(0, byte).filter((b) => !printable(b)).length;
  return String.fromCodePoint(printable(byte) ? byte : 256 + others);
});

/** Ids: bytes 0 to 255 their own, then the merges 256 to 261, then <s> 262 and </s> 263. */
const TOKENS = [...BYTES, ...MERGES.map((pair) => pair.join(""))];

/** The contents of tokenizer.json. */
export const TOKENIZER = {
  added_tokens: [
    { id: 262, content: "<s>", special: true, normalized: false },
    { id: 263, content: "</s>", special: true, normalized: false },
  ],
  normalizer: null,
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: { Regex: " ?\\p{L}+| ?\\p{N}+|[^\\s\\p{L}\\p{N}]+|\\s" },
        behavior: "Isolated",
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<s>": { id: "<s>", ids: [262], tokens: ["<s>"] } },
  },
  decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    vocab: Object.fromEntries(TOKENS.map((token, id) => [token, id])),
    merges: MERGES.map((pair) => pair.join(" ")),
  },
};

/** The folder. */
export const TOKENIZER_FOLDER: Files = {
  "tokenizer.json": TOKENIZER,
  "tokenizer_config.json": { bos_token: "<s>", eos_token: { content: "</s>", special: true } },
};
