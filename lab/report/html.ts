/**
 * A report as one HTML file: plots inline as SVG, their numbers behind them, no script, nothing
 * fetched.
 *
 * @module
 */
import {
  type Block,
  type Figure,
  headOf,
  isNumeric,
  type Panel,
  type Report,
  type Section,
  type Table,
} from "./document.ts";
import { PAGE_STYLE } from "./html_style.ts";
import { columnsOf, escape } from "./svg.ts";

/** Sections side by side at the top: the summary, and how to read it. */
const LEAD = 2;

/** Plots as SVG. */
export type Plots = ReadonlyMap<Panel, string>;

/** The report as an HTML file. */
export function renderHtml({ title, subtitle, sections }: Report, plots: Plots): string {
  const links = sections.map(({ title }) => `<a href="#${slug(title)}">${escape(title)}</a>`);
  const body = sections.map((section) => renderSection(section, plots));
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
${body.slice(0, LEAD).join("\n")}
</div>
${body.slice(LEAD).join("\n")}
<footer>Written by beargrad’s <code>report</code>. The page needs no network and no script.</footer>
</main>
</body>
</html>
`;
}

function renderSection({ title, blocks }: Section, plots: Plots): string {
  const parts = blocks.map((block) => renderBlock(block, plots));
  return `<section id="${slug(title)}">
<h2>${escape(title)}</h2>
${parts.join("\n")}
</section>`;
}

function renderBlock(block: Block, plots: Plots): string {
  switch (block.kind) {
    case "text":
      return `<p>${escape(block.text)}</p>`;
    case "list":
    case "warnings": {
      const items = block.items.map((item) => `<li>${escape(item)}</li>`);
      return `<ul class="${block.kind}">${items.join("\n")}</ul>`;
    }
    case "commands":
      return `<pre><code>${block.lines.map(escape).join("\n")}</code></pre>`;
    case "table":
      return renderTable(block.table);
    case "figure":
      return renderFigure(block.figure, plots);
  }
}

function renderFigure(figure: Figure, plots: Plots): string {
  const shown = figure.panels.map((panel) => {
    const title = escape(panel.title);
    const attributes = `role="img" aria-label="${escape(figure.title)}: ${title}"`;
    // A function, as labels may have a $&.
    const svg = plots.get(panel)?.replace("<svg ", () => `<svg ${attributes} `);
    return `<div class="panel"><h3>${title}</h3>${svg}</div>`;
  });
  const columns = columnsOf(figure.panels) === 2 ? "two" : "three";
  return `<figure>
<figcaption><b>${escape(figure.title)}</b><span>${escape(figure.note)}</span></figcaption>
<div class="panels ${columns}">
${shown.join("\n")}
</div>
<details><summary>The numbers</summary>${renderTable(figure)}</details>
</figure>`;
}

function renderTable({ caption, rows }: Table): string {
  const columns = headOf(rows).map((head, c) => ({
    head,
    style: c > 0 && isNumeric(rows.map((row) => row[head] ?? "")) ? ' class="n"' : "",
  }));
  const heads = columns.map(({ head, style }) => `<th scope="col"${style}>${escape(head)}</th>`);
  const body = rows.map((row) => {
    const cells = columns.map(({ head, style }, c) => {
      const text = escape(row[head] ?? "");
      if (c === 0) return `<th scope="row">${text}</th>`;
      return `<td${style}>${text.replace(/ (\[.*\]|± .*|\(.*\))$/, " <i>$1</i>")}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<div class="table" tabindex="0"><table><caption>${escape(caption)}</caption>
<thead><tr>${heads.join("")}</tr></thead>
<tbody>
${body.join("\n")}
</tbody></table></div>`;
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z]+/g, "-").replaceAll(/^-|-$/g, "");
}
