/**
 * T1 to T10, T13 and T15: what a beam search keeps and what it prunes, and the questions that they
 * ask about it.
 *
 * @module
 */
import type { Answer, Proposition, Tally } from "./proposition.ts";

/** A number within an error budget. */
export interface Range {
  /** At least. */
  readonly least: number;
  /** At most. */
  readonly most: number;
}

/**
 * A beam search of width B and what is known of the items y to judge, each given by its leaf. In a
 * generated world every answer is exact. On a trained model numbers are known up to an error
 * budget, and what the budget leaves open is undefined. Steps t count from 1; docs/theory.md
 * defines pi, theta, beta, M and Delta.
 */
export interface Evidence {
  /** B. */
  readonly beam: number;
  /** The number of steps. */
  readonly depth: number;
  /** The leaves of the items to judge. */
  readonly leaves: readonly number[];
  /** Names an item in messages. */
  nameOf(y: number): string;
  /** The number of tokens of y. */
  lengthOf(y: number): number;
  /** The number of siblings of y_t, with itself. */
  choices(y: number, t: number): number;
  /** Whether any step prunes anything. */
  readonly prunes: boolean;
  /** Whether the search returned y. */
  isReturned(y: number): boolean;
  /** Whether the beam holds y_<=t after step t; always true for t = 0. */
  isAlive(y: number, t: number): boolean;
  /** Whether y was pruned at or before step t, however ties are broken. */
  isPrunedBy(y: number, t: number): boolean;
  /** Whether y_t is among the best B of its siblings; true where pi(y_<t) = 0. */
  isAmongBestSiblings(y: number, t: number): Answer;
  /** Whether Delta_t > 0, and pi(y_<t) > 0. */
  isViolated(y: number, t: number): Answer;
  /** Whether the sign of Delta_t fits the number of siblings that are more probable than y_t. */
  isMarginRight(y: number, t: number): boolean;
  /** Whether at each t fewer than B entries of level t come before y_<=t. */
  isAmongBestPrefixes(y: number): Answer;
  /** Whether P(y) > 1/(B+1). */
  hasMass(y: number): Answer;
  /** Whether pi(y_<=t) > M_t/(B+1). */
  hasMassInPool(y: number, t: number): Answer;
  /** Whether the pool of step t has at least B entries, so that theta_t exists. */
  hasThreshold(t: number): boolean;
  /** Whether theta_t <= M_t/B. */
  isThresholdWithinMass(t: number): Answer;
  /** For each t, how many entries may come before y_<=t by the count of T6. */
  competitors(y: number): readonly Range[];
  /** For each t, how many entries must score above y_<=t if it survives, by the count of T2'. */
  forced(y: number): readonly Range[];
  /** Whether y_<=t beats the B-th best of the other entries of its pool. */
  beatsOthers(y: number, t: number): Answer;
  /** Whether theta_t >= beta_t pi(y_<t); undefined where y_t and its siblings are fewer than B. */
  isThresholdAboveSiblings(y: number, t: number): boolean | undefined;
  /** What became of y at B = 1; undefined if no such search was run, or P(y) = 0. */
  greedy(y: number): { readonly isBest: Answer; readonly isReturned: boolean } | undefined;
  /** Whether the levels 0 to t - 1 have at most B entries each. */
  fits(t: number): boolean;
  /** Whether y is in the exact top B; undefined if that is not known. */
  isInExactTop(y: number): boolean | undefined;
  /** Items that T9 certifies, and whether each has the place of the exact ranking. */
  certified(): readonly { readonly what: string; readonly isBest: Answer }[];
  /**
   * How many items come before y, and for each t how many entries of the pool come before y_<=t and
   * lead to none of these. Undefined if that is not known.
   */
  ahead(y: number): { readonly items: Range; readonly wasted: readonly Range[] } | undefined;
  /**
   * For each k up to B that it is known for: the most entries that a level before the last has with
   * at least the k-th best P, and whether T9 certifies the first k. Undefined if that is not known.
   */
  widths():
    | readonly { readonly k: number; readonly width: Range; readonly isCertified: Answer }[]
    | undefined;
}

