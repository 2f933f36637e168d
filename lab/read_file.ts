/**
 * Reads whole text and JSON files of a folder. Errors name folder, file, place and value in one
 * line.
 *
 * @module
 */
import * as v from "valibot";
import { type BeargradError, DataError } from "../core/errors.ts";
import { isRecord, type JsonObject, oneLine, parseJson } from "../models/json.ts";
import { folderAt } from "./files.ts";
import type { Folder } from "./folder.ts";

/** The most characters of a text in V8. */
const MOST_TEXT = 2 ** 29 - 24;

/** A class of errors. */
export type Refusal = new (message: string) => BeargradError;

/**
 * A schema of any object. Unlike v.record it keeps the keys "constructor" and "prototype", which
 * ids may be.
 *
 * @internal
 */
export const anyRecord = v.pipe(
  v.unknown(),
  v.check(isRecord, "it must be an object"),
  v.transform((given) => given as JsonObject),
);

/**
 * A schema of ids, which may be numbers, as texts. A larger number was rounded when it was read and
 * may be another id.
 *
 * @internal
 */
export const idText = v.pipe(
  v.union([v.string(), v.number()], "an id"),
  v.check(
    (id) => typeof id === "string" || Number.isSafeInteger(id),
    "a number must be a safe integer",
  ),
  v.transform(String),
);

/**
 * A schema of objects, as maps from their keys to values of one schema.
 *
 * @internal
 */
export function mapOf<S extends v.GenericSchema>(values: S) {
  return v.pipe(
    anyRecord,
    v.transform((given) => new Map(Object.entries(given))),
    v.map(v.string(), values),
  );
}

/**
 * Reads a UTF-8 file, without its byte order mark. Returns undefined where the folder has no such
 * file.
 *
 * @throws {DataError} if the folder does not exist, the system refuses, or the file is not UTF-8.
 */
export function readText(
  folder: string | Folder,
  file: string,
  Refused: Refusal = DataError,
): string | undefined {
  const place = folderAt(folder);
  const bytes = place.read(file);
  if (bytes === undefined) {
    if (place.has()) return undefined;
    throw new Refused(`Cannot load ${place.path}: the folder must exist, got none`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    if (bytes.length > MOST_TEXT) {
      const requirement = `it must have at most ${MOST_TEXT} bytes`;
      refuseFile(folder, file, requirement, `${bytes.length}`, Refused);
    }
    return refuseFile(folder, file, "it must be UTF-8 text", "other bytes", Refused);
  }
}

/**
 * Reads and validates a JSON file that holds an object. Returns undefined where the folder has no
 * such file.
 *
 * @throws {DataError} if the file cannot be read, is not JSON, has a key twice, or does not match
 * the schema. With `Refused`, an error of that class unless the system refuses.
 *
 * @internal
 */
export function readJson<S extends v.GenericSchema>(
  folder: string | Folder,
  file: string,
  schema: S,
  Refused: Refusal = DataError,
): v.InferOutput<S> | undefined {
  const text = readText(folder, file, Refused);
  if (text === undefined) return undefined;
  const refuse = (place: string | null, requirement: string, actual: string): never => {
    const at = place === null ? file : `${file} at "${oneLine(place)}"`;
    return refuseFile(folder, at, requirement, actual, Refused);
  };
  const json = parseJson(text, "it", (requirement, actual) => refuse(null, requirement, actual));
  if (Array.isArray(json)) refuse(null, "it must be an object", "an array");
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue);
  // For a missing key, valibot expects the key in quotes.
  const isMissing = issue.received === "undefined" && issue.expected?.startsWith('"');
  if (isMissing) return refuse(place, "it must be present", "none");
  const requirement = issue.kind === "schema" ? `it must be ${issue.expected}` : issue.message;
  return refuse(place, requirement, issue.received);
}

/**
 * Reads a JSON file that the folder must have, see {@link readJson}.
 *
 * @internal
 */
export function loadJson<S extends v.GenericSchema>(
  folder: string | Folder,
  file: string,
  schema: S,
  Refused: Refusal = DataError,
): v.InferOutput<S> {
  return readJson(folder, file, schema, Refused) ?? missingFile(folder, file, Refused);
}

/** Throws for a file that the folder must have. */
export function missingFile(
  folder: string | Folder,
  file: string,
  Refused: Refusal = DataError,
): never {
  throw new Refused(`Cannot load ${folderAt(folder).path}: it must hold ${file}, got none`);
}

/** Throws for a malformed file. `file` may include a place, such as `test.csv line 3`. */
export function refuseFile(
  folder: string | Folder,
  file: string,
  requirement: string,
  actual: string,
  Refused: Refusal = DataError,
): never {
  const path = folderAt(folder).pathOf(file);
  throw new Refused(`Cannot load ${path}: ${requirement}, got ${oneLine(actual)}`);
}
