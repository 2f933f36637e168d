/**
 * Titles as paths of tokens: the same path in training, in the trie and in what a model reads.
 *
 * @module
 */
import { ArgumentError, DataError } from "../../core/errors.ts";
import { shown } from "../folder_files.ts";
import { promptPieces, renderPrompt, type Template } from "../text/template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { BOS, type Dataset } from "./dataset.ts";

/** A catalogue of titles. */
export interface TitleCatalogue {
  /** Where it is from, for errors. */
  readonly folder: string;
  /** The id of each item, for errors. */
  readonly ids: readonly string[];
  /** The title of each item. */
  readonly titles: readonly string[];
}

/** How titles become tokens. */
export interface TitleTokenOptions {
  /** What turns them into tokens. */
  readonly tokenizer: Tokenizer;
  /** The most tokens of a title; those beyond are cut. */
  readonly maxTokens: number;
  /** The prompt, for a model that has one. */
  readonly template: Template | undefined;
  /** Whether tokens keep the tokenizer's ids or are numbered anew. */
  readonly vocabulary: "compact" | "model";
  /** Told how many titles are done, of how many. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Titles as tokens. */
export interface TitleTokens extends Pick<Dataset, "paths" | "tokens" | "bos" | "eos" | "prompt"> {
  /** How many titles were cut. */
  readonly cut: number;
  /** How many items with a title of their own share their path with an earlier one, uncut. */
  readonly alike: number;
  /** How many more share their path with an earlier one because both were cut. */
  readonly collisions: number;
}

/** How many items an error names. */
const NAMED = 3;

/**
 * Tokenises titles.
 *
 * **Without a prompt** a title is tokenised by itself, with a space before it, so that its first word is the token that it
 * is inside a text; a model reads and writes paths one after the other, so nothing about them depends on what is around.
 *
 * **With a prompt** a title's path is what it adds to the tokens of a prompt. That this is the same after any prompt is
 * checked for every item, after a prompt whose history is that item, twice, and after one common to all. Prompts are put
 * together from the tokens of their pieces, which is many times as fast, as far as their items' prompts are what their pieces
 * give; others are tokenised whole.
 *
 * @throws {DataError} if a title becomes no tokens, or others after another prompt, or the tokenizer lacks a token that is
 * needed.
 * @throws {ArgumentError} if a prompt is to be written with a vocabulary of titles only.
 */
export function titleTokens(catalogue: TitleCatalogue, options: TitleTokenOptions): TitleTokens {
  const { tokenizer, maxTokens, template, vocabulary } = options;
  if (template !== undefined && vocabulary === "compact") {
    throw new ArgumentError(
      "Cannot tokenise titles with a prompt: the vocabulary must be the model's, got a compact one",
    );
  }
  const written = template === undefined ? undefined : prompts(catalogue, template, tokenizer);
  const whole = template === undefined || written === undefined
    ? alone(catalogue, options)
    : afterPrompts(catalogue, template, written, options);
  const end = vocabulary === "compact" ? undefined : endOf(tokenizer);
  whole.forEach((path, item) => refuseUnusable(path, end, item, catalogue, tokenizer));
  const cut = whole.map((path) => path.slice(0, maxTokens));
  const counts = {
    cut: whole.filter((path) => path.length > maxTokens).length,
    alike: new Set(catalogue.titles).size - distinct(whole),
    collisions: distinct(whole) - distinct(cut),
  };
  if (end === undefined) return { ...compact(cut, tokenizer), ...counts };
  const paths = cut.map((path) => [...path, end]);
  const bos = written === undefined ? tokenizer.bos ?? end : tokenizer.bos;
  return {
    paths,
    ...(bos !== undefined && { bos }),
    eos: end,
    tokens: Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.text(id)),
    prompt: written?.prompt ?? chained(paths, tokenizer.bos ?? end),
    ...counts,
  };
}

/** Each title by itself. */
function alone(
  { titles }: TitleCatalogue,
  { tokenizer, onProgress }: TitleTokenOptions,
): number[][] {
  return titles.map((title, item) => {
    onProgress(item + 1, titles.length);
    return tokenizer.encode(` ${title}`);
  });
}

