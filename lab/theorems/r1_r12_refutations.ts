/**
 * R1 to R12 without R7: what is plausible and false. The generators must find each, and shrink it
 * to a case that a person can check.
 *
 * @module
 */
import { bestFirst } from "./best_first.ts";
import type { Refutation } from "./proposition.ts";
import {
  exactWorld,
  isAlive,
  isViolated,
  named,
  pathTo,
  returned,
  rivalOf,
  siblingRank,
  siblingsOf,
  type World,
} from "./world.ts";
import { exactSearch, modelOf } from "./world_model.ts";

/** A refutation in worlds without probabilities of 0 and without items taken out. */
function plain(
  id: string,
  statement: string,
  finds: (world: World) => string | undefined,
): Refutation<World> {
  const isPlain = ({ spec, pi }: World): boolean =>
    spec?.excluded.length === 0 && pi.every((p) => p > 0n);
  return { id, statement, finds: (world) => isPlain(world) ? finds(world) : undefined };
}

/** The first leaf that is not returned and of which `holds` is true. */
function lostLeaf(world: World, holds: (leaf: number) => boolean): number | undefined {
  const found = returned(world);
  return world.leaves.find((leaf) => !found.includes(leaf) && holds(leaf));
}

/** A sentence with the name of a leaf for `%`; undefined if there is no leaf. */
function about(world: World, leaf: number | undefined, sentence: string): string | undefined {
  return leaf === undefined ? undefined : sentence.replace("%", named(world, leaf));
}

/** T1's condition is not sufficient. */
const R1 = plain(
  "R1",
  "Every y_t is among the best B of its siblings => y is returned (T1 would be sufficient)",
  (world) => {
    const lost = lostLeaf(
      world,
      (leaf) => pathTo(world, leaf).every((node) => siblingRank(world, node) < world.beam),
    );
    return about(world, lost, "% passes at every step and is lost");
  },
);

/** A beam search does not return the best. */
const R2 = plain(
  "R2",
  "An item more probable than a returned one is returned",
  (world) => {
    const { pi, trie } = world;
    const least = returned(world).reduce((a, b) => pi[a] < pi[b] ? a : b);
    const lost = lostLeaf(world, (leaf) => pi[leaf] > pi[least]);
    const other = `[${trie.pathOf(least)}]`;
    return about(world, lost, `% is lost, the less probable ${other} is not`);
  },
);

/** A wider beam is not a superset. */
const R3 = plain(
  "R3",
  "An item returned at B is returned at B + 1",
  (world) => {
    const { depth, children, pi } = world;
    const beam = world.beam + 1;
    const wider = exactSearch({ beam, depth, children, pi }).at(-1)?.kept;
    const lost = returned(world).find((leaf) => !wider?.includes(leaf));
    return about(world, lost, `% is returned, and lost at B = ${beam}`);
  },
);

/** The threshold is not monotonic. */
const R4 = plain(
  "R4",
  "theta_t never rises with t",
  ({ search, pi, beam }) => {
    const theta = search.map(({ pool }) => pool.length < beam ? 0n : pi[pool[beam - 1]]);
    // Only where both pools are full: a threshold that was not there cannot rise.
    const t = theta.findIndex((x, i) => i > 0 && theta[i - 1] > 0n && x > theta[i - 1]);
    return t > 0 ? `theta_${t + 1} is above theta_${t} at B = ${beam}` : undefined;
  },
);

/** A search of a part is not the part of a search. Strong: an item taken out loses another. */
const R5: Refutation<World> = {
  id: "R5",
  statement: "The beam on a part of the catalogue is the catalogue's beam on that part",
  finds(world): string | undefined {
    const { spec, pi } = world;
    if (spec === undefined || spec.excluded.length === 0 || pi.some((p) => p === 0n)) {
      return undefined;
    }
    const all = exactWorld({ ...spec, excluded: [] });
    const lost = returned(all).find((leaf) =>
      world.leaves.includes(leaf) && !returned(world).includes(leaf)
    );
    return about(world, lost, "% is returned from the whole catalogue, and lost from this part");
  },
};

