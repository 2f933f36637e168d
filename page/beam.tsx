/**
 * The beam search of one user as a tree that grows from left to right.
 *
 * @module
 */
import { useSignal } from "@preact/signals";
import { linkHorizontal } from "d3-shape";
import type { JSX, RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import {
  type Column,
  type Ghost,
  type Layout,
  layOut,
  LINK,
  ROOT,
  ROW,
  type Row,
} from "./beam_layout.ts";
import { Term, useWidth } from "./controls.tsx";
import type { BeamView } from "./protocol.ts";
import { saveSvg } from "./save_svg.ts";
import { turn } from "./state.ts";
import { fit } from "./text_fit.ts";
import { counted, END, grouped, logged, ordinal } from "./words.ts";

const FONT = "12.5px system-ui, sans-serif";
const BOLD = `600 ${FONT}`;
/** How long a step is seen before the next one, in ms. */
const PACE = 1100;
const curve = linkHorizontal();

/** The figure of one search. */
export function Beam({ view, title }: { view: BeamView; title?: string | undefined }): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const layout = useMemo(() => layOut(view, width), [view, width]);
  const steps = layout.columns.length;
  /** How many columns are unfolded. */
  const shown = useSignal(Infinity);
  const isPlaying = useSignal(false);
  const focused = useSignal<string | undefined>(undefined);
  const last = Math.min(shown.value, steps);

  const show = (count: number): void => {
    shown.value = count >= steps ? Infinity : Math.max(1, count);
    scrollTo(frame.current, layout, Math.min(count, steps) - 1);
  };
  useEffect(() => {
    if (!isPlaying.value) return;
    if (last >= steps) {
      isPlaying.value = false;
      return;
    }
    const timer = setTimeout(() => show(last + 1), PACE);
    return () => clearTimeout(timer);
  }, [isPlaying.value, last]);
  const play = (): void => {
    isPlaying.value = !isPlaying.value;
    if (isPlaying.value && last >= steps) show(1);
  };
  useEffect(() => {
    shown.value = Infinity;
    focused.value = undefined;
    scrollTo(frame.current, layout, layout.lostAt ?? 0);
  }, [view.user.id, view.model, view.search.forced.join()]);

  const tree = useRef<SVGSVGElement>(null);
  const holdsFocus = useRef(false);
  useLayoutEffect(() => {
    // The entry that had the focus may be gone: the focus stays in the figure.
    if (holdsFocus.current && document.activeElement === document.body) {
      tree.current?.querySelector<SVGGElement>(".entry[tabindex='0']")?.focus();
    }
  });

  const save = (): void =>
    saveSvg(
      tree.current!,
      `beam-${view.model}-user-${view.user.id}.svg`,
      `User ${view.user.id}, model ${view.model}, B = ${view.search.beam}`,
    );
  const row = layout.rows.find((r) => r.key === focused.value) ?? tellingRow(layout);
  return (
    <figure class="beam" aria-label={`Beam search${title ? `, ${title}` : ""}`}>
      <div class="row beam-bar">
        {title !== undefined && <strong>{title}</strong>}
        <div class="row steps" role="group" aria-label="Unfold step by step">
          <button type="button" onClick={play}>{isPlaying.value ? "Pause" : "Play"}</button>
          <button
            type="button"
            aria-disabled={last <= 1}
            onClick={() => show(last - 1)}
            aria-label="One step back"
          >
            ←
          </button>
          <button
            type="button"
            aria-disabled={last >= steps}
            onClick={() => show(last + 1)}
            aria-label="One step on"
          >
            →
          </button>
          <span class="quiet" aria-live="polite">
            {last >= steps ? "all steps" : layout.columns[last - 1]?.title}
          </span>
        </div>
        <Legend />
      </div>
      <div
        class="scroll"
        ref={frame}
        onFocusIn={() => holdsFocus.current = true}
        onFocusOut={(e) => holdsFocus.current = e.relatedTarget === null && holdsFocus.current}
        onPointerLeave={() => holdsFocus.current || (focused.value = undefined)}
      >
        <Tree
          layout={layout}
          shown={last}
          focused={row?.key}
          onFocus={(key) => focused.value = key}
          onStep={show}
          svg={tree}
        />
      </div>
      <Card row={row} layout={layout} onSave={save} />
      <BeamTable view={view} />
    </figure>
  );
}

