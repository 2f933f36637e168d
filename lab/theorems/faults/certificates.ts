/**
 * Faults in what certifies an item or a list.
 *
 * @module
 */
import type { Evidence, Range } from "../t1_t15_search.ts";
import { pathTo, siblingRank, siblingsOf, type World } from "../world.ts";
import { bestRanks } from "../world_evidence.ts";
import { total } from "../world_model.ts";
import type { Fault } from "./fault.ts";

/** A world and what is said of it. */
export interface Certified {
  /** The world. */
  readonly world: World;
  /** What certifies its items and lists. */
  readonly evidence: Evidence;
}

/** A certificate that says something else of a world. */
function certificate(
  name: string,
  caughtBy: readonly string[],
  wrong: (evidence: Evidence, world: World) => Partial<Evidence>,
): Fault<Certified> {
  return {
    name,
    caughtBy,
    plant: ({ world, evidence }) => ({
      world,
      evidence: { ...evidence, ...wrong(evidence, world) },
    }),
  };
}

const exactly = (n: number): Range => ({ least: n, most: n });
const plus = ({ least, most }: Range, n: number): Range => ({ least: least + n, most: most + n });

/** Mistakes in what certifies an item or a list. */
export const certificateFaults: readonly Fault<Certified>[] = [
  certificate(
    "tokens before the last are among the best B - 1 of their siblings",
    ["T1: more than B siblings at some step"],
    (evidence, world) => ({
      isAmongBestSiblings: (y, t) =>
        evidence.isAmongBestSiblings(y, t) &&
        (t === evidence.lengthOf(y) || isInFewer(world, y, t)),
    }),
  ),
  certificate(
    "tokens after the first are among the best B - 1 of their siblings",
    ["T1: more than B siblings at some step"],
    (evidence, world) => ({
      isAmongBestSiblings: (y, t) =>
        evidence.isAmongBestSiblings(y, t) && (t === 1 || isInFewer(world, y, t)),
    }),
  ),
  certificate(
    "all tokens are among the best B - 1 of their siblings",
    ["T8: one token"],
    (_, world) => ({ isAmongBestSiblings: (y, t) => isInFewer(world, y, t) }),
  ),
  certificate(
    "the exact top is that of B - 1",
    ["T8: one token", "T8: room for every level but the last"],
    (_, { levels, depth, beam }) => ({
      isInExactTop: (y) => levels[depth].indexOf(y) < beam - 1,
    }),
  ),
  certificate(
    "an item with exactly 1/(B+1) passes",
    ["T4: something is pruned", "T10"],
    (_, { pi, one, beam }) => ({ hasMass: (y) => pi[y] * BigInt(beam + 1) >= one }),
  ),
  certificate(
    "M_t leaves out what is pruned",
    ["T5: a share of the pool"],
    (_, { search, pi, trie, beam }) => ({
      hasMassInPool: (y, t) =>
        pi[trie.prefixOf(y, t)] * BigInt(beam + 1) > total(search[t - 1].kept.map((v) => pi[v])),
    }),
  ),
  certificate(
    "M_t leaves out finished items",
    ["T5: a threshold"],
    (_, { search, pi, trie, beam }) => ({
      isThresholdWithinMass(t) {
        const { pool } = search[t - 1];
        const mass = total(pool.filter((v) => trie.depths[v] === t).map((v) => pi[v]));
        return pi[pool[beam - 1]] * BigInt(beam) <= mass;
      },
    }),
  ),
  certificate("T6 counts one rival too few", ["T6: something is pruned"], (evidence) => ({
    competitors: (y) => evidence.competitors(y).map((n) => plus(n, -1)),
  })),
  certificate("T6 looks at the first step only", ["T6: something is pruned"], (evidence) => ({
    competitors: (y) => evidence.competitors(y).map((_, __, [first]) => first),
  })),
  certificate("T6 counts the siblings of the step only", ["T6: the count never falls"], (
    _,
    { search, pi, trie, ...world },
  ) => ({
    competitors: (y) =>
      search.map((__, i) => {
        if (i >= trie.depths[y]) return exactly(0);
        const node = trie.prefixOf(y, i + 1);
        const siblings = siblingsOf({ ...world, trie, pi }, node);
        return exactly(siblings.filter((v) => pi[v] >= pi[node]).length);
      }),
  })),
  certificate("T2' counts one rival too many", ["T2': T2 does not say so"], (evidence) => ({
    forced: (y) => evidence.forced(y).map((n) => plus(n, 1)),
  })),
  certificate(
    "T2' forgets that what is ahead can spread",
    ["T2': T2 does not say so"],
    (_, world) => ({
      forced: (y) =>
        world.search.map((__, i) => {
          const { trie, pi } = world;
          const own = pi[trie.prefixOf(y, i + 1)];
          const nodes = pathTo(world, y).slice(0, i + 1);
          const siblings = nodes.flatMap((node) => siblingsOf(world, node));
          return exactly(siblings.filter((w) => pi[w] > own).length);
        }),
    }),
  ),
  certificate("the B-th best entry of all is the rival", ["T7: a step that y_<t has reached"], (
    _,
    { search, pi, trie, beam },
  ) => ({
    beatsOthers(y, t) {
      const [node, last] = [trie.prefixOf(y, t), search[t - 1].pool.at(beam - 1)];
      return last === undefined || pi[node] > pi[last];
    },
  })),
  certificate(
    "an item passes that ties with what was pruned",
    ["T9: something is pruned"],
    (evidence, world) => ({ certified: () => listed(evidence, world, (p, lost) => p >= lost) }),
  ),
  certificate(
    "T9 looks at the first step only",
    ["T9: something is pruned"],
    (evidence, world) => ({
      certified: () => {
        const search = [world.search[0], ...world.search.slice(-1)];
        return listed(evidence, { ...world, search }, (p, lost) => p > lost);
      },
    }),
  ),
  certificate(
    "every entry is taken to keep its promise",
    ["T13: something is pruned", "T13': none is (T13)"],
    (evidence) => ({
      ahead(y) {
        const { items, wasted } = evidence.ahead(y)!;
        return { items, wasted: wasted.map(() => exactly(0)) };
      },
    }),
  ),
  certificate(
    "waste is counted at the first step only",
    ["T13': some entry ahead is wasted"],
    (evidence) => ({
      ahead(y) {
        const { items, wasted } = evidence.ahead(y)!;
        return { items, wasted: wasted.map((n, i) => i === 0 ? n : exactly(0)) };
      },
    }),
  ),
  certificate(
    "an entry that leads to any returned item is no waste",
    ["T13: something is pruned"],
    (evidence, world) => ({
      ahead(y) {
        const { items } = evidence.ahead(y)!;
        const best = bestRanks(world);
        const wasted = world.search.map(({ pool }, i) => {
          const own = world.trie.prefixOf(y, i + 1);
          const ahead = pool.filter((v) => v !== own && world.pi[v] > world.pi[own]);
          return exactly(ahead.filter((v) => best[v] >= world.beam).length);
        });
        return { items, wasted };
      },
    }),
  ),
  certificate(
    "the width counts the last level, too",
    ["T15: B is too small"],
    (evidence, world) => ({
      widths: () =>
        evidence.widths()!.map(({ k, width, isCertified }, i) => {
          const { levels, depth, pi } = world;
          const least = pi[levels[depth][i]];
          const last = levels[depth].filter((v) => pi[v] >= least).length;
          return { k, width: exactly(Math.max(width.most, last)), isCertified };
        }),
    }),
  ),
  certificate(
    "the width counts only prefixes with more",
    ["T15: B is enough"],
    (evidence, world) => ({
      widths: () =>
        evidence.widths()!.map(({ k, isCertified }, i) => {
          const { levels, depth, pi } = world;
          const least = pi[levels[depth][i]];
          const counts = levels.slice(1, depth).map((l) => l.filter((v) => pi[v] > least).length);
          return { k, width: exactly(Math.max(0, ...counts)), isCertified };
        }),
    }),
  ),
];

/** Whether y_t is among the best B - 1 of its siblings. */
function isInFewer(world: World, y: number, t: number): boolean {
  return siblingRank(world, world.trie.prefixOf(y, t)) < world.beam - 1;
}

/** The items that a wrong T9 certifies, by their score and the best that was pruned. */
function listed(
  { nameOf }: Evidence,
  { search, pi, levels, depth }: World,
  passes: (score: bigint, lost: bigint) => boolean,
): ReturnType<Evidence["certified"]> {
  const pruned = search.slice(0, -1).flatMap(({ pool, kept }) => pool.slice(kept.length));
  const lost = pruned.reduce((most, v) => pi[v] > most ? pi[v] : most, -1n);
  return [...search[search.length - 1].kept.entries()]
    .filter(([, y]) => passes(pi[y], lost))
    .map(([rank, y]) => ({ what: nameOf(y), isBest: levels[depth][rank] === y }));
}