/** What each title adds to the tokens of a prompt, after two prompts each. */
function afterPrompts(
  { folder, ids, titles }: TitleCatalogue,
  template: Template,
  prompts: Prompts,
  { tokenizer, onProgress }: TitleTokenOptions,
): number[][] {
  const common = renderPrompt(template, titles.slice(0, 1));
  const commonTokens = tokenizer.encode(common);
  const unlike: number[] = [];
  const paths = titles.map((title, item) => {
    onProgress(item + 1, titles.length);
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
    const named = unlike.slice(0, NAMED).map((item) =>
      `item "${ids[item]}" (${shown(titles[item])})`
    );
    throw new DataError(
      `Cannot tokenise the titles of ${folder} after ${template.name} with ${tokenizer.name}: every title must ` +
        `become the same tokens after any prompt (a line break or a space before {item} helps), got ` +
        `${unlike.length} of ${titles.length} that do not: ${named.join(", ")}`,
    );
  }
  return paths;
}

/** The tokens that a text has after those of the prompt that it begins with; undefined if it changes them. */
function added(
  before: readonly number[],
  text: string,
  tokenizer: Tokenizer,
): number[] | undefined {
  const both = tokenizer.encode(text);
  return before.every((token, t) => both[t] === token) ? both.slice(before.length) : undefined;
}

/** A path must have tokens, and only its end may be the end token. */
function refuseUnusable(
  path: readonly number[],
  end: number | undefined,
  item: number,
  { folder, ids, titles }: TitleCatalogue,
  tokenizer: Tokenizer,
): void {
  const actual = path.length === 0
    ? "none"
    : end !== undefined && path.includes(end)
    ? "one that ends titles"
    : undefined;
  if (actual === undefined) return;
  throw new DataError(
    `Cannot tokenise item "${ids[item]}" (${
      shown(titles[item])
    }) of ${folder} with ${tokenizer.name}: a title must ` +
      `become tokens of a text, got ${actual}`,
  );
}

/** Numbers the tokens that occur anew, in their order, after one that begins sequences and one that ends titles. */
function compact(
  paths: readonly (readonly number[])[],
  tokenizer: Tokenizer,
): Pick<Dataset, "paths" | "tokens" | "bos" | "eos" | "prompt"> {
  const used = [...new Set(paths.flat())].sort((a, b) => a - b);
  const renamed = new Map(used.map((id, i) => [id, i + 2]));
  const eos = 1;
  const own = paths.map((path) => [...path.map((id) => renamed.get(id) as number), eos]);
  return {
    paths: own,
    tokens: ["<bos>", "<end>", ...used.map((id) => tokenizer.text(id))],
    bos: BOS,
    eos,
    prompt: chained(own, BOS),
  };
}

/** A prompt of paths one after the other. */
function chained(paths: Dataset["paths"], begin: number): Dataset["prompt"] {
  return (history) => [begin, ...history.flatMap((item) => paths[item])];
}

/** Prompts that are texts. */
interface Prompts {
  /** The tokens of a prompt. */
  readonly prompt: Dataset["prompt"];
  /** Told the tokens of the text of an item's prompt, with the item twice, before prompts are asked for. */
  compare(item: number, tokens: readonly number[]): void;
}

function prompts(
  { titles }: TitleCatalogue,
  template: Template,
  tokenizer: Tokenizer,
): Prompts {
  const begin = tokenizer.bos === undefined ? [] : [tokenizer.bos];
  const known = new Map<string, readonly number[]>();
  const tokensOf = (piece: string): readonly number[] => {
    const tokens = known.get(piece) ?? tokenizer.encode(piece);
    known.set(piece, tokens);
    return tokens;
  };
  const joined = (history: readonly number[]): number[] =>
    promptPieces(template, history.map((item) => titles[item])).flatMap(tokensOf);
  const unlike = new Set<number>(); // items whose prompts are not what their pieces give
  return {
    compare(item, tokens): void {
      if (joined([item, item]).join() !== tokens.join()) unlike.add(item);
    },
    prompt: (history) => {
      if (!history.some((item) => unlike.has(item))) return [...begin, ...joined(history)];
      const text = renderPrompt(template, history.map((item) => titles[item]));
      return [...begin, ...tokenizer.encode(text)];
    },
  };
}

function endOf({ name, eos }: Tokenizer): number {
  if (eos !== undefined) return eos;
  throw new DataError(
    `Cannot end titles with ${name}: its tokenizer_config.json must name an eos_token, got none`,
  );
}

function distinct(paths: readonly (readonly number[])[]): number {
  return new Set(paths.map((path) => path.join())).size;
}
