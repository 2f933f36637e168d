/**
 * JSON that others wrote: reading it so that nothing is lost or overlooked, and showing its values in errors.
 *
 * @module
 */

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a value is an object, and no array. Internal. */
export function isRecord(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Characters of a value that an error shows. */
const SHOWN = 80;

/** A value of JSON as an error shows it: in one line, and no longer than that of a terminal. Internal. */
export function shown(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? "none";
  } catch { // nested too deeply
    text = Array.isArray(value) ? "[...]" : "{...}";
  }
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 3)}...` : text;
}

/**
 * Parses JSON in UTF-8. Keys that an object has twice are refused: readers differ in which of the two they take. `fail`
 * must throw. Internal.
 */
export function parseJson(
  bytes: Uint8Array,
  what: string,
  fail: (requirement: string, actual: string) => never,
): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
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

function oneLine(text: string): string {
  return shown(text.replace(/\s+/g, " ")).slice(1, -1);
}

/** A key that an object of well-formed JSON has twice, if there is one. Internal. */
export function repeatedKey(text: string): string | undefined {
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
