/**
 * Where the entries of a search stand in the figure. Columns are steps from left to right; a column
 * is its pool, best first, with theta where the kept ones end.
 *
 * @module
 */
import type { BeamView, Entry, StepView } from "./protocol.ts";
import { END, joined, logged, signed } from "./words.ts";

/** The height of a row. */
export const ROW = 20;
/** What is above the first row. */
export const HEAD = 40;
/** Between the columns, where the links are. */
export const LINK = 44;
/** Where all links begin. */
export const ROOT: readonly [number, number] = [5, HEAD + 4.5 * ROW];
/** The space that theta takes between the rows. */
const THETA = 20;
/** A column is not narrower, and the figure scrolls instead. */
const NARROWEST = 216;
const WIDEST = 330;
/** What the target's way after it was dropped takes at the bottom. */
const LANE = ROW + 12;
/** How many dropped entries are shown beside those around the target. */
const DROPPED = 4;

/** An entry at its place. */
export interface Row {
  /** Unique in the figure, and the same for the same prefix whatever B is. */
  readonly key: string;
  readonly x: number;
  readonly y: number;
  /** Its tokens in this column, or the whole item where it ends or has ended. */
  readonly text: string;
  readonly isWhole: boolean;
  readonly entry: Entry;
  /** Its place in the pool, from 0. */
  readonly rank: number;
  readonly column: number;
  /** The tokens from the root to it, to force them. */
  readonly path: readonly number[];
}

/** Entries that are not shown. */
export interface Gap {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly column: number;
}

/** The target's token after it was dropped. */
export interface Ghost {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly note: string;
  readonly column: number;
}

/** A line from an entry to its parent. */
export interface Link {
  readonly key: string;
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly kind: "kept" | "dropped" | "target" | "ghost";
  readonly column: number;
}

/** A step, or steps without a choice as one. */
export interface Column {
  readonly x: number;
  readonly title: string;
  readonly note: string;
  /** The step that its entries are of. */
  readonly step: StepView;
  readonly theta?: { readonly y: number; readonly text: string };
}

/** The figure. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly columnWidth: number;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly gaps: readonly Gap[];
  readonly ghosts: readonly Ghost[];
  readonly links: readonly Link[];
  /** The column that lost the target; absent if it was not lost. */
  readonly lostAt?: number;
}

/** Lays a view out in a width. */
export function layOut(view: BeamView, width: number): Layout {
  const groups = foldSteps(view.steps);
  const columnWidth = Math.min(
    WIDEST,
    Math.max(NARROWEST, Math.floor(width / Math.max(1, groups.length))),
  );
  const columns: Column[] = [];
  const rows: Row[] = [];
  const gaps: Gap[] = [];
  const links: Link[] = [];
  let before: ReadonlyMap<number, Row> = new Map();
  let height = 0;

  for (const [column, steps] of groups.entries()) {
    const x = column * columnWidth;
    const made = placeColumn(steps, column, x, before);
    columns.push(made.column);
    rows.push(...made.rows);
    gaps.push(...made.gaps);
    for (const row of made.rows) {
      const parent = before.get(made.parentOf(row));
      links.push(linkTo(row, parent, columnWidth));
    }
    before = new Map(made.rows.filter((r) => r.entry.kept).map((r) => [r.entry.node, r]));
    height = Math.max(height, made.bottom);
  }

  const lostAt = columnOf(groups, view.explanation.lost?.step);
  const ghosts = lostAt === undefined ? [] : placeGhosts(view, groups, lostAt, columns, height);
  if (lostAt !== undefined) {
    const dropped = rows.find((r) => r.column === lostAt && r.entry.onTarget);
    links.push(...ghostLinks(dropped, ghosts, columnWidth));
  }
  return {
    width: Math.max(columnWidth * groups.length, 1),
    height: height + LANE,
    columnWidth,
    columns,
    rows,
    gaps,
    ghosts,
    links,
    ...(lostAt !== undefined && { lostAt }),
  };
}

/** The column of a step; undefined without a step. */
function columnOf(
  groups: readonly (readonly StepView[])[],
  step: number | undefined,
): number | undefined {
  const column = groups.findIndex((group) => group.some((s) => s.step === step));
  return column < 0 ? undefined : column;
}

/** Consecutive steps in which each kept prefix has one child and nothing is dropped are one. */
export function foldSteps(steps: readonly StepView[]): StepView[][] {
  const groups: StepView[][] = [];
  let kept = 1;
  let wasForced = false;
  for (const step of steps) {
    const isForced = step.poolSize === kept;
    if (isForced && wasForced) groups[groups.length - 1].push(step);
    else groups.push([step]);
    wasForced = isForced;
    kept = step.entries.filter((e) => e.kept).length;
  }
  return groups;
}

interface PlacedColumn {
  readonly column: Column;
  readonly rows: readonly Row[];
  readonly gaps: readonly Gap[];
  readonly bottom: number;
  /** The node of a row's parent in the column before. */
  parentOf(row: Row): number;
}

