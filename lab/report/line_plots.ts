/**
 * Lines and histograms as specifications of Vega-Lite. Series differ in dashes, shapes and labels,
 * and in colours of different lightness, so that a grey print shows them too.
 *
 * @module
 */
import type { Spec } from "./document.ts";
import { BINS, binStart, type Histogram } from "../compare/run_result.ts";
import { dashed, type Domain, domainOf, layer, quantity, UPRIGHT } from "./plots.ts";
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

/** Encodings by the label of a series. */
function looks(given: readonly Line[], ...channels: (keyof typeof LOOKS)[]): Spec {
  const domain = given.map(({ label }) => label);
  return Object.fromEntries(channels.map((channel) => {
    const scale = { domain, range: LOOKS[channel] };
    return [channel, { field: "label", type: "nominal", scale, legend: null }];
  }));
}

/** A point of a line. */
export type Point = { readonly x: number; readonly y: number };

/** A line, its points from left to right. */
export type Line = { readonly label: string; readonly points: readonly Point[] };

/** The titles of the axes of lines, and the range of y. */
export type LineAxes = {
  readonly x: string;
  readonly y: string;
  /** Default: that of the lines, with 0 if y is linear. */
  readonly domain?: Domain;
  /** Whether y is logarithmic. Default false. */
  readonly log?: boolean;
  /** The range of x, which is then logarithmic. Default linear, the range of the lines. */
  readonly logX?: Domain;
};

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
  const powers = [1, 3, 10, 30, 100, 300, 1000, 3000, 10000];
  return {
    x: axes.logX
      ? quantity("x", axes.x, axes.logX, { ...labels, values: powers }, "log")
      : quantity("x", axes.x, [low - room, high + room], labels),
    y: quantity("y", axes.y, rangeOf(lines, axes), UPRIGHT, axes.log ? "log" : "linear"),
  };
}

/** The points of lines, each with the label of its line. */
export function pointsOf(lines: readonly Line[]): (Point & { readonly label: string })[] {
  return lines.flatMap(({ label, points }) => points.map((point) => ({ label, ...point })));
}

/** Lines with their labels at the right; `back` stands behind them. */
export function lines(
  given: readonly Line[],
  axes: LineAxes,
  { back = [], marked = true }: { readonly back?: readonly Spec[]; readonly marked?: boolean } = {},
): Spec {
  const ends = labelled(given, axes);
  const [right, at] = [{ value: "width" }, { field: "at" }];
  const named = { x: right, y: at, text: { field: "label" }, ...looks(given, "color") };
  return {
    height: HEIGHT,
    data: { values: pointsOf(given) },
    encoding: lineEncoding(given, axes),
    layer: [
      ...back,
      layer({ type: "line" }, looks(given, "color", "strokeDash", "strokeWidth")),
      ...marked
        ? [layer({ type: "point", filled: true, size: 34 }, looks(given, "color", "shape"))]
        : [],
      layer(
        { type: "rule", color: INK.guide, xOffset: 5, x2Offset: 10 },
        { x2: right, y2: at },
        ends,
      ),
      layer({ type: "text", align: "left", xOffset: 12 }, named, ends),
    ],
  };
}

/** The last point of each line, and the y at which its label stands without an overlap. */
function labelled(given: readonly Line[], axes: LineAxes): Spec[] {
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

/** Ascending places of labels of a height, near the given ones, without an overlap. */
export function spread(given: readonly number[], height: number, most: number): number[] {
  const places = [...given];
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + height);
  const last = places.length - 1;
  if (last >= 0) places[last] = Math.min(places[last], Math.max(most, last * height));
  for (let i = last - 1; i >= 0; i--) places[i] = Math.min(places[i], places[i + 1] - height);
  return places;
}

/** A point to mark, hollow if it has a text beside it. */
export type Mark = Point & { readonly label?: string };

