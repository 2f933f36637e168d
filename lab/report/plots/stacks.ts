/**
 * Bars whose parts add up, a row each.
 *
 * @module
 */
import type { Layer, Panel } from "../document.ts";
import type { Estimate } from "../statistics.ts";
import { isDark, shades, textWidth } from "./style.ts";
import { INK, SHARE_LABELS } from "./svg.ts";

/** A bar. */
export interface StackRow {
  /** What it is of. */
  readonly label: string;
  /** Its parts, in the order of the legend. */
  readonly parts: readonly number[];
  /** The number as text, which stands at the right. */
  readonly shown: string;
  /** How far the sum may be wrong. */
  readonly sum?: Estimate;
}

/** What {@link stackPanel} is told. */
export interface StackOptions {
  /** What tells it from its neighbours. */
  readonly title: string;
  /** The title of the x axis, with the unit. */
  readonly unit: string;
  /** Where x ends. */
  readonly most: number;
  /** What the parts are. */
  readonly legend: readonly string[];
  /** The format of the x axis's labels, of d3-format. */
  readonly format?: string;
}

const ROW = 24;
const BAR = 15;
const TOTAL = 350;

/** Bars of shades from dark to light, the legend above them. */
export function stackPanel(rows: readonly StackRow[], options: StackOptions): Panel {
  const { title, unit, most, legend, format = "~f" } = options;
  const colors = shades(legend.length);
  const left = Math.max(60, ...rows.map(({ label }) => textWidth(label) + 12));
  const right = Math.max(...rows.map(({ shown }) => textWidth(shown))) + 14;
  const width = Math.max(120, TOTAL - left - right);
  const height = ROW * rows.length;
  const y = {
    field: "at",
    type: "quantitative",
    axis: null,
    scale: { domain: [rows.length - 0.5, -0.5] },
  };
  const x = {
    type: "quantitative",
    scale: { domain: [0, most], nice: false },
    axis: {
      ...{ title: unit, tickCount: 4, format, labelExpr: SHARE_LABELS },
      ...{ titlePadding: 6, domain: false },
    },
  };
  const parts = rows.flatMap((row, at) => {
    let from = 0;
    return row.parts.map((part, p) => {
      const start = from;
      from += part;
      return { at, from: start, to: from, color: colors[p] };
    });
  }).filter(({ from, to }) => to > from);
  const own = rows.map(({ label, shown, sum }, at) => ({
    ...{ at, label, shown, low: sum?.low, high: sum?.high },
  }));
  const keys = keyPlaces(legend, width + left + right);
  const lines = Math.max(...keys.map(({ line }) => line)) + 1;
  const top = lines * 18 + 8;
  const layer: Layer[] = [
    {
      data: { values: parts },
      mark: { type: "bar", orient: "horizontal", height: BAR, stroke: "white", strokeWidth: 1 },
      encoding: {
        x: { ...x, field: "from" },
        x2: { field: "to" },
        y,
        color: { field: "color", type: "nominal", scale: null },
      },
    },
    // Dark over white, to be seen on every shade.
    ...[{ color: "white", strokeWidth: 4 }, { color: INK.text, strokeWidth: 1.3 }].map((mark) => ({
      data: { values: own.filter(({ low }) => Number.isFinite(low)) },
      mark: { type: "rule", ...mark },
      encoding: { x: { ...x, field: "low" }, x2: { field: "high" }, y },
    })),
    ...["low", "high"].map((end) => ({
      data: { values: own.filter(({ low }) => Number.isFinite(low)) },
      mark: { type: "tick", color: INK.text, thickness: 1.3, size: 9, orient: "vertical" },
      encoding: { x: { ...x, field: end }, y },
    })),
    {
      data: { values: own },
      mark: { type: "text", align: "right", x: -8, baseline: "middle" },
      encoding: { y, text: { field: "label" } },
    },
    {
      data: { values: own },
      mark: { type: "text", align: "right", x: width + right - 4, baseline: "middle" },
      encoding: { y, text: { field: "shown" } },
    },
    ...keys.flatMap(({ key, at, line }, p): Layer[] => {
      const place = -top + 12 + 18 * line;
      return [
        {
          data: { values: [{}] },
          mark: {
            ...{ type: "point", shape: "square", filled: true, size: 110, opacity: 1 },
            ...{ color: colors[p], stroke: INK.quiet, strokeWidth: 0.5 },
          },
          encoding: { x: { value: at - left + 8 }, y: { value: place } },
        },
        {
          data: { values: [{}] },
          mark: { type: "text", align: "left", baseline: "middle", text: key, color: INK.quiet },
          encoding: { x: { value: at - left + 18 }, y: { value: place } },
        },
      ];
    }),
  ];
  return { title, width, height, padding: { left, right, top, bottom: 42 }, layer };
}

