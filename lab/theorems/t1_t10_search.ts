/**
 * T1 to T10: what a beam search keeps and what it prunes, and the questions that they ask about it.
 *
 * @module
 */
import type { Answer, Proposition, Tally } from "./proposition.ts";

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
  competitors(y: number): { readonly least: readonly number[]; readonly most: readonly number[] };
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
  /** Whether what scores above all that was pruned before the last step is exactly the best. */
  certified(): readonly { readonly what: string; readonly isBest: Answer }[];
}

/** The steps 1 to n. */
const steps = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** A theorem that is checked on each item by itself. */
function perItem(
  id: string,
  statement: string,
  check: (search: Evidence, y: number, tally: Tally) => void,
): Proposition<Evidence> {
  return {
    id,
    statement,
    check: (search, tally) => search.leaves.forEach((y) => check(search, y, tally)),
  };
}

/** The local condition is necessary. One instance a returned item. */
const T1 = perItem(
  "T1",
  "y returned => each y_t is among the best B of its siblings",
  (search, y, tally) => {
    if (!search.isReturned(y)) return;
    const parts = steps(search.lengthOf(y)).map((t) => search.isAmongBestSiblings(y, t));
    tally.all(parts, () => `${search.nameOf(y)} was returned, token ${1 + parts.indexOf(false)}`);
  },
);

/** A margin above 0 is fatal. One instance an item that has one. */
const T2 = perItem(
  "T2",
  "Delta_t > 0 and pi(y_<t) > 0 => y is pruned at or before t, however ties are broken",
  (search, y, tally) => {
    const parts = steps(search.lengthOf(y)).flatMap((t) => {
      if (!search.isMarginRight(y, t)) {
        tally.expect(false, () => `${search.nameOf(y)}: Delta_${t} has the wrong sign`);
      }
      const violated = search.isViolated(y, t);
      return violated === false ? [] : [violated && search.isPrunedBy(y, t)];
    });
    if (parts.length > 0) tally.all(parts, () => `${search.nameOf(y)} survived`);
  },
);

/** Prefixes that no level can displace. One instance an item. */
const T3 = perItem(
  "T3",
  "every prefix of y is among the best B of its level => y is returned",
  (search, y, tally) => {
    const lost = (): string => `${search.nameOf(y)} was lost`;
    tally.implies(search.isAmongBestPrefixes(y), search.isReturned(y), lost);
  },
);

/** The mass certificate. One instance an item with that much probability. */
const T4 = perItem("T4", "P(y) > 1/(B+1) => y is returned", (search, y, tally) => {
  tally.implies(search.hasMass(y), search.isReturned(y), () => `${search.nameOf(y)} was lost`);
});

/**
 * T4 in a pool. One instance an item and a step with that share of the pool's mass, and one a step
 * with at least B entries.
 */
const T5: Proposition<Evidence> = {
  id: "T5",
  statement: "pi(y_<=t) > M_t/(B+1) and y_<t in the beam => y survives step t; theta_t <= M_t/B",
  check(search, tally): void {
    for (const t of steps(search.depth)) {
      for (const y of search.leaves) {
        if (!search.isAlive(y, t - 1)) continue;
        const lost = (): string => `${search.nameOf(y)}, step ${t}`;
        tally.implies(search.hasMassInPool(y, t), search.isAlive(y, t), lost);
      }
      if (search.hasThreshold(t)) {
        const what = (): string => `theta of step ${t} at B = ${search.beam}`;
        tally.expect(search.isThresholdWithinMass(t), what);
      }
    }
  },
};

/** The certificate of one teacher-forced pass. One instance an item with so few competitors. */
const T6 = perItem(
  "T6",
  "at each t, sum over off-path siblings w of min(n_t(w), floor(pi(w)/pi(y_<=t))) <= B-1 => y is returned",
  (search, y, tally) => {
    const { least, most } = search.competitors(y);
    if (most.some((n, i) => i > 0 && n < most[i - 1])) {
      tally.expect(false, () => `${search.nameOf(y)}: the count falls, ${most}`);
    }
    const few = (counts: readonly number[]): boolean => counts.every((n) => n < search.beam);
    const hypothesis = few(most) || (few(least) ? undefined : false);
    tally.implies(hypothesis, search.isReturned(y), () => `${search.nameOf(y)} was lost`);
  },
);

/** The exact margin. One instance an item and a step that y_<t has reached. */
const T7 = perItem(
  "T7",
  "y_<=t survives step t <=> it beats the B-th best of the other entries; where Delta_t > 0 that margin is <= -Delta_t",
  (search, y, tally) => {
    for (let t = 1; t <= search.depth && search.isAlive(y, t - 1); t++) {
      const beats = search.beatsOthers(y, t);
      const parts = [beats === undefined ? beats : beats === search.isAlive(y, t)];
      const above = t <= search.lengthOf(y) ? search.isThresholdAboveSiblings(y, t) : undefined;
      // Where Delta_t > 0, the B-th best entry is another one than y_<=t.
      if (above !== undefined) parts.push(above);
      tally.all(parts, () => `${search.nameOf(y)}, step ${t}`);
    }
  },
);

/** Edge cases. One instance an item and an edge case. */
const T8 = perItem(
  "T8",
  "B = 1: T1 is an equivalence. One-token items: returned = best B siblings = exact top B. B >= every level: all " +
    "returned. B >= every level but the last: exact top B",
  (search, y, tally) => {
    const at = (edge: string) => (): string => `${search.nameOf(y)}: ${edge}`;
    const isReturned = search.isReturned(y);
    const greedy = search.greedy(y);
    if (greedy) tally.equivalent(greedy.isBest, greedy.isReturned, at("B = 1"));
    if (search.fits(search.depth + 1)) tally.expect(isReturned, at("room for every level"));
    const isInTop = search.isInExactTop(y);
    if (isInTop === undefined) return;
    if (search.depth === 1) {
      tally.equivalent(search.isAmongBestSiblings(y, 1), isReturned, at("one token"));
    }
    if (search.fits(search.depth)) {
      tally.equivalent(isInTop, isReturned, at("room for every level but the last"));
    }
  },
);

/** The certificate of a list. One instance an item that scores above what was pruned. */
const T9: Proposition<Evidence> = {
  id: "T9",
  statement:
    "returned items with more than any score pruned before the last step are the exact best, in order",
  check: (search, tally) =>
    search.certified().forEach(({ what, isBest }) => tally.expect(isBest, () => what)),
};

/**
 * Cross-entropy bounds the miss rate. One instance an item that was not returned; for a returned
 * one the right side is not negative.
 */
const T10 = perItem("T10", "1[y missed at B] <= -log P(y) / log(B+1)", (search, y, tally) => {
  if (search.isReturned(y)) return;
  tally.equivalent(search.hasMass(y), false, () => `${search.nameOf(y)} was missed`);
});

/** T1 to T10, which speak about a search alone. */
export const theorems: readonly Proposition<Evidence>[] = [T1, T2, T3, T4, T5, T6, T7, T8, T9, T10];
