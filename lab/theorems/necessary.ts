/**
 * The theorems about one step: who is kept, and what a token's siblings say about it.
 *
 * @module
 */
import type { Proposition } from "./proposition.ts";
import { isViolated, prefixOf, returned, siblingRank, siblingsOf, type World } from "./world.ts";

/** The steps 1 to the number of a leaf's tokens. */
export function tokensOf({ trie }: World, leaf: number): number[] {
  return Array.from({ length: trie.depths[leaf] }, (_, i) => i + 1);
}

/** Whether a leaf's prefix was kept at step t; at step 0 it is the root. */
export function isAlive(world: World, leaf: number, t: number): boolean {
  return t === 0 || world.search[t - 1].kept.includes(prefixOf(world, leaf, t));
}

/** A leaf in words. */
export function named({ trie, beam }: World, leaf: number): string {
  return `item [${trie.pathOf(leaf)}] at B = ${beam}`;
}

export const T1: Proposition<World> = {
  id: "T1",
  statement: "y returned => each y_t is among the best B of its siblings",
  hypothesis: "y is returned; at each t with pi(y_<t) > 0. One instance a returned item.",
  proof:
    "All siblings of y_t are in the pool of step t, and multiplying by pi(y_<t) > 0 keeps their order. If B of them " +
    "come before y_t, so do B entries of the pool.",
  source: "Yang et al., arXiv:2601.22925",
  check(world, tally): void {
    const { trie, pi, beam } = world;
    for (const leaf of returned(world)) {
      const worse = tokensOf(world, leaf).find((t) => {
        const node = prefixOf(world, leaf, t);
        return pi[trie.parents[node]] > 0n && siblingRank(world, node) >= beam;
      });
      tally.expect(worse === undefined, () => `${named(world, leaf)} was returned, token ${worse}`);
    }
  },
};

export const T2: Proposition<World> = {
  id: "T2",
  statement: "Delta_t > 0 and pi(y_<t) > 0 => y is pruned at or before t, however ties are broken",
  hypothesis:
    "Some token of y has Delta_t > 0, that is, at least B siblings are strictly more probable. One instance an item.",
  proof:
    "B entries of the pool score strictly above y_<=t, so no tie rule can keep it. T1's contrapositive.",
  source: "Yang et al., arXiv:2601.22925",
  check(world, tally): void {
    const { trie, pi, weights, beam } = world;
    for (const leaf of world.leaves) {
      const bad = tokensOf(world, leaf).filter((t) => {
        const node = prefixOf(world, leaf, t);
        const better = siblingsOf(world, node).filter((v) => weights[v] > weights[node]);
        if ((better.length >= beam) !== isViolated(world, node)) {
          tally.expect(false, () => `${named(world, leaf)}: Delta_${t} has the wrong sign`);
        }
        return pi[trie.parents[node]] > 0n && isViolated(world, node);
      });
      if (bad.length === 0) continue;
      const first = bad[0];
      for (const search of [world.search, world.reversed]) {
        const kept = search.slice(0, first).every((step, s) =>
          step.kept.includes(prefixOf(world, leaf, s + 1))
        );
        if (kept) tally.expect(false, () => `${named(world, leaf)} survived step ${first}`);
      }
      tally.expect(true, () => "");
    }
  },
};

export const T3: Proposition<World> = {
  id: "T3",
  statement: "every prefix of y is among the best B of its level => y is returned",
  hypothesis:
    "At each t, fewer than B prefixes of t tokens (and items that ended before) come before y_<=t.",
  proof:
    "The pool of step t is a subset of level t. By induction y_<=t is in it, and fewer than B entries come before it.",
  source: "this project",
  check(world, tally): void {
    const { levels, beam, depth } = world;
    const found = new Set(returned(world));
    for (const leaf of world.leaves) {
      let holds = true;
      for (let t = 1; t <= depth && holds; t++) {
        holds = levels[t].indexOf(prefixOf(world, leaf, t)) < beam;
      }
      if (holds) tally.expect(found.has(leaf), () => `${named(world, leaf)} was lost`);
    }
  },
};

export const T7: Proposition<World> = {
  id: "T7",
  statement:
    "y_<=t survives step t <=> it beats the B-th best of the other entries; where Delta_t > 0 that margin is <= -Delta_t",
  hypothesis: "y_<t is in the beam. One instance an item and a step.",
  proof:
    "y_<=t is among the best B exactly if at most B - 1 other entries come before it. Where B siblings are more probable, the " +
    "B-th best other entry scores at least beta_t pi(y_<t).",
  source: "this project; the second half needs its condition, see R9",
  check(world, tally): void {
    const { trie, pi, weights, beta, beam, depth, search } = world;
    for (const leaf of world.leaves) {
      for (let t = 1; t <= depth && isAlive(world, leaf, t - 1); t++) {
        const node = prefixOf(world, leaf, t);
        const rival = search[t - 1].pool.filter((v) => v !== node)[beam - 1];
        const wins = rival === undefined || pi[node] > pi[rival] ||
          (pi[node] === pi[rival] && node < rival);
        // pi(rival) >= beta pi(parent), and pi(node) = weight pi(parent)
        const bound = t > trie.depths[leaf] || !isViolated(world, node) ||
          (rival !== undefined && pi[rival] * weights[node] >= beta[node] * pi[node]);
        tally.expect(
          wins === isAlive(world, leaf, t) && bound,
          () => `${named(world, leaf)}, step ${t}`,
        );
      }
    }
  },
};