/** The steps 1 to n. */
const steps = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** A theorem that is checked on each item by itself. */
function perItem(
  id: string,
  statement: string,
  check: (search: Evidence, y: number, tally: Tally) => void,
  hypotheses?: readonly string[],
): Proposition<Evidence> {
  return {
    id,
    statement,
    hypotheses,
    check: (search, tally) => search.leaves.forEach((y) => check(search, y, tally)),
  };
}

/** The hypotheses of theorems of which little can go wrong where nothing is pruned. */
export const PRUNING = ["something is pruned", "nothing is pruned"] as const;

function byPruning(search: Evidence, tally: Tally): Tally {
  return tally.of(PRUNING[search.prunes ? 0 : 1]);
}

/** Whether a number is below a limit. */
function isBelow({ least, most }: Range, limit: number): Answer {
  return most < limit || (least < limit ? undefined : false);
}

/** Whether all are true. */
function every(answers: readonly Answer[]): Answer {
  return !answers.includes(false) && (answers.includes(undefined) ? undefined : true);
}

const MANY = ["more than B siblings at some step", "never more than B siblings"] as const;

/** The local condition is necessary. One instance a returned item. */
const T1 = perItem(
  "T1",
  "y returned => each y_t is among the best B of its siblings",
  (search, y, tally) => {
    if (!search.isReturned(y)) return;
    const tokens = steps(search.lengthOf(y));
    const parts = tokens.map((t) => search.isAmongBestSiblings(y, t));
    const isHard = tokens.some((t) => search.choices(y, t) > search.beam);
    const what = (): string =>
      `${search.nameOf(y)} was returned, token ${1 + parts.indexOf(false)}`;
    tally.of(MANY[isHard ? 0 : 1]).all(parts, what);
  },
  MANY,
);

/** A margin above 0 is fatal. One instance an item that has one. */
const T2 = perItem(
  "T2",
  "Delta_t > 0 and pi(y_<t) > 0 => y is pruned at or before t, however ties are broken",
  (search, y, tally) => {
    const parts = steps(search.lengthOf(y)).flatMap((t) => {
      if (!search.isMarginRight(y, t)) {
        const what = (): string => `${search.nameOf(y)}: Delta_${t} has the wrong sign`;
        tally.of("the sign of Delta").expect(false, what);
      }
      const violated = search.isViolated(y, t);
      return violated === false ? [] : [violated && search.isPrunedBy(y, t)];
    });
    const violated = tally.of("some Delta is above 0");
    if (parts.length > 0) violated.all(parts, () => `${search.nameOf(y)} survived`);
  },
  ["some Delta is above 0"],
);

const GAIN = ["T2 does not say so", "T2 says so"] as const;

/** T2 with what must be left of earlier siblings. One instance an item with B of them. */
const T2Prime = perItem(
  "T2'",
  "at some t, B off-path siblings w of steps s <= t have pi(w)/D_j(w) > pi(y_<=j) for each j from s to t => y is pruned at " +
    "or before t, however ties are broken",
  (search, y, tally) => {
    const parts = search.forced(y).flatMap((count, i) => {
      const isFew = isBelow(count, search.beam);
      if (isFew === true) return [];
      return [isFew === undefined ? undefined : search.isPrunedBy(y, i + 1)];
    });
    const isViolated = steps(search.lengthOf(y)).some((t) => search.isViolated(y, t) === true);
    const part = tally.of(GAIN[isViolated ? 1 : 0]);
    if (parts.length > 0) part.all(parts, () => `${search.nameOf(y)} survived`);
  },
  GAIN,
);

/** Prefixes that no level can displace. One instance an item. */
const T3 = perItem(
  "T3",
  "every prefix of y is among the best B of its level => y is returned",
  (search, y, tally) => {
    const lost = (): string => `${search.nameOf(y)} was lost`;
    byPruning(search, tally).implies(search.isAmongBestPrefixes(y), search.isReturned(y), lost);
  },
  PRUNING,
);

