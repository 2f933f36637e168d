/**
 * Dots, bars and heat maps as specifications of Vega-Lite.
 *
 * @module
 */
import type { Spec } from "./document.ts";
import type { Estimate } from "./statistics.ts";
import { INK } from "./svg.ts";

/** A range of an axis. */
export type Domain = readonly [low: number, high: number];

/** Blues from dark to pale. */
function blues(count: number): string[] {
  const [dark, pale] = [[18, 48, 91], [222, 231, 241]];
  return Array.from({ length: count }, (_, i) => {
    const share = i / Math.max(1, count - 1);
    return `rgb(${dark.map((x, c) => Math.round(x + (pale[c] - x) * share)).join(",")})`;
  });
}

/** A layer of a plot. Default values: those of the plot. */
export function layer(mark: Spec, encoding: Spec, values?: readonly unknown[]): Spec {
  return { mark, encoding, ...values === undefined ? {} : { data: { values } } };
}

/** A dashed vertical line. */
export function dashed(x: number): Spec {
  const mark = { type: "rule", color: INK.quiet, strokeDash: [3, 3] };
  return layer(mark, { x: { field: "x" }, y: null }, [{ x }]);
}

/** A quantitative encoding. */
export function quantity(
  field: string,
  title: string,
  domain: Domain,
  axis: Spec = {},
  type = "linear",
): Spec {
  const scale = { domain, nice: false, type };
  return { field, type: "quantitative", scale, axis: { title, ...axis } };
}

/** A y axis with its title above it. */
export const UPRIGHT: Spec = {
  titleAngle: 0,
  titleAlign: "left",
  titleBaseline: "bottom",
  titleX: -38,
  titleY: -8,
};

/** A range with a little room that holds all values, and 0 if `zero`. */
export function domainOf(values: readonly number[], zero = false): Domain {
  const given = [...values.filter(Number.isFinite), ...zero ? [0] : []];
  if (given.length === (zero ? 1 : 0)) return [0, 1];
  const [low, high] = [Math.min(...given), Math.max(...given)];
  const room = 0.04 * (high - low || Math.abs(high) || 1);
  return [zero && low === 0 ? 0 : low - room, zero && high === 0 ? 0 : high + room];
}

/** A row of a plot: its label at the left, and its number as text at the right. */
export type Row = { readonly label: string; readonly shown: string };

/** Where the label of a variant is broken: before long settings, and before the source of codes. */
const BREAK = " codes=| (?=input=|model=)|,(?=from=)";

/** The height of a line of a label, pixels. */
const LINE = 11;

/** The height of a row, pixels. */
function rowHeight(given: readonly Row[], height: number): number {
  const lines = given.map(({ label }) => label.split(new RegExp(BREAK)).length);
  return Math.max(height, ...lines.map((count) => count > 1 ? LINE * count + 6 : 0));
}

/** The lines of a label, in the language of Vega. */
const LINES = `split(datum.label, regexp('${BREAK}'))`;

/** The labels of rows at the left. */
const LABELS = {
  field: "label",
  type: "nominal",
  sort: null,
  axis: {
    title: null,
    labelColor: INK.text,
    labelPadding: 8,
    labelLineHeight: LINE,
    labelExpr: LINES,
    labelOffset: {
      condition: [4, 3, 2].map((count) => (
        { test: `length(${LINES}) >= ${count}`, value: -LINE * (count - 1) / 2 }
      )),
      value: 0,
    },
  },
};

/** The numbers of rows at the right. */
function numbers(values: readonly Row[]): Spec {
  const xOffset = 12 + 6.3 * Math.max(...values.map(({ shown }) => shown.length));
  const encoding = { x: { value: "width" }, text: { field: "shown" } };
  return layer({ type: "text", align: "right", xOffset }, encoding, values);
}

/** A dot with its interval: one of those compared, their baseline, or a reference beside them. */
export type Dot = Row & Estimate & { readonly kind: "variant" | "baseline" | "reference" };

/** The interval of an estimate. */
const INTERVAL = { x: { field: "low" }, x2: { field: "high" } };

