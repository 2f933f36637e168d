/**
 * Users' sequences out of rows that are sliding windows over them.
 *
 * @module
 */
import type { Row } from "./title_files.ts";

/**
 * All rows by time, those of one moment user by user. Of a user's rows of one moment those come first whose items the others
 * go on from.
 */
export function inTimeOrder(rows: readonly Row[]): Row[] {
  return [...byUser(rows).values()].flatMap(ofUserInOrder).sort((a, b) => a.time - b.time);
}

/**
 * Each user's sequence: a row that begins with what the sequence so far ends with goes on with it, by the largest such
 * overlap; a row without overlap begins another sequence of the user. The rows must be in order.
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

function byUser(rows: readonly Row[]): Map<string, Row[]> {
  const users = new Map<string, Row[]>();
  for (const row of rows) {
    const own = users.get(row.user);
    if (own === undefined) users.set(row.user, [row]);
    else own.push(row);
  }
  return users;
}

/** One user's rows by time, rows of one moment by what they go on from. */
function ofUserInOrder(rows: readonly Row[]): Row[] {
  const sorted = [...rows].sort((a, b) => a.time - b.time);
  const ordered: Row[] = [];
  for (let from = 0; from < sorted.length;) {
    let to = from;
    while (to < sorted.length && sorted[to].time === sorted[from].time) to++;
    const moment = sorted.slice(from, to);
    from = to;
    while (moment.length > 0) ordered.push(...moment.splice(nextOf(ordered.at(-1), moment), 1));
  }
  return ordered;
}

/** Which of some rows brings the fewest new items after the one before; of the first ones, the most after any other. */
function nextOf(before: Row | undefined, rows: readonly Row[]): number {
  if (rows.length === 1) return 0;
  const merit = rows.map((row) =>
    before === undefined
      ? Math.min(...rows.filter((other) => other !== row).map((other) => added(other, row)))
      : -added(before, row)
  );
  return merit.indexOf(Math.max(...merit));
}

/** How many items a row adds to the one before it; infinitely many where it does not go on from that one. */
function added(before: Row, row: Row): number {
  const known = overlap(before.ids, row.ids);
  return known === 0 ? Infinity : row.ids.length - known;
}

/** How many items the end of one list and the beginning of another have in common, at most: in linear time. */
export function overlap(end: readonly string[], beginning: readonly string[]): number {
  // Knuth, Morris and Pratt: border[i] is the longest proper beginning of `beginning` that its first i + 1 items end with.
  const border = new Int32Array(beginning.length);
  for (let i = 1, k = 0; i < beginning.length; i++) {
    while (k > 0 && beginning[i] !== beginning[k]) k = border[k - 1];
    if (beginning[i] === beginning[k]) k++;
    border[i] = k;
  }
  let matched = 0;
  for (let i = Math.max(0, end.length - beginning.length); i < end.length; i++) {
    while (matched > 0 && (matched === beginning.length || end[i] !== beginning[matched])) {
      matched = border[matched - 1];
    }
    if (end[i] === beginning[matched]) matched++;
  }
  return matched;
}
