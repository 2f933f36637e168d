/**
 * A report as Markdown: its text and its tables. The figures are in the HTML.
 *
 * @module
 */
import type { Block, Report, Table } from "./document.ts";

/** The report as a Markdown file. */
export function renderMarkdown({ title, subtitle, sections }: Report): string {
  const parts = [`# ${plain(title)}`, plain(subtitle)];
  for (const section of sections) {
    parts.push(`## ${plain(section.title)}`, ...section.blocks.map(renderBlock));
  }
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function renderBlock(block: Block): string {
  switch (block.kind) {
    case "text":
      return plain(block.text);
    case "list":
    case "warnings":
      return block.items.map((item) => `- ${plain(item)}`).join("\n");
    case "commands": {
      const longest = block.lines.flatMap((line) => line.match(/`+/g) ?? [])
        .reduce((most, ticks) => Math.max(most, ticks.length), 2);
      const fence = "`".repeat(longest + 1);
      return [`${fence}sh`, ...block.lines, fence].join("\n");
    }
    case "table":
      return renderTable(block.table);
    case "figure":
      return `**${plain(block.figure.title)}**\n\n${renderTable(block.figure.table)}`;
  }
}

/** Columns are as wide as their longest cell, so that the source reads well too; numbers stand at the right. */
function renderTable({ caption, head, rows }: Table): string {
  if (rows.length === 0) return plain(caption);
  const cells = [head, ...rows].map((row) => row.map((cell) => plain(cell).replaceAll("|", "\\|")));
  const widths = head.map((_, c) => Math.max(3, ...cells.map((row) => (row[c] ?? "").length)));
  const right = head.map((_, c) => c > 0 && isNumeric(rows.map((row) => row[c] ?? "")));
  const line = (row: readonly string[]): string =>
    `| ${
      row.map((cell, c) => right[c] ? cell.padStart(widths[c]) : cell.padEnd(widths[c])).join(" | ")
    } |`;
  const rule = widths.map((width, c) => right[c] ? `${"-".repeat(width - 1)}:` : "-".repeat(width));
  return [
    plain(caption),
    "",
    line(cells[0]),
    `| ${rule.join(" | ")} |`,
    ...cells.slice(1).map(line),
  ]
    .join("\n");
}

/** Text on one line in which names of runs and data are no tags. */
function plain(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").replaceAll(/<(?=[a-z/!?])/gi, "\\<");
}

/** Whether cells are numbers, with or without an interval, or gaps. */
export function isNumeric(cells: readonly string[]): boolean {
  return cells.some((cell) => /\d/.test(cell)) &&
    cells.every((cell) => /^[-+−–<]?\s?[\d.,]*( %|×| s| min)?( \[.*\]| \(.*\))?$/.test(cell));
}
