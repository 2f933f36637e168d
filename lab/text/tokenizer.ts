/**
 * What turns text into tokens.
 *
 * @module
 */
import { loadFolderTokenizer } from "./folder_tokenizer.ts";

/** Turns text into tokens, the same text always into the same. */
export interface Tokenizer {
  /** Its name, for people. */
  readonly name: string;
  /** Every token's id is below this. */
  readonly vocabSize: number;
  /** The token that a model's input begins with, where there is one. */
  readonly bos?: number;
  /** The token that a model's output ends with, where there is one. */
  readonly eos?: number;
  /**
   * The tokens of a text, without any at its beginning or end that are not in the text.
   *
   * @throws {DataError} if it has no tokens for part of the text.
   */
  encode(text: string): number[];
  /** What a token stands for, for people; a token may be part of a character. */
  text(id: number): string;
}

/**
 * Loads a tokenizer: `r50k`, which is GPT-2's (50,257 tokens, from the package gpt-tokenizer), or that of a folder in Hugging
 * Face's layout, with a `tokenizer.json` and, for the tokens at the beginning and the end, a `tokenizer_config.json`.
 *
 * @throws {DataError} if a file is missing, malformed or contradicts itself: one line that names file and place.
 *
 * @example
 * ```ts
 * import { loadTokenizer } from "beargrad/lab";
 *
 * const tokenizer = await loadTokenizer("r50k");
 * const ids = tokenizer.encode(" Blue pen");
 * console.log(ids, ids.map((id) => tokenizer.text(id))); // [4518, 3112] [" Blue", " pen"]
 * ```
 */
export async function loadTokenizer(which: string): Promise<Tokenizer> {
  return which === "r50k" ? await r50k() : await loadFolderTokenizer(which);
}

async function r50k(): Promise<Tokenizer> {
  const { encode, vocabularySize } = await import("gpt-tokenizer/encoding/r50k_base");
  const { default: tokens } = await import("gpt-tokenizer/bpeRanks/r50k_base");
  const endOfText = vocabularySize - 1;
  const asText = { disallowedSpecial: new Set<string>() }; // "<|endoftext|>" in a title is only text
  return {
    name: "r50k",
    vocabSize: vocabularySize,
    bos: endOfText,
    eos: endOfText,
    encode: (text) => encode(text, asText),
    text: (id) => {
      if (id === endOfText) return "<|endoftext|>";
      // Not the package's decode: it keeps the bytes of half a character for the next call.
      const token = tokens[id] ?? "";
      return typeof token === "string" ? token : new TextDecoder().decode(Uint8Array.from(token));
    },
  };
}
