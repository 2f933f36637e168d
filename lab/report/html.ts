/**
 * A report as one HTML file: plots inline as SVG, their numbers behind them, no script, nothing
 * fetched.
 *
 * @module
 */
import {
  type Block,
  columnsOf,
  type Figure,
  isFigure,
  type Panel,
  type Report,
  type Section,
  type Table,
} from "./document.ts";
import { escape, panelsAbreast } from "./svg.ts";

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
<style>${STYLE}</style>
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
  if (typeof block === "string") return `<p>${escape(block)}</p>`;
  if (isFigure(block)) return renderFigure(block, plots);
  if ("rows" in block) return renderTable(block);
  const items = block.items.map(escape);
  if (block.kind === "commands") return `<pre><code>${items.join("\n")}</code></pre>`;
  return `<ul class="${block.kind}">${items.map((item) => `<li>${item}</li>`).join("\n")}</ul>`;
}

function renderFigure(figure: Figure, plots: Plots): string {
  const shown = figure.panels.map((panel) => {
    const title = escape(panel.title);
    const attributes = `role="img" aria-label="${escape(figure.title)}: ${title}"`;
    // A function, as labels may have a $&.
    const svg = plots.get(panel)?.replace("<svg ", () => `<svg ${attributes} `);
    return `<div class="panel"><h3>${title}</h3>${svg}</div>`;
  });
  return `<figure>
<figcaption><b>${escape(figure.title)}</b><span>${escape(figure.note)}</span></figcaption>
<div class="panels${panelsAbreast(figure) === 2 ? " two" : ""}">
${shown.join("\n")}
</div>
<details><summary>The numbers</summary>${renderTable(figure)}</details>
</figure>`;
}

/** Columns with longer texts, in characters, have several lines. */
const LONG = 60;

function renderTable(table: Table): string {
  const columns = columnsOf(table).map((column) => {
    const isLong = column.cells.some(({ length }) => length > LONG);
    return { ...column, style: column.isNumeric ? ' class="n"' : isLong ? ' class="long"' : "" };
  });
  const heads = columns.map(({ head, style }) => `<th scope="col"${style}>${escape(head)}</th>`);
  const body = table.rows.map((_, r) => {
    const cells = columns.map(({ cells, style }, c) => {
      const text = escape(cells[r]);
      if (c === 0) return `<th scope="row">${text}</th>`;
      return `<td${style}>${text.replace(/ (\[.*\]|± .*|\(.*\))$/, " <i>$1</i>")}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<div class="table" tabindex="0"><table><caption>${escape(table.caption)}</caption>
<thead><tr>${heads.join("")}</tr></thead>
<tbody>
${body.join("\n")}
</tbody></table></div>`;
}

function slug(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z]+/g, "-").replaceAll(/^-|-$/g, "");
}

/** Light, in fonts that machines have, for wide and narrow windows and for paper. */
const STYLE = `
:root {
  --ink: #1a1a1a; --quiet: #5c6370; --line: #d9dde3; --wash: #f6f7f9; --accent: #1f3f77;
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Cambria, Georgia, serif;
  --sans: system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 17px/1.6 var(--serif); }
main { max-width: 1140px; margin: 0 auto; padding: 56px 28px 96px; }
header, main section > *, nav { max-width: 44rem; }
main section > figure, main section > .table { max-width: none; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.01em; }
.subtitle { color: var(--quiet); font: .9rem/1.5 var(--sans); margin: 0; }
h2 { font-size: 1.45rem; line-height: 1.25; margin: 4rem 0 .9rem; padding-top: 1.2rem; border-top: 2px solid var(--ink); max-width: none !important; }
p { margin: 0 0 1rem; }
nav { font: .88rem/1.9 var(--sans); margin: 1.6rem 0 0; padding: .7rem 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
nav a { color: var(--accent); text-decoration: none; margin-right: 1.3rem; white-space: nowrap; }
.lead { display: grid; grid-template-columns: minmax(0, 44rem) minmax(0, 1fr); gap: 0 3.2rem; align-items: start; }
.lead h2 { margin: 2.2rem 0 .8rem; border: 0; padding: 0; }
.lead ul { padding-left: 1.15rem; margin: 0; }
.lead li { margin: 0 0 .6rem; }
.lead .warnings { list-style: none; margin: 0 0 1.4rem; padding: .9rem 1.1rem .3rem; border-left: 4px solid #b3261e; background: #fdf3f2; }
.lead section + section { margin-top: 2.2rem; padding: 1.1rem 1.3rem .3rem; background: var(--wash); border-radius: 6px; font: .86rem/1.55 var(--sans); color: #3a404a; }
.lead section + section h2 { font: 600 .95rem/1.3 var(--sans); color: var(--ink); margin: 0 0 .6rem; }
figure { margin: 2.4rem 0 0; }
figcaption { max-width: 48rem; margin-bottom: 1rem; }
figcaption b { display: block; font-size: 1.12rem; line-height: 1.35; margin-bottom: .3rem; text-wrap: balance; }
figcaption span { color: var(--quiet); font: .86rem/1.5 var(--sans); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 1.4rem 1.6rem; align-items: start; }
.two { max-width: 760px; }
.panel h3 { font: 600 .88rem/1.3 var(--sans); margin: 0 0 .3rem; }
.panel svg { display: block; width: 100%; max-width: 402px; height: auto; }
details { margin: .9rem 0 0; font-family: var(--sans); }
summary { cursor: pointer; color: var(--accent); font-size: .86rem; width: fit-content; padding: .2rem 0; }
.table { overflow-x: auto; margin: 1.4rem 0 0; }
details .table { margin-top: .6rem; max-height: 34rem; overflow-y: auto; border: 1px solid var(--line); border-radius: 4px; padding: .6rem .8rem; }
table { border-collapse: collapse; font: .82rem/1.4 var(--sans); font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: 0 0 .6rem; max-width: 46rem; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
.long { white-space: normal; min-width: 20rem; }
th { font-weight: 600; border-bottom: 1.5px solid var(--ink); vertical-align: bottom; }
td, tbody th { border-bottom: 1px solid var(--line); }
tbody th { font-weight: 500; vertical-align: top; }
figure + p, .table + p { margin-top: 1.6rem; }
.n { text-align: right; }
pre { overflow-x: auto; background: var(--wash); border-radius: 6px; padding: .8rem 1rem; font-size: .8rem; line-height: 1.5; max-width: none !important; white-space: pre-wrap; overflow-wrap: anywhere; }
td i { color: var(--quiet); font-style: normal; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--quiet); font: .84rem/1.5 var(--sans); max-width: 44rem; }
@media (max-width: 960px) {
  .lead { display: block; }
  main { padding: 28px 16px 56px; }
}
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav, details:not([open]) { display: none; }
  figure, figcaption, .panel, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .panels { grid-template-columns: repeat(3, 1fr); }
  .two { grid-template-columns: repeat(2, 1fr); }
  .table, details .table { overflow: visible; max-height: none; border: 0; }
  table { font-size: 7pt; }
  th, td { white-space: normal; }
}
`;
