/**
 * T1 to T10: what a beam search keeps and what it prunes.
 *
 * @module
 */
import type { Evidence } from "./evidence.ts";
import type { Proposition } from "./proposition.ts";

/** The steps 1 to n. */
const steps = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** T1, the local condition is necessary. One instance a returned item. */
export const T1: Proposition<Evidence> = {
  id: "T1",
  statement: "y returned => each y_t is among the best B of its siblings",
  check(search, tally): void {
    for (const y of search.leaves) {
      if (!search.isReturned(y)) continue;
      const parts = steps(search.lengthOf(y)).map((t) => search.isAmongBestSiblings(y, t));
      tally.all(parts, () => `${search.nameOf(y)} was returned, token ${1 + parts.indexOf(false)}`);
    }
  },
};

/** T2, a margin above 0 is fatal. One instance an item that has one. */
export const T2: Proposition<Evidence> = {
  id: "T2",
  statement: "Delta_t > 0 and pi(y_<t) > 0 => y is pruned at or before t, however ties are broken",
  check(search, tally): void {
    for (const y of search.leaves) {
      const parts = steps(search.lengthOf(y)).flatMap((t) => {
        if (!search.isMarginRight(y, t)) {
          tally.expect(false, () => `${search.nameOf(y)}: Delta_${t} has the wrong sign`);
        }
        const violated = search.isViolated(y, t);
        return violated === false ? [] : [violated && search.isPrunedBy(y, t)];
      });
      if (parts.length > 0) tally.all(parts, () => `${search.nameOf(y)} survived`);
    }
  },
};

/** T3, prefixes that no level can displace. One instance an item. */
export const T3: Proposition<Evidence> = {
  id: "T3",
  statement: "every prefix of y is among the best B of its level => y is returned",
  check(search, tally): void {
    for (const y of search.leaves) {
      const lost = (): string => `${search.nameOf(y)} was lost`;
      tally.implies(search.isAmongBestPrefixes(y), search.isReturned(y), lost);
    }
  },
};

/** T4, the mass certificate. One instance an item with that much probability. */
export const T4: Proposition<Evidence> = {
  id: "T4",
  statement: "P(y) > 1/(B+1) => y is returned",
  check(search, tally): void {
    for (const y of search.leaves) {
      const lost = (): string => `${search.nameOf(y)} was lost`;
      tally.implies(search.hasMass(y), search.isReturned(y), lost);
    }
  },
};

/**
 * T5, T4 in a pool. One instance an item and a step with that share of the pool's mass, and one a
 * step with at least B entries.
 */
export const T5: Proposition<Evidence> = {
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

/** T6, the certificate of one teacher-forced pass. One instance an item with so few competitors. */
export const T6: Proposition<Evidence> = {
  id: "T6",
  statement:
    "at each t, sum over off-path siblings w of min(n_t(w), floor(pi(w)/pi(y_<=t))) <= B-1 => y is returned",
  check(search, tally): void {
    for (const y of search.leaves) {
      const { least, most } = search.competitors(y);
      if (most.some((n, i) => i > 0 && n < most[i - 1])) {
        tally.expect(false, () => `${search.nameOf(y)}: the count falls, ${most}`);
      }
      const few = (counts: readonly number[]): boolean => counts.every((n) => n < search.beam);
      const hypothesis = few(most) || (few(least) ? undefined : false);
      tally.implies(hypothesis, search.isReturned(y), () => `${search.nameOf(y)} was lost`);
    }
  },
};

/** T7, the exact margin. One instance an item and a step that y_<t has reached. */
export const T7: Proposition<Evidence> = {
  id: "T7",
  statement:
    "y_<=t survives step t <=> it beats the B-th best of the other entries; where Delta_t > 0 that margin is <= -Delta_t",
  check(search, tally): void {
    for (const y of search.leaves) {
      for (let t = 1; t <= search.depth && search.isAlive(y, t - 1); t++) {
        const beats = search.beatsOthers(y, t);
        const parts = [beats === undefined ? beats : beats === search.isAlive(y, t)];
        const above = t <= search.lengthOf(y) ? search.isThresholdAboveSiblings(y, t) : undefined;
        // Where Delta_t > 0, the B-th best entry is another one than y_<=t.
        if (above !== undefined) parts.push(above);
        tally.all(parts, () => `${search.nameOf(y)}, step ${t}`);
      }
    }
  },
};

/** T8, edge cases. One instance an item and an edge case. */
export const T8: Proposition<Evidence> = {
  id: "T8",
  statement:
    "B = 1: T1 is an equivalence. One-token items: returned = best B siblings = exact top B. B >= every level: all " +
    "returned. B >= every level but the last: exact top B",
  check(search, tally): void {
    for (const y of search.leaves) {
      const at = (edge: string) => (): string => `${search.nameOf(y)}: ${edge}`;
      const isReturned = search.isReturned(y);
      const greedy = search.greedy(y);
      if (greedy) tally.equivalent(greedy.isBest, greedy.isReturned, at("B = 1"));
      if (search.fits(search.depth + 1)) tally.expect(isReturned, at("room for every level"));
      const isInTop = search.isInExactTop(y);
      if (isInTop === undefined) continue;
      if (search.depth === 1) {
        tally.equivalent(search.isAmongBestSiblings(y, 1), isReturned, at("one token"));
      }
      if (search.fits(search.depth)) {
        tally.equivalent(isInTop, isReturned, at("room for every level but the last"));
      }
    }
  },
};

/** T9, the certificate of a list. One instance an item that scores above what was pruned. */
export const T9: Proposition<Evidence> = {
  id: "T9",
  statement:
    "returned items with more than any score pruned before the last step are the exact best, in order",
  check(search, tally): void {
    for (const { what, isBest } of search.certified()) tally.expect(isBest, () => what);
  },
};

/**
 * T10, cross-entropy bounds the miss rate. One instance an item that was not returned; for a
 * returned one the right side is not negative.
 */
export const T10: Proposition<Evidence> = {
  id: "T10",
  statement: "1[y missed at B] <= -log P(y) / log(B+1)",
  check(search, tally): void {
    for (const y of search.leaves) {
      if (search.isReturned(y)) continue;
      tally.equivalent(search.hasMass(y), false, () => `${search.nameOf(y)} was missed`);
    }
  },
};
