/**
 * A report as one HTML file: figures inline as SVG, tables behind them, no script, nothing fetched.
 *
 * @module
 */
import type { Block, Figure, Report, Section, Table } from "./document.ts";
import { isNumeric } from "./markdown.ts";
import { PAGE_STYLE } from "./page_style.ts";
import { renderPanel } from "./plots/svg.ts";

/** Sections that stand side by side at the top: the summary, and how to read it. */
const LEAD = 2;

/** How much larger than drawn a plot may become where there is room. */
const LARGEST = 1.15;

/** What {@link renderPage} is told. */
export interface PageOptions {
  /** Told how many plots are drawn, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The report as an HTML file. */
export async function renderPage(
  { title, subtitle, sections }: Report,
  { onProgress }: PageOptions = {},
): Promise<string> {
  const figures = sections.flatMap(({ blocks }) =>
    blocks.flatMap((block) => block.kind === "figure" ? [block.figure] : [])
  );
  const total = figures.reduce((sum, { panels }) => sum + panels.length, 0);
  const drawn = new Map<Figure, string[]>();
  let done = 0;
  for (const figure of figures) {
    const svgs: string[] = [];
    for (const panel of figure.panels) {
      svgs.push(await renderPanel(panel));
      onProgress?.(++done, total);
    }
    drawn.set(figure, svgs);
  }
  const links = sections.map(({ title }) => `<a href="#${slug(title)}">${escape(title)}</a>`);
  const body = sections.map((section) => renderSection(section, drawn));
  const [lead, rest] = [body.slice(0, LEAD), body.slice(LEAD)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escape(title)}</h1>
<p class="subtitle">${escape(subtitle)}</p>
</header>
<nav aria-label="Sections">${links.join("\n")}</nav>
<div class="lead">
${lead.join("\n")}
</div>
${rest.join("\n")}
<footer>Written by beargrad’s <code>report</code>. Figures are Vega-Lite, drawn when the report was written; the page needs no network and no script.</footer>
</main>
</body>
</html>
`;
}

function renderSection(
  { title, blocks }: Section,
  drawn: ReadonlyMap<Figure, readonly string[]>,
): string {
  const parts = blocks.map((block) => renderBlock(block, drawn));
  return `<section id="${slug(title)}">
<h2>${escape(title)}</h2>
${parts.join("\n")}
</section>`;
}

function renderBlock(block: Block, drawn: ReadonlyMap<Figure, readonly string[]>): string {
  switch (block.kind) {
    case "text":
      return `<p>${escape(block.text)}</p>`;
    case "list":
    case "warnings":
      return `<ul class="${block.kind}">${
        block.items.map((item) => `<li>${escape(item)}</li>`).join("\n")
      }</ul>`;
    case "commands":
      return `<pre><code>${block.lines.map(escape).join("\n")}</code></pre>`;
    case "table":
      return renderTable(block.table);
    case "figure":
      return renderFigure(block.figure, drawn.get(block.figure) ?? []);
  }
}

function renderFigure(
  { title, note, alt, panels, table }: Figure,
  svgs: readonly string[],
): string {
  const shown = panels.map((panel, i) => {
    const label = escape(`${alt}: ${panel.title}`);
    const { left, right } = panel.padding;
    const most = Math.round(LARGEST * (left + panel.width + right));
    const attributes = `role="img" aria-label="${label}" style="max-width: ${most}px"`;
    const svg = svgs[i].replace("<svg ", () => `<svg ${attributes} `); // labels may have a $&
    return `<div class="panel"><h3>${escape(panel.title)}</h3>${svg}</div>`;
  });
  return `<figure>
<figcaption><b>${escape(title)}</b><span>${escape(note)}</span></figcaption>
<div class="panels ${columns(panels.length)}">
${shown.join("\n")}
</div>
<details><summary>The numbers</summary>${renderTable(table)}</details>
</figure>`;
}

/** How many plots stand side by side where there is room: no row is left nearly empty. */
function columns(panels: number): string {
  return panels === 2 || panels === 4 ? "two" : "three";
}

function renderTable({ caption, head, rows }: Table): string {
  const right = head.map((_, c) => c > 0 && isNumeric(rows.map((row) => row[c] ?? "")));
  const at = (c: number): string => right[c] ? ' class="n"' : "";
  const heads = head.map((cell, c) => `<th scope="col"${at(c)}>${escape(cell)}</th>`).join("");
  const body = rows.map((row) =>
    `<tr>${
      row.map((cell, c) =>
        c === 0 ? `<th scope="row">${escape(cell)}</th>` : `<td${at(c)}>${renderCell(cell)}</td>`
      ).join("")
    }</tr>`
  );
  return `<div class="table" tabindex="0"><table><caption>${escape(caption)}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${body.join("\n")}
</tbody></table></div>`;
}

/** The interval is quieter than its number. */
function renderCell(cell: string): string {
  return escape(cell).replace(/ (\[.*\]|± .*|\(.*\))$/, " <i>$1</i>");
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z]+/g, "-").replaceAll(/^-|-$/g, "");
}

/** Text as HTML. */
function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
