/**
 * The files of a folder, read whole and checked, with errors that name folder, file, place and value in one line.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { DataError } from "../core/errors.ts";
import { repeatedKey } from "../models/json.ts";
import { isPresent, readIfPresent } from "./files.ts";

/** The most characters of a value that an error message shows. */
const SHOWN = 100;

/** Any object. Not v.record, which drops the keys "constructor" and "prototype": tokens and ids may be called so. */
export const anyRecord = v.pipe(
  v.unknown(),
  v.check(
    (given) => typeof given === "object" && given !== null && !Array.isArray(given),
    "it must be an object",
  ),
  v.transform((given) => given as Readonly<Record<string, unknown>>),
);

/** A map by the keys of an object, whatever they are called, with values of one schema. */
export function mapOf<S extends v.GenericSchema>(values: S) {
  return v.pipe(
    anyRecord,
    v.transform((given) => new Map(Object.entries(given))),
    v.map(v.string(), values),
  );
}

/**
 * The text of a file, without a byte order mark; undefined where there is no such file in the folder.
 *
 * @throws {DataError} if the folder does not exist, the system refuses, or the file is not UTF-8.
 */
export function readText(folder: string, file: string): string | undefined {
  const bytes = readIfPresent(join(folder, file));
  if (bytes === undefined) {
    if (isPresent(folder)) return undefined;
    refuseFile(folder, file, "the folder must exist", "no such folder");
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuseFile(folder, file, "it must be UTF-8 text", "other bytes");
  }
}

/**
 * A JSON file's contents as its schema has them; undefined where there is no such file in the folder.
 *
 * @throws {DataError} if it cannot be read, is not JSON, has a key twice, or is not what the schema asks for.
 */
export function readJson<S extends v.GenericSchema>(
  folder: string,
  file: string,
  schema: S,
): v.InferOutput<S> | undefined {
  const text = readText(folder, file);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    refuseFile(folder, file, "it must be whole, well-formed JSON", (error as Error).message);
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) refuseFile(folder, file, "it must not have a key twice", twice);
  if (Array.isArray(json)) refuseFile(folder, file, "it must be an object", "an array");
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue);
  return refuseFile(
    folder,
    place === null ? file : `${file} at "${shown(place)}"`,
    issue.kind === "schema" ? `it must be ${issue.expected}` : issue.message,
    issue.received,
  );
}

/** Throws for a file that must be there and is not. */
export function missingFile(folder: string, file: string): never {
  return refuseFile(folder, file, "the file must be there", "no such file");
}

/** Throws for what is wrong with a file; `file` may go on with the place in it. */
export function refuseFile(
  folder: string,
  file: string,
  requirement: string,
  actual: string,
): never {
  throw new DataError(`Cannot load ${join(folder, file)}: ${requirement}, got ${shown(actual)}`);
}

/** A text as one short line. */
export function shown(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}...` : line;
}
