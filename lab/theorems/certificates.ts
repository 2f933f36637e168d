/**
 * The theorems that promise something from sums and counts, without a search or after one.
 *
 * @module
 */
import { total } from "./exact.ts";
import { isAlive, named } from "./necessary.ts";
import type { Proposition } from "./proposition.ts";
import { prefixOf, returned, siblingsOf, type World } from "./world.ts";

export const T4: Proposition<World> = {
  id: "T4",
  statement: "P(y) > 1/(B+1) => y is returned",
  hypothesis: "P(y) > 1/(B+1), strictly: of B + 1 equal leaves one is lost.",
  proof:
    "Prefixes of one level are disjoint events, so at most B of them have more than 1/(B+1), and each prefix of y has. T3.",
  source: "this project",
  check(world, tally): void {
    const { pi, one, beam } = world;
    const found = new Set(returned(world));
    for (const leaf of world.leaves) {
      if (pi[leaf] * BigInt(beam + 1) > one) {
        tally.expect(found.has(leaf), () => `${named(world, leaf)} was lost`);
      }
    }
  },
};

export const T5: Proposition<World> = {
  id: "T5",
  statement: "pi(y_<=t) > M_t/(B+1) and y_<t in the beam => y survives step t; theta_t <= M_t/B",
  hypothesis:
    "One instance an item and a step with that share of the pool's mass, and one a step with at least B entries.",
  proof:
    "Fewer than B + 1 entries can have more than 1/(B+1) of a sum. The best B have at least B theta_t between them.",
  source: "this project",
  check(world, tally): void {
    const { pi, beam, search } = world;
    search.forEach(({ pool }, t) => {
      const mass = total(pool.map((v) => pi[v]));
      for (const leaf of world.leaves) {
        const heavy = pi[prefixOf(world, leaf, t + 1)] * BigInt(beam + 1) > mass;
        if (heavy && isAlive(world, leaf, t)) {
          tally.expect(isAlive(world, leaf, t + 1), () => `${named(world, leaf)}, step ${t + 1}`);
        }
      }
      if (pool.length >= beam) {
        const theta = pi[pool[beam - 1]];
        tally.expect(theta * BigInt(beam) <= mass, () => `theta of step ${t + 1} at B = ${beam}`);
      }
    });
  },
};

/** How many entries of level t lie under a node, which is of that level or one before. */
export function entriesUnder(world: World, node: number, t: number): number {
  const { children, trie } = world;
  if (trie.depths[node] === t || children[node].length === 0) return 1;
  return children[node].reduce((n, child) => n + entriesUnder(world, child, t), 0);
}

/** At most how many entries of step t may come before y_<=t, from the off-path siblings of y_1..y_t alone (T6). */
export function competitorsOf(world: World, leaf: number, t: number): number {
  const { trie, pi } = world;
  const own = pi[prefixOf(world, leaf, t)];
  let count = 0;
  for (let s = 1; s <= Math.min(t, trie.depths[leaf]); s++) {
    for (const w of siblingsOf(world, prefixOf(world, leaf, s))) {
      if (s === t) count += pi[w] >= own ? 1 : 0;
      else if (own === 0n) count += entriesUnder(world, w, t);
      else count += Math.min(entriesUnder(world, w, t), Number(pi[w] / own));
    }
  }
  return count;
}

export const T6: Proposition<World> = {
  id: "T6",
  statement:
    "at each t, sum over off-path siblings w of min(n_t(w), floor(pi(w)/pi(y_<=t))) <= B-1 => y is returned",
  hypothesis:
    "The sum is over off-path siblings at steps before t, plus the siblings of y_t that score at least as much; one " +
    "teacher-forced pass gives it. n_t(w) is the number of entries of level t under w.",
  proof:
    "Entries under w share pi(w), so at most floor(pi(w)/x) of them have x or more. Every entry of the pool but y_<=t is under " +
    "one off-path sibling. So fewer than B entries come before y_<=t at each t. The count never falls with t (n_t(w) grows, " +
    "pi(y_<=t) falls), so the last step decides.",
  source: "this project",
  check(world, tally): void {
    const { beam, depth } = world;
    const found = new Set(returned(world));
    for (const leaf of world.leaves) {
      const counts = levelsOf(depth).map((t) => competitorsOf(world, leaf, t));
      if (counts.some((n, i) => i > 0 && n < counts[i - 1])) {
        tally.expect(false, () => `${named(world, leaf)}: the count falls, ${counts}`);
      }
      if (counts.every((n) => n < beam)) {
        tally.expect(found.has(leaf), () => `${named(world, leaf)} was lost`);
      }
    }
  },
};

const levelsOf = (depth: number): number[] => Array.from({ length: depth }, (_, i) => i + 1);

/** The largest score that a search pruned before its last step; -1 if it pruned nothing. */
export function prunedBeforeLast({ search, pi }: World): bigint {
  let most = -1n;
  for (const { pool, kept } of search.slice(0, -1)) {
    for (const v of pool) if (!kept.includes(v) && pi[v] > most) most = pi[v];
  }
  return most;
}

export const T9: Proposition<World> = {
  id: "T9",
  statement:
    "returned items with more than any score pruned before the last step are the exact best, in order",
  hypothesis:
    "P(y) is above the largest score that was pruned before the last step. One instance such an item.",
  proof:
    "Scores only fall along a path, so every lost item has at most the score of its pruned prefix; items lost at the last step " +
    "come after all that were returned.",
  source: "this project",
  check(world, tally): void {
    const { pi, levels, depth } = world;
    const bound = prunedBeforeLast(world);
    returned(world).forEach((leaf, rank) => {
      if (pi[leaf] > bound) {
        tally.expect(
          levels[depth][rank] === leaf,
          () => `${named(world, leaf)} is not number ${rank}`,
        );
      }
    });
  },
};

export const T10: Proposition<World> = {
  id: "T10",
  statement: "1[y missed at B] <= -log P(y) / log(B+1)",
  hypothesis:
    "y was not returned. One instance such an item; for a returned one the right side is not negative.",
  proof:
    "By T4 a missed item has P(y) <= 1/(B+1), so -log P(y) >= log(B+1). Cross-entropy bounds the miss rate already.",
  source: "this project",
  check(world, tally): void {
    const { pi, one, beam } = world;
    const found = new Set(returned(world));
    for (const leaf of world.leaves) {
      if (!found.has(leaf)) {
        tally.expect(pi[leaf] * BigInt(beam + 1) <= one, () => `${named(world, leaf)} was missed`);
      }
    }
  },
};
