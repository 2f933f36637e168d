/**
 * What the losses that look at whole prefixes put in place of their loss (docs/theory.md, S7 and S8): from which side they bound it.
 *
 * @module
 */
import { named } from "./necessary.ts";
import type { Proposition, Tally } from "./proposition.ts";
import { prefixOf, type World } from "./world.ts";

export const S7: Proposition<World> = {
  id: "S7",
  statement:
    "apao: -log pi(y_<=t) / log(B+1) >= 1[B others of level t score at least as much as y_<=t]",
  hypothesis:
    "Level t has all prefixes of t tokens, and items that ended before. One instance an item and a step with B such others.",
  proof:
    "They and y_<=t are disjoint events, so B + 1 times its probability is at most 1. With sampled others the pairwise form " +
    "has log(1 + B) at least where B of them score as much, by the logarithm alone.",
  source: "Yu et al., arXiv:2603.02730; the bound is this project's",
  check(world, tally): void {
    const { one, beam, pi } = world;
    forPrefixes(world, (leaf, t, node) => {
      const others = othersAtLeast(world, node, t);
      if (others < beam) return;
      tally.expect(pi[node] * BigInt(beam + 1) <= one, () => `${named(world, leaf)}, step ${t}`);
    });
  },
};

/** Calls `visit` with every item, each step t up to its length, and the node y_<=t. */
export function forPrefixes(
  world: World,
  visit: (leaf: number, t: number, node: number) => void,
): void {
  for (const leaf of world.leaves) {
    for (let t = 1; t <= world.trie.depths[leaf]; t++) visit(leaf, t, prefixOf(world, leaf, t));
  }
}

/** How many others of level t score at least as much as a node of it. */
export function othersAtLeast({ pi, levels }: World, node: number, t: number): number {
  return levels[t].filter((v) => v !== node && pi[v] >= pi[node]).length;
}

/** S8: what is said of the threshold of the beam, checked on `ahead`: what stands for log(theta_t / pi(y_<=t)). */
export const directForm = (
  ahead: (world: World, node: number, t: number) => number,
): Proposition<World> => ({
  id: "S8",
  statement:
    "beam-exact: softplus(x_t)/log 2 >= 1[theta_t > pi(y_<=t)] with x_t = log(theta_t/pi(y_<=t))/xi, and summed over y's " +
    "tokens >= 1[the search loses y by its last token]",
  hypothesis:
    "P(y) > 0. One instance an item that is lost by then; one that has ended may still be displaced by longer ones.",
  proof:
    "Where y_<=t is lost the B-th best entry scores at least as much, so x_t >= 0 and its term is at least 1. The others are " +
    "not negative.",
  source: "this project",
  check(world, tally): void {
    for (const leaf of world.leaves) {
      if (world.pi[leaf] > 0n) checkDirect(world, leaf, ahead, tally);
    }
  },
});

function checkDirect(
  world: World,
  leaf: number,
  ahead: (world: World, node: number, t: number) => number,
  tally: Tally,
): void {
  const { search, trie, pi, beam } = world;
  const length = trie.depths[leaf];
  const lost = !search[length - 1].kept.includes(leaf);
  for (const xi of [0.25, 1, 4]) {
    let sum = 0;
    for (let t = 1; t <= length; t++) {
      const { pool } = search[t - 1];
      if (pool.length < beam) continue; // nothing is pruned
      const node = prefixOf(world, leaf, t);
      const term = softplus(ahead(world, node, t) / xi) / Math.LN2;
      if (pi[pool[beam - 1]] > pi[node] && term < 1) {
        tally.expect(false, () => `${named(world, leaf)}, step ${t}: ${term} < 1`);
      }
      sum += term;
    }
    if (lost) tally.expect(sum >= 1, () => `${named(world, leaf)} was lost, ${sum} < 1`);
  }
}

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const S8: Proposition<World> = directForm(({ search, pi, beam }, node, t) =>
  Math.log(Number(pi[search[t - 1].pool[beam - 1]]) / Number(pi[node]))
);
