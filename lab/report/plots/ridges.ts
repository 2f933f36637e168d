/**
 * Histograms before and after training, one below the other.
 *
 * @module
 */
import type { Histogram } from "../../compare/run_result.ts";
import type { Layer, Panel } from "../document.ts";
import { INK } from "./svg.ts";

/** Two histograms. */
export interface Ridge {
  /** What they are of. */
  readonly label: string;
  /** Before training. */
  readonly before: Histogram;
  /** After training. */
  readonly after: Histogram;
}

/** Where bins begin and how wide they are, nats. */
const FIRST = -12;
const BIN = 0.5;
const ROW = 54;

/** A row for each pair: before is filled and pale, after is a dark line. A dashed line stands where margins are 0. */
export function ridgePanel(ridges: readonly Ridge[], title: string, reach: number): Panel {
  const x = {
    field: "x",
    type: "quantitative",
    scale: { domain: [-reach, reach], nice: false },
    axis: {
      title: "margin log β − log p (nats)",
      values: [-3, -2, -1, 0, 1, 2, 3].map((third) => third * reach / 3),
      ...{ grid: false, titlePadding: 6 },
    },
  };
  const y = {
    field: "y",
    type: "quantitative",
    scale: { domain: [0, ridges.length], nice: false },
    axis: null,
  };
  const layers = ridges.flatMap(({ label, before, after }, n): Layer[] => {
    const base = ridges.length - 1 - n;
    const highest = Math.max(...shares(before), ...shares(after)) || 1;
    const outline = (histogram: Histogram): object[] =>
      shares(histogram).flatMap((height, i) =>
        [i, i + 1].map((edge) => ({
          x: FIRST + BIN * edge,
          y: base + 0.9 * height / highest,
          base,
        }))
      ).filter(({ x }) => Math.abs(x) <= reach);
    return [
      {
        data: { values: outline(before) },
        mark: { type: "area", color: "#c3ccd8", opacity: 1 },
        encoding: { x, y, y2: { field: "base" } },
      },
      {
        data: { values: outline(after) },
        mark: { type: "line", color: INK.text, strokeWidth: 1.4 },
        encoding: { x, y },
      },
      {
        data: { values: [{ y: base + 0.86, label }] },
        mark: { type: "text", align: "left", baseline: "top", x: 2 },
        encoding: { y, text: { field: "label" } },
      },
      {
        data: { values: [{ y: base }] },
        mark: { type: "rule", color: INK.guide },
        encoding: { y },
      },
    ];
  });
  return {
    ...{ title, width: 320, height: ROW * ridges.length },
    padding: { left: 14, right: 16, top: 22, bottom: 42 },
    layer: [
      ...layers,
      {
        data: { values: [{ x: 0 }] },
        mark: { type: "rule", color: INK.quiet, strokeDash: [3, 3] },
        encoding: { x },
      },
      {
        data: { values: [{ x: 0, label: "violated →" }] },
        mark: {
          ...{ type: "text", align: "left", baseline: "bottom", dx: 4, y: -4 },
          ...{ color: INK.quiet, fontSize: 10 },
        },
        encoding: { x, text: { field: "label" } },
      },
    ],
  };
}

/** How far from 0 plots must reach to show all but 1 in 200 of the margins. */
export function reachOf(histograms: readonly Histogram[]): number {
  const total = histograms.flat().reduce((sum, n) => sum + n, 0);
  return [3, 6, 12].find((reach) => {
    const bins = reach / BIN;
    const within = histograms.flatMap((h) => h.slice(h.length / 2 - bins, h.length / 2 + bins));
    return within.reduce((sum, n) => sum + n, 0) >= 0.995 * total;
  }) ?? -FIRST;
}

function shares(histogram: Histogram): number[] {
  const total = histogram.reduce((sum, n) => sum + n, 0);
  return histogram.map((n) => total === 0 ? 0 : n / total);
}
