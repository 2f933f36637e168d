/**
 * Titles as paths of tokens. A title has the same path in training, in the trie and in what a
 * model reads.
 *
 * @module
 */
import { ArgumentError, DataError } from "../../core/errors.ts";
import { oneLine } from "../../models/json.ts";
import { promptPieces, renderPrompt, type Template } from "../text/template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { BOS, type Dataset, distinctPaths, plainPrompt } from "./dataset.ts";

/** A catalogue of titles. */
export interface TitleCatalogue {
  /** The folder, for errors. */
  readonly folder: string;
  /** The id of each item, for errors. */
  readonly ids: readonly string[];
  /** The title of each item. */
  readonly titles: readonly string[];
}

/** Options of {@link titleTokens}. */
export interface TitleTokenOptions {
  /** The tokenizer of the titles. */
  readonly tokenizer: Tokenizer;
  /** The prompt around the history. Without one, a model reads titles one after the other. */
  readonly template?: Template;
  /**
   * The vocabulary. `compact`: only the tokens that occur, numbered anew, after 0 for the
   * beginning of a sequence and 1 for the end of a title. `model`: the tokenizer's ids and special
   * tokens. The default is `model` with a prompt, else `compact`.
   */
  readonly vocabulary?: "compact" | "model";
  /** The most tokens of a title before its end token; longer titles are cut. Default 40. */
  readonly maxTokens?: number;
  /** Called with what is being done, how much of it is done, and the total. */
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** Titles as tokens, and how many of them were cut or became the tokens of another one. */
export type TitleTokens = Pick<
  Dataset,
  "paths" | "tokens" | "bos" | "eos" | "prompt" | "skipped"
>;

/** The most items that an error names. */
const MAX_NAMED = 3;

/**
 * Tokenises titles.
 *
 * **Without a prompt** a title is tokenised alone, with a space before it, so that its first word
 * becomes the token that it is inside a text. A model reads and writes paths one after the other,
 * so a path does not depend on its surroundings.
 *
 * **With a prompt** the path of a title is what it adds to the tokens of a prompt. It must be the
 * same after every prompt. This is checked for every item, after a prompt with the item twice in
 * its history and after one that is common to all items. Prompts are joined from the tokens of
 * their pieces, which is many times as fast as tokenising them whole. Items whose prompt has other
 * tokens than its pieces are tokenised whole.
 *
 * @throws {DataError} if a title has no tokens, or different ones after different prompts, or the
 * tokenizer lacks a token that is needed.
 * @throws {ArgumentError} if there is a prompt and the vocabulary is compact.
 */
export function titleTokens(catalogue: TitleCatalogue, options: TitleTokenOptions): TitleTokens {
  const { tokenizer, maxTokens = 40, template } = options;
  const { vocabulary = template === undefined ? "compact" : "model" } = options;
  checkCount("maxTokens", maxTokens, 1);
  if (template !== undefined && vocabulary === "compact") {
    throw new ArgumentError(
      "Cannot tokenise titles with a prompt: the vocabulary must be the model's, got a compact one",
    );
  }
  const prompts = template && new Prompts(catalogue, template, tokenizer);
  const whole = prompts ? afterPrompts(catalogue, prompts, options) : alone(catalogue, options);
  const end = vocabulary === "compact" ? undefined : endOf(tokenizer);
  whole.forEach((path, item) => checkPath(path, end, item, catalogue, tokenizer));
  const cut = whole.map((path) => path.slice(0, maxTokens));
  const long = whole.filter((path) => path.length > maxTokens).length;
  const titles = new Set(catalogue.titles).size;
  const [before, after] = [whole, cut].map((paths) => distinctPaths({ paths }));
  const skipped = [
    { what: `titles cut at ${maxTokens} tokens`, count: long },
    { what: "titles that the tokenizer does not tell from another", count: titles - before },
    { what: "titles like another because they were cut", count: before - after },
  ];
  if (end === undefined) return { ...compact(cut, tokenizer), skipped };
  const paths = cut.map((path) => [...path, end]);
  const bos = prompts ? tokenizer.bos : tokenizer.bos ?? end;
  return {
    paths,
    ...(bos !== undefined && { bos }),
    eos: end,
    tokens: Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.text(id)),
    prompt: prompts ? (history) => prompts.tokens(history) : plainPrompt(paths, bos),
    skipped,
  };
}

/**
 * Checks an option that is a count.
 *
 * @throws {ArgumentError} if it is not an integer of at least `least`.
 */
export function checkCount(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new ArgumentError(
    `Cannot load titles: ${name} must be an integer of at least ${least}, got ${value}`,
  );
}

function endOf({ name, eos }: Tokenizer): number {
  if (eos !== undefined) return eos;
  throw new DataError(
    `Cannot end titles with ${name}: its tokenizer_config.json must name an eos_token, got none`,
  );
}

