/**
 * Tables for a terminal or a file.
 *
 * @module
 */
import Table from "cli-table3";

/** A number, possibly with a sign, a unit of percent or an error: what is aligned at the right. */
const NUMERIC = /^[-+±]?[\d.,]+(e[-+]?\d+)?\s*(%|(±|\+-)\s*[\d.,]+)?$/i;

/**
 * A table as plain text, without colours. A column is aligned at the right if every entry is a number, or a gap such as
 * "" or "-".
 *
 * @example
 * ```ts
 * import { renderTable } from "beargrad";
 *
 * console.log(renderTable(["loss", "HR@10"], [["msl", ".0679"], ["bear", ".0702"]]));
 * ```
 */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const texts = rows.map((row) => row.map(String));
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) =>
      isNumeric(texts.map((row) => row[column])) ? "right" : "left"
    ),
    style: { head: [], border: [], compact: true },
  });
  table.push(...texts);
  return table.toString();
}

function isNumeric(entries: readonly (string | undefined)[]): boolean {
  const given = entries.filter((entry) => entry !== undefined && !/^[-–—]?$/.test(entry));
  return given.length > 0 && given.every((entry) => NUMERIC.test(entry as string));
}