/** The entry that is told of while none is pointed at: the target where it was dropped, or last. */
function tellingRow(layout: Layout): Row | undefined {
  const own = layout.rows.filter((r) => r.entry.onTarget);
  return own.find((r) => !r.entry.kept) ?? own[own.length - 1] ?? layout.rows[0];
}

function Legend(): JSX.Element {
  return (
    <ul class="row legend" aria-label="Legend">
      <li class="is-target">the item bought next</li>
      <li>kept</li>
      <li class="is-whole">a whole item</li>
      <li class="is-dropped">
        dropped below <Term name="theta">θ</Term>
      </li>
    </ul>
  );
}

interface TreeProps {
  readonly layout: Layout;
  readonly shown: number;
  readonly focused: string | undefined;
  readonly onFocus: (key: string) => void;
  readonly onStep: (column: number) => void;
  readonly svg: RefObject<SVGSVGElement | null>;
}

function Tree({ layout, shown, focused, onFocus, onStep, svg }: TreeProps): JSX.Element {
  const { columns, rows, gaps, ghosts, links, columnWidth } = layout;
  const seen = (column: number): string => column < shown ? "" : " unseen";
  // The target's links are drawn last, above the others.
  const order = { dropped: 0, kept: 1, ghost: 2, target: 3 };
  const ordered = links.toSorted((a, b) => order[a.kind] - order[b.kind]);
  return (
    <svg
      class="tree"
      ref={svg}
      width={layout.width}
      height={layout.height}
      role="group"
      aria-label="The search as a tree. Arrow keys move between entries, Enter keeps only the items that begin with one."
      onKeyDown={(e) => moveFocus(e, layout, onStep)}
    >
      <circle class="root" cx={ROOT[0]} cy={ROOT[1]} r={4} />
      {columns.map((c, i) => (
        <Head
          key={c.title}
          column={c}
          width={columnWidth}
          unseen={seen(i)}
        />
      ))}
      {ordered.map(({ key, kind, column, from, to }) => (
        <path
          key={key}
          class={`link ${kind}${seen(column)}`}
          d={curve({ source: [...from], target: [...to] }) ?? ""}
        />
      ))}
      {gaps.map((gap) => (
        <text key={gap.key} class={`gap${seen(gap.column)}`} x={gap.x + LINK + 7} y={gap.y + 13}>
          {gap.text}
        </text>
      ))}
      {rows.map((row) => (
        <EntryRow
          key={row.key}
          row={row}
          width={columnWidth - LINK - 4}
          scale={columns[row.column].step.entries[0].score}
          unseen={seen(row.column)}
          isFocused={row.key === focused}
          onFocus={onFocus}
        />
      ))}
      {ghosts.map((ghost) => (
        <GhostRow
          key={ghost.key}
          ghost={ghost}
          width={columnWidth - LINK - 4}
          unseen={seen(ghost.column)}
        />
      ))}
    </svg>
  );
}

function Head(
  { column, width, unseen }: { column: Column; width: number; unseen: string },
): JSX.Element {
  const { x, title, note, theta } = column;
  return (
    <g class={`head${unseen}`} style={at(x, 0)}>
      <text class="title" x={LINK + 7} y={14}>
        {title} <tspan class="note" dx={4}>{note}</tspan>
      </text>
      <text class="note" x={width - 62} y={31} text-anchor="end">items</text>
      <text class="note" x={width - 9} y={31} text-anchor="end">log π</text>
      {theta !== undefined && (
        <g class="theta" style={at(0, theta.y)}>
          <line x1={LINK} x2={width - 70} y1={0} y2={0} />
          <text x={width - 9} y={4} text-anchor="end">{theta.text}</text>
        </g>
      )}
    </g>
  );
}

