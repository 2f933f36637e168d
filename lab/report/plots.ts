/**
 * The plots of a report, as specifications of Vega-Lite. Series differ in dashes, shapes and labels,
 * and in colours of different lightness, so that a grey print shows them too.
 *
 * @module
 */
import type { Histogram } from "../compare/run_result.ts";
import { type Estimate, sum } from "./statistics.ts";
import { INK } from "./svg.ts";

/** A specification of Vega-Lite, or a part of one. */
type Spec = Readonly<Record<string, unknown>>;

/** A range of an axis. */
export type Domain = readonly [low: number, high: number];

/** The looks of series, the baseline first. */
const LOOKS = {
  color: "#111111 #1f3f77 #8a2f5b #1f7374 #b05f14 #5f8a26 #3d7fa8 #a67c00 #a878bd".split(" "),
  strokeDash: ["1,0", "7,3", "2,2", "9,3,2,3", "4,2", "1,3", "12,3", "6,2,1,2,1,2", "3,5"]
    .map((dash) => dash.split(",").map(Number)),
  strokeWidth: [2.2, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6],
  shape: "circle square triangle-up diamond cross triangle-down triangle-right triangle-left wedge"
    .split(" "),
};

/** A dashed line. */
const DASHED = { type: "rule", color: INK.quiet, strokeDash: [3, 3] };

/** An encoding by the label of a series. */
function look(channel: keyof typeof LOOKS, labels: readonly string[]): Spec {
  const scale = { domain: labels, range: LOOKS[channel] };
  return { [channel]: { field: "label", type: "nominal", scale, legend: null } };
}

/** A quantitative encoding. */
function quantity(
  field: string,
  title: string,
  domain: Domain,
  axis: Spec = {},
  scale = "linear",
): Spec {
  return {
    field,
    type: "quantitative",
    scale: { domain, nice: false, type: scale },
    axis: { title, ...axis },
  };
}

