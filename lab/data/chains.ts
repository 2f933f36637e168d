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
    const inOrder = moment.length === 1 ? moment : ofOneMoment(ordered.at(-1), moment);
    for (const row of inOrder) ordered.push(row);
  }
  return ordered;
}

/**
 * What some rows begin with. All of them are an automaton (Aho and Corasick, CACM 18(6), 1975), which finds the rows that go
 * on from another in time linear in that one, however many there are.
 */
interface Beginning {
  /** How many items it has. */
  readonly size: number;
  /** The longest shorter one that it ends with; the empty one has none. */
  readonly link?: Beginning;
  /** Those with one item more, by that item. */
  readonly longer: Map<string, Beginning>;
  /** The rows that begin so: the shortest last, of equally long ones the first. */
  readonly rows: number[];
}

/**
 * Each row brings the fewest new items after the one before; the first, where there is none before, brings the most after
 * any other. A row that does not go on from the one before brings infinitely many. Ties keep their order.
 */
function* ofOneMoment(before: Row | undefined, rows: readonly Row[]): Generator<Row> {
  const empty: Beginning = { size: 0, longer: new Map(), rows: [] };
  /** The longest beginning that a text ends with, from that of the text without its last item. */
  const step = (from: Beginning | undefined, id: string): Beginning => {
    for (let at = from; at !== undefined; at = at.link) {
      const longer = at.longer.get(id);
      if (longer !== undefined) return longer;
    }
    return empty;
  };
  const ends = rows.map(() => empty);
  const left = [...rows.keys()].sort((a, b) => rows[b].ids.length - rows[a].ids.length || b - a);
  for (let size = 1; left.length > 0; size++) { // by size, so that links lead to what is there
    while (left.length > 0 && rows[left[left.length - 1]].ids.length < size) left.pop();
    for (const i of left) {
      const [from, id] = [ends[i], rows[i].ids[size - 1]];
      ends[i] = from.longer.get(id) ??
        { size, link: step(from.link, id), longer: new Map(), rows: [] };
      from.longer.set(id, ends[i]);
      ends[i].rows.push(i);
    }
  }

  const taken = rows.map(() => false);
  let first = 0; // of those not taken
  /** The row not taken that brings the fewest items after a row. */
  const after = ({ ids }: Row): number => {
    let [best, fewest] = [first, Infinity];
    for (let at = ids.reduce(step, empty); at.link !== undefined; at = at.link) {
      while (at.rows.length > 0 && taken[at.rows[at.rows.length - 1]]) at.rows.pop();
      if (at.rows.length === 0) continue;
      const row = at.rows[at.rows.length - 1];
      const added = rows[row].ids.length - at.size;
      if (added < fewest || (added === fewest && row < best)) [best, fewest] = [row, added];
    }
    return best;
  };
  let next = before === undefined ? farthest(rows, ends, empty) : after(before);
  for (let n = 0; n < rows.length; n++) {
    yield rows[next];
    taken[next] = true;
    while (taken[first]) first++;
    next = after(rows[next]);
  }
}

/** The row that brings the most items after any other, where `ends` are the rows as beginnings. */
function farthest(rows: readonly Row[], ends: readonly Beginning[], empty: Beginning): number {
  const endsWith = new Map<Beginning, number>(); // the row that ends so, or -1 for several
  ends.forEach((end, i) => {
    for (let at = end; at.link !== undefined; at = at.link) {
      endsWith.set(at, endsWith.has(at) ? -1 : i);
    }
  });
  const added = rows.map(({ ids }, i) => {
    let [at, known] = [empty, 0];
    for (const id of ids) {
      at = at.longer.get(id) as Beginning;
      if ((endsWith.get(at) ?? i) !== i) known = at.size;
    }
    return known === 0 ? Infinity : ids.length - known;
  });
  return added.indexOf(added.reduce((a, b) => Math.max(a, b)));
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
