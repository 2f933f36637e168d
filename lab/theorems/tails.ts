/**
 * Why a search loses items that are among the exact best: prefixes that come before theirs and lead to nothing as good.
 *
 * @module
 */
import { compare, lcm } from "./exact.ts";
import { named } from "./necessary.ts";
import type { Proposition } from "./proposition.ts";
import { exactSearch } from "./search.ts";
import { type Model, prefixOf, returned, type World } from "./world.ts";

/** Node -> the score of the best item at or below it; 0 where none is left. */
export function bestBelow({ children, pi, leaves }: Model): bigint[] {
  const best: bigint[] = pi.map(() => 0n);
  for (const leaf of leaves) best[leaf] = pi[leaf];
  for (let v = best.length - 1; v >= 0; v--) { // children come after their parents
    for (const child of children[v]) if (best[child] > best[v]) best[v] = best[child];
  }
  return best;
}

/** Whether fewer than B other items score at least as much as an item. */
export function isClearlyAmongBest({ leaves, pi, beam }: World, leaf: number): boolean {
  return leaves.filter((other) => other !== leaf && pi[other] >= pi[leaf]).length < beam;
}

export const T13: Proposition<World> = {
  id: "T13",
  statement:
    "y in the exact top B, and each entry of a pool with at least pi(y_<=t) leads to an item with at least P(y) => y is returned",
  hypothesis:
    "Fewer than B other items score at least P(y). One instance such an item whose rivals in the pools keep their promise.",
  proof:
    "Where y_<=t is lost, B other entries score at least as much. They lead to B other items with at least P(y), as no two " +
    "entries of a pool lie on one path.",
  source: "this project",
  check(world, tally): void {
    const { pi, search } = world;
    const best = bestBelow(world);
    const found = new Set(returned(world));
    for (const leaf of world.leaves) {
      const kept = search.every(({ pool }, i) => {
        const own = pi[prefixOf(world, leaf, i + 1)];
        return pool.every((v) => pi[v] < own || best[v] >= pi[leaf]);
      });
      if (kept && isClearlyAmongBest(world, leaf)) {
        tally.expect(found.has(leaf), () => `${named(world, leaf)} was lost`);
      }
    }
  },
};

/**
 * Node -> the product along its path of w / (the largest w among siblings), in units: what the temperature makes of the scores in
 * the limit 0, up to a power.
 */
export function gapScores({ trie, children, weights, depth }: Model): bigint[] {
  const largest = children.map((list) =>
    list.map((v) => weights[v]).reduce((a, b) => a > b ? a : b, 1n)
  );
  const scale: bigint[] = Array(depth).fill(1n);
  children.forEach((list, u) => {
    const d = trie.depths[u];
    if (list.length > 0) scale[d] = lcm(scale[d], largest[u]);
  });
  const scores = weights.map(() => scale.reduce((a, b) => a * b, 1n));
  for (let v = 1; v < scores.length; v++) {
    const u = trie.parents[v];
    scores[v] = scores[u] * weights[v] / largest[u];
  }
  return scores;
}

/** T14 for scores of one's own. */
export const exactBeams = (scores: (world: World) => readonly bigint[]): Proposition<World> => ({
  id: "T14",
  statement:
    "scores in which the best child of a node has its parent's score: beam search of every width returns the exact top B, in order",
  hypothesis:
    "A path scores the sum of log q(y_t) - log max q over siblings: the limit of temperature 0, over children. One instance a world.",
  proof:
    "Every prefix leads to an item of its own score, at least that of any item below the prefixes that come after it: T13, and " +
    "ties keep the order of their prefixes.",
  source: "this project",
  check(world, tally): void {
    const { leaves, beam } = world;
    const pi = scores(world);
    const order = (a: number, b: number): number => compare(pi[b], pi[a]) || a - b;
    const exact = leaves.toSorted(order).slice(0, beam);
    const kept = exactSearch({ ...world, pi }).at(-1)?.kept ?? [];
    tally.expect(`${kept}` === `${exact}`, () => `returned ${kept}, the best are ${exact}`);
  },
});

export const T14: Proposition<World> = exactBeams(gapScores);
