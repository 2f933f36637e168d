/**
 * The tokenizer of a folder in Hugging Face's layout.
 *
 * @module
 */
import { basename, join, resolve } from "node:path";
import * as v from "valibot";
import { BeargradError, DataError } from "../../core/errors.ts";
import { readJson, refuseFile, shown } from "../folder_files.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { readTokenizerFile } from "./tokenizer_file.ts";

const FILE = "tokenizer.json";
const CONFIG = "tokenizer_config.json";

const special = v.optional(
  v.nullable(v.union([v.string(), v.looseObject({ content: v.string() })])),
);
const config = v.looseObject({
  bos_token: special,
  eos_token: special,
  add_bos_token: v.optional(v.nullable(v.boolean())),
});

/** What is tokenised at once, so that a tokenizer which cannot work is refused when it is loaded. */
const PROBE = "A pen, 12 x 3 inches (blue)";

/** Loads the tokenizer of a folder with a tokenizer.json. Internal; see `loadTokenizer`. */
export async function loadFolderTokenizer(folder: string): Promise<Tokenizer> {
  const { file, ids } = readTokenizerFile(folder);
  const settings = readJson(folder, CONFIG, config) ?? {};
  const { Tokenizer: Library } = await import("@huggingface/tokenizers");

  /** Runs the library, whose errors are not ours and may be of any kind. */
  const attempt = <T>(action: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      if (error instanceof BeargradError) throw error;
      const { message } = error as Error;
      throw new DataError(
        `Cannot ${action}: what it describes must be supported, got ${shown(message)}`,
        { cause: error },
      );
    }
  };
  const path = join(folder, FILE);
  // What stands before and after a text is added by those who know where it goes.
  const parts = { ...file, post_processor: null };
  const tokenizer = attempt(`load ${path}`, () => new Library(parts, plainTexts(settings)));
  const encode = (text: string): number[] => {
    const { ids } = tokenizer.encode(text, { add_special_tokens: false });
    if (ids.every(Number.isInteger)) return ids;
    throw new DataError(
      `Cannot tokenise ${
        JSON.stringify(shown(text))
      } with ${path}: it must have an unknown token ` +
        `or a token for every character, got neither`,
    );
  };
  attempt(`use ${path}`, () => encode(PROBE));

  const vocabSize = [...ids.values()].reduce((most, id) => Math.max(most, id), 0) + 1;
  const idOf = (key: "bos_token" | "eos_token"): number | undefined => {
    const given = settings[key];
    if (given == null) return undefined;
    const content = typeof given === "string" ? given : given.content;
    return ids.get(content) ??
      refuseFile(folder, `${CONFIG} at "${key}"`, `it must be a token of ${FILE}`, `"${content}"`);
  };
  const [bos, eos] = [idOf("bos_token"), idOf("eos_token")];
  return {
    name: basename(resolve(folder)),
    vocabSize,
    ...(bos !== undefined && settings.add_bos_token !== false && { bos }),
    ...(eos !== undefined && { eos }),
    encode: (text) =>
      attempt(`tokenise ${JSON.stringify(shown(text))} with ${path}`, () => encode(text)),
    text: (id) => {
      if (tokenizer.id_to_token(id) === undefined) return "";
      return attempt(
        `use ${path}`,
        () => tokenizer.decode([id], { clean_up_tokenization_spaces: false }),
      );
    },
  };
}

/** The settings with special tokens as texts, which is how the library takes them. */
function plainTexts(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [
      key,
      key.endsWith("_token") && typeof value === "object" && value !== null && "content" in value
        ? value.content
        : value,
    ]),
  );
}
