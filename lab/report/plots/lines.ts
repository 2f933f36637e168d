/**
 * Lines with their labels at the right end, and one variant's lines among those of the others.
 *
 * @module
 */
import type { Layer, Panel } from "../document.ts";
import { domainOf, styleOf, textWidth } from "./style.ts";
import { INK, SHARE_LABELS } from "./svg.ts";

/** A point of a line; undefined where there is none. */
export interface Point {
  /** Where. */
  readonly x: number;
  /** How much. */
  readonly y: number;
}

/** A line. */
export interface Line {
  /** What it is of. */
  readonly label: string;
  /** Its points, from left to right. */
  readonly points: readonly Point[];
}

/** What both kinds of panels are told. */
export interface LineOptions {
  /** What tells it from its neighbours. */
  readonly title: string;
  /** The title of the x axis, with the unit. */
  readonly xUnit: string;
  /** The title of the y axis, with the unit. */
  readonly yUnit: string;
  /** The domain of y. */
  readonly domain: readonly [number, number];
  /** Whether y is logarithmic. */
  readonly log?: boolean;
  /** Whether x counts, so that only whole numbers are labelled. */
  readonly whole?: boolean;
  /** The format of the y axis's labels, of d3-format. */
  readonly format?: string;
  /** What stands behind the lines. */
  readonly back?: readonly Layer[];
  /** Whether points are marked. */
  readonly marked?: boolean;
  /** Room at either end of x, as a share of its span. */
  readonly room?: number;
}

const TOTAL = 350;
const HEIGHT = 190;
const LEFT = 46;

/** Scales and axes of a panel. */
function encodings(
  points: readonly Point[],
  { xUnit, yUnit, domain, whole = false, log = false, format = "~f", room = 0.03 }: LineOptions,
): { readonly x: object; readonly y: object; readonly span: readonly [number, number] } {
  const xs = points.map(({ x }) => x);
  const [low, high] = xs.length === 0 ? [0, 1] : [Math.min(...xs), Math.max(...xs)];
  const margin = (high - low || 1) * room;
  const span = [low - margin, high + margin] as const;
  const values = whole && high - low <= 8
    ? Array.from({ length: high - low + 1 }, (_, i) => low + i)
    : undefined;
  return {
    span,
    x: {
      field: "x",
      type: "quantitative",
      scale: { domain: span, nice: false, zero: false },
      axis: { title: xUnit, grid: false, tickCount: 6, values, titlePadding: 6, format: "~f" },
    },
    y: {
      field: "y",
      type: "quantitative",
      scale: { domain, nice: false, zero: false, type: log ? "log" : "linear" },
      axis: {
        ...{ title: yUnit, titleAngle: 0, titleAlign: "left", titleBaseline: "bottom" },
        ...{ titleX: -LEFT + 4, titleY: -8, tickCount: 4, domain: false, ticks: false, format },
        labelExpr: SHARE_LABELS,
      },
    },
  };
}

/** Lines that are told apart by dash, shape and a label at the right. */
export function linePanel(lines: readonly Line[], options: LineOptions): Panel {
  const { domain, back = [], marked = true, log = false } = options;
  const right = Math.max(...lines.map(({ label }) => textWidth(label))) + 16;
  const width = TOTAL - LEFT - right;
  const all = lines.flatMap(({ points }) => points);
  const { x, y, span } = encodings(all, options);
  const layers = lines.flatMap(({ points }, n): Layer[] => {
    const { color, dash, shape, width } = styleOf(n);
    const data = { values: points };
    return [
      {
        data,
        mark: { type: "line", color, strokeWidth: width, strokeDash: dash },
        encoding: { x, y },
      },
      ...marked
        ? [{
          data,
          mark: { type: "point", shape, color, filled: true, size: 34 },
          encoding: { x, y },
        }]
        : [],
    ];
  });
  return {
    ...{ title: options.title, width, height: HEIGHT },
    padding: { left: LEFT, right, top: 26, bottom: 40 },
    layer: [...back, ...layers, ...labels(lines, { width, span, domain, log, y })],
  };
}

