/**
 * How series are told apart: by dashes, shapes and labels, and by colours whose lightness rises, so that grey print shows them too.
 *
 * @module
 */

/** How a line and its points look. */
export interface SeriesStyle {
  /** Its colour. */
  readonly color: string;
  /** Lengths of strokes and gaps; none for a solid line. */
  readonly dash: readonly number[];
  /** The shape of its points. */
  readonly shape: string;
  /** The width of its line. */
  readonly width: number;
}

/** As many series as one plot shows. */
export const MOST_SERIES = 9;

const COLORS = [
  ...["#111111", "#1f3f77", "#8a2f5b", "#1f7374"],
  ...["#b05f14", "#5f8a26", "#3d7fa8", "#a67c00", "#a878bd"],
];
const DASHES = [[], [7, 3], [2, 2], [9, 3, 2, 3], [4, 2], [1, 3], [12, 3], [6, 2, 1, 2, 1, 2], [
  3,
  5,
]];
const SHAPES = [
  ...["circle", "square", "triangle-up", "diamond"],
  ...["cross", "triangle-down", "triangle-right", "triangle-left", "wedge"],
];

/** The style of series number `n`; the first, of the baseline, stands out. */
export function styleOf(n: number): SeriesStyle {
  const i = n % MOST_SERIES;
  return { color: COLORS[i], dash: DASHES[i], shape: SHAPES[i], width: i === 0 ? 2.2 : 1.6 };
}

/** Shades from dark to light, for parts in an order. */
export function shades(n: number): string[] {
  const from = [18, 48, 91];
  const to = [222, 231, 241];
  return Array.from({ length: n }, (_, i) => {
    const at = n === 1 ? 0 : i / (n - 1);
    const rgb = from.map((x, c) => Math.round(x + (to[c] - x) * at));
    return `rgb(${rgb.join(",")})`;
  });
}

/** Whether white text stands out on a shade. */
export function isDark(shade: string): boolean {
  const [r, g, b] = (shade.match(/\d+/g) ?? []).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b < 140;
}

/** About how wide a text of 11 pixels is. */
export function textWidth(text: string): number {
  return Math.ceil(6.3 * text.length);
}

/** A domain that holds all values with a little room, and 0 if `zero`. */
export function domainOf(values: readonly number[], zero: boolean): [number, number] {
  const given = values.filter(Number.isFinite);
  if (given.length === 0) return [0, 1];
  const low = Math.min(...given, ...zero ? [0] : []);
  const high = Math.max(...given, ...zero ? [0] : []);
  const room = 0.04 * (high - low || Math.abs(high) || 1);
  return [zero && low === 0 ? 0 : low - room, zero && high === 0 ? 0 : high + room];
}
