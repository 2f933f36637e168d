/**
 * Prompts: a text with places for the history and the item.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { missingFile, readText, refuseFile } from "../folder_files.ts";

/** What a model with a prompt reads and writes. */
export interface Template {
  /** Its name, for people. */
  readonly name: string;
  /** The text before the titles of the history. */
  readonly before: string;
  /** The text between the titles of the history and the item, without spaces at its end. */
  readonly after: string;
  /** What is written before an item's title: the spaces that the prompt ended with. */
  readonly lead: string;
}

/**
 * Reads a prompt template from a file. It must have `{history}` once; `{item}`, where the item is written, may stand at its
 * very end. The history's titles, oldest first, are written in quotes with commas between them: `"Pen", "Ink"`. A line
 * break at the end of the file does not count, and spaces before `{item}` are written with the item, not the prompt, as
 * tokenizers join a space to the word after it.
 *
 * @throws {DataError} if the file is missing or a placeholder is missing, repeated, unknown or out of place.
 */
export function loadTemplate(path: string): Template {
  const [folder, file] = [dirname(path), basename(path)];
  const text = readText(folder, file) ?? missingFile(folder, file);
  return templateOf(
    text,
    file,
    (requirement, actual) => refuseFile(folder, file, requirement, actual),
  );
}

function templateOf(
  text: string,
  name: string,
  refuse: (requirement: string, actual: string) => never,
): Template {
  const body = text.replace(/\r\n/g, "\n").replace(/\n$/, "");
  const unknown = (body.match(/\{\w*\}/g) ?? []).find((p) => p !== "{history}" && p !== "{item}");
  if (unknown !== undefined) refuse("its placeholders must be {history} and {item}", unknown);
  const parts = body.split("{history}");
  if (parts.length !== 2) refuse("it must have {history} once", `${parts.length - 1} of them`);
  const [before, rest] = parts;
  const at = rest.indexOf("{item}");
  if (before.includes("{item}") || (at >= 0 && at !== rest.length - "{item}".length)) {
    refuse("{item} must stand at its very end", `{item} before other text`);
  }
  const tail = at < 0 ? rest : rest.slice(0, at);
  let end = tail.length;
  while (tail[end - 1] === " ") end--;
  return { name, before, after: tail.slice(0, end), lead: tail.slice(end) };
}

/** The prompt for a history of titles. */
export function renderPrompt(template: Template, titles: readonly string[]): string {
  return promptPieces(template, titles).join("");
}

/**
 * The prompt for a history of titles, cut before the space before each title, where there is one: most tokenizers make of such
 * pieces what they make of them in a text.
 */
export function promptPieces({ before, after }: Template, titles: readonly string[]): string[] {
  const spaced = before.endsWith(" ");
  const pieces = titles.map((title, i) => `${i > 0 || spaced ? " " : ""}"${title}"`);
  const head = titles.length > 0 && spaced ? before.slice(0, -1) : before;
  const listed = pieces.map((piece, i) => i < pieces.length - 1 ? `${piece},` : piece + after);
  if (listed.length === 0) return [head + after];
  return spaced && head !== "" ? [head, ...listed] : [head + listed[0], ...listed.slice(1)];
}
