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
const WIDEST = 380;
/** What the target's way after it was dropped takes at the bottom. */
const LANE = ROW + 12;
/** How many dropped entries are shown beside those around the target. */
const DROPPED = 4;

/** A line of text in a column. */
export interface Placed {
  /** Unique in the figure, and the same for the same prefix whatever B is. */
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly column: number;
}

/** An entry. Its text has its tokens in this column, or the whole item where it ends. */
export interface Row extends Placed {
  readonly isWhole: boolean;
  readonly entry: Entry;
  /** Its place in the pool, from 0. */
  readonly rank: number;
  /** In the column before; undefined in the first. */
  readonly parent: Row | undefined;
  /** The tokens from the root to it, to force them. */
  readonly path: readonly number[];
}

/** The target's token after it was dropped. */
export interface Ghost extends Placed {
  readonly note: string;
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
  /** How many entries are left out between two rows. */
  readonly gaps: readonly Placed[];
  readonly ghosts: readonly Ghost[];
  readonly links: readonly Link[];
  /** The column that lost the target; absent if it was not lost. */
  readonly lostAt?: number;
}

/** Lays a view out in a width. */
export function layOut(view: BeamView, width: number): Layout {
  const groups = foldSteps(view.steps);
  const share = Math.floor(width / Math.max(1, groups.length));
  const columnWidth = Math.min(WIDEST, Math.max(NARROWEST, share));
  const placed: PlacedColumn[] = [];
  for (const [column, steps] of groups.entries()) {
    placed.push(placeColumn(steps, column, column * columnWidth, placed.at(-1)?.rows ?? []));
  }
  const columns = placed.map((p) => p.column);
  const rows = placed.flatMap((p) => p.rows);
  const bottom = Math.max(0, ...placed.map((p) => p.bottom));
  const lostAt = groups.findIndex((g) => g.some((s) => s.step === view.explanation.lost?.step));
  const ghosts = lostAt < 0 ? [] : placeGhosts(view, groups, lostAt, columns, bottom);
  const dropped = rows.find((r) => r.column === lostAt && r.entry.onTarget);
  const link = (to: Placed, from: Placed | undefined, kind: Link["kind"]): Link => ({
    key: to.key,
    from: from === undefined ? ROOT : [from.x + columnWidth - 2, from.y + ROW / 2],
    to: [to.x + LINK, to.y + ROW / 2],
    kind,
    column: to.column,
  });
  return {
    width: Math.max(columnWidth * groups.length, 1),
    height: bottom + LANE,
    columnWidth,
    columns,
    rows,
    gaps: placed.flatMap((p) => p.gaps),
    ghosts,
    links: [
      ...rows.map((row) => {
        const { onTarget, kept } = row.entry;
        return link(row, row.parent, onTarget ? "target" : kept ? "kept" : "dropped");
      }),
      ...ghosts.map((ghost, i) => link(ghost, ghosts[i - 1] ?? dropped, "ghost")),
    ],
    ...(lostAt >= 0 && { lostAt }),
  };
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
    kept = keptOf(step);
  }
  return groups;
}

interface PlacedColumn {
  readonly column: Column;
  readonly rows: readonly Row[];
  readonly gaps: readonly Placed[];
  readonly bottom: number;
}

function placeColumn(
  steps: readonly StepView[],
  column: number,
  x: number,
  before: readonly Row[],
): PlacedColumn {
  const last = steps[steps.length - 1];
  const rows: Row[] = [];
  const gaps: Placed[] = [];
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
    const chain = chainOf(entry, steps);
    const parent = before.find((r) => r.entry.node === chain[0].parent);
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
      parent,
      path: [...parent?.path ?? [], ...tokens],
    });
    y += ROW;
  }
  leaveOut(last.poolSize - next);
  const kept = keptOf(last);
  const keptBefore = column === 0 ? 1 : before.filter((r) => r.entry.kept).length;
  return {
    column: {
      x,
      title: steps.length === 1 ? `Step ${last.step}` : `Steps ${steps[0].step}–${last.step}`,
      note: last.poolSize > kept
        ? `${kept} of ${last.poolSize} kept`
        : last.poolSize === keptBefore
        ? "no choice"
        : `all ${kept} kept`,
      step: last,
      ...(thetaY !== undefined && last.theta !== undefined && {
        theta: { y: thetaY, text: `θ ${logged(last.theta)}` },
      }),
    },
    rows,
    gaps,
    bottom: y,
  };
}

function keptOf({ entries }: StepView): number {
  return entries.filter((e) => e.kept).length;
}

/** All that are kept, the best that are dropped, the target and what is beside it, with ranks. */
function shownEntries(step: StepView): (readonly [Entry, number])[] {
  const { entries, ranks } = step;
  const best = keptOf(step) + DROPPED;
  const target = entries.findIndex((e) => e.onTarget);
  return entries.map((entry, i) => [entry, ranks[i]] as const).filter(([, rank], i) =>
    i < best || (target >= 0 && Math.abs(rank - ranks[target]) <= 1)
  );
}

/** The entries from the first of some forced steps to `entry`, which is of the last. */
function chainOf(entry: Entry, steps: readonly StepView[]): Entry[] {
  const chain = [entry];
  for (const { entries } of steps.slice(0, -1).reverse()) {
    const parent = entries.find((e) => e.node === chain[0].parent);
    if (parent !== undefined) chain.unshift(parent);
  }
  return chain;
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