/** A y axis with its title above it. */
const UPRIGHT = {
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

/** A range for a logarithmic axis. */
export function logDomain(lines: readonly Line[]): Domain {
  const values = lines.flatMap(({ points }) => points.map(({ y }) => y));
  return values.length === 0 ? [0.1, 1] : [0.9 * Math.min(...values), 1.1 * Math.max(...values)];
}

/** Labels at the left of rows, and texts at their right. */
function rows(values: readonly { readonly label: string; readonly shown: string }[]): {
  readonly y: Spec;
  readonly texts: Spec;
} {
  const axis = { title: null, labelColor: INK.text, labelPadding: 8 };
  const xOffset = 12 + 6.3 * Math.max(...values.map(({ shown }) => shown.length));
  return {
    y: { field: "label", type: "nominal", sort: null, axis },
    texts: {
      data: { values },
      mark: { type: "text", align: "right", xOffset },
      encoding: { x: { value: "width" }, text: { field: "shown" } },
    },
  };
}

/** A row of dots. */
export interface Dot {
  /** What it is of. */
  readonly label: string;
  /** The dot, and its interval. */
  readonly estimate: Estimate;
  /** The number as text, at the right. */
  readonly shown: string;
  /** One of those compared, their baseline, or a reference beside them. */
  readonly kind: "variant" | "baseline" | "reference";
}

/** Dots with intervals, and a dashed line. Dots outside the domain become arrows at its side. */
export function dots(given: readonly Dot[], unit: string, domain: Domain, line?: number): Spec {
  const [least, most] = domain;
  const within = (x: number): number => Math.min(Math.max(x, least), most);
  const values = given.map(({ label, kind, shown, estimate: { value, low, high } }) => {
    const arrow = value > most ? "▸" : value < least ? "◂" : "";
    const ends = arrow === "" && Number.isFinite(low)
      ? { low: within(low), high: within(high) }
      : {};
    return { label, kind, shown, arrow, value: within(value), ...ends };
  });
  const byKind = (...range: unknown[]): Spec => {
    const scale = { domain: ["variant", "baseline", "reference"], range };
    return { field: "kind", type: "nominal", scale, legend: null };
  };
  const { y, texts } = rows(values);
  return {
    height: 22 * given.length,
    data: { values },
    encoding: { x: quantity("value", unit, domain, { grid: true, domain: false }), y },
    layer: [
      ...line === undefined ? [] : [{ mark: DASHED, encoding: { x: { datum: line }, y: null } }],
      {
        transform: [{ filter: "isValid(datum.low)" }],
        mark: { type: "rule", strokeWidth: 2, color: INK.text },
        encoding: { x: { field: "low" }, x2: { field: "high" } },
      },
      {
        transform: [{ filter: "!datum.arrow" }],
        mark: { type: "point", filled: true, stroke: INK.text, strokeWidth: 1.5 },
        encoding: {
          shape: byKind("circle", "square", "diamond"),
          size: byKind(60, 80, 80),
          fill: byKind(INK.text, INK.text, "white"),
        },
      },
      { mark: "text", encoding: { text: { field: "arrow" } } },
      texts,
    ],
  };
}

/** A bar of parts. */
export interface Bar {
  /** What it is of. */
  readonly label: string;
  /** Its parts, in the order of the legend. */
  readonly parts: readonly number[];
  /** The number as text, at the right. */
  readonly shown: string;
  /** The interval of the sum. */
  readonly sum?: Estimate;
}

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
  const interval = { x: { field: "low" }, x2: { field: "high" } };
  const scale = { domain: legend, scheme: { name: "blues", extent: [1, 0.15] } };
  const { y, texts } = rows(given);
  return {
    height: 24 * given.length,
    encoding: { x: quantity("value", unit, [0, most], { domain: false }), y },
    layer: [
      {
        data: { values: parts },
        mark: { type: "bar", height: 15, stroke: "white", strokeWidth: 1 },
        encoding: {
          x: { stack: "zero" },
          order: { field: "order" },
          color: { field: "part", type: "ordinal", scale },
        },
      },
      { // behind the interval, so that it is seen on every shade
        data: { values: sums },
        mark: { type: "rule", color: "white", strokeWidth: 4 },
        encoding: interval,
      },
      {
        data: { values: sums },
        mark: { type: "errorbar", color: INK.text, thickness: 1.3, ticks: { size: 9 } },
        encoding: interval,
      },
      texts,
    ],
  };
}

/** A point of a line. */
export interface Point {
  /** Its place. */
  readonly x: number;
  /** Its value. */
  readonly y: number;
}

/** A line. */
export interface Line {
  /** What it is of. */
  readonly label: string;
  /** Its points, from left to right. */
  readonly points: readonly Point[];
}

/** The axes of lines. */
export interface LineAxes {
  /** The title of the x axis, with the unit. */
  readonly x: string;
  /** The title of the y axis, with the unit. */
  readonly y: string;
  /** The range of y. */
  readonly domain: Domain;
  /** Whether y is logarithmic. Default false. */
  readonly log?: boolean;
  /** Room at either end of x, as a share of its span. Default 0.03. */
  readonly room?: number;
}

/** The height of plots of lines, pixels. */
const HEIGHT = 190;

/** The encoding of lines. Where x counts a few things, only integers are labelled. */
function lineEncoding(lines: readonly Line[], axes: LineAxes): Spec {
  const { x, y, domain, log = false, room = 0.03 } = axes;
  const xs = lines.flatMap(({ points }) => points.map(({ x }) => x));
  const [low, high] = xs.length === 0 ? [0, 1] : [Math.min(...xs), Math.max(...xs)];
  const margin = (high - low || 1) * room;
  const isCount = high - low <= 8 && xs.every(Number.isInteger);
  const values = isCount ? Array.from({ length: high - low + 1 }, (_, i) => low + i) : undefined;
  const labels = { grid: false, tickCount: 6, values };
  return {
    x: quantity("x", x, [low - margin, high + margin], labels),
    y: quantity("y", y, domain, UPRIGHT, log ? "log" : "linear"),
  };
}

