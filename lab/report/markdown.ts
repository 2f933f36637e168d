/**
 * A report as Markdown: its text and its tables.
 *
 * @module
 */
import { type Block, headOf, isNumeric, type Report, type Table } from "./document.ts";

/** The report as a Markdown file. */
export function renderMarkdown({ title, subtitle, sections }: Report): string {
  const parts = sections.flatMap(({ title, blocks }) => [
    `## ${plain(title)}`,
    ...blocks.map(renderBlock),
  ]);
  return `${[`# ${plain(title)}`, plain(subtitle), ...parts].filter(Boolean).join("\n\n")}\n`;
}

function renderBlock(block: Block): string {
  switch (block.kind) {
    case "text":
      return plain(block.text);
    case "list":
    case "warnings":
      return block.items.map((item) => `- ${plain(item)}`).join("\n");
    case "commands": {
      const ticks = block.lines.flatMap((line) => line.match(/`+/g) ?? []);
      const fence = "`".repeat(1 + Math.max(2, ...ticks.map(({ length }) => length)));
      return [`${fence}sh`, ...block.lines, fence].join("\n");
    }
    case "table":
      return renderTable(block.table);
    case "figure":
      return `**${plain(block.figure.title)}**\n\n${renderTable(block.figure)}`;
  }
}

/** Columns are padded, so that the source reads well; numbers are aligned at the right. */
function renderTable({ caption, rows }: Table): string {
  if (rows.length === 0) return plain(caption);
  const columns = headOf(rows).map((head, c) => {
    const given = rows.map((row) => row[head] ?? "");
    const cells = [head, ...given].map((cell) => plain(cell).replaceAll("|", "\\|"));
    const width = Math.max(3, ...cells.map(({ length }) => length));
    const isRight = c > 0 && isNumeric(given);
    const rule = isRight ? `${"-".repeat(width - 1)}:` : "-".repeat(width);
    const [first, ...rest] = cells.map((cell) =>
      isRight ? cell.padStart(width) : cell.padEnd(width)
    );
    return [first, rule, ...rest];
  });
  const lines = columns[0].map((_, r) => `| ${columns.map((column) => column[r]).join(" | ")} |`);
  return [plain(caption), "", ...lines].join("\n");
}

/** Text on one line, in which names of runs and data are not taken for tags. */
function plain(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").replaceAll(/<(?=[a-z/!?])/gi, "\\<");
}