/** The lines of one variant's runs, dark, a dash each, with marked points, among pale others. */
export function highlights(
  own: readonly Line[],
  others: readonly Line[],
  marks: readonly Mark[],
  axes: LineAxes,
): Spec {
  const named = marks.filter(({ label }) => label !== undefined);
  const plain = marks.filter(({ label }) => label === undefined);
  const dot = { type: "point", filled: true, size: 60 };
  const pale = { type: "line", color: INK.guide, strokeWidth: 1 };
  const dark = { type: "line", color: INK.text, strokeWidth: 1.5 };
  return {
    height: 150,
    encoding: lineEncoding([...own, ...others], axes),
    layer: [
      layer(pale, { detail: { field: "label" } }, pointsOf(others)),
      layer(dark, looks(own, "strokeDash"), pointsOf(own)),
      layer({ ...dot, color: INK.text }, {}, plain),
      ...named.length === 0 ? [] : [
        layer({ ...dot, shape: "diamond", size: 90, fill: "white", stroke: INK.text }, {}, named),
        ...named.map((mark, i) =>
          layer({ type: "text", dy: 14 + 12 * i }, { text: { field: "label" } }, [mark])
        ),
      ],
    ],
  };
}

/** Histograms of margins before and after training. */
export type Ridge = {
  readonly label: string;
  readonly before: Histogram;
  readonly after: Histogram;
};

/** A row for each pair of histograms: pale areas before training, dark lines after it. */
export function ridges(given: readonly Ridge[], reach: number): Spec {
  const labels = given.map(({ label }, n) => ({ label, row: given.length - 1 - n }));
  const values = given.flatMap(({ label, before, after }, n) => {
    const { row } = labels[n];
    const shares = [before, after].map((bins) => bins.map((count) => count / (sum(bins) || 1)));
    const scale = 0.9 / (Math.max(...shares.flat()) || 1);
    return Array.from({ length: BINS + 1 }, (_, edge) => {
      const [b, a] = shares.map((heights) => row + scale * heights[Math.min(edge, BINS - 1)]);
      return { label, row, x: binStart(edge), before: b, after: a };
    }).filter(({ x }) => Math.abs(x) <= reach);
  });
  const thirds = [-3, -2, -1, 0, 1, 2, 3].map((n) => n * reach / 3);
  const ticks = { grid: false, tickCount: 7, values: thirds };
  const detail = { field: "label" };
  const area = { type: "area", color: "#c3ccd8", opacity: 1, interpolate: "step-after" };
  const line = { type: "line", color: INK.text, strokeWidth: 1.4, interpolate: "step-after" };
  const left = { type: "text", align: "left" };
  const violated = [{ x: 0, text: "violated →" }];
  return {
    height: 54 * given.length,
    data: { values },
    encoding: {
      x: quantity("x", "margin log β − log p (nats)", [-reach, reach], ticks),
      y: { ...quantity("row", "", [0, given.length]), axis: null },
    },
    layer: [
      layer(area, { y: { field: "before" }, y2: { field: "row" }, detail }),
      layer(line, { y: { field: "after" }, detail }),
      layer({ ...left, yOffset: -40 }, { x: { value: 2 }, text: detail }, labels),
      layer({ type: "rule", color: INK.guide }, { x: null }, labels),
      dashed(0),
      layer(
        { ...left, dx: 4, color: INK.quiet },
        { y: { value: -8 }, text: { field: "text" } },
        violated,
      ),
    ],
  };
}

/** How far from 0 plots must reach to show all but 1 in 200 of the margins. */
export function reachOf(histograms: readonly Histogram[]): number {
  const within = (reach: number): number => {
    const isWithin = (_: number, bin: number) => binStart(bin) >= -reach && binStart(bin) < reach;
    return sum(histograms.flatMap((bins) => bins.filter(isWithin)));
  };
  return [3, 6].find((reach) => within(reach) >= 0.995 * within(12)) ?? 12;
}
