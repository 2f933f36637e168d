/**
 * Prompt templates: a text with a place for the history of titles.
 *
 * @module
 */
import { splitPath } from "../files.ts";
import { missingFile, readText, refuseFile } from "../read_file.ts";

/** A prompt template, in parts. */
export interface Template {
  /** The name of its file, for people. */
  readonly name: string;
  /** The text before the titles of the history. */
  readonly before: string;
  /** The text after the titles of the history, without the spaces at its end. */
  readonly after: string;
  /** The spaces at the prompt's end. They are written before the item's title. */
  readonly lead: string;
}

/**
 * Reads a prompt template from a file such as
 *
 *     A customer bought {history}. The next product is: {item}
 *
 * `{history}` is required, once. The titles are written there in quotes with commas between them,
 * oldest first: `"Pen", "Ink"`. `{item}` is optional and must be at the end. A line break at the
 * end of the file is ignored. Spaces before `{item}` are written with the item, because tokenizers
 * join a space to the word after it.
 *
 * @throws {DataError} if the file is missing, or a placeholder is missing, repeated, unknown or
 * misplaced.
 */
export function loadTemplate(path: string): Template {
  const [folder, name] = splitPath(path);
  const text = readText(folder, name) ?? missingFile(folder, name);
  const refuse = (requirement: string, actual: string): never =>
    refuseFile(folder, name, requirement, actual);
  const body = text.replace(/\r\n/g, "\n").replace(/\n$/, "");
  const unknown = (body.match(/\{\w*\}/g) ?? []).find((p) => p !== "{history}" && p !== "{item}");
  if (unknown !== undefined) refuse("its placeholders must be {history} and {item}", unknown);
  const parts = body.split("{history}");
  if (parts.length !== 2) refuse("it must have {history} once", `${parts.length - 1} of them`);
  const [before, rest] = parts;
  const tail = rest.endsWith("{item}") ? rest.slice(0, -"{item}".length) : rest;
  if (before.includes("{item}") || tail.includes("{item}")) {
    refuse("{item} must be at its end", "{item} before other text");
  }
  let end = tail.length;
  while (tail[end - 1] === " ") end--;
  return { name, before, after: tail.slice(0, end), lead: tail.slice(end) };
}

/** The prompt for a history of titles. */
export function renderPrompt(template: Template, titles: readonly string[]): string {
  return promptPieces(template, titles).join("");
}

/**
 * The prompt for a history of titles in pieces, cut before the space before each title. Most
 * tokenizers make the same tokens of the pieces as of the whole prompt.
 */
export function promptPieces({ before, after }: Template, titles: readonly string[]): string[] {
  const spaced = before.endsWith(" ");
  const pieces = titles.map((title, i) => `${i > 0 || spaced ? " " : ""}"${title}"`);
  const head = titles.length > 0 && spaced ? before.slice(0, -1) : before;
  const listed = pieces.map((piece, i) => i < pieces.length - 1 ? `${piece},` : piece + after);
  if (listed.length === 0) return [head + after];
  return spaced && head !== "" ? [head, ...listed] : [head + listed[0], ...listed.slice(1)];
}
