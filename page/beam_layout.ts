/**
 * Where the entries of a search stand in the figure. Columns are steps from left to right; a column
 * is its pool, best first, with theta where the kept ones end.
 *
 * @module
 */
import type { BeamView, Entry, StepView } from "./protocol.ts";
import { fixed, signed, tokenText } from "./words.ts";

/** The height of a row. */
export const ROW = 21;
/** What is above the first row. */
export const HEAD = 46;
/** Between the columns, where the links are. */
export const LINK = 44;
/** The space that theta takes between the rows. */
const THETA = 17;
/** A column is not narrower, and the figure scrolls instead. */
const NARROWEST = 176;
const WIDEST = 330;

/** An entry at its place. */
export interface Row {
  /** Unique in the figure, and the same for the same prefix whatever B is. */
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly entry: Entry;
  /** Its place in the pool, from 0. */
  readonly rank: number;
  readonly column: number;
  /** The tokens from the root to it, to force them. */
  readonly path: readonly number[];
  /** Among its shown siblings, from 0. */
  readonly place: number;
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

  const lost = view.explanation.lost?.step;
  const lostAt = lost === undefined
    ? undefined
    : groups.findIndex((g) => g[0].step <= lost && lost <= g[g.length - 1].step);
  const ghosts = lostAt === undefined || lostAt < 0
    ? []
    : placeGhosts(view, groups, columns, lostAt, rows);
  if (ghosts.length > 0) links.push(...ghostLinks(ghosts, rows, lostAt!, columnWidth));
  return {
    width: Math.max(columnWidth * groups.length, 1),
    height: Math.max(height, ...ghosts.map((g) => g.y + ROW)) + 8,
    columnWidth,
    columns,
    rows,
    gaps,
    ghosts,
    links,
    ...(lostAt !== undefined && lostAt >= 0 && { lostAt }),
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
  const seen = new Map<number, number>();
  let y = HEAD;
  let thetaY: number | undefined;
  let next = 0;
  const leaveOut = (count: number): void => {
    if (count <= 0) return;
    gaps.push({ key: `${column}:gap${rows.length}`, x, y, text: `${count} more`, column });
    y += ROW;
  };
  for (const [i, entry] of last.entries.entries()) {
    leaveOut(last.ranks[i] - next);
    next = last.ranks[i] + 1;
    if (!entry.kept && thetaY === undefined) {
      thetaY = y + THETA / 2 - 1;
      y += THETA;
    }
    const chain = chains.get(entry.node)!;
    const parent = before.get(chain[0].parent);
    const text = chain.map((e) => tokenText(e.text)).filter((t) => t !== "").join(" ");
    const place = seen.get(entry.parent) ?? 0;
    seen.set(entry.parent, place + 1);
    const tokens = chain.filter((e) => e.text !== "" || e.parent !== e.node).map((e) => e.token);
    rows.push({
      key: `${column}:${entry.node}`,
      x,
      y,
      text,
      entry,
      rank: last.ranks[i],
      column,
      path: [...parent?.path ?? [], ...tokens],
      place,
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
        theta: { y: thetaY, text: `θ ${fixed(last.theta)}` },
      }),
    },
    rows,
    gaps,
    bottom: y,
    parentOf: (row) => chains.get(row.entry.node)![0].parent,
  };
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
    ? [row.x + 4, HEAD + ROW * 4] as const
    : [parent.x + columnWidth - 2, middle(parent.y)] as const;
  return {
    key: row.key,
    from,
    to: [row.x + LINK, middle(row.y)],
    kind: row.entry.onTarget ? "target" : row.entry.kept ? "kept" : "dropped",
    column: row.column,
  };
}

/** The target's tokens in the columns after the one that dropped it, in one line. */
function placeGhosts(
  view: BeamView,
  groups: readonly (readonly StepView[])[],
  columns: readonly Column[],
  lostAt: number,
  rows: readonly Row[],
): Ghost[] {
  const later = groups.slice(lostAt + 1);
  const bottoms = rows.filter((r) => r.column > lostAt || r.entry.onTarget).map((r) => r.y + ROW);
  const y = Math.max(HEAD, ...bottoms) + ROW * 0.75;
  return later.flatMap((steps, i) => {
    const own = view.explanation.steps.filter(({ step, token }) =>
      token !== undefined && steps.some((s) => s.step === step)
    );
    if (own.length === 0) return [];
    const open = own.filter((s) => s.siblings > 1);
    const worst = open.reduce((most, s) => Math.max(most, s.margin), -Infinity);
    return [{
      key: `ghost${lostAt + 1 + i}`,
      x: columns[lostAt + 1 + i].x,
      y,
      text: own.map((s) => tokenText(s.token!)).join(" "),
      note: open.length === 0 ? "no choice" : `margin ${signed(worst, 2)}`,
      column: lostAt + 1 + i,
    }];
  });
}

function ghostLinks(
  ghosts: readonly Ghost[],
  rows: readonly Row[],
  lostAt: number,
  columnWidth: number,
): Link[] {
  const dropped = rows.find((r) => r.column === lostAt && r.entry.onTarget);
  const all = [...dropped === undefined ? [] : [dropped], ...ghosts];
  return all.slice(1).map((ghost, i) => ({
    key: `link-${(ghost as Ghost).key}`,
    from: [all[i].x + columnWidth - 2, middle(all[i].y)] as const,
    to: [ghost.x + LINK, middle(ghost.y)] as const,
    kind: "ghost" as const,
    column: ghost.column,
  }));
}

function middle(y: number): number {
  return y + ROW / 2;
}
