/**
 * Tables for a terminal or a file.
 *
 * @module
 */
import Table from "cli-table3";

/** How many steps a table shows one by one. */
const MAX_COLUMNS = 8;

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

/** A share as people write it: `.0679`; "-" where there is nothing that it could be a share of. */
export function decimal(share: number, digits = 4): string {
  return Number.isNaN(share) ? "-" : share.toFixed(digits).replace(/^0\./, ".");
}

/**
 * The steps that a table has columns for: all of up to 8, else some whose distance grows, and the last.
 *
 * @example
 * ```ts
 * import { shownSteps } from "beargrad";
 *
 * console.log(shownSteps(41)); // [1, 2, 3, 5, 8, 13, 21, 34, 41]
 * ```
 */
export function shownSteps(steps: number): number[] {
  const all = Array.from({ length: steps }, (_, t) => t + 1);
  if (steps <= MAX_COLUMNS) return all;
  return all.filter((t) => t === steps || [1, 2, 3, 5, 8, 13, 21, 34].includes(t));
}