/** The labels, moved apart where they would overlap, each with a short line to the end that it belongs to. */
function labels(
  lines: readonly Line[],
  { width, span, domain, log, y }: {
    readonly width: number;
    readonly span: readonly [number, number];
    readonly domain: readonly [number, number];
    readonly log: boolean;
    readonly y: object;
  },
): Layer[] {
  const scaled = (value: number): number => log ? Math.log(value) : value;
  const [low, high] = domain.map(scaled);
  const pixel = (value: number): number => HEIGHT * (high - scaled(value)) / (high - low);
  const ends = lines.flatMap(({ label, points }, n) => {
    const last = points[points.length - 1];
    return last === undefined ? [] : [{ label, n, at: pixel(last.y), x: last.x }];
  }).sort((a, b) => a.at - b.at || a.n - b.n);
  const places = spread(ends.map(({ at }) => at), 13, HEIGHT);
  const value = (at: number): number => {
    const y = high - (at / HEIGHT) * (high - low);
    return log ? Math.exp(y) : y;
  };
  return ends.flatMap(({ label, n, at, x }, i): Layer[] => {
    const { color } = styleOf(n);
    const end = width * (x - span[0]) / (span[1] - span[0]);
    return [
      {
        data: { values: [{ y: value(at), y2: value(places[i]) }] },
        mark: { type: "rule", color: INK.guide },
        encoding: { x: { value: end + 5 }, x2: { value: width + 10 }, y, y2: { field: "y2" } },
      },
      {
        data: { values: [{ y: value(places[i]), label }] },
        mark: { type: "text", align: "left", x: width + 12, baseline: "middle", color },
        encoding: { y, text: { field: "label" } },
      },
    ];
  });
}

/** Ascending places at least `gap` apart and within [0, most], as near to the given ones as a sweep from either side gets them. */
export function spread(given: readonly number[], gap: number, most: number): number[] {
  const places = [...given];
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i], places[i - 1] + gap);
  const last = places.length - 1;
  if (last >= 0) places[last] = Math.min(places[last], Math.max(most, gap * last));
  for (let i = last - 1; i >= 0; i--) places[i] = Math.min(places[i], places[i + 1] - gap);
  return places;
}

/** What {@link highlightPanel} marks on a line. */
export interface Marked extends Line {
  /** The points that are marked. */
  readonly marks: readonly Point[];
}

/** One variant's lines, dark, a dash a seed, among those of all variants, pale. */
export function highlightPanel(
  own: readonly Marked[],
  others: readonly Line[],
  options: LineOptions,
): Panel {
  const all = [...own, ...others].flatMap(({ points }) => points);
  const { x, y } = encodings(all, options);
  const line = (points: readonly Point[], mark: object): Layer => ({
    data: { values: points },
    mark: { type: "line", ...mark },
    encoding: { x, y },
  });
  return {
    ...{ title: options.title, width: TOTAL - LEFT - 20, height: 150 },
    padding: { left: LEFT, right: 20, top: 26, bottom: 40 },
    layer: [
      ...others.map(({ points }) => line(points, { color: INK.guide, strokeWidth: 1 })),
      ...own.map(({ points }, n) =>
        line(points, { color: INK.text, strokeWidth: 1.5, strokeDash: styleOf(n).dash })
      ),
      {
        data: { values: own.flatMap(({ marks }) => marks) },
        mark: { type: "point", filled: true, color: INK.text, size: 60, shape: "circle" },
        encoding: { x, y },
      },
    ],
  };
}

/** The domain that lines have in common. */
export function linesDomain(lines: readonly Line[], zero: boolean): [number, number] {
  return domainOf(lines.flatMap(({ points }) => points.map(({ y }) => y)), zero);
}

/** The same for a logarithmic scale. */
export function logDomain(lines: readonly Line[]): [number, number] {
  const given = lines.flatMap(({ points }) => points.map(({ y }) => y));
  return given.length === 0 ? [0.1, 1] : [0.9 * Math.min(...given), 1.1 * Math.max(...given)];
}