function pointsOf(lines: readonly Line[]): (Point & { readonly label: string })[] {
  return lines.flatMap(({ label, points }) => points.map((point) => ({ label, ...point })));
}

/** Lines with their labels at the right; `back` stands behind them. */
export function lines(
  given: readonly Line[],
  axes: LineAxes,
  { back = [], marked = true }: { readonly back?: readonly Spec[]; readonly marked?: boolean } = {},
): Spec {
  const labels = given.map(({ label }) => label);
  const color = look("color", labels);
  const ends = { values: labelled(given, axes) };
  return {
    height: HEIGHT,
    data: { values: pointsOf(given) },
    encoding: lineEncoding(given, axes),
    layer: [
      ...back,
      {
        mark: "line",
        encoding: { ...color, ...look("strokeDash", labels), ...look("strokeWidth", labels) },
      },
      {
        mark: { type: "point", filled: true, size: marked ? 34 : 0 },
        encoding: { ...color, ...look("shape", labels) },
      },
      {
        data: ends,
        mark: { type: "rule", color: INK.guide, xOffset: 5, x2Offset: 10 },
        encoding: { x2: { value: "width" }, y2: { field: "at" } },
      },
      {
        data: ends,
        mark: { type: "text", align: "left", xOffset: 12 },
        encoding: { x: { value: "width" }, y: { field: "at" }, text: { field: "label" }, ...color },
      },
    ],
  };
}

/** The last point of each line, and the y at which its label stands without an overlap. */
function labelled(
  given: readonly Line[],
  { domain, log = false }: LineAxes,
): (Point & { readonly label: string; readonly at: number })[] {
  const scaled = log ? Math.log : (y: number): number => y;
  const [low, high] = domain.map(scaled);
  const perPixel = (high - low) / HEIGHT;
  const ends = pointsOf(given.map(({ label, points }) => ({ label, points: points.slice(-1) })))
    .sort((a, b) => b.y - a.y);
  const places = spread(ends.map(({ y }) => (high - scaled(y)) / perPixel), 13, HEIGHT);
  return ends.map((end, i) => {
    const y = high - places[i] * perPixel;
    return { ...end, at: log ? Math.exp(y) : y };
  });
}

/** Ascending places at least `gap` apart within [0, most], near the given ones. */
export function spread(given: readonly number[], gap: number, most: number): number[] {
  const places = [...given];
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + gap);
  const last = places.length - 1;
  if (last >= 0) places[last] = Math.min(places[last], Math.max(most, gap * last));
  for (let i = last - 1; i >= 0; i--) places[i] = Math.min(places[i], places[i + 1] - gap);
  return places;
}

/** The lines of one variant's runs, dark, a dash each, with marked points, among pale others. */
export function highlights(
  own: readonly Line[],
  others: readonly Line[],
  marks: readonly Point[],
  axes: LineAxes,
): Spec {
  return {
    height: 150,
    encoding: lineEncoding([...own, ...others], axes),
    layer: [
      {
        data: { values: pointsOf(others) },
        mark: { type: "line", color: INK.guide, strokeWidth: 1 },
        encoding: { detail: { field: "label" } },
      },
      {
        data: { values: pointsOf(own) },
        mark: { type: "line", color: INK.text, strokeWidth: 1.5 },
        encoding: look("strokeDash", own.map(({ label }) => label)),
      },
      {
        data: { values: marks },
        mark: { type: "point", filled: true, color: INK.text, size: 60 },
      },
    ],
  };
}

/** Histograms of margins before and after training. */
export interface Ridge {
  /** What they are of. */
  readonly label: string;
  /** Before training. */
  readonly before: Histogram;
  /** After training. */
  readonly after: Histogram;
}

/** Where the bins of margins begin, and their width, nats. */
const [FIRST, BIN] = [-12, 0.5];

