/**
 * Lines and histograms as specifications of Vega-Lite. Series differ in dashes, shapes and labels,
 * and in colours of different lightness, so that a grey print shows them too.
 *
 * @module
 */
import type { Histogram } from "../compare/run_result.ts";
import { dashed, type Domain, domainOf, quantity, type Spec, UPRIGHT } from "./plots.ts";
import { sum } from "./statistics.ts";
import { INK } from "./svg.ts";

/** The looks of series, the baseline first. */
const LOOKS = {
  color: "#111111 #1f3f77 #8a2f5b #1f7374 #b05f14 #5f8a26 #3d7fa8 #a67c00 #a878bd".split(" "),
  strokeDash: ["1,0", "7,3", "2,2", "9,3,2,3", "4,2", "1,3", "12,3", "6,2,1,2,1,2", "3,5"]
    .map((dash) => dash.split(",").map(Number)),
  strokeWidth: [2.2, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6],
  shape: "circle square triangle-up diamond cross triangle-down triangle-right triangle-left wedge"
    .split(" "),
};

/** An encoding by the label of a series. */
function look(channel: keyof typeof LOOKS, labels: readonly string[]): Spec {
  const scale = { domain: labels, range: LOOKS[channel] };
  return { [channel]: { field: "label", type: "nominal", scale, legend: null } };
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
  /** Its label. */
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
  /** The range of y. Default: that of the lines, with 0 if y is linear. */
  readonly domain?: Domain;
  /** Whether y is logarithmic. Default false. */
  readonly log?: boolean;
}

/** The height of plots of lines, pixels. */
const HEIGHT = 190;

function rangeOf(lines: readonly Line[], { domain, log = false }: LineAxes): Domain {
  const values = pointsOf(lines).map(({ y }) => y);
  if (domain !== undefined || !log) return domain ?? domainOf(values, true);
  return values.length === 0 ? [0.1, 1] : [0.9 * Math.min(...values), 1.1 * Math.max(...values)];
}

/** The encoding of lines. Where x counts a few things, only integers are labelled. */
function lineEncoding(lines: readonly Line[], axes: LineAxes): Spec {
  const xs = pointsOf(lines).map(({ x }) => x);
  const [low, high] = xs.length === 0 ? [0, 1] : [Math.min(...xs), Math.max(...xs)];
  const isCount = high - low <= 8 && xs.every(Number.isInteger);
  const room = isCount ? 0.4 : 0.03 * (high - low || 1);
  const values = isCount ? Array.from({ length: high - low + 1 }, (_, i) => low + i) : undefined;
  const labels = { grid: false, tickCount: 6, values };
  return {
    x: quantity("x", axes.x, [low - room, high + room], labels),
    y: quantity("y", axes.y, rangeOf(lines, axes), UPRIGHT, axes.log ? "log" : "linear"),
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
      ...marked
        ? [{
          mark: { type: "point", filled: true, size: 34 },
          encoding: { ...color, ...look("shape", labels) },
        }]
        : [],
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
  axes: LineAxes,
): (Point & { readonly label: string; readonly at: number })[] {
  const scaled = axes.log ? Math.log : (y: number): number => y;
  const [low, high] = rangeOf(given, axes).map(scaled);
  const perPixel = (high - low) / HEIGHT;
  const ends = pointsOf(given.map(({ label, points }) => ({ label, points: points.slice(-1) })))
    .sort((a, b) => b.y - a.y);
  const places = spread(ends.map(({ y }) => (high - scaled(y)) / perPixel), 13, HEIGHT);
  return ends.map((end, i) => {
    const y = high - places[i] * perPixel;
    return { ...end, at: axes.log ? Math.exp(y) : y };
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
  /** Their label. */
  readonly label: string;
  /** Before training. */
  readonly before: Histogram;
  /** After training. */
  readonly after: Histogram;
}

/** Where the bins of margins begin, their width, nats, and their number. */
const [FIRST, BIN, BINS] = [-12, 0.5, 48];

/** A row for each pair of histograms: pale areas before training, dark lines after it. */
export function ridges(given: readonly Ridge[], reach: number): Spec {
  const labels = given.map(({ label }, n) => ({ label, row: given.length - 1 - n }));
  const values = given.flatMap(({ label, before, after }, n) => {
    const { row } = labels[n];
    const shares = [before, after].map((bins) => bins.map((count) => count / (sum(bins) || 1)));
    const scale = 0.9 / (Math.max(...shares.flat()) || 1);
    return Array.from({ length: BINS + 1 }, (_, edge) => {
      const [b, a] = shares.map((heights) => row + scale * heights[Math.min(edge, BINS - 1)]);
      return { label, row, x: FIRST + BIN * edge, before: b, after: a };
    }).filter(({ x }) => Math.abs(x) <= reach);
  });
  const thirds = [-3, -2, -1, 0, 1, 2, 3].map((n) => n * reach / 3);
  const ticks = { grid: false, tickCount: 7, values: thirds };
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
      dashed(0),
      {
        data: { values: [{ x: 0, text: "violated →" }] },
        mark: { type: "text", align: "left", dx: 4, color: INK.quiet },
        encoding: { y: { value: -8 }, text: { field: "text" } },
      },
    ],
  };
}

/** How far from 0 plots must reach to show all but 1 in 200 of the margins. */
export function reachOf(histograms: readonly Histogram[]): number {
  const within = (reach: number): number => {
    const [from, to] = [BINS / 2 - reach / BIN, BINS / 2 + reach / BIN];
    return sum(histograms.flatMap((bins) => bins.slice(from, to)));
  };
  return [3, 6].find((reach) => within(reach) >= 0.995 * within(12)) ?? 12;
}