interface EntryProps {
  readonly row: Row;
  readonly width: number;
  /** log pi of the best of its column, whose bar is full. */
  readonly scale: number;
  readonly unseen: string;
  readonly isFocused: boolean;
  readonly onFocus: (key: string) => void;
}

function EntryRow({ row, width, scale, unseen, isFocused, onFocus }: EntryProps): JSX.Element {
  const { entry, isWhole } = row;
  const kind = `${entry.onTarget ? " target" : ""}${entry.kept ? " kept" : " dropped"}`;
  const hasEnded = isWhole && entry.text === "";
  const items = isWhole ? END : grouped(entry.items);
  const space = width - 72 - 7 * items.length;
  return (
    <g
      class={`entry${kind}${hasEnded ? " ended" : ""}${unseen}`}
      style={at(row.x + LINK, row.y)}
      data-key={row.key}
      role="button"
      tabindex={isFocused && unseen === "" ? 0 : -1}
      aria-label={spoken(row)}
      onFocus={() => onFocus(row.key)}
      onPointerEnter={() => onFocus(row.key)}
      onClick={(e: Event) => isTap(e) || keepOnly(row)}
    >
      <rect class="hit" y={1} width={width} height={ROW - 2} rx={2} />
      <rect
        class="bar"
        y={1}
        width={Math.max(2, width * Math.exp(entry.score - scale))}
        height={ROW - 2}
        rx={2}
      />
      <text class="token" x={7} y={14}>{fit(row.text, space, entry.onTarget ? BOLD : FONT)}</text>
      <text class="note" x={width - 58} y={14} text-anchor="end">
        {items}
      </text>
      <text class="score" x={width - 5} y={14} text-anchor="end">{logged(entry.score)}</text>
    </g>
  );
}

function GhostRow(
  { ghost, width, unseen }: { ghost: Ghost; width: number; unseen: string },
): JSX.Element {
  return (
    <g class={`entry ghost${unseen}`} style={at(ghost.x + LINK, ghost.y)}>
      <rect class="hit" y={1} width={width} height={ROW - 2} rx={2} />
      <text class="token" x={7} y={14}>
        {fit(ghost.text, width - 18 - 6 * ghost.note.length, BOLD)}
      </text>
      <text class="score" x={width - 5} y={14} text-anchor="end">{ghost.note}</text>
    </g>
  );
}

interface CardProps {
  readonly row: Row | undefined;
  readonly layout: Layout;
  readonly onSave: () => void;
}

/** All numbers of an entry, at a place that does not move. */
function Card({ row, layout, onSave }: CardProps): JSX.Element {
  if (row === undefined) return <p class="card quiet">No item is left to search.</p>;
  const { entry } = row;
  const { step } = layout.columns[row.column];
  const more = entry.items - entry.names.length;
  const below = `${entry.names.join(", ")}${more > 0 ? ` and ${grouped(more)} more` : ""}`;
  const facts = [
    ["pool", "in the pool", `${row.rank + 1} of ${step.poolSize}`],
    ["siblings", "siblings", `${entry.place + 1} of ${entry.siblings}`],
    ["log p", "log p", logged(entry.logProb)],
    ["log π", "log π", logged(entry.score)],
    ["theta", "θ", step.theta === undefined ? "none" : logged(step.theta)],
    ["items", "items", grouped(entry.items)],
  ] as const;
  return (
    <div class="card">
      <p class="card-name">
        <strong class={`clip${entry.onTarget ? " is-target" : ""}`} title={row.text}>
          {row.text}
        </strong>
        {entry.kept ? <span>is kept</span> : <span class="is-dropped">is dropped</span>}
        {!row.isWhole && <span class="quiet clip" title={below}>{below}</span>}
      </p>
      <dl class="row">
        {facts.map(([name, label, value]) => (
          <div key={name}>
            <dt class="quiet">
              <Term name={name}>{label}</Term>
            </dt>
            <dd class="number">{value}</dd>
          </div>
        ))}
      </dl>
      <div class="row">
        <button type="button" class="plain" onClick={() => keepOnly(row)}>
          Keep only this beginning
        </button>
        <button type="button" class="plain" onClick={onSave}>Save as SVG</button>
      </div>
    </div>
  );
}