/** A row for each pair of histograms: pale areas before training, dark lines after it. */
export function ridges(given: readonly Ridge[], reach: number): Spec {
  const labels = given.map(({ label }, n) => ({ label, row: given.length - 1 - n }));
  const values = given.flatMap(({ label, before, after }, n) => {
    const { row } = labels[n];
    const [b, a] = [before, after].map((bins) => bins.map((count) => count / (sum(bins) || 1)));
    const scale = 0.9 / (Math.max(...b, ...a) || 1);
    return b.map((_, bin) => (
      {
        label,
        row,
        x: FIRST + BIN * bin,
        before: row + scale * b[bin],
        after: row + scale * a[bin],
      }
    )).filter(({ x }) => Math.abs(x) <= reach);
  });
  const ticks = { grid: false, values: [-3, -2, -1, 0, 1, 2, 3].map((n) => n * reach / 3) };
  const zero = { values: [{ x: 0, text: "violated →" }] };
  return {
    height: 54 * given.length,
    data: { values },
    encoding: {
      x: quantity("x", "margin log β − log p (nats)", [-reach, reach], ticks),
      y: { ...quantity("row", "", [0, given.length]), axis: null },
    },
    layer: [
      {
        mark: { type: "area", color: "#c3ccd8", opacity: 1, interpolate: "step-after" },
        encoding: { y: { field: "before" }, y2: { field: "row" }, detail: { field: "label" } },
      },
      {
        mark: { type: "line", color: INK.text, strokeWidth: 1.4, interpolate: "step-after" },
        encoding: { y: { field: "after" }, detail: { field: "label" } },
      },
      {
        data: { values: labels },
        mark: { type: "text", align: "left", yOffset: -40 },
        encoding: { x: { value: 2 }, text: { field: "label" } },
      },
      { data: { values: labels }, mark: { type: "rule", color: INK.guide }, encoding: { x: null } },
      { data: zero, mark: DASHED, encoding: { y: null } },
      {
        data: zero,
        mark: { type: "text", align: "left", dx: 4, color: INK.quiet },
        encoding: { y: { value: -8 }, text: { field: "text" } },
      },
    ],
  };
}

/** How far from 0 plots must reach to show all but 1 in 200 of the margins. */
export function reachOf(histograms: readonly Histogram[]): number {
  const within = (reach: number): number =>
    sum(histograms.flatMap((bins) => bins.slice(24 - reach / BIN, 24 + reach / BIN)));
  return [3, 6].find((reach) => within(reach) >= 0.995 * within(12)) ?? 12;
}

/** A cell of a heat map. */
export interface Cell {
  /** Its column. */
  readonly column: string;
  /** Its row. */
  readonly row: string;
  /** Its value. */
  readonly value: number;
  /** The value as text. */
  readonly shown: string;
  /** Whether it is the best of its column, which gets a frame. */
  readonly best: boolean;
}

/** A heat map with its numbers. */
export function heatMap(cells: readonly Cell[], xUnit: string, yUnit: string): Spec {
  const values = cells.map(({ value }) => value);
  const isDark = `datum.value > ${(Math.min(...values) + Math.max(...values)) / 2}`;
  const color = {
    field: "value",
    type: "quantitative",
    scale: { scheme: "blues", domain: domainOf(values) },
    legend: null,
  };
  return {
    height: 40 * new Set(cells.map(({ row }) => row)).size,
    data: { values: cells },
    encoding: {
      x: { field: "column", type: "ordinal", sort: null, axis: { title: xUnit } },
      y: { field: "row", type: "ordinal", sort: null, axis: { title: yUnit, ...UPRIGHT } },
    },
    layer: [
      { mark: { type: "rect", stroke: "white", strokeWidth: 2 }, encoding: { color } },
      {
        transform: [{ filter: "datum.best" }],
        mark: { type: "rect", fill: null, stroke: INK.text, strokeWidth: 2 },
      },
      {
        mark: { type: "text", fontSize: 12 },
        encoding: {
          text: { field: "shown" },
          color: { condition: { test: isDark, value: "white" }, value: INK.text },
        },
      },
    ],
  };
}
