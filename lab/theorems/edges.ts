/**
 * The theorems about edge cases and normalisations, and what taking items out of a catalogue means.
 *
 * @module
 */
import { compare } from "./exact.ts";
import { named, tokensOf } from "./necessary.ts";
import type { Proposition } from "./proposition.ts";
import {
  type Branch,
  exactWorld,
  modelOf,
  prefixOf,
  returned,
  siblingRank,
  type World,
  type WorldSpec,
} from "./world.ts";

export const T8: Proposition<World> = {
  id: "T8",
  statement:
    "B = 1: T1 is an equivalence. One-token items: returned = best B siblings = exact top B. B >= every level: all " +
    "returned. B >= every level but the last: exact top B",
  hypothesis:
    "One instance an item and an edge case that its catalogue is in; B = 1 only where P(y) is " +
    "positive.",
  proof:
    "With one place the best child of the only prefix is kept. The rest: where nothing is pruned, pool_t is level t.",
  source: "this project",
  check(world, tally): void {
    const { levels, beam, depth, pi, leaves } = world;
    const found = new Set(returned(world));
    const top = new Set(levels[depth].slice(0, beam));
    const fits = (upTo: number): boolean => levels.slice(0, upTo).every((l) => l.length <= beam);
    const expect = (leaf: number, holds: boolean, edge: string): void =>
      tally.expect(found.has(leaf) === holds, () => `${named(world, leaf)}: ${edge}`);
    for (const leaf of leaves) {
      const ranks = tokensOf(world, leaf).map((t) => siblingRank(world, prefixOf(world, leaf, t)));
      if (beam === 1 && pi[leaf] > 0n) expect(leaf, ranks.every((r) => r === 0), "B = 1");
      if (depth === 1) expect(leaf, ranks[0] < beam, "one token");
      if (fits(depth + 1)) expect(leaf, true, "room for every level");
      if (fits(depth)) expect(leaf, top.has(leaf), "room for every level but the last");
    }
  },
};

export const T12: Proposition<World> = {
  id: "T12",
  statement:
    "the order of siblings and Delta are the same under both normalisations (the beams need not be)",
  hypothesis: "A node whose parent has pi > 0 under both. One instance a node.",
  proof:
    "Both divide the weights of siblings by one number. Across parents the numbers differ, and pi is their product.",
  source: "this project",
  check(world, tally): void {
    if (world.spec === undefined) return;
    const { spec, trie, pi, children } = world;
    const normalization = spec.normalization === "children" ? "vocabulary" : "children";
    const other = modelOf({ ...spec, normalization });
    for (const list of children) {
      const order = (by: readonly bigint[]): number[] =>
        list.toSorted((a, b) => compare(by[b], by[a]) || a - b);
      const [ours, theirs] = [order(pi), order(other.pi)];
      const at = Math.min(spec.beam, list.length) - 1; // log beta - log p: cross-multiplied
      for (const v of list) {
        const u = trie.parents[v];
        if (pi[u] === 0n || other.pi[u] === 0n) continue;
        const [b, c] = [ours[at], theirs[at]];
        const same = pi[b] * other.pi[v] === other.pi[c] * pi[v];
        tally.expect(
          same && ours.indexOf(v) === theirs.indexOf(v),
          () => `node [${trie.pathOf(v)}] at B = ${spec.beam}`,
        );
      }
    }
  },
};

/** A catalogue rebuilt without its excluded items; their tokens are then outside. */
export function withoutExcluded(world: World): WorldSpec | undefined {
  const { spec, trie, children, leaves } = world;
  if (spec === undefined || leaves.length === 0) return undefined;
  const rebuild = (branch: Branch, node: number): Branch => {
    const nodes = [...trie.nodesUnder(node)];
    const kept = (v: number): boolean => children[node].includes(v);
    return {
      ...branch,
      outside: [
        ...branch.outside,
        ...branch.children.flatMap((child, i) => kept(nodes[i]) ? [] : [child.weight]),
      ],
      children: branch.children.flatMap((child, i) =>
        kept(nodes[i]) ? [rebuild(child, nodes[i])] : []
      ),
    };
  };
  return { ...spec, root: rebuild(spec.root, 0), excluded: [] };
}

export const D1: Proposition<World> = {
  id: "D1",
  statement: "a search with items taken out is the search of the catalogue built without them",
  hypothesis:
    "Some items are taken out and some are left. One instance a step of the smaller catalogue.",
  proof:
    "Definition. A node without items is no child, and its token counts with those outside the trie.",
  source: "differential check",
  check(world, tally): void {
    if (world.spec === undefined || world.spec.excluded.length === 0) return;
    const rebuilt = withoutExcluded(world);
    if (rebuilt === undefined) return;
    const small = exactWorld(rebuilt);
    const nodes = [0];
    for (let v = 0; v < nodes.length; v++) nodes.push(...world.children[nodes[v]]);
    nodes.sort((a, b) => a - b); // number i of the smaller trie is nodes[i] here
    small.search.forEach(({ pool, kept }, t) => {
      const ours = world.search[t];
      const same = (a: readonly number[], b: readonly number[]): boolean =>
        a.length === b.length && a.every((v, i) => v === nodes[b[i]]);
      tally.expect(
        same(ours.pool, pool) && same(ours.kept, kept),
        () => `step ${t + 1} without items ${world.spec?.excluded}`,
      );
    });
  },
};
