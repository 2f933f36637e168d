/**
 * Plots as SVG, by Vega-Lite and Vega on this machine: nothing is fetched, and the result needs no script.
 *
 * @module
 */
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Panel } from "../document.ts";

/** Fonts that machines have. */
export const SANS = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";

/** Ink, from what is said to what only guides the eye. */
export const INK = { text: "#1a1a1a", quiet: "#5c6370", guide: "#c9ced6", faint: "#e6e9ee" };

/** Labels of axes as reports write shares: `.05`, not 0.05. */
export const SHARE_LABELS = "replace(datum.label, regexp('^([−-]?)0[.]'), '$1.')";

const axis = {
  labelFont: SANS,
  labelFontSize: 11,
  labelColor: INK.quiet,
  titleFont: SANS,
  titleFontSize: 11,
  titleFontWeight: "normal",
  titleColor: INK.quiet,
  domainColor: INK.guide,
  tickColor: INK.guide,
  gridColor: INK.faint,
  tickSize: 4,
  labelPadding: 4,
};

const config = {
  background: "transparent",
  aria: false, // a figure is described once, not mark by mark
  view: { stroke: null },
  axis,
  text: { font: SANS, fontSize: 11, color: INK.text },
  title: {
    font: SANS,
    fontSize: 12,
    fontWeight: 600,
    color: INK.text,
    anchor: "start",
    frame: "bounds",
  },
};

/** The plot as an `<svg>` element. */
export async function renderPanel(panel: Panel): Promise<string> {
  const { width, height, padding, layer } = panel;
  const spec = {
    ...{ width, height, padding, layer, config },
    autosize: "none", // sizes are set: no canvas is at hand to measure text with
  };
  const { spec: compiled } = compile(spec as unknown as TopLevelSpec, {
    logger: vega.logger(vega.Error),
  });
  const view = new vega.View(vega.parse(compiled), {
    renderer: "none",
    logger: vega.logger(vega.Error),
  });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
