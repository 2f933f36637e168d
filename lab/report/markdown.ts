/**
 * A report as Markdown: its text and its tables.
 *
 * @module
 */
import { type Block, columnsOf, isFigure, type Report, type Table } from "./document.ts";

/** The report as a Markdown file. */
export function renderMarkdown({ title, subtitle, sections }: Report): string {
  const parts = sections.flatMap(({ title, blocks }) => [
    `## ${plain(title)}`,
    ...blocks.map(renderBlock),
  ]);
  return `${[`# ${plain(title)}`, plain(subtitle), ...parts].filter(Boolean).join("\n\n")}\n`;
}

function renderBlock(block: Block): string {
  if (typeof block === "string") return plain(block);
  if (isFigure(block)) return `**${plain(block.title)}**\n\n${renderTable(block)}`;
  if ("rows" in block) return renderTable(block);
  const { kind, items } = block;
  if (kind !== "commands") return items.map((item) => `- ${plain(item)}`).join("\n");
  const ticks = items.flatMap((line) => line.match(/`+/g) ?? []);
  const fence = "`".repeat(1 + Math.max(2, ...ticks.map(({ length }) => length)));
  return [`${fence}sh`, ...items, fence].join("\n");
}

/** Columns are padded, so that the source reads well; numbers are aligned at the right. */
function renderTable(table: Table): string {
  const caption = plain(table.caption);
  if (table.rows.length === 0) return caption;
  const columns = columnsOf(table).map(({ head, cells, isNumeric }) => {
    const texts = [head, ...cells].map((cell) => plain(cell).replaceAll("|", "\\|"));
    const width = Math.max(3, ...texts.map(({ length }) => length));
    const rule = isNumeric ? `${"-".repeat(width - 1)}:` : "-".repeat(width);
    const padded = texts.map((x) => isNumeric ? x.padStart(width) : x.padEnd(width));
    return padded.toSpliced(1, 0, rule);
  });
  const lines = columns[0].map((_, r) => `| ${columns.map((column) => column[r]).join(" | ")} |`);
  return [caption, "", ...lines].join("\n");
}

/** Text on one line, in which names of runs and data are not taken for tags. */
function plain(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").replaceAll(/<(?=[a-z/!?])/gi, "\\<");
}
