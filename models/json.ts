/**
 * Reads JSON that other programs wrote, and says what is wrong with it. It needs no package, so
 * that models load in a browser.
 *
 * @module
 */
import { CheckpointError } from "../core/errors.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The most characters of a value that an error shows. */
const SHOWN = 80;

/** Whether a value is an object and not an array. */
export function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON value as errors show it: one line, cut to 80 characters. */
export function shown(value: unknown): string {
  try {
    return cut(JSON.stringify(value) ?? "none");
  } catch { // nested too deeply for the stack
    return Array.isArray(value) ? "[...]" : "{...}";
  }
}

/** A text as errors show it, without quotes: one line, cut to 80 characters. */
export function oneLine(text: string): string {
  return cut(text.replace(/\s+/g, " ").trim());
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 3)}...` : text;
}

/**
 * Parses JSON, from a text or from UTF-8 without a byte order mark. An object with the same key
 * twice is an error, because readers differ in which of the two they take. `fail` must throw;
 * `what` is the subject of its first argument.
 */
export function parseJson(
  json: string | Uint8Array,
  what: string,
  fail: (requirement: string, actual: string) => never,
): unknown {
  let text: string;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    text = typeof json === "string" ? json : decoder.decode(json);
  } catch {
    return fail(`${what} must be JSON in UTF-8`, "other bytes");
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail(`${what} must be JSON`, oneLine((error as Error).message));
  }
  const twice = repeatedKey(text);
  if (twice !== undefined) fail(`${what} must not have a key twice`, shown(twice));
  return value;
}

/** A key that an object of well-formed JSON has twice, if there is one. */
function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  const mark = /["{}]/g;
  const colon = /\s*:/y;
  while (mark.test(text)) {
    const begin = mark.lastIndex - 1;
    if (text[begin] === "{") open.push(new Set());
    else if (text[begin] === "}") open.pop();
    else {
      let end = text.indexOf('"', begin + 1);
      while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
      mark.lastIndex = colon.lastIndex = end + 1;
      if (!colon.test(text)) continue;
      const key: string = JSON.parse(text.slice(begin, end + 1));
      const keys = open[open.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** Whether an odd number of backslashes stands before a character. */
function isEscaped(text: string, at: number): boolean {
  let from = at;
  while (text[from - 1] === "\\") from--;
  return (at - from) % 2 === 1;
}

/** Tests the value of a field. */
export type Guard<T> = (value: unknown) => value is T;

/** Reads the fields of one object. */
export interface Fields {
  /**
   * The value of a field. Null counts as absent. An absent field has the value `fallback`, and is
   * an error where there is no fallback.
   */
  readonly field: <T>(
    name: string,
    requirement: string | number | boolean,
    holds: Guard<T>,
    fallback?: T,
  ) => T;
  /** Throws a {@link CheckpointError} that names the file. */
  readonly fail: (requirement: string, actual: unknown) => never;
}

/**
 * The fields of an object, such as a parsed config.json. `source` is the name of the file in
 * errors, and `prefix` the path of the object in it, such as `rope_scaling.`.
 *
 * @throws {CheckpointError} if `json` is not an object.
 */
export function fieldsOf(json: unknown, source: string, prefix = ""): Fields {
  const fail = (requirement: string, actual: unknown): never => {
    throw new CheckpointError(`Cannot read ${source}: ${requirement}, got ${shown(actual)}`);
  };
  const fields = isRecord(json) ? json : fail("it must be a JSON object", json);
  return {
    fail,
    field: (name, requirement, holds, fallback) => {
      const value = (Object.hasOwn(fields, name) ? fields[name] : undefined) ?? fallback;
      return holds(value) ? value : fail(`${prefix}${name} must be ${requirement}`, value);
    },
  };
}

/** A guard for one value. */
export function isEqual<const T>(wanted: T): Guard<T> {
  return (value): value is T => value === wanted;
}

/** Whether a value is an integer of at least 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Whether a value is a finite number above 0. */
export function isPositive(value: unknown): value is number {
  return typeof value === "number" && value > 0 && Number.isFinite(value);
}

/** Whether a value is a number in [0, 1). */
export function isRate(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < 1;
}

/** Whether a value is a boolean. */
export function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}