/** Where the keys of a legend stand: side by side while there is room, then on another line. */
function keyPlaces(
  legend: readonly string[],
  width: number,
): { readonly key: string; readonly at: number; readonly line: number }[] {
  let [at, line] = [0, 0];
  return legend.map((key) => {
    const size = textWidth(key) + 26;
    if (at > 0 && at + size > width) [at, line] = [0, line + 1];
    const place = { key, at, line };
    at += size;
    return place;
  });
}

/** What {@link heatPanel} is told of a cell. */
export interface Cell {
  /** Its column. */
  readonly column: string;
  /** Its row. */
  readonly row: string;
  /** How much; NaN where there is nothing. */
  readonly value: number;
  /** The number as text. */
  readonly shown: string;
}

/** A heat map with its numbers. The best cell of a column has a frame. */
export function heatPanel(
  cells: readonly Cell[],
  { title, xUnit, yUnit }: {
    readonly title: string;
    readonly xUnit: string;
    readonly yUnit: string;
  },
): Panel {
  const rows = [...new Set(cells.map(({ row }) => row))];
  const columns = [...new Set(cells.map(({ column }) => column))];
  const values = cells.map(({ value }) => value).filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const scale = shades(9).reverse();
  const filled = cells.filter(({ value }) => Number.isFinite(value)).map((cell) => {
    const shade = scale[high === low ? 4 : Math.round(8 * (cell.value - low) / (high - low))];
    const best = cells.filter(({ column }) => column === cell.column)
      .every(({ value }) => !(value > cell.value));
    return { ...cell, shade, best, ink: isDark(shade) ? "white" : INK.text };
  });
  const x = {
    ...{ field: "column", type: "ordinal", scale: { domain: columns } },
    axis: { title: xUnit, labelAngle: 0, domain: false, ticks: false, titlePadding: 6 },
  };
  const y = {
    ...{ field: "row", type: "ordinal", scale: { domain: rows } },
    axis: {
      ...{ title: yUnit, titleAngle: 0, titleAlign: "left", titleBaseline: "bottom" },
      ...{ titleX: -42, titleY: -8, domain: false, ticks: false },
    },
  };
  const color = (field: string): object => ({ field, type: "nominal", scale: null });
  const mark = { type: "rect", stroke: "white", strokeWidth: 2 };
  return {
    ...{ title, width: Math.min(290, 84 * columns.length), height: 40 * rows.length },
    padding: { left: 46, right: 14, top: 26, bottom: 42 },
    layer: [
      { data: { values: filled }, mark, encoding: { x, y, color: color("shade") } },
      {
        data: { values: filled.filter(({ best }) => best) },
        mark: { type: "rect", fill: null, stroke: INK.text, strokeWidth: 2 },
        encoding: { x, y },
      },
      {
        data: { values: filled },
        mark: { type: "text", fontSize: 12 },
        encoding: { x, y, text: { field: "shown" }, color: color("ink") },
      },
    ],
  };
}