/** Dots with intervals, and a dashed line. Dots outside the domain become arrows at its side. */
export function dots(given: readonly Dot[], unit: string, domain: Domain, line?: number): Spec {
  const [least, most] = domain;
  const within = (x: number): number => Math.min(Math.max(x, least), most);
  const values = given.map(({ label, kind, shown, value, low, high }) => {
    const arrow = value > most ? "▸" : value < least ? "◂" : "";
    const ends = arrow === "" ? [within(low), within(high)] : [];
    return { label, kind, shown, arrow, value: within(value), low: ends[0], high: ends[1] };
  });
  const byKind = (...range: unknown[]): Spec => {
    const scale = { domain: ["variant", "baseline", "reference"], range };
    return { field: "kind", type: "nominal", scale, legend: null };
  };
  const looks = {
    shape: byKind("circle", "square", "diamond"),
    size: byKind(60, 80, 80),
    fill: byKind(INK.text, INK.text, "white"),
  };
  return {
    height: rowHeight(given, 22) * given.length,
    data: { values },
    encoding: { x: quantity("value", unit, domain, { grid: true, domain: false }), y: LABELS },
    layer: [
      ...line === undefined ? [] : [dashed(line)],
      {
        ...layer({ type: "rule", strokeWidth: 2, color: INK.text }, INTERVAL),
        transform: [{ filter: "isValid(datum.low)" }],
      },
      {
        ...layer({ type: "point", filled: true, stroke: INK.text, strokeWidth: 1.5 }, looks),
        transform: [{ filter: "!datum.arrow" }],
      },
      layer({ type: "text" }, { text: { field: "arrow" } }),
      numbers(given),
    ],
  };
}

/** A bar: its parts, in the order of the legend, and the interval of their sum. */
export type Bar = Row & { readonly parts: readonly number[]; readonly sum?: Estimate };

/** Bars whose parts add up, dark to light, with a legend above them. */
export function bars(
  given: readonly Bar[],
  unit: string,
  most: number,
  legend: readonly string[],
): Spec {
  const parts = given.flatMap(({ label, parts }) =>
    parts.map((value, order) => ({ label, value, part: legend[order], order }))
  );
  const sums = given.flatMap(({ label, sum }) => sum === undefined ? [] : [{ label, ...sum }])
    .filter(({ low }) => Number.isFinite(low));
  const scale = { domain: legend, range: blues(legend.length) };
  const stacked = {
    x: { field: "value", stack: "zero" },
    order: { field: "order" },
    color: { field: "part", type: "ordinal", scale },
  };
  const ends = { type: "errorbar", color: INK.text, thickness: 1.3, ticks: { size: 9 } };
  return {
    height: rowHeight(given, 24) * given.length,
    encoding: { x: quantity("value", unit, [0, most], { domain: false }), y: LABELS },
    layer: [
      layer({ type: "bar", height: 15, stroke: "white", strokeWidth: 1 }, stacked, parts),
      // Behind the interval, so that it is seen on every shade.
      layer({ type: "rule", color: "white", strokeWidth: 4 }, INTERVAL, sums),
      layer(ends, INTERVAL, sums),
      numbers(given),
    ],
  };
}

/** A cell of a heat map. The best of a column gets a frame. */
export type Cell = {
  readonly column: string;
  readonly row: string;
  readonly value: number;
  readonly shown: string;
  readonly best: boolean;
};

/** A heat map with its numbers. */
export function heatMap(cells: readonly Cell[], xUnit: string, yUnit: string): Spec {
  const values = cells.map(({ value }) => value);
  const test = `datum.value > ${(Math.min(...values) + Math.max(...values)) / 2}`;
  const scale = { range: blues(2).reverse(), domain: domainOf(values) };
  const color = { field: "value", type: "quantitative", scale, legend: null };
  const numbers = {
    text: { field: "shown" },
    color: { condition: { test, value: "white" }, value: INK.text },
  };
  return {
    height: 40 * new Set(cells.map(({ row }) => row)).size,
    data: { values: cells },
    encoding: {
      x: { field: "column", type: "ordinal", sort: null, axis: { title: xUnit } },
      y: { field: "row", type: "ordinal", sort: null, axis: { title: yUnit, ...UPRIGHT } },
    },
    layer: [
      layer({ type: "rect", stroke: "white", strokeWidth: 2 }, { color }),
      {
        ...layer({ type: "rect", fill: null, stroke: INK.text, strokeWidth: 2 }, {}),
        transform: [{ filter: "datum.best" }],
      },
      layer({ type: "text", fontSize: 12 }, numbers),
    ],
  };
}
