/**
 * Tokenizers: GPT-2's, or one from a folder in Hugging Face's layout.
 *
 * @module
 */
import * as v from "valibot";
import { BeargradError, DataError } from "../../core/errors.ts";
import { oneLine } from "../../models/json.ts";
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { readJson, refuseFile } from "../read_file.ts";
import { readTokenizerFile } from "./tokenizer_file.ts";

/** Splits text into tokens. The same text always becomes the same tokens. */
export interface Tokenizer {
  /** The name of the tokenizer, for people. */
  readonly name: string;
  /** The size of the vocabulary: the id of every token is below it. */
  readonly vocabSize: number;
  /** The token that a model's input begins with, if there is one. */
  readonly bos?: number;
  /** The token that a model's output ends with, if there is one. */
  readonly eos?: number;
  /**
   * Tokenises a text, without adding special tokens.
   *
   * @throws {DataError} if it has no tokens for a part of the text.
   */
  encode(text: string): number[];
  /** The text of a token, for people. A token may be a part of a character. */
  text(id: number): string;
}

/**
 * Loads a tokenizer: `r50k`, which is GPT-2's with 50,257 tokens, or the tokenizer of a folder in
 * Hugging Face's layout. The folder has a `tokenizer.json` and may have a `tokenizer_config.json`,
 * of which `bos_token`, `eos_token` and `add_bos_token` are read.
 *
 * @throws {DataError} if a file is missing, malformed or inconsistent.
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
export async function loadTokenizer(which: string | Folder): Promise<Tokenizer> {
  return which === "r50k" ? await r50k() : await fromFolder(folderAt(which));
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
      // Not the package's decode, which keeps half a character for the next call.
      const token = tokens[id] ?? "";
      return typeof token === "string" ? token : new TextDecoder().decode(Uint8Array.from(token));
    },
  };
}

const CONFIG = "tokenizer_config.json";

const tokenObject = v.pipe(v.looseObject({ content: v.string() }), v.transform((t) => t.content));
const specialToken = v.optional(v.nullable(v.union([v.string(), tokenObject])));
const configuration = v.looseObject({
  bos_token: specialToken,
  eos_token: specialToken,
  add_bos_token: v.optional(v.nullable(v.boolean())),
});

/** A text that is tokenised on loading, so that a tokenizer that cannot work is refused at once. */
const PROBE = "A pen, 12 x 3 inches (blue)";

async function fromFolder(folder: Folder): Promise<Tokenizer> {
  const { parts, ids } = readTokenizerFile(folder);
  const settings = readJson(folder, CONFIG, configuration) ?? {};
  const { Tokenizer: Library } = await import("@huggingface/tokenizers");
  const path = folder.pathOf("tokenizer.json");

  /** Runs the library, which throws errors of any kind. */
  const attempt = <T>(action: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      if (error instanceof BeargradError) throw error;
      const message = oneLine((error as Error).message);
      throw new DataError(`Cannot ${action}: its parts must be supported, got ${message}`, {
        cause: error,
      });
    }
  };
  // Special tokens are added where prompts are built.
  const tokenizer = attempt(
    `load ${path}`,
    () => new Library({ ...parts, post_processor: null }, settings),
  );
  const encode = (text: string): number[] => {
    const { ids } = tokenizer.encode(text, { add_special_tokens: false });
    if (ids.every(Number.isInteger)) return ids;
    throw new DataError(
      `Cannot tokenise ${JSON.stringify(oneLine(text))} with ${path}: ` +
        "it must have an unknown token or a token for every character, got neither",
    );
  };
  attempt(`use ${path}`, () => encode(PROBE));

  const idOf = (key: "bos_token" | "eos_token"): number | undefined => {
    const token = settings[key];
    if (token == null) return undefined;
    const place = `${CONFIG} at "${key}"`;
    return ids.get(token) ??
      refuseFile(folder, place, "it must be a token of tokenizer.json", `"${token}"`);
  };
  const [bos, eos] = [idOf("bos_token"), idOf("eos_token")];
  return {
    name: folder.name,
    vocabSize: ids.values().reduce((most, id) => Math.max(most, id), 0) + 1,
    ...(bos !== undefined && settings.add_bos_token !== false && { bos }),
    ...(eos !== undefined && { eos }),
    encode: (text) =>
      attempt(`tokenise ${JSON.stringify(oneLine(text))} with ${path}`, () => encode(text)),
    text: (id) => {
      if (tokenizer.id_to_token(id) === undefined) return "";
      const options = { clean_up_tokenization_spaces: false };
      return attempt(`use ${path}`, () => tokenizer.decode([id], options));
    },
  };
}
