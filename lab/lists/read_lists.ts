/**
 * Files of recommended lists: a JSON object a line, or one array of objects. Three shapes are told
 * apart by the fields of the first object. Each line below is one of them.
 *
 *     {"user": "7", "items": ["3", ["5", "9"]], "target": "9"}
 *     {"input": "...: <a_1><b_2>, <a_4><b_0>", "output": "<a_1><b_3>\n", "predict": ["<a_1><b_3>"]}
 *     {"input": ["<a_1><b_2>"], "target": "<a_1><b_3>", "rec_items": ["<a_1><b_3>"]}
 *
 * The second is the result file of MiniOneRec's evaluate.py (AkaliKong/MiniOneRec, commit
 * 0606902), the third the frame of results in APAO's test_utils.py (yuyq18/APAO, commit f9aa2ce),
 * written with `to_json(orient="records")`. Files are read in pieces, one object at a time.
 *
 * @module
 */
import * as v from "valibot";
import { isRecord, oneLine, parseJson, shown } from "../../models/json.ts";
import type { Folder, OpenFile } from "../folder.ts";
import { idText, refuseFile } from "../read_file.ts";

/** What a place of a list holds: an id, a code string or a title, or several for one place. */
export type Entry = string | readonly string[];

/** A list as a file has it. */
export interface ListRow {
  /** The line on which it begins, from 1. */
  readonly line: number;
  /** The user's id, if the file has ids of users. */
  readonly user?: string;
  /** The items that the model read, oldest first. */
  readonly history?: readonly string[];
  /** What the file takes for the target. */
  readonly target?: string;
  /** The codes of the model, if they are not the data's own. */
  readonly codes?: string;
  /** The list, best first. */
  readonly items: readonly Entry[];
  /** log P of each place. */
  readonly logProbs?: readonly number[];
  /** The best score that was pruned before the last step; -Infinity if none was. */
  readonly bestPruned?: number;
  /** How many places are said to be exact. */
  readonly certified?: number;
}

/** How items may be named. */
export type Naming = "id" | "code" | "title";

/** A shape of list files. */
export interface Shape {
  /** Its name. */
  readonly name: "plain" | "MiniOneRec" | "APAO";
  /** How its items are named: the first way in which the catalogue has the name counts. */
  readonly naming: readonly Naming[];
}

/** A shape, with the field that no other has and a schema of its objects. */
type Reader = Shape & {
  readonly field: string;
  readonly schema: v.GenericSchema<unknown, Omit<ListRow, "line">>;
};

const ids = v.pipe(v.array(idText), v.minLength(1, "a place must hold an item"));
const entry = v.union([idText, ids], "an id, or an array of ids");
const logProb = v.pipe(v.number(), v.maxValue(0, "a log-probability must be at most 0"));

const plain = v.pipe(
  v.object({
    user: v.optional(idText),
    history: v.optional(v.array(idText)),
    target: v.optional(idText),
    codes: v.optional(v.string()),
    items: v.array(entry),
    logProbs: v.optional(v.array(logProb)),
    bestPruned: v.optional(v.pipe(
      v.nullable(v.number()),
      v.transform((score) => score ?? -Infinity),
    )),
    certified: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  }),
  v.check(
    ({ items, logProbs }) => logProbs === undefined || logProbs.length === items.length,
    "there must be as many logProbs as items",
  ),
  // A model reads at least one item.
  v.transform(({ history = [], ...rest }) => ({ ...rest, ...(history.length > 0 && { history }) })),
);

const miniOneRec = v.pipe(
  v.object({
    input: v.optional(v.string()),
    output: v.union(
      [v.string(), v.pipe(v.array(v.string()), v.minLength(1))],
      "a text, or an array of texts",
    ),
    predict: v.array(v.string()),
  }),
  // As its calc.py and metrics_utils.py strip them.
  v.transform(({ input = "", output, predict }) => {
    // With --use_history_compression, older items are one text such as <compressed_mean:0.5,0.1>.
    const history = input.match(/(<(?!compressed_)[^<>\s]+>)+/g);
    return {
      ...(history && { history: [...history] }),
      target: stripped(typeof output === "string" ? output : output[0], ' \n"'),
      items: predict.map((text) => stripped(text, '"\n').trim()),
    };
  }),
);

const apao = v.pipe(
  v.object({
    input: v.optional(v.array(v.string())),
    target: v.string(),
    rec_items: v.array(v.string()),
  }),
  v.transform(({ input, target, rec_items }) => ({
    ...(input && input.length > 0 && { history: input.map(joined) }),
    target: joined(target),
    items: rec_items.map(joined),
  })),
);

/** The shapes that are read. */
const READERS: readonly Reader[] = [
  { name: "plain", naming: ["id", "code", "title"], field: "items", schema: plain },
  { name: "MiniOneRec", naming: ["code", "title"], field: "predict", schema: miniOneRec },
  { name: "APAO", naming: ["code"], field: "rec_items", schema: apao },
];

/** The most bytes of one object. */
const LARGEST = 2 ** 24;
/** Bytes that are read at once. */
const PIECE = 2 ** 16;

/**
 * Reads the lists of a file, one after the other. `onProgress` is called with the bytes read and
 * the total.
 *
 * @throws {DataError} naming file and line, if the file is missing or malformed.
 */