/** The mass certificate. One instance an item with that much probability. */
const T4 = perItem(
  "T4",
  "P(y) > 1/(B+1) => y is returned",
  (search, y, tally) => {
    const lost = (): string => `${search.nameOf(y)} was lost`;
    byPruning(search, tally).implies(search.hasMass(y), search.isReturned(y), lost);
  },
  PRUNING,
);

/**
 * T4 in a pool. One instance an item and a step with that share of the pool's mass, and one a step
 * with at least B entries.
 */
const T5: Proposition<Evidence> = {
  id: "T5",
  statement: "pi(y_<=t) > M_t/(B+1) and y_<t in the beam => y survives step t; theta_t <= M_t/B",
  hypotheses: ["a share of the pool", "a threshold"],
  check(search, tally): void {
    for (const t of steps(search.depth)) {
      for (const y of search.leaves) {
        if (!search.isAlive(y, t - 1)) continue;
        const lost = (): string => `${search.nameOf(y)}, step ${t}`;
        const share = tally.of("a share of the pool");
        share.implies(search.hasMassInPool(y, t), search.isAlive(y, t), lost);
      }
      if (search.hasThreshold(t)) {
        const what = (): string => `theta of step ${t} at B = ${search.beam}`;
        tally.of("a threshold").expect(search.isThresholdWithinMass(t), what);
      }
    }
  },
};

/** The certificate of one teacher-forced pass. One instance an item with so few competitors. */
const T6 = perItem(
  "T6",
  "at each t, sum over off-path siblings w of min(n_t(w), floor(pi(w)/pi(y_<=t))) <= B-1 => y is returned",
  (search, y, tally) => {
    const counts = search.competitors(y);
    if (counts.some(({ most }, i) => i > 0 && most < counts[i - 1].most)) {
      const what = (): string => `${search.nameOf(y)}: ${counts.map(({ most }) => most)}`;
      tally.of("the count never falls").expect(false, what);
    }
    const hypothesis = every(counts.map((count) => isBelow(count, search.beam)));
    const lost = (): string => `${search.nameOf(y)} was lost`;
    byPruning(search, tally).implies(hypothesis, search.isReturned(y), lost);
  },
  PRUNING,
);

const SURVIVES = "a step that y_<t has reached";
const SIBLINGS = "at least B siblings";

/**
 * The exact margin. One instance an item and a step that y_<t has reached, and one more where y_t
 * and its siblings are at least B.
 */
const T7 = perItem(
  "T7",
  "y_<=t survives step t <=> it beats the B-th best of the other entries; where Delta_t > 0 that margin is <= -Delta_t",
  (search, y, tally) => {
    for (let t = 1; t <= search.depth && search.isAlive(y, t - 1); t++) {
      const what = (): string => `${search.nameOf(y)}, step ${t}`;
      tally.of(SURVIVES).equivalent(search.beatsOthers(y, t), search.isAlive(y, t), what);
      const above = t <= search.lengthOf(y) ? search.isThresholdAboveSiblings(y, t) : undefined;
      // Where Delta_t > 0, y_<=t is not the B-th best entry.
      if (above !== undefined) tally.of(SIBLINGS).expect(above, what);
    }
  },
  [SURVIVES, SIBLINGS],
);

const EDGES = [
  "B = 1",
  "one token",
  "room for every level",
  "room for every level but the last",
] as const;

/** Edge cases. One instance an item and an edge case. */
const T8 = perItem(
  "T8",
  "B = 1: T1 is an equivalence. One-token items: returned = best B siblings = exact top B. B >= every level: all " +
    "returned. B >= every level but the last: exact top B",
  (search, y, tally) => {
    const at = (edge: string) => (): string => `${search.nameOf(y)}: ${edge}`;
    const [one, short, room, most] = EDGES;
    const isReturned = search.isReturned(y);
    const greedy = search.greedy(y);
    if (greedy) tally.of(one).equivalent(greedy.isBest, greedy.isReturned, at(one));
    if (search.fits(search.depth + 1)) tally.of(room).expect(isReturned, at(room));
    const isInTop = search.isInExactTop(y);
    if (isInTop === undefined) return;
    if (search.depth === 1) {
      const isSame = search.isAmongBestSiblings(y, 1) === isReturned && isReturned === isInTop;
      tally.of(short).expect(isSame, at(short));
    }
    if (search.fits(search.depth)) tally.of(most).equivalent(isInTop, isReturned, at(most));
  },
  EDGES,
);

