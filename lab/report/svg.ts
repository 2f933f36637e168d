/**
 * Draws plots as SVG with Vega-Lite and Vega. Nothing is fetched, and the result needs no script.
 *
 * @module
 */
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Figure, Panel } from "./document.ts";

/** The width of a plot with its labels, pixels. */
const WIDTH = 350;

/** Room between the plots of a figure, and for the title above each, pixels. */
const [GAP, TITLE] = [24, 22];

/** Fonts that machines have. */
const SANS = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";

/** Colours, from the most to the least important. */
export const INK = { text: "#1a1a1a", quiet: "#5c6370", guide: "#c9ced6", faint: "#e6e9ee" };

/** How all plots look. */
const CONFIG = {
  background: "transparent",
  padding: 3,
  aria: false, // a figure is described once, not mark by mark
  font: SANS,
  view: { stroke: null },
  axis: {
    labelFontSize: 11,
    labelColor: INK.quiet,
    labelPadding: 4,
    labelLimit: 0,
    titleFontWeight: "normal",
    titleColor: INK.quiet,
    domainColor: INK.guide,
    tickColor: INK.guide,
    tickSize: 4,
    gridColor: INK.faint,
  },
  axisX: { titlePadding: 6, labelAngle: 0 },
  axisY: { domain: false, ticks: false },
  axisQuantitative: {
    format: "~f",
    tickCount: 4,
    labelFlush: false,
    labelExpr: "replace(datum.label, regexp('^([−-]?)0[.]'), '$1.')", // .05, as in the text
  },
  legend: {
    orient: "top",
    title: null,
    offset: 4,
    columnPadding: 12,
    symbolType: "square",
    symbolSize: 90,
    labelFontSize: 11,
    labelColor: INK.quiet,
  },
  text: { color: INK.text },
  point: { opacity: 1 },
};

// Without a canvas Vega takes text for much wider than it is.
const { textMetrics } = vega as unknown as {
  readonly textMetrics: {
    width(item: { fontSize?: number; text?: string }, text?: string): number;
  };
};
textMetrics.width = ({ fontSize = 11, text: own = "" }, text = own) =>
  Math.ceil(0.573 * fontSize * `${text}`.length);

/** A plot as an `<svg>` element. */
export async function renderPanel({ spec }: Panel): Promise<string> {
  const logger = vega.logger(vega.Error);
  const whole = {
    width: WIDTH,
    autosize: { type: "fit-x", contains: "padding" },
    config: CONFIG,
    ...spec,
  };
  const compiled = compile(whole as unknown as TopLevelSpec, { logger }).spec;
  const view = new vega.View(vega.parse(compiled), { renderer: "none", logger });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

/** How many plots of a figure stand side by side, so that no row is nearly empty. */
export function panelsAbreast({ panels: { length } }: Figure): number {
  return length === 2 || length === 4 ? 2 : Math.min(length, 3);
}

/** The plots of a figure as one file, each under its title. */
export function renderFigure(figure: Figure, plots: ReadonlyMap<Panel, string>): string {
  const { title, note, panels } = figure;
  const columns = panelsAbreast(figure);
  const titles: string[] = [];
  const placed: string[] = [];
  let bottom = 0;
  for (let i = 0; i < panels.length; i += columns) {
    const heights = panels.slice(i, i + columns).map((panel, column) => {
      const [x, plot] = [column * (WIDTH + GAP), plots.get(panel) ?? ""];
      titles.push(`<text x="${x + 3}" y="${bottom + 14}">${escape(panel.title)}</text>`);
      placed.push(plot.replace("<svg ", () => `<svg x="${x}" y="${bottom + TITLE}" `));
      return Number(/ height="(\d+)"/.exec(plot)?.[1]);
    });
    bottom += TITLE + Math.max(...heights) + GAP;
  }
  const [width, height] = [columns * (WIDTH + GAP) - GAP, bottom - GAP];
  const size = `width="${width}" height="${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${width} ${height}">
<title>${escape(title)}</title>
<desc>${escape(note)}</desc>
<rect ${size} fill="white"/>
<g font-family="${SANS}" font-size="13" font-weight="600" fill="${INK.text}">
${titles.join("\n")}
</g>
${placed.join("\n")}
</svg>
`;
}

/** Text as HTML or SVG. */
export function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
