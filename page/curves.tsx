/**
 * Lines over an axis, each named at its end.
 *
 * @module
 */
import { type ScaleLinear, scaleLinear } from "d3-scale";
import { line } from "d3-shape";
import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { useWidth } from "./controls.tsx";

/** A line of a chart. */
export interface Series {
  readonly key: string;
  /** What is written at its end; may be empty. */
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [number, number])[];
  readonly dashed?: boolean;
}

/** What a chart shows. */
export interface CurvesProps {
  readonly title: string;
  /** The title with terms in it. */
  readonly caption?: ComponentChildren;
  readonly xLabel: string;
  readonly series: readonly Series[];
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  readonly height?: number;
  /** What is said while there is no line. */
  readonly empty?: string;
  /** How a value of the x axis is written. */
  readonly tick?: (x: number) => string;
  /** Drawn behind the lines. */
  readonly behind?: (x: Scale, y: Scale) => ComponentChildren;
}

type Scale = ScaleLinear<number, number>;

const MARGIN = { left: 38, right: 92, top: 10, bottom: 34 };

/** A chart of a fixed height and the width of its place. */
export function Curves(props: CurvesProps): JSX.Element {
  const { title, xLabel, series, height = 230, empty, tick, behind } = props;
  const frame = useRef<HTMLDivElement>(null);
  const width = Math.max(220, useWidth(frame));
  const x = scaleLinear(props.x, [MARGIN.left, width - MARGIN.right]);
  const y = scaleLinear(props.y, [height - MARGIN.bottom, MARGIN.top]).nice(4);
  const drawn = series.filter(({ points }) => points.length > 0);
  const named = drawn.filter(({ name }) => name !== "");
  const path = line<readonly [number, number]>(([a]) => x(a), ([, b]) => y(b)).defined(([, b]) =>
    Number.isFinite(b)
  );
  return (
    <figure class="curves">
      <figcaption>{props.caption ?? title}</figcaption>
      <div ref={frame} style={{ height: `${height}px` }}>
        <svg width={width} height={height} role="img" aria-label={spoken(title, named)}>
          {behind?.(x, y)}
          {y.ticks(4).map((value) => (
            <g key={value} class="tick" transform={`translate(0 ${y(value)})`}>
              <line x1={MARGIN.left} x2={width - MARGIN.right} />
              <text x={MARGIN.left - 7} y={4} text-anchor="end">{y.tickFormat(4)(value)}</text>
            </g>
          ))}
          {x.ticks(width < 420 ? 4 : 7).map((value) => (
            <text
              key={value}
              class="tick"
              x={x(value)}
              y={height - MARGIN.bottom + 15}
              text-anchor="middle"
            >
              {tick?.(value) ?? x.tickFormat(6)(value)}
            </text>
          ))}
          <text
            class="axis"
            x={(MARGIN.left + width - MARGIN.right) / 2}
            y={height - 4}
            text-anchor="middle"
          >
            {xLabel}
          </text>
          {drawn.map(({ key, colour, points, dashed }) => (
            <g key={key} style={{ "--series": colour }}>
              <path class={`curve${dashed ? " dashed" : ""}`} d={path(points) ?? ""} />
              {points.length < 2 && (
                <circle class="dot" cx={x(points[0][0])} cy={y(points[0][1])} r={3} />
              )}
            </g>
          ))}
          {labels(named, (s) => y(s.points[s.points.length - 1][1]), height).map(([s, at]) => (
            <text
              key={s.key}
              class="name"
              style={{ "--series": s.colour }}
              x={x(s.points[s.points.length - 1][0]) + 7}
              y={at + 4}
            >
              {s.name}
            </text>
          ))}
          {drawn.length === 0 && empty && (
            <text class="axis" x={MARGIN.left + 14} y={MARGIN.top + 22}>{empty}</text>
          )}
        </svg>
      </div>
    </figure>
  );
}

/** Names beside the ends of their lines, moved apart where they would overlap. */
function labels(
  series: readonly Series[],
  end: (s: Series) => number,
  height: number,
): (readonly [Series, number])[] {
  const gap = 15;
  const placed: [Series, number][] = [];
  for (const s of series.toSorted((a, b) => end(a) - end(b))) {
    const above = placed.length === 0 ? MARGIN.top : placed[placed.length - 1][1] + gap;
    placed.push([s, Math.max(end(s), above)]);
  }
  const over = placed.length === 0
    ? 0
    : placed[placed.length - 1][1] - (height - MARGIN.bottom + 4);
  return over <= 0
    ? placed
    : placed.map(([s, at], i) => [s, Math.max(MARGIN.top + i * gap, at - over)]);
}

function spoken(title: string, series: readonly Series[]): string {
  const ends = series.map(({ name, points }) =>
    `${name} ${points[points.length - 1][1].toPrecision(3)}`
  );
  return ends.length === 0 ? title : `${title}. Last values: ${ends.join(", ")}`;
}