function placeColumn(
  steps: readonly StepView[],
  column: number,
  x: number,
  before: ReadonlyMap<number, Row>,
): PlacedColumn {
  const last = steps[steps.length - 1];
  const kept = last.entries.filter((e) => e.kept).length;
  const chains = new Map(last.entries.map((entry) => [entry.node, chainOf(entry, steps)]));
  const rows: Row[] = [];
  const gaps: Gap[] = [];
  let y = HEAD;
  let thetaY: number | undefined;
  let next = 0;
  const leaveOut = (count: number): void => {
    if (count <= 0) return;
    gaps.push({ key: `${column}:gap${rows.length}`, x, y, text: `${count} more`, column });
    y += ROW;
  };
  for (const [entry, rank] of shownEntries(last)) {
    leaveOut(rank - next);
    next = rank + 1;
    if (!entry.kept && thetaY === undefined) {
      thetaY = y + THETA / 2;
      y += THETA;
    }
    const chain = chains.get(entry.node)!;
    const parent = before.get(chain[0].parent);
    const text = joined(chain.map((e) => e.text));
    const isWhole = text === "" || text === END;
    const tokens = chain.filter((e) => e.text !== "" || e.parent !== e.node).map((e) => e.token);
    rows.push({
      key: `${column}:${entry.node}`,
      x,
      y,
      text: isWhole ? entry.names[0] ?? "" : text,
      isWhole,
      entry,
      rank,
      column,
      path: [...parent?.path ?? [], ...tokens],
    });
    y += ROW;
  }
  leaveOut(last.poolSize - next);
  const note = steps.length > 1 || isForcedNote(last, before.size)
    ? "no choice"
    : last.poolSize > kept
    ? `${kept} of ${last.poolSize} kept`
    : `all ${kept} kept`;
  return {
    column: {
      x,
      title: steps.length === 1 ? `Step ${last.step}` : `Steps ${steps[0].step}–${last.step}`,
      note,
      step: last,
      ...(thetaY !== undefined && last.theta !== undefined && {
        theta: { y: thetaY, text: `θ ${logged(last.theta)}` },
      }),
    },
    rows,
    gaps,
    bottom: y,
    parentOf: (row) => chains.get(row.entry.node)![0].parent,
  };
}

/** All that are kept, the best that are dropped, the target and what is beside it, with ranks. */
function shownEntries({ entries, ranks }: StepView): (readonly [Entry, number])[] {
  const target = entries.findIndex((e) => e.onTarget);
  const kept = entries.filter((e) => e.kept).length;
  return entries.flatMap((entry, i) =>
    i < kept + DROPPED || (target >= 0 && Math.abs(ranks[i] - ranks[target]) <= 1)
      ? [[entry, ranks[i]] as const]
      : []
  );
}

function isForcedNote(step: StepView, keptBefore: number): boolean {
  return keptBefore > 0 && step.poolSize === keptBefore;
}

/** The entries from the first of some forced steps to `entry`, which is of the last. */
function chainOf(entry: Entry, steps: readonly StepView[]): Entry[] {
  const chain = [entry];
  for (let i = steps.length - 2; i >= 0; i--) {
    const parent = steps[i].entries.find((e) => e.node === chain[0].parent);
    if (parent !== undefined) chain.unshift(parent);
  }
  return chain;
}

function linkTo(row: Row, parent: Row | undefined, columnWidth: number): Link {
  const from = parent === undefined
    ? ROOT
    : [parent.x + columnWidth - 2, middle(parent.y)] as const;
  return {
    key: row.key,
    from,
    to: [row.x + LINK, middle(row.y)],
    kind: row.entry.onTarget ? "target" : row.entry.kept ? "kept" : "dropped",
    column: row.column,
  };
}

/** The target's tokens in the columns after the one that dropped it, in a line at the bottom. */
function placeGhosts(
  view: BeamView,
  groups: readonly (readonly StepView[])[],
  lostAt: number,
  columns: readonly Column[],
  bottom: number,
): Ghost[] {
  return groups.flatMap((steps, column) => {
    const own = view.explanation.steps.filter(({ step, token }) =>
      token !== undefined && steps.some((s) => s.step === step)
    );
    if (column <= lostAt || own.length === 0) return [];
    const open = own.filter((s) => s.siblings > 1);
    const worst = Math.max(...open.map((s) => s.margin));
    const text = joined(own.map((s) => s.token!));
    return [{
      key: `${column}:ghost`,
      x: columns[column].x,
      y: bottom + 6,
      text: text === END ? view.target.name : text,
      note: open.length === 0 ? "no choice" : `margin ${signed(worst, 2)}`,
      column,
    }];
  });
}

function ghostLinks(dropped: Row | undefined, ghosts: readonly Ghost[], width: number): Link[] {
  return ghosts.flatMap((ghost, i) => {
    const from = i === 0 ? dropped : ghosts[i - 1];
    if (from === undefined) return [];
    return [{
      key: ghost.key,
      from: [from.x + width - 2, middle(from.y)] as const,
      to: [ghost.x + LINK, middle(ghost.y)] as const,
      kind: "ghost" as const,
      column: ghost.column,
    }];
  });
}

function middle(y: number): number {
  return y + ROW / 2;
}
