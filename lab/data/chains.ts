/**
 * Users' item sequences from rows that are sliding windows over them.
 *
 * @module
 */
import type { EvaluationCase } from "./dataset.ts";

/** A row: items up to one point in time, oldest first. */
export interface Row {
  /** The line in the file, from 1. */
  readonly line: number;
  /** The data set's own id of the user. */
  readonly user: string;
  /** Item ids; the last one is the target. */
  readonly ids: readonly string[];
  /** The time of the target in seconds. */
  readonly time: number;
}

/** The indices of items by their ids. */
export type ItemOf = ReadonlyMap<string, number>;

/**
 * Users' sequences from rows in order. Rows are joined before unknown ids are dropped, which could
 * part them.
 */
export function sequencesOf(rows: readonly Row[], itemOf: ItemOf): number[][] {
  return chain(rows).map((ids) => indicesOf(ids, itemOf)).filter((items) => items.length > 0);
}

/** The rows that have a known target and a history, named by user and line. */
export function casesOf(rows: readonly Row[], itemOf: ItemOf): EvaluationCase[] {
  return rows.flatMap(({ user, line, ids }) => {
    const target = itemOf.get(ids.at(-1) ?? "");
    const history = indicesOf(ids.slice(0, -1), itemOf);
    return target === undefined || history.length === 0
      ? []
      : [{ id: `${user}#${line}`, user, history, target }];
  });
}

/** The indices of the known ids. */
function indicesOf(ids: readonly string[], itemOf: ItemOf): number[] {
  return ids.flatMap((id) => itemOf.get(id) ?? []);
}

/**
 * Sorts rows by time. Where a user has several rows of the same time, a row comes before the rows
 * that continue it.
 */
export function inTimeOrder(rows: readonly Row[]): Row[] {
  return [...byUser(rows).values()].flatMap(ofUserInOrder).sort((a, b) => a.time - b.time);
}

/**
 * Joins the rows of each user, which must be in order. A row that begins with the end of the
 * sequence so far continues it, by the largest such overlap. A row without overlap begins another
 * sequence.
 */
export function chain(rows: readonly Row[]): string[][] {
  const sequences: string[][] = [];
  for (const windows of byUser(rows).values()) {
    let sequence: string[] = [];
    for (const { ids } of windows) {
      if (ids.length === 0) continue;
      const known = overlap(sequence, ids);
      if (known === 0) sequences.push(sequence = []);
      for (const id of ids.slice(known)) sequence.push(id);
    }
  }
  return sequences;
}

/** The most items that the end of one list and the beginning of another have in common. */
export function overlap(end: readonly string[], beginning: readonly string[]): number {
  let size = Math.min(end.length, beginning.length);
  while (size > 0) {
    const from = end.length - size;
    let i = 0;
    while (i < size && end[from + i] === beginning[i]) i++;
    if (i === size) return size;
    size--;
  }
  return 0;
}

function byUser(rows: readonly Row[]): Map<string, Row[]> {
  return Map.groupBy(rows, ({ user }) => user);
}

/** One user's rows by time. */
function ofUserInOrder(rows: readonly Row[]): Row[] {
  const ordered: Row[] = [];
  const byTime = Map.groupBy(rows.toSorted((a, b) => a.time - b.time), ({ time }) => time);
  for (const moment of byTime.values()) {
    const inOrder = moment.length === 1 ? moment : ofOneMoment(ordered.at(-1), moment);
    for (const row of inOrder) ordered.push(row);
  }
  return ordered;
}

/** A prefix of some rows, as a node of a trie. */
interface Prefix {
  readonly size: number;
  /** Longer prefixes by their next item. */
  readonly next: Map<string, Prefix>;
  /** The rows that have it: the shortest last, of equally long ones the first. */
  readonly rows: number[];
}

/**
 * Orders rows of the same time so that each row adds the fewest new items to the row before it.
 * Without a row before it, the first one is the row that adds the most to all others. A row that
 * does not continue the row before it adds infinitely many items. Ties keep their order.
 *
 * A trie of all prefixes finds the rows that continue a row without comparing it with each of them.
 */
function* ofOneMoment(before: Row | undefined, rows: readonly Row[]): Generator<Row> {
  const root: Prefix = { size: 0, next: new Map(), rows: [] };
  const longestFirst = [...rows.keys()].sort((a, b) =>
    rows[b].ids.length - rows[a].ids.length || b - a
  );
  for (const i of longestFirst) {
    let at = root;
    for (const id of rows[i].ids) {
      let next = at.next.get(id);
      if (next === undefined) {
        at.next.set(id, next = { size: at.size + 1, next: new Map(), rows: [] });
      }
      next.rows.push(i);
      at = next;
    }
  }

  const taken = rows.map(() => false);
  let first = 0; // of those not taken
  /** The row not taken that adds the fewest items to a row. */
  const after = ({ ids }: Row): number => {
    let [best, fewest] = [first, Infinity];
    for (const prefix of endsOf(ids, root)) {
      while (prefix.rows.length > 0 && taken[prefix.rows[prefix.rows.length - 1]]) {
        prefix.rows.pop();
      }
      const row = prefix.rows.at(-1);
      if (row === undefined) continue;
      const added = rows[row].ids.length - prefix.size;
      if (added < fewest || (added === fewest && row < best)) [best, fewest] = [row, added];
    }
    return best;
  };
  let next = before === undefined ? farthest(rows, root) : after(before);
  for (let n = 0; n < rows.length; n++) {
    yield rows[next];
    taken[next] = true;
    while (taken[first]) first++;
    next = after(rows[next]);
  }
}

/** The prefixes that a list ends with, longest first. */
function* endsOf(ids: readonly string[], root: Prefix): Generator<Prefix> {
  for (let from = 0; from < ids.length; from++) {
    let at: Prefix | undefined = root;
    for (let i = from; i < ids.length && at !== undefined; i++) at = at.next.get(ids[i]);
    if (at !== undefined) yield at;
  }
}

/** The row that adds the most items to all others. */
function farthest(rows: readonly Row[], root: Prefix): number {
  const owners = new Map<Prefix, number>(); // the row that ends with a prefix, or -1 for several
  rows.forEach(({ ids }, i) => {
    for (const prefix of endsOf(ids, root)) owners.set(prefix, owners.has(prefix) ? -1 : i);
  });
  const added = rows.map(({ ids }, i) => {
    let [at, known] = [root, 0];
    for (const id of ids) {
      at = at.next.get(id) as Prefix;
      if ((owners.get(at) ?? i) !== i) known = at.size;
    }
    return known === 0 ? Infinity : ids.length - known;
  });
  return added.indexOf(added.reduce((a, b) => Math.max(a, b)));
}