export function* readLists(
  folder: Folder,
  file: string,
  onProgress?: (done: number, total: number) => void,
): Generator<{ readonly shape: Shape; readonly row: ListRow }> {
  const refuseAt = (line: number) => (requirement: string, actual: string): never =>
    refuseFile(folder, `${file} line ${line}`, requirement, actual);
  using open = closing(folder.open(file));
  let shape: Reader | undefined;
  for (const { line, bytes } of valuesIn(open.file, refuseAt, onProgress)) {
    const refuse = refuseAt(line);
    const json = parseJson(bytes, "a list", refuse);
    const fields = isRecord(json) ? json : {};
    shape ??= READERS.find(({ field }) => Object.hasOwn(fields, field)) ?? refuse(
      "a list must be an object with items, or predict as of MiniOneRec, or rec_items as of APAO",
      shownKeys(json),
    );
    yield { shape, row: { line, ...fieldsOf(shape, json, refuse) } };
  }
  if (shape === undefined) refuseFile(folder, file, "it must hold lists", "none");
}

function fieldsOf(
  { schema }: Reader,
  json: unknown,
  refuse: (requirement: string, actual: string) => never,
): Omit<ListRow, "line"> {
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const place = v.getDotPath(issue);
  const isMissing = issue.received === "undefined";
  const requirement = isMissing
    ? "must be present"
    : issue.type === "union"
    ? `must be ${issue.message}`
    : issue.kind === "schema"
    ? `must be ${issue.expected}`
    : `must be valid: ${issue.message}`;
  return refuse(
    `${place === null ? "it" : oneLine(place)} ${requirement}`,
    isMissing ? "none" : issue.received,
  );
}

/**
 * The JSON values of a file, each with the line on which it begins: one a line, or the elements of
 * an array, which the first character that is not space tells.
 */
function* valuesIn(
  file: OpenFile,
  refuseAt: (line: number) => (requirement: string, actual: string) => never,
  onProgress?: (done: number, total: number) => void,
): Generator<{ readonly line: number; readonly bytes: Uint8Array }> {
  const held = new Held();
  let line = 1; // of the byte at hand
  let from = 1; // the line on which what is held begins
  let depth = 0; // of brackets, in an array of objects
  let isArray: boolean | undefined; // unknown before the first byte that is not space
  let isEnded = false; // the array is closed
  let isDue = false; // a comma came last
  let isText = false; // within quotes
  let isEscaped = false;
  for (let at = 0; at < file.size;) {
    const piece = file.read(at, Math.min(PIECE, file.size - at));
    for (let i = at === 0 ? markLength(piece) : 0; i < piece.length; i++) {
      const byte = piece[i];
      const isSpace = byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
      let isCut = false; // a value ends before this byte
      if (isArray === undefined && !isSpace) {
        isArray = byte === 0x5b; // [
        if (isArray) {
          depth = 1;
          continue;
        }
      }
      if (isEnded && !isSpace) refuseAt(line)("nothing must follow the array", "more");
      if (isText) {
        isText = isEscaped || byte !== 0x22;
        isEscaped = !isEscaped && byte === 0x5c;
      } else if (isArray) {
        if (byte === 0x22) isText = true;
        if (byte === 0x5b || byte === 0x7b) depth++;
        if (byte === 0x5d || byte === 0x7d) depth--;
        isCut = (byte === 0x2c && depth === 1) || depth === 0;
        if (depth === 0) {
          if (!isEnded && byte !== 0x5d) refuseAt(line)("an array must end with ]", "}");
          isEnded = true;
        }
      }
      if (!isArray && byte === 0x0a) isCut = true;
      if (isCut) {
        const isComma = isArray === true && !isEnded;
        if (held.length === 0 && (isComma || isDue)) {
          refuseAt(line)("lists must stand between commas", "none");
        }
        isDue = isComma;
        if (held.length > 0) yield { line: from, bytes: held.take() };
      } else if (!isEnded && (held.length > 0 || !isSpace)) {
        if (held.length === 0) from = line;
        if (held.length === LARGEST) {
          refuseAt(from)(`a list must have at most ${LARGEST} bytes`, "more");
        }
        held.push(byte);
      }
      if (byte === 0x0a) line++;
    }
    at += piece.length;
    onProgress?.(at, file.size);
  }
  if (isArray && !isEnded) refuseAt(line)("an array must end with ]", "the end of the file");
  if (held.length > 0) yield { line: from, bytes: held.take() };
}

/** Bytes that are added one by one. */
class Held {
  length = 0;
  #bytes = new Uint8Array(1024);

  push(byte: number): void {
    if (this.length === this.#bytes.length) {
      const longer = new Uint8Array(2 * this.length);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    this.#bytes[this.length++] = byte;
  }

  /** All of them, until the next one is added. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.length);
    this.length = 0;
    return taken;
  }
}

/** The length of a byte order mark. */
function markLength(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

function closing(file: OpenFile): { readonly file: OpenFile } & Disposable {
  return { file, [Symbol.dispose]: () => file.close() };
}

/** What an error shows of a value that is not a list. */
function shownKeys(json: unknown): string {
  if (!isRecord(json)) return shown(json);
  const keys = Object.keys(json);
  return keys.length === 0 ? "an object without fields" : `fields ${keys.join(", ")}`;
}

/** A text without some characters at its ends. */
function stripped(text: string, ends: string): string {
  let [from, to] = [0, text.length];
  while (from < to && ends.includes(text[from])) from++;
  while (to > from && ends.includes(text[to - 1])) to--;
  return text.slice(from, to);
}

/** A code string without spaces, as APAO compares them. */
function joined(text: string): string {
  return text.trim().replaceAll(" ", "");
}