/** The figure for those who do not see it. */
function BeamTable({ view }: { view: BeamView }): JSX.Element {
  return (
    <div class="visually-hidden">
      <table>
        <caption>The pool of each step, best first</caption>
        <thead>
          <tr>
            {["Step", "Rank", "Token", "log p", "log π", "Items", "Kept"].map((name) => (
              <th key={name} scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {view.steps.flatMap(({ step, entries, ranks, poolSize }) =>
            entries.map((e, i) => (
              <tr key={`${step}:${e.node}`}>
                <td>{step}</td>
                <td>{ranks[i] + 1} of {poolSize}</td>
                <td>{e.text || e.names[0]}{e.onTarget ? " (target)" : ""}</td>
                <td>{logged(e.logProb)}</td>
                <td>{logged(e.score)}</td>
                <td>{e.items}</td>
                <td>{e.kept ? "kept" : "dropped"}</td>
              </tr>
            ))
          )}
        </tbody>
      </table>
    </div>
  );
}

/** Only items that begin with the entry are searched then. */
function keepOnly(row: Row): void {
  turn({ forced: row.path });
}

/** A tap shows the numbers of an entry, as hovering does; a button beside them keeps it. */
function isTap(event: Event): boolean {
  return event instanceof PointerEvent && event.pointerType === "touch";
}

function spoken({ entry, text, rank }: Row): string {
  const state = entry.kept ? "kept" : "dropped";
  const own = entry.onTarget ? ", on the way to the target" : "";
  return `${text}, ${ordinal(rank + 1)}, ${state}, log pi ${logged(entry.score)}, ` +
    `${counted(entry.items, "item")}${own}`;
}

/** Arrow keys go to the neighbours of an entry, Enter and space are a click. */
function moveFocus(event: KeyboardEvent, layout: Layout, onStep: (column: number) => void): void {
  const element = (event.target as Element).closest<SVGGElement>(".entry");
  const row = layout.rows.find((r) => r.key === element?.dataset.key);
  if (row === undefined || element === null) return;
  if (event.key === "Enter" || event.key === " ") keepOnly(row);
  else if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const found = neighbour(layout, row, event.key);
  if (found === undefined) return;
  if (event.key === "ArrowRight") onStep(found.column + 1);
  const target = element.ownerSVGElement!.querySelector<SVGGElement>(`[data-key="${found.key}"]`);
  requestAnimationFrame(() => target?.focus());
}

/** The entry above or below, the parent, or a child; without a child, the one beside it. */
function neighbour({ rows }: Layout, row: Row, key: string): Row | undefined {
  const column = rows.filter((r) => r.column === row.column);
  if (key === "ArrowUp") return column[column.indexOf(row) - 1];
  if (key === "ArrowDown") return column[column.indexOf(row) + 1];
  if (key === "ArrowLeft") return row.parent;
  if (key === "ArrowRight") {
    return rows.find((r) => r.parent === row) ??
      rows.filter((r) => r.column === row.column + 1)
        .toSorted((a, b) => Math.abs(a.y - row.y) - Math.abs(b.y - row.y))[0];
  }
}

/** Brings a column into view, where the figure is wider than the page. */
function scrollTo(frame: HTMLElement | null, { columnWidth }: Layout, column: number): void {
  if (frame === null) return;
  const [from, to] = [column * columnWidth, (column + 1) * columnWidth];
  const { scrollLeft, clientWidth } = frame;
  if (from >= scrollLeft && to <= scrollLeft + clientWidth) return;
  frame.scrollTo({ left: from < scrollLeft ? from : to - clientWidth });
}

function at(x: number, y: number): { readonly transform: string } {
  return { transform: `translate(${x}px, ${y}px)` };
}
