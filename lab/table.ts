/**
 * Tables and text for a terminal or a file.
 *
 * @module
 */
import Table from "cli-table3";
import stringWidth from "string-width";

/** A table shows all steps up to this number. */
const MAX_COLUMNS = 8;

/** A number, possibly with a sign, a percent sign or an error. Numbers are aligned at the right. */
const NUMERIC = /^[-+±]?[\d.,]+(e[-+]?\d+)?\s*(%|(±|\+-)\s*[\d.,]+)?$/i;

/** A table is split rather than have a column of words that is narrower than this. */
const LEAST_WORDS = 20;

/** The width of the terminal in characters, or 80 without one. */
export function lineWidth(): number {
  return globalThis.process?.stdout?.columns || 80;
}

/**
 * A table as plain text, without colours. A column is aligned at the right if every entry is a
 * number, or a gap such as "" or "-". A table that is wider than `width`, default that of the
 * terminal, wraps its widest column of words. If that is not enough, it is split into several
 * tables, each with the first column and some of the others.
 */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  width: number = lineWidth(),
): string {
  const texts = rows.map((row) => row.map(String));
  const columns = head.map((title, c) => {
    const entries = texts.map((row) => row[c] ?? "");
    const lines = [title, ...entries].flatMap((entry) => entry.split("\n"));
    return { isNumber: isNumeric(entries), size: Math.max(...lines.map(stringWidth)) };
  });
  const sizes = columns.map(({ size }) => size);
  if (widthOf(sizes) > width) {
    const words = sizes.map((size, c) => columns[c].isNumber ? 0 : size);
    const widest = words.indexOf(Math.max(...words));
    const narrowed = words[widest] - (widthOf(sizes) - width);
    if (narrowed >= LEAST_WORDS) sizes[widest] = narrowed;
    else {
      sizes[0] = Math.min(sizes[0], Math.floor(width / 3));
      for (let c = 1; c < sizes.length; c++) {
        sizes[c] = Math.min(sizes[c], width - widthOf([sizes[0], 0]));
      }
    }
  }
  return groupsOf(sizes, width).map((group) => {
    const table = new Table({
      head: group.map((c) => head[c]),
      colAligns: group.map((c) => columns[c].isNumber ? "right" : "left"),
      colWidths: group.map((c) => sizes[c] + 2),
      wordWrap: true,
      style: { head: [], border: [], compact: true },
    });
    table.push(...texts.map((row) => group.map((c) => breakWords(row[c] ?? "", sizes[c]))));
    return table.toString();
  }).join("\n");
}

/** A text whose words fit into `size` columns: cli-table3 would cut longer ones. */
function breakWords(text: string, size: number): string {
  return text.replace(/\S+/g, (word) => {
    const lines = [""];
    for (const character of word) {
      const last = lines.length - 1;
      if (stringWidth(lines[last] + character) > size) lines.push(character);
      else lines[last] += character;
    }
    return lines.join("\n");
  });
}

/** The width of a table with columns of these sizes. */
function widthOf(sizes: readonly number[]): number {
  return sizes.reduce((sum, size) => sum + size + 3, 1);
}

/** The columns of each table: the first one, and as many others as fit. */
function groupsOf(sizes: readonly number[], width: number): number[][] {
  const groups = [[0]];
  for (let c = 1; c < sizes.length; c++) {
    const last = groups[groups.length - 1];
    const isFull = widthOf([...last, c].map((i) => sizes[i])) > width;
    if (isFull && last.length > 1) groups.push([0, c]);
    else last.push(c);
  }
  return groups;
}

/**
 * Wraps a text to lines of at most `width` characters. Longer words stay whole; new lines are
 * indented.
 */
export function wrapped(text: string, width: number = lineWidth(), indent = 0): string {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    const [first, ...words] = line.split(" ");
    lines.push(first);
    for (const word of words) {
      const longer = `${lines[lines.length - 1]} ${word}`;
      if (longer.length <= width) lines[lines.length - 1] = longer;
      else lines.push(" ".repeat(indent) + word);
    }
  }
  return lines.join("\n");
}

function isNumeric(entries: readonly string[]): boolean {
  const given = entries.filter((entry) => !/^[-–—]?$/.test(entry));
  return given.length > 0 && given.every((entry) => NUMERIC.test(entry));
}

/** A share without its leading zero, such as `.0679`, or "-" for NaN. */
export function decimal(share: number, digits = 4): string {
  return Number.isNaN(share) ? "-" : share.toFixed(digits).replace(/^0\./, ".");
}

/**
 * The steps that a table has columns for: all if there are at most 8, else some at growing
 * distances.
 */
export function shownSteps(steps: number): number[] {
  const all = Array.from({ length: steps }, (_, t) => t + 1);
  if (steps <= MAX_COLUMNS) return all;
  return all.filter((t) => t === steps || [1, 2, 3, 5, 8, 13, 21, 34].includes(t));
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names: readonly string[]): string {
  return names.length < 2
    ? names.join("")
    : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
}