/** The tokens of each title alone. */
function alone(
  { titles }: TitleCatalogue,
  { tokenizer, onProgress }: TitleTokenOptions,
): number[][] {
  return titles.map((title, item) => {
    onProgress?.("tokenising titles", item + 1, titles.length);
    return tokenizer.encode(` ${title}`);
  });
}

/** The tokens that each title adds to prompts. */
function afterPrompts(
  { folder, ids, titles }: TitleCatalogue,
  prompts: Prompts,
  { tokenizer, onProgress }: TitleTokenOptions,
): number[][] {
  const { template } = prompts;
  const common = renderPrompt(template, titles.slice(0, 1));
  const commonTokens = tokenizer.encode(common);
  const unlike: number[] = [];
  const paths = titles.map((title, item) => {
    onProgress?.("tokenising titles", item + 1, titles.length);
    const own = renderPrompt(template, [title, title]);
    const ownTokens = tokenizer.encode(own);
    prompts.compare(item, ownTokens);
    const text = template.lead + title;
    const path = added(commonTokens, common + text, tokenizer);
    const again = added(ownTokens, own + text, tokenizer);
    if (path === undefined || path.join() !== again?.join()) unlike.push(item);
    return path ?? [];
  });
  if (unlike.length > 0) {
    const named = unlike.slice(0, MAX_NAMED).map((item) =>
      `item "${ids[item]}" (${oneLine(titles[item])})`
    );
    throw new DataError(
      `Cannot tokenise the titles of ${folder} after ${template.name} with ${tokenizer.name}: ` +
        "every title must have the same tokens after every prompt (a line break or a space before " +
        `{item} helps), got ${unlike.length} of ${titles.length} that do not: ${named.join(", ")}`,
    );
  }
  return paths;
}

/**
 * The tokens of a text after those of the prompt that it begins with; undefined if it changes
 * them.
 */
function added(
  prompt: readonly number[],
  text: string,
  tokenizer: Tokenizer,
): number[] | undefined {
  const both = tokenizer.encode(text);
  return prompt.every((token, t) => both[t] === token) ? both.slice(prompt.length) : undefined;
}

/** Checks that a path has tokens, and that only its end is the end token. */
function checkPath(
  path: readonly number[],
  end: number | undefined,
  item: number,
  { folder, ids, titles }: TitleCatalogue,
  tokenizer: Tokenizer,
): void {
  const isEnded = end !== undefined && path.includes(end);
  if (path.length > 0 && !isEnded) return;
  throw new DataError(
    `Cannot tokenise item "${ids[item]}" (${oneLine(titles[item])}) of ${folder} with ` +
      `${tokenizer.name}: a title must have tokens of text, got ` +
      (isEnded ? "the token that ends titles" : "none"),
  );
}

/** Numbers the tokens that occur anew, in their order, from 2 on. */
function compact(
  paths: readonly (readonly number[])[],
  tokenizer: Tokenizer,
): Omit<TitleTokens, "skipped"> {
  const used = [...new Set(paths.flat())].sort((a, b) => a - b);
  const renamed = new Map(used.map((id, i) => [id, i + 2]));
  const eos = 1;
  const own = paths.map((path) => [...path.map((id) => renamed.get(id) as number), eos]);
  return {
    paths: own,
    tokens: ["<bos>", "<end>", ...used.map((id) => tokenizer.text(id))],
    bos: BOS,
    eos,
    prompt: plainPrompt(own),
  };
}

/** Prompts of text as tokens. */
class Prompts {
  readonly template: Template;
  readonly #titles: readonly string[];
  readonly #tokenizer: Tokenizer;
  readonly #known = new Map<string, readonly number[]>(); // the tokens of pieces
  readonly #unlike = new Set<number>(); // items whose prompts have other tokens than their pieces

  constructor({ titles }: TitleCatalogue, template: Template, tokenizer: Tokenizer) {
    this.#titles = titles;
    this.template = template;
    this.#tokenizer = tokenizer;
  }

  /** Compares the tokens of a whole prompt, with an item twice, with the tokens of its pieces. */
  compare(item: number, tokens: readonly number[]): void {
    if (this.#joined([item, item]).join() !== tokens.join()) this.#unlike.add(item);
  }

  /** The tokens of the prompt for a history, after the token that begins inputs. */
  tokens(history: readonly number[]): number[] {
    const begin = this.#tokenizer.bos === undefined ? [] : [this.#tokenizer.bos];
    if (!history.some((item) => this.#unlike.has(item))) {
      return [...begin, ...this.#joined(history)];
    }
    const text = renderPrompt(this.template, history.map((item) => this.#titles[item]));
    return [...begin, ...this.#tokenizer.encode(text)];
  }

  #joined(history: readonly number[]): number[] {
    return promptPieces(this.template, history.map((item) => this.#titles[item])).flatMap(
      (piece) => {
        const tokens = this.#known.get(piece) ?? this.#tokenizer.encode(piece);
        this.#known.set(piece, tokens);
        return tokens;
      },
    );
  }
}
