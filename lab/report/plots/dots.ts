/**
 * Dots with intervals, a row each.
 *
 * @module
 */
import type { Layer, Panel } from "../document.ts";
import type { Estimate } from "../statistics.ts";
import { textWidth } from "./style.ts";
import { INK, SHARE_LABELS } from "./svg.ts";

/** A row. */
export interface DotRow {
  /** What it is of. */
  readonly label: string;
  /** Where the dot is, and how far it may be wrong. */
  readonly estimate: Estimate;
  /** The number as text, which stands at the right. */
  readonly shown: string;
  /** What it is: one of those compared, what they are compared with, or something beside. */
  readonly kind: "variant" | "baseline" | "reference";
}

/** What {@link dotPanel} is told. */
export interface DotOptions {
  /** What tells it from its neighbours. */
  readonly title: string;
  /** The title of the x axis, with the unit. */
  readonly unit: string;
  /** The domain of x; what lies outside becomes an arrow at its side. */
  readonly domain: readonly [number, number];
  /** Where a line goes through all rows. */
  readonly line?: number;
  /** The format of the x axis's labels, of d3-format. */
  readonly format?: string;
}

const ROW = 22;

/** A dot and its interval for each row; the baseline is a square, what stands beside is hollow. */
export function dotPanel(rows: readonly DotRow[], options: DotOptions): Panel {
  const { title, unit, domain, line, format = "~f" } = options;
  const within = (x: number): number | null => x >= domain[0] && x <= domain[1] ? x : null; // nor does JSON have a NaN
  const values = rows.map(({ label, kind, shown, estimate: { value, low, high } }, at) => ({
    ...{ at, label, kind, shown, value: within(value) },
    low: Number.isFinite(low) && low < domain[1] ? Math.max(low, domain[0]) : null,
    high: Number.isFinite(high) ? Math.min(high, domain[1]) : null,
    arrow: value > domain[1] ? "▸" : value < domain[0] ? "◂" : "",
  })).map((row) => row.arrow === "" ? row : { ...row, low: null });
  const left = Math.max(60, ...rows.map(({ label }) => textWidth(label) + 12));
  const right = Math.max(...rows.map(({ shown }) => textWidth(shown))) + 14;
  const width = Math.max(120, 350 - left - right);
  const y = { field: "at", type: "quantitative", scale: { domain: [rows.length - 0.5, -0.5] } };
  const x = {
    field: "value",
    type: "quantitative",
    scale: { domain, nice: false, zero: false },
    axis: {
      ...{ title: unit, tickCount: 4, format, labelExpr: SHARE_LABELS },
      ...{ titlePadding: 6, grid: true, domain: false },
    },
  };
  const point = (kind: string, mark: object): Layer => ({
    data: { values: values.filter((row) => row.kind === kind && row.value !== null) },
    mark: { type: "point", opacity: 1, ...mark },
    encoding: { x, y: { ...y, axis: null } },
  });
  const layer: Layer[] = [
    ...line === undefined ? [] : [{
      data: { values: [{ value: line }] },
      mark: { type: "rule", color: INK.quiet, strokeDash: [3, 3] },
      encoding: { x },
    }],
    {
      data: { values: values.filter((row) => row.low !== null) },
      mark: { type: "rule", strokeWidth: 2, color: INK.text },
      encoding: { x: { ...x, field: "low" }, x2: { field: "high" }, y: { ...y, axis: null } },
    },
    point("variant", { shape: "circle", filled: true, size: 60, color: INK.text }),
    point("baseline", { shape: "square", filled: true, size: 80, color: INK.text }),
    point("reference", {
      ...{ shape: "diamond", filled: true, size: 80 },
      ...{ fill: "white", stroke: INK.text, strokeWidth: 1.5 },
    }),
    ...[["▸", width] as const, ["◂", 0] as const].map(([arrow, at]): Layer => ({
      data: { values: values.filter((row) => row.arrow === arrow) },
      mark: { type: "text", x: at, text: arrow, align: "center", baseline: "middle" },
      encoding: { y: { ...y, axis: null } },
    })),
    {
      data: { values },
      mark: { type: "text", align: "right", x: -10, baseline: "middle" },
      encoding: { y: { ...y, axis: null }, text: { field: "label" } },
    },
    {
      data: { values },
      mark: { type: "text", align: "right", x: width + right - 4, baseline: "middle" },
      encoding: { y: { ...y, axis: null }, text: { field: "shown" } },
    },
  ];
  const padding = { left, right, top: 6, bottom: 42 };
  return { title, width, height: ROW * rows.length, padding, layer };
}
