/**
 * CSV files with a header, one record a line.
 *
 * @module
 */
import { initParser, type Parser } from "udsv";
import { missingFile, readText, refuseFile } from "../folder_files.ts";

/** One record. */
export interface CsvRecord {
  /** Its line in the file, from 1. */
  readonly line: number;
  /** Its value in each column that was asked for, in that order. */
  readonly values: readonly string[];
}

/**
 * Reads columns of a CSV file by the names in its header. Fields may be quoted and hold commas, not line breaks. Empty lines
 * are passed over.
 *
 * @throws {DataError} if the file is not there, a column is missing, or a line is not well-formed.
 */
export function readCsv(folder: string, file: string, columns: readonly string[]): CsvRecord[] {
  const text = readText(folder, file) ?? missingFile(folder, file);
  const lines = text.split(/\r\n|\r|\n/);
  // A line at a time: a quote that is never closed then spoils one line, and the line can be named.
  lines.forEach((line, i) => {
    if ((line.split('"').length - 1) % 2 === 0) return;
    refuseFile(folder, `${file} line ${i + 1}`, "quotes must come in pairs", `"${line}"`);
  });
  const names = lines[0].split(",").length;
  const header = parserOf(names).stringArrs<string[]>(`${lines[0]}\n`)[0] ?? [];
  const at = columns.map((column) => {
    const index = header.indexOf(column);
    if (index >= 0 && index === header.lastIndexOf(column)) return index;
    const requirement = `its first line must name the columns ${columns.join(", ")} once each`;
    return refuseFile(folder, file, requirement, `"${lines[0]}"`);
  });
  const parser = parserOf(header.length);
  const records: CsvRecord[] = [];
  for (let i = 1; i < lines.length; i++) {
    if (lines[i] === "") continue;
    const [values] = parser.stringArrs<string[]>(`${lines[i]}\n`);
    const count = lines[i].replace(/"[^"]*"/g, "").split(",").length; // the parser allows for others
    if (values === undefined || count !== header.length) {
      const requirement = `a line must have the ${header.length} values of the header`;
      refuseFile(folder, `${file} line ${i + 1}`, requirement, `"${lines[i]}"`);
    }
    records.push({ line: i + 1, values: at.map((index) => values[index]) });
  }
  return records;
}

/** Reads every column as text; a line with fewer values has empty ones. */
function parserOf(columns: number): Parser {
  const cols = Array.from({ length: columns }, (_, i) => ({
    name: `${i}`,
    type: "s" as const,
    repl: { empty: "", null: undefined, NaN: undefined },
  }));
  return initParser({ col: ",", row: "\n", encl: '"', esc: '"', trim: false, cols });
}
