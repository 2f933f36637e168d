/**
 * Cleans interactions, sorts them by time and splits them.
 *
 * @module
 */
import type { CleaningStep, Dataset, EvaluationCase } from "./dataset.ts";
import type { InteractionReading, Interactions } from "./interactions.ts";

/** Which of several interactions of a user with the same item are kept. */
export const DUPLICATES = ["all", "first", "last"] as const;

/** Options of {@link clean}. */
export interface Cleaning {
  /** Which of several interactions of a user with the same item are kept. Default `all`. */
  readonly duplicates?: typeof DUPLICATES[number];
  /**
   * Users and items with fewer interactions are dropped until none is left. Default 5; 1 keeps all.
   */
  readonly kCore?: number;
}

/** Users' interactions in time order. */
export interface UserSequence {
  /** The user's id. */
  readonly id: string;
  /** Indices of items; at least one. */
  readonly items: readonly number[];
  /** The time of each. */
  readonly times: Float64Array;
}

/** Interactions that were cleaned. */
export interface Cleaned {
  /** The ids of the items that are left, in the order in which the file has them. */
  readonly items: readonly string[];
  /** The users that are left, in the order in which the file has them. */
  readonly users: readonly UserSequence[];
  /** What each step left. */
  readonly steps: readonly CleaningStep[];
}

/** Interactions, user after user in time order. Steps drop some in place. */
class Sorted {
  readonly items: Int32Array;
  readonly times: Float64Array;
  /** Where the interactions of each user begin, and where the last ones end. */
  readonly starts: Int32Array;
  readonly #itemCount: number;

  constructor({ users, items, blocks }: Interactions) {
    const starts = new Int32Array(users.length + 1);
    for (const block of blocks) block.users.forEach((user) => starts[user + 1]++);
    for (let user = 0; user < users.length; user++) starts[user + 1] += starts[user];
    this.starts = starts;
    this.items = new Int32Array(starts[users.length]);
    this.times = new Float64Array(starts[users.length]);
    this.#itemCount = items.length;
    const next = starts.slice();
    for (const block of blocks) {
      block.users.forEach((user, i) => {
        this.items[next[user]] = block.items[i];
        this.times[next[user]++] = block.times[i];
      });
    }
    for (let user = 0; user < users.length; user++) this.#sort(starts[user], starts[user + 1]);
  }

  get userCount(): number {
    return this.starts.length - 1;
  }

  /** Sorts the interactions of a user by time. Those of one time stay in the order of the file. */
  #sort(from: number, to: number): void {
    const times = this.times.slice(from, to);
    if (times.every((time, i) => i === 0 || times[i - 1] <= time)) return;
    const items = this.items.slice(from, to);
    [...times.keys()]
      .sort((a, b) => times[a] - times[b] || a - b)
      .forEach((was, i) => {
        this.items[from + i] = items[was];
        this.times[from + i] = times[was];
      });
  }

  /** Keeps the interactions for which `isKept`, given their user and how many the user has. */
  keep(isKept: (at: number, user: number, count: number) => boolean): void {
    const { starts, items, times } = this;
    let [count, from] = [0, 0];
    for (let user = 0; user < this.userCount; user++) {
      const to = starts[user + 1];
      for (let at = from; at < to; at++) {
        if (!isKept(at, user, to - from)) continue;
        items[count] = items[at];
        times[count++] = times[at];
      }
      from = to;
      starts[user + 1] = count;
    }
  }

  /** The number of interactions of each item. */
  itemCounts(): Int32Array {
    const counts = new Int32Array(this.#itemCount);
    for (let at = 0; at < this.starts[this.userCount]; at++) counts[this.items[at]]++;
    return counts;
  }

  /** The number of interactions of a user, or of users up to another. */
  count(user: number, end: number = user + 1): number {
    return this.starts[end] - this.starts[user];
  }

  /** How much there is. */
  stepOf(step: string): CleaningStep {
    let users = 0;
    for (let user = 0; user < this.userCount; user++) if (this.count(user) > 0) users++;
    const items = this.itemCounts().reduce((sum, count) => count > 0 ? sum + 1 : sum, 0);
    return { step, users, items, interactions: this.count(0, this.userCount) };
  }
}

/**
 * Cleans interactions. Those of a user come in time order; the order of the file decides between
 * those of one time. Users with fewer than `least` interactions are dropped at the end.
 */
