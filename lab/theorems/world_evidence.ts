/**
 * A world as evidence: every question about its search has an exact answer.
 *
 * @module
 */
import type { Proposition } from "./proposition.ts";
import { type Evidence, type Range, theorems } from "./t1_t15_search.ts";
import {
  isAlive,
  isViolated,
  named,
  pathTo,
  prunedBeforeLast,
  returned,
  rivalOf,
  siblingRank,
  siblingsOf,
  type World,
} from "./world.ts";
import { compare, total, type WorldModel } from "./world_model.ts";

/** The theorems about a beam search, checked in worlds. */
export const searchTheorems: readonly Proposition<World>[] = theorems.map((theorem) => ({
  ...theorem,
  check: (world, tally) => theorem.check(evidenceOf(world), tally),
}));

/** The evidence of a world: all of its items are judged. */
export function evidenceOf(world: World): Evidence {
  const { trie, pi, one, weights, children, leaves, search, beam, depth } = world;
  const places = BigInt(beam);
  const list = returned(world);
  const found = new Set(list);
  const at = (y: number, t: number): number => world.trie.prefixOf(y, t);
  const siblings = (node: number): readonly number[] => children[trie.parents[node]];
  const parentPi = (node: number): bigint => pi[trie.parents[node]];
  const masses: bigint[] = [];
  const mass = (t: number): bigint => masses[t] ??= total(search[t - 1].pool.map((v) => pi[v]));
  const exactly = (n: number): Range => ({ least: n, most: n });
  const ranked = world.levels[depth];
  let best: readonly number[] | undefined;
  return {
    beam,
    depth,
    leaves,
    nameOf: (y) => named(world, y),
    lengthOf: (y) => trie.depths[y],
    choices: (y, t) => siblings(at(y, t)).length,
    prunes: search.some(({ pool, kept }) => kept.length < pool.length),
    isReturned: (y) => found.has(y),
    isAlive: (y, t) => isAlive(world, y, t),
    isPrunedBy: (y, t) =>
      [search, world.reversed].every((steps) =>
        steps.slice(0, t).some(({ kept }, s) => !kept.includes(at(y, s + 1)))
      ),
    isAmongBestSiblings: (y, t) => parentPi(at(y, t)) === 0n || siblingRank(world, at(y, t)) < beam,
    isViolated: (y, t) => parentPi(at(y, t)) > 0n && isViolated(world, at(y, t)),
    isMarginRight(y, t) {
      const own = weights[at(y, t)];
      const better = siblings(at(y, t)).filter((v) => weights[v] > own);
      return better.length >= beam === isViolated(world, at(y, t));
    },
    isAmongBestPrefixes: (y) => world.levels.every((level, t) => level.indexOf(at(y, t)) < beam),
    hasMass: (y) => pi[y] * (places + 1n) > one,
    hasMassInPool: (y, t) => pi[at(y, t)] * (places + 1n) > mass(t),
    hasThreshold: (t) => search[t - 1].pool.length >= beam,
    isThresholdWithinMass: (t) => pi[search[t - 1].pool[beam - 1]] * places <= mass(t),
    competitors: (y) => search.map((_, i) => exactly(competitorsOf(world, y, i + 1))),
    forced: (y) => search.map((_, i) => exactly(forcedOf(world, y, i + 1))),
    beatsOthers(y, t) {
      const node = at(y, t);
      const rival = rivalOf(world, node, t);
      return rival === undefined || pi[node] > pi[rival] ||
        (pi[node] === pi[rival] && node < rival);
    },
    isThresholdAboveSiblings(y, t) {
      const node = at(y, t);
      if (siblings(node).length < beam) return undefined;
      const last = search[t - 1].pool.at(beam - 1);
      // pi(last) >= beta pi(parent), and pi(node) = weight pi(parent)
      return last !== undefined && pi[last] * weights[node] >= world.beta[node] * pi[node];
    },
    greedy(y) {
      if (beam > 1 || pi[y] === 0n) return undefined;
      const isBest = pathTo(world, y).every((node) => siblingRank(world, node) === 0);
      return { isBest, isReturned: found.has(y) };
    },
    fits: (t) => world.levels.slice(0, t).every((level) => level.length <= beam),
    isInExactTop: (y) => world.levels[depth].indexOf(y) < beam,
    certified() {
      const bound = prunedBeforeLast(world);
      return [...list.entries()].filter(([, y]) => pi[y] > bound).map(([rank, y]) => ({
        what: `${named(world, y)} is not number ${rank}`,
        isBest: ranked[rank] === y,
      }));
    },
    ahead(y) {
      best ??= bestRanks(world);
      const rank = ranked.indexOf(y);
      const wasted = search.map(({ pool }, i) => {
        const own = at(y, i + 1);
        const before = (v: number): boolean =>
          v !== own && (compare(pi[own], pi[v]) || v - own) < 0;
        return exactly(pool.filter((v) => before(v) && best![v] > rank).length);
      });
      return { items: exactly(rank), wasted };
    },
    widths() {
      const bound = prunedBeforeLast(world);
      return ranked.slice(0, beam).map((item, i) => ({
        k: i + 1,
        width: exactly(widthFor(world, pi[item])),
        isCertified: i < list.length && pi[list[i]] > bound,
      }));
    },
  };
}