/** The certificate of a list. One instance an item that scores above what was pruned. */
const T9: Proposition<Evidence> = {
  id: "T9",
  statement:
    "returned items with more than any score pruned before the last step are the exact best, in order",
  hypotheses: PRUNING,
  check: (search, tally) =>
    search.certified().forEach(({ what, isBest }) =>
      byPruning(search, tally).expect(isBest, () => what)
    ),
};

/**
 * T4 turned round: cross-entropy bounds the miss rate. One instance an item that was not returned;
 * for a returned one the right side is not negative.
 */
const T10 = perItem("T10", "1[y missed at B] <= -log P(y) / log(B+1)", (search, y, tally) => {
  if (search.isReturned(y)) return;
  tally.equivalent(search.hasMass(y), false, () => `${search.nameOf(y)} was missed`);
});

/** What loses items of the exact top B. One instance an item of it whose rivals waste nothing. */
const T13 = perItem(
  "T13",
  "y in the exact top B, and each entry of a pool that comes before y_<=t leads to an item that comes before y => y is " +
    "returned",
  (search, y, tally) => {
    const ahead = search.ahead(y);
    if (ahead === undefined) return;
    const none = every(ahead.wasted.map((count) => isBelow(count, 1)));
    const hypothesis = every([isBelow(ahead.items, search.beam), none]);
    const lost = (): string => `${search.nameOf(y)} was lost`;
    byPruning(search, tally).implies(hypothesis, search.isReturned(y), lost);
  },
  PRUNING,
);

const WASTE = ["some entry ahead is wasted", "none is (T13)"] as const;

/** T13 with a number. One instance an item with so few items before it and entries wasted. */
const T13Prime = perItem(
  "T13'",
  "at each t, the items that come before y plus the entries of the pool that come before y_<=t and lead to none of them are " +
    "fewer than B => y is returned",
  (search, y, tally) => {
    const ahead = search.ahead(y);
    if (ahead === undefined) return;
    const { items, wasted } = ahead;
    const sums = wasted.map((n) => ({ least: items.least + n.least, most: items.most + n.most }));
    const hypothesis = every(sums.map((count) => isBelow(count, search.beam)));
    const lost = (): string => `${search.nameOf(y)} was lost`;
    const part = tally.of(WASTE[wasted.some(({ most }) => most > 0) ? 0 : 1]);
    part.implies(hypothesis, search.isReturned(y), lost);
  },
  WASTE,
);

const WIDTH = ["B is enough", "B is too small"] as const;

/** The width that certifies a list. One instance a k. */
const T15: Proposition<Evidence> = {
  id: "T15",
  statement:
    "k <= B: T9 certifies the first k <=> at each level before the last at most B entries have at least the k-th best P",
  hypotheses: WIDTH,
  check(search, tally): void {
    search.widths()?.forEach(({ k, width, isCertified }) => {
      const isEnough = isBelow(width, search.beam + 1);
      const what = (): string => `the first ${k} at B = ${search.beam} need ${width.most}`;
      const holds = isEnough === undefined || isCertified === undefined
        ? undefined
        : isEnough === isCertified;
      tally.of(WIDTH[isEnough === false ? 1 : 0]).expect(holds, what);
    });
  },
};

/** The theorems that speak about a beam search alone. */
export const theorems: readonly Proposition<Evidence>[] = [
  ...[T1, T2, T2Prime, T3, T4, T5, T6, T7, T8, T9, T10],
  ...[T13, T13Prime, T15],
];
