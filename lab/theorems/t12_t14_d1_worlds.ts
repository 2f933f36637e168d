/**
 * T12, T14 and D1: what other scores, another normalisation or a smaller catalogue make of a world.
 *
 * @module
 */
import type { Proposition } from "./proposition.ts";
import { exactWorld, type World } from "./world.ts";
import {
  type Branch,
  compare,
  modelOf,
  scoresOf,
  type WorldModel,
  type WorldSpec,
} from "./world_model.ts";

/** T12, what siblings are to each other. One instance a node whose parent has pi > 0 under both. */
export const T12: Proposition<World> = {
  id: "T12",
  statement:
    "the order of siblings and Delta are the same under both normalisations (the beams need not be)",
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
        tally.expect(
          ours.indexOf(v) === theirs.indexOf(v) &&
            pi[ours[at]] * other.pi[v] === other.pi[theirs[at]] * pi[v],
          () => `node [${trie.pathOf(v)}]`,
        );
      }
    }
  },
};

/** T14, scores that beam search maximises exactly. One instance a world. */
export const T14: Proposition<World> = {
  id: "T14",
  statement:
    "scores in which the best child of a node has its parent's score: beam search of every width returns the exact top B, in order",
  hypotheses: ["more than B items", "at most B items"],
  check(world, tally): void {
    const { leaves, beam, depth, children, judged } = world;
    const pi = gapScores(world);
    const order = (a: number, b: number): number => compare(pi[b], pi[a]) || a - b;
    const exact = leaves.toSorted(order).slice(0, beam);
    const kept = judged.exactSearch({ beam, depth, children, pi }).at(-1)?.kept ?? [];
    const part = tally.of(leaves.length > beam ? "more than B items" : "at most B items");
    part.expect(`${kept}` === `${exact}`, () => `returned ${kept}, the best are ${exact}`);
  },
};

/**
 * Node -> the product along its path of w / (the largest w among siblings), in units: the scores in
 * the limit of temperature 0, up to a power.
 */
function gapScores({ trie, children, weights }: WorldModel): readonly bigint[] {
  const largest = children.map((list) =>
    list.reduce((most, v) => weights[v] > most ? weights[v] : most, 1n)
  );
  return scoresOf(trie, weights, largest).pi;
}

/**
 * D1, items taken out of a catalogue. One instance a step of the smaller catalogue, where some
 * items are taken out and some are left.
 */
export const D1: Proposition<World> = {
  id: "D1",
  statement: "a search with items taken out is the search of the catalogue built without them",
  check(world, tally): void {
    const { spec, children, leaves, search } = world;
    if (spec === undefined || spec.excluded.length === 0 || leaves.length === 0) return;
    const small = exactWorld(withoutExcluded(world, spec));
    const nodes = [0];
    for (let v = 0; v < nodes.length; v++) nodes.push(...children[nodes[v]]);
    nodes.sort((a, b) => a - b); // number i of the smaller trie is nodes[i] here
    const same = (a: readonly number[], b: readonly number[]): boolean =>
      a.length === b.length && a.every((v, i) => v === nodes[b[i]]);
    small.search.forEach(({ pool, kept }, t) => {
      tally.expect(
        same(search[t].pool, pool) && same(search[t].kept, kept),
        () => `step ${t + 1} without items ${spec.excluded}`,
      );
    });
  },
};

/** A catalogue rebuilt without its excluded items; their tokens are then outside. */
function withoutExcluded({ trie, children }: World, spec: WorldSpec): WorldSpec {
  const rebuild = (branch: Branch, node: number): Branch => {
    const nodes = trie.nodesUnder(node);
    const isLeft = (i: number): boolean => children[node].includes(nodes[i]);
    const gone = branch.children.filter((_, i) => !isLeft(i));
    return {
      ...branch,
      outside: [...branch.outside, ...gone.map(({ weight }) => weight)],
      children: branch.children.flatMap((child, i) => isLeft(i) ? [rebuild(child, nodes[i])] : []),
    };
  };
  return { ...spec, root: rebuild(spec.root, 0), excluded: [] };
}