/** Margins over the vocabulary flag tokens that are not pruned. */
const R6 = plain(
  "R6",
  "A token below the B-th best of the whole vocabulary is pruned",
  (world) => {
    const { spec, weights, outside, trie, beam } = world;
    if (spec?.normalization !== "vocabulary") return undefined;
    const flagged = returned(world).find((leaf) =>
      pathTo(world, leaf).some((node) => {
        const siblings = siblingsOf(world, node).map((v) => weights[v]);
        const others = [...siblings, ...outside[trie.parents[node]]];
        return others.filter((w) => w > weights[node]).length >= beam;
      })
    );
    return about(world, flagged, "% is below that threshold and is returned");
  },
);

/** The local condition may be vacuous. */
const R8 = plain(
  "R8",
  "An item that is pruned has a step at which the local condition could have failed",
  (world) => {
    const { trie, children, beam } = world;
    const lost = lostLeaf(
      world,
      (leaf) => pathTo(world, leaf).every((node) => children[trie.parents[node]].length <= beam),
    );
    return about(world, lost, "no node on the path of % has more than B children");
  },
);

/** T7's bound needs its condition. */
const R9 = plain(
  "R9",
  "The exact margin of y_<=t over the B-th best other entry is always <= -Delta_t",
  (world) => {
    const { pi, beta, weights } = world;
    for (const leaf of world.leaves) {
      for (const [i, node] of pathTo(world, leaf).entries()) {
        if (!isAlive(world, leaf, i)) break;
        const rival = rivalOf(world, node, i + 1);
        if (rival === undefined || pi[rival] * weights[node] >= beta[node] * pi[node]) continue;
        const sign = isViolated(world, node) ? "above 0" : "0 or less";
        const where = `${named(world, leaf)}, step ${i + 1}`;
        return `${where}: Delta is ${sign}, the exact margin exceeds its negative`;
      }
    }
    return undefined;
  },
);

/** T1 needs pi(y_<t) > 0. */
const R10: Refutation<World> = {
  id: "R10",
  statement: "T1 needs no condition on probabilities",
  finds(world): string | undefined {
    const { spec, beam, children } = world;
    if (spec?.excluded.length !== 0 || children[0].length === 0) return undefined;
    const lost = returned(world).find((leaf) =>
      pathTo(world, leaf).some((node) => siblingRank(world, node) >= beam)
    );
    return about(world, lost, "% is returned and is not among the best B of its siblings");
  },
};

/** The second half of T12. */
const R11 = plain(
  "R11",
  "The two normalisations give the same beams (the second half of T12)",
  ({ spec, search }) => {
    if (spec?.normalization !== "vocabulary") return undefined;
    const other = exactSearch(modelOf({ ...spec, normalization: "children" }));
    const [ours, theirs] = [search, other].map((steps) =>
      (steps.at(-1)?.kept ?? []).toSorted((a, b) => a - b).join()
    );
    return ours === theirs
      ? undefined
      : `leaves ${ours} over the vocabulary, ${theirs} over children`;
  },
);

/** T16 needs a choice: over children an only item has all that its prefix has. */
const R12 = plain(
  "R12",
  "An exact method asks about every prefix with more than the k-th best P",
  (world) => {
    const { beam: k, children, leaves, levels, depth, normalization, pi, trie } = world;
    if (normalization !== "children" || leaves.length <= k) return undefined;
    const isOnly = children.map((_, u) =>
      leaves.filter((y) => trie.prefixOf(y, trie.depths[u]) === u).length === 1
    );
    // Best-first search to which a prefix with one item is that item.
    const closed = children.map((list, u) => isOnly[u] ? [] : list);
    const { ranking, rounds } = bestFirst({ children: closed, pi }, k, { one: true });
    const found = ranking.map((u) => leaves.find((y) => trie.prefixOf(y, trie.depths[u]) === u));
    const best = levels[depth].slice(0, k);
    if (`${found}` !== `${best}`) return undefined;
    const asked = new Set(rounds.flat());
    const spared = children.findIndex((list, u) =>
      list.length > 0 && pi[u] > pi[best[k - 1]] && !asked.has(u)
    );
    return spared < 0
      ? undefined
      : `k = ${k}: [${
        trie.pathOf(spared)
      }] has more than the k-th best, and its only item all of it`;
  },
);

/** R1 to R12 without R7: what is false in worlds of exact probabilities. */
export const exactRefutations: readonly Refutation<World>[] = [
  ...[R1, R2, R3, R4, R5, R6, R8, R9, R10, R11, R12],
];
