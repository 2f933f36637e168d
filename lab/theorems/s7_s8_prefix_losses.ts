/**
 * S7 and S8: what the losses that look at whole prefixes put in place of a lost prefix, and from
 * which side they bound it.
 *
 * @module
 */
import type { Proposition } from "./proposition.ts";
import { softplus } from "./s1_s6_token_losses.ts";
import { named, pathTo, type World } from "./world.ts";

/**
 * S7, the bound of apao. Level t has all prefixes of t tokens, and items that ended before. One
 * instance an item and a step with B others of the level that score at least as much.
 */
export const S7: Proposition<World> = {
  id: "S7",
  statement:
    "apao: -log pi(y_<=t) / log(B+1) >= 1[B others of level t score at least as much as y_<=t]",
  check(world, tally): void {
    const { one, beam, pi, leaves } = world;
    for (const leaf of leaves) {
      pathTo(world, leaf).forEach((node, i) => {
        if (othersAtLeast(world, node, i + 1) < beam) return;
        const what = (): string => `${named(world, leaf)}, step ${i + 1}`;
        tally.expect(pi[node] * BigInt(beam + 1) <= one, what);
      });
    }
  },
};

/** How many others of level t score at least as much as a node of it. */
export function othersAtLeast({ pi, levels }: World, node: number, t: number): number {
  return levels[t].filter((v) => v !== node && pi[v] >= pi[node]).length;
}

/**
 * S8, the bound of beam-exact. One instance an item with P(y) > 0 that is lost by its last token;
 * one that has ended may still be displaced by longer ones.
 */
export const S8: Proposition<World> = directForm(({ search, pi, beam }, node, t) =>
  Math.log(Number(pi[search[t - 1].pool[beam - 1]]) / Number(pi[node]))
);

/**
 * S8 with log(theta_t / pi(y_<=t)) as `shortfall` says, of a node at a step t whose pool has at
 * least B entries.
 */
export function directForm(
  shortfall: (world: World, node: number, t: number) => number,
): Proposition<World> {
  return {
    id: "S8",
    statement:
      "beam-exact: softplus(x_t)/log 2 >= 1[theta_t > pi(y_<=t)] with x_t = log(theta_t/pi(y_<=t))/xi, and summed over y's " +
      "tokens >= 1[the search loses y by its last token]",
    check(world, tally): void {
      const { search, pi, beam, leaves } = world;
      for (const leaf of leaves.filter((y) => pi[y] > 0n)) {
        const path = pathTo(world, leaf);
        const lost = !search[path.length - 1].kept.includes(leaf);
        for (const xi of [0.25, 1, 4]) {
          const terms = path.map((node, i) => {
            const { pool } = search[i];
            if (pool.length < beam) return 0; // nothing is pruned
            const term = softplus(shortfall(world, node, i + 1) / xi) / Math.LN2;
            if (pi[pool[beam - 1]] > pi[node] && term < 1) {
              tally.expect(false, () => `${named(world, leaf)}, step ${i + 1}: ${term} < 1`);
            }
            return term;
          });
          const all = terms.reduce((a, b) => a + b);
          if (lost) tally.expect(all >= 1, () => `${named(world, leaf)} was lost, ${all} < 1`);
        }
      }
    },
  };
}