export function clean(
  given: Interactions,
  { minRating, duplicates = "all", kCore = 5 }: Cleaning & Pick<InteractionReading, "minRating"> =
    {},
  least = 1,
): Cleaned {
  const { users, items, bad, low } = given;
  const sorted = new Sorted(given);
  const left = sorted.count(0, users.length);
  const all = { users: users.length, items: items.length };
  const rows = given.columns.time !== undefined
    ? "rows of the file"
    : "rows of the file, in its order";
  const steps = [{ step: rows, ...all, interactions: left + low + bad }];
  if (bad > 0) steps.push({ step: "malformed rows skipped", ...all, interactions: left + low });
  if (minRating !== undefined) steps.push(sorted.stepOf(`ratings of at least ${minRating}`));
  if (duplicates !== "all") {
    dropDuplicates(sorted, items.length, duplicates);
    steps.push(sorted.stepOf(`${duplicates} of each user and item kept`));
  }
  if (kCore > 1) {
    const passes = dropSparse(sorted, kCore);
    steps.push(sorted.stepOf(`${kCore}-core, ${passes} ${passes === 1 ? "pass" : "passes"}`));
  }
  if (least > Math.max(1, kCore)) {
    sorted.keep((_at, _user, count) => count >= least);
    steps.push(sorted.stepOf(`users with at least ${least}`));
  }
  return { ...renumbered(sorted, given), steps };
}

/** Keeps one of the interactions of each user with each item. */
function dropDuplicates(sorted: Sorted, itemCount: number, which: "first" | "last"): void {
  const kept = new Uint8Array(sorted.items.length);
  const lastUser = new Int32Array(itemCount).fill(-1); // that was seen with an item
  const { starts, items } = sorted;
  for (let user = 0; user < sorted.userCount; user++) {
    for (let i = 0; i < sorted.count(user); i++) {
      const at = which === "first" ? starts[user] + i : starts[user + 1] - 1 - i;
      if (lastUser[items[at]] === user) continue;
      lastUser[items[at]] = user;
      kept[at] = 1;
    }
  }
  sorted.keep((at) => kept[at] === 1);
}

/** Drops users and items with fewer than k interactions until none is left; counts the passes. */
function dropSparse(sorted: Sorted, k: number): number {
  for (let passes = 1;; passes++) {
    const before = sorted.count(0, sorted.userCount);
    const perItem = sorted.itemCounts();
    sorted.keep((at, _user, count) => count >= k && perItem[sorted.items[at]] >= k);
    if (sorted.count(0, sorted.userCount) === before) return passes;
  }
}

/** What is left, with indices for the items that are left. */
function renumbered(sorted: Sorted, { users, items }: Interactions): Omit<Cleaned, "steps"> {
  const ids: string[] = [];
  const indices = sorted.itemCounts().map((count, item) =>
    count > 0 ? ids.push(items[item]) - 1 : -1
  );
  const left: UserSequence[] = [];
  for (let user = 0; user < users.length; user++) {
    const [from, to] = [sorted.starts[user], sorted.starts[user + 1]];
    if (from === to) continue;
    left.push({
      id: users[user],
      items: Array.from(sorted.items.subarray(from, to), (item) => indices[item]),
      times: sorted.times.subarray(from, to),
    });
  }
  return { items: ids, users: left };
}

/** The most items in all histories of a split by time together. */
const MOST_HISTORY = 5e7;

/**
 * Splits interactions by two points in time, at the given shares of all interactions. Those before
 * the first point are for training. Each one from then on is a validation target, from the second
 * point on a test target, if the user has earlier interactions, which are its history. Interactions
 * of one time are on the same side of a point. `fail` must throw.
 */
export function splitByTime(
  users: readonly UserSequence[],
  shares: readonly [validation: number, test: number],
  fail: (requirement: string, actual: string) => never,
): Pick<Dataset, "training" | "validation" | "test" | "known"> {
  const times = new Float64Array(users.reduce((sum, { items }) => sum + items.length, 0));
  let count = 0;
  for (const user of users) {
    times.set(user.times, count);
    count += user.times.length;
  }
  times.sort();
  const [first, second] = shares.map((share) => times[Math.floor(share * count)]);
  /** The number of a user's interactions before a point in time. */
  const before = (user: UserSequence, time: number): number => {
    const at = user.times.findIndex((other) => other >= time);
    return at < 0 ? user.items.length : at;
  };
  const size = users.reduce((sum, user) => {
    const [from, to] = [before(user, first), user.items.length];
    return sum + (to * (to - 1) - from * (from - 1)) / 2;
  }, 0);
  if (size > MOST_HISTORY) {
    fail(
      `the histories of a split by time must have at most ${MOST_HISTORY} items in all (later ` +
        "points in time have fewer targets)",
      String(size),
    );
  }
  const cases = (user: UserSequence, from: number, to: number): EvaluationCase[] => {
    const { id, items } = user;
    const found: EvaluationCase[] = [];
    for (let at = Math.max(1, from); at < to; at++) {
      found.push({
        id: `${id}#${at + 1}`,
        user: id,
        history: items.slice(0, at),
        target: items[at],
      });
    }
    return found;
  };
  const knownBefore = (time: number): number[][] =>
    users.map((user) => user.items.slice(0, before(user, time))).filter(({ length }) => length > 0);
  return {
    training: knownBefore(first).map((items) => ({ items, context: 0 })),
    validation: users.flatMap((user) => cases(user, before(user, first), before(user, second))),
    test: users.flatMap((user) => cases(user, before(user, second), user.items.length)),
    known: (split) => knownBefore(split === "test" ? second : first),
  };
}