/** Node -> the place of the best item under it, from 0, among all items. */
export function bestRanks({ trie: { parents }, levels, depth, pi }: World): number[] {
  const best = pi.map(() => Infinity);
  levels[depth].forEach((leaf, rank) => {
    for (let v = leaf; v > 0; v = parents[v]) best[v] = Math.min(best[v], rank);
  });
  return best;
}

/** T15: the most entries of a level before the last that have at least a probability. */
export function widthFor({ levels, depth, pi }: World, least: bigint): number {
  const counts = levels.slice(1, depth).map((level) => level.filter((v) => pi[v] >= least).length);
  return Math.max(0, ...counts);
}

/** How many entries of level t lie under a node of that level or of one before. */
function entriesUnder(world: WorldModel, node: number, t: number): number {
  const { children, trie } = world;
  if (trie.depths[node] === t || children[node].length === 0) return 1;
  return children[node].reduce((n, child) => n + entriesUnder(world, child, t), 0);
}

/** T6: how many entries of step t at most come before y_<=t, from its off-path siblings alone. */
export function competitorsOf(world: WorldModel, leaf: number, t: number): number {
  const { trie, pi } = world;
  const own = pi[world.trie.prefixOf(leaf, t)];
  let count = 0;
  for (let s = 1; s <= Math.min(t, trie.depths[leaf]); s++) {
    for (const w of siblingsOf(world, world.trie.prefixOf(leaf, s))) {
      if (s === t) count += pi[w] >= own ? 1 : 0;
      else if (own === 0n) count += entriesUnder(world, w, t);
      else count += Math.min(entriesUnder(world, w, t), Number(pi[w] / own));
    }
  }
  return count;
}

/** T2': how many siblings of steps up to t must have left an entry above y_<=t if it survives. */
export function forcedOf(world: World, leaf: number, t: number): number {
  const { trie, pi } = world;
  let count = 0;
  for (let s = 1; s <= Math.min(t, trie.depths[leaf]); s++) {
    const isAhead = (w: number): boolean =>
      Array.from({ length: t - s + 1 }, (_, i) => s + i).every((j) => {
        const most = spreadTo(world, w, j);
        return most !== undefined && pi[w] > pi[trie.prefixOf(leaf, j)] * most;
      });
    count += siblingsOf(world, trie.prefixOf(leaf, s)).filter(isAhead).length;
  }
  return count;
}

/**
 * D_t(w): the largest product of numbers of children on a way from w to level t. Undefined over the
 * vocabulary if there are any, as children may have nothing.
 */
function spreadTo(world: World, node: number, t: number): bigint | undefined {
  const { children, trie, normalization } = world;
  const under = children[node];
  if (trie.depths[node] === t || under.length === 0) return 1n;
  if (normalization === "vocabulary") return undefined;
  let most = 0n;
  for (const child of under) {
    const own = spreadTo(world, child, t);
    if (own !== undefined && own > most) most = own;
  }
  return most * BigInt(under.length);
}
