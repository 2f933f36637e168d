/**
 * Lines of text files, read in pieces, so that a file may be larger than the memory.
 *
 * @module
 */
import { folderAt } from "../files.ts";
import type { Folder } from "../folder.ts";
import { missingFile, refuseFile } from "../read_file.ts";

/** Bytes that are read at a time. A line is at most as long. */
const PIECE = 2 ** 20;

const [LF, CR] = [10, 13];

/** Options of {@link readLines}. */
export interface LineOptions {
  /** Whether bytes that are not UTF-8 are Latin-1, as in old files; default false. */
  readonly latin1?: boolean;
  /** Called for a line after the first that is not UTF-8 and then empty. Default: it is refused. */
  readonly onBadLine?: () => void;
  /** Called with the bytes read so far and the size of the file. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The lines of a UTF-8 file, without line breaks (LF, CR LF or CR) and byte order mark. Empty lines
 * are lines too, so a caller that counts from 1 knows the number of each.
 *
 * @throws {DataError} if the file does not exist, is not UTF-8, or has a line of more than 1 MiB.
 */
export function* readLines(
  place: string | Folder,
  name: string,
  { latin1 = false, onBadLine, onProgress }: LineOptions = {},
): Generator<string, void> {
  const folder = folderAt(place);
  const file = folder.open(name);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const old = new TextDecoder("latin1");
  let count = 0; // of lines before
  let isOld = false;
  const onBad = (line: number): void => {
    if (line > 1 && onBadLine) return onBadLine();
    refuseFile(folder, `${name} line ${line}`, "it must be UTF-8 text", "other bytes");
  };
  const textOf = (bytes: Uint8Array): string => {
    if (isOld) return old.decode(bytes);
    try {
      return utf8.decode(bytes);
    } catch {
      isOld = latin1;
      if (isOld) return old.decode(bytes);
      return textByLine(bytes, utf8, (before) => onBad(count + before + 1));
    }
  };
  try {
    for (let at = 0; at < file.size;) {
      const piece = file.read(at, Math.min(PIECE, file.size - at));
      const isLast = at + piece.length === file.size;
      const end = isLast ? piece.length : endOfLines(piece);
      if (end === 0) {
        const requirement = `a line must have at most ${PIECE} bytes`;
        refuseFile(folder, `${name} line ${count + 1}`, requirement, "more");
      }
      let text = textOf(piece.subarray(0, end)); // a line break is never part of a character
      if (at === 0 && text.startsWith("\ufeff")) text = text.slice(1);
      if (text.includes("\r")) text = text.replaceAll(/\r\n?/g, "\n");
      at += end;
      let from = 0;
      for (let to = text.indexOf("\n"); to >= 0; to = text.indexOf("\n", from)) {
        count++;
        yield text.slice(from, to);
        from = to + 1;
      }
      if (from < text.length) yield text.slice(from);
      onProgress?.(at, file.size);
    }
  } finally {
    file.close();
  }
}

/** The end of the last whole line of a piece. A CR at the very end may be half of a CR LF. */
function endOfLines(piece: Uint8Array): number {
  const end = piece.lastIndexOf(LF) + 1;
  return end > 0 ? end : piece.lastIndexOf(CR, -2) + 1;
}

/** The text of bytes. `onBad` is called with the number of lines before one that is not UTF-8. */
function textByLine(
  bytes: Uint8Array,
  utf8: TextDecoder,
  onBad: (before: number) => void,
): string {
  let [text, lines, from] = ["", 0, 0];
  for (let i = 0; i < bytes.length; i++) {
    const isEnd = bytes[i] === LF || (bytes[i] === CR && bytes[i + 1] !== LF);
    if (!isEnd && i < bytes.length - 1) continue;
    try {
      text += utf8.decode(bytes.subarray(from, i + 1)).replace(/\r\n?$/, "\n");
    } catch {
      onBad(lines);
      text += "\n";
    }
    lines++;
    from = i + 1;
  }
  return text;
}

/** A field of CSV and what follows it. */
const FIELD = /(?:"([^"]*(?:""[^"]*)*)"|([^",]*))(,|$)/y;

/**
 * The fields of a line of CSV. In a field in quotes, commas are text and two quotes are one.
 * Returns undefined if the quotes of a field do not enclose it.
 */
export function csvFields(line: string): string[] | undefined {
  if (!line.includes('"')) return line.split(",");
  const fields: string[] = [];
  FIELD.lastIndex = 0;
  for (;;) {
    const match = FIELD.exec(line);
    if (match === null) return undefined;
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2]);
    if (match[3] === "") return fields;
  }
}

/**
 * Reads columns of a CSV file by the names in its header. A quoted field may hold commas but no
 * line break. Empty lines are skipped.
 *
 * @throws {DataError} if the file is missing or malformed, or does not have the columns.
 */
export function readCsv(
  place: string | Folder,
  file: string,
  columns: readonly string[],
): { readonly line: number; readonly values: readonly string[] }[] {
  const folder = folderAt(place);
  if (!folder.has(file)) missingFile(folder, file);
  const rows = readLines(folder, file).map((text, i) => {
    const place = `${file} line ${i + 1}`;
    const fields = csvFields(text) ??
      refuseFile(folder, place, "quotes must come in pairs around a field", `"${text}"`);
    return { line: i + 1, text, fields, place };
  });
  const header = rows.next().value ?? { text: "", fields: [""] };
  const places = columns.map((column) => {
    const index = header.fields.indexOf(column);
    if (index >= 0 && index === header.fields.lastIndexOf(column)) return index;
    const requirement = `its first line must name the columns ${columns.join(", ")} once each`;
    return refuseFile(folder, file, requirement, `"${header.text}"`);
  });
  return [
    ...rows.filter(({ text }) => text !== "").map(({ line, text, fields, place }) => {
      if (fields.length !== header.fields.length) {
        const requirement = `a line must have the ${header.fields.length} values of the header`;
        refuseFile(folder, place, requirement, `"${text}"`);
      }
      return { line, values: places.map((index) => fields[index]) };
    }),
  ];
}
