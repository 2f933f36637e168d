/**
 * Reads whole text and JSON files of a folder. Errors name folder, file, place and value in one
 * line.
 *
 * @module
 */
import { join } from "node:path";
import * as v from "valibot";
import { type BeargradError, DataError } from "../core/errors.ts";
import { oneLine, parseJson } from "../models/json.ts";
import { isPresent, readIfPresent } from "./files.ts";

/** The class of the errors; default {@link DataError}. */
type Refusal = new (message: string) => BeargradError;

/**
 * Any object. Unlike v.record it keeps the keys "constructor" and "prototype", which ids may be.
 */
export const anyRecord = v.pipe(
  v.unknown(),
  v.check(
    (given) => typeof given === "object" && given !== null && !Array.isArray(given),
    "it must be an object",
  ),
  v.transform((given) => given as Readonly<Record<string, unknown>>),
);

/** An object as a map from its keys to values of one schema. */
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
export function readText(folder: string, file: string, Refusal?: Refusal): string | undefined {
  const bytes = readIfPresent(join(folder, file));
  if (bytes === undefined) {
    if (isPresent(folder)) return undefined;
    throw new (Refusal ?? DataError)(`Cannot load ${folder}: the folder must exist, got none`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuseFile(folder, file, "it must be UTF-8 text", "other bytes", Refusal);
  }
}

/**
 * Reads and validates a JSON file that holds an object. Returns undefined where the folder has no
 * such file.
 *
 * @throws {DataError} if the file cannot be read, is not JSON, has a key twice, or does not match
 * the schema.
 */
export function readJson<S extends v.GenericSchema>(
  folder: string,
  file: string,
  schema: S,
  Refusal?: Refusal,
): v.InferOutput<S> | undefined {
  const text = readText(folder, file, Refusal);
  if (text === undefined) return undefined;
  const refuse = (requirement: string, actual: string): never =>
    refuseFile(folder, file, requirement, actual, Refusal);
  const json = parseJson(text, "it", refuse);
  if (Array.isArray(json)) refuse("it must be an object", "an array");
  return validate(
    schema,
    json,
    (place, requirement, actual) =>
      refuseFile(
        folder,
        place === "" ? file : `${file} at "${place}"`,
        requirement,
        actual,
        Refusal,
      ),
  );
}

/** Reads a JSON file that the folder must have, see {@link readJson}. */
export function loadJson<S extends v.GenericSchema>(
  folder: string,
  file: string,
  schema: S,
  Refusal?: Refusal,
): v.InferOutput<S> {
  return readJson(folder, file, schema, Refusal) ?? missingFile(folder, file, Refusal);
}

/** Validates a value. Where it does not match, `refuse` is called with the path and the fault. */
export function validate<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  refuse: (place: string, requirement: string, actual: string) => never,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const requirement = issue.kind === "schema" ? `it must be ${issue.expected}` : issue.message;
  return refuse(oneLine(v.getDotPath(issue) ?? ""), requirement, issue.received);
}

/** Throws for a file that the folder must have. */
export function missingFile(folder: string, file: string, Refusal: Refusal = DataError): never {
  throw new Refusal(`Cannot load ${folder}: it must hold ${file}, got none`);
}

/** Throws for a malformed file. `file` may include a place, such as `test.csv line 3`. */
export function refuseFile(
  folder: string,
  file: string,
  requirement: string,
  actual: string,
  Refusal: Refusal = DataError,
): never {
  throw new Refusal(`Cannot load ${join(folder, file)}: ${requirement}, got ${oneLine(actual)}`);
}
