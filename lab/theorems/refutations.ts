/**
 * What is plausible and false. Each must be found by the generators and shrunk to a case that a person can check.
 *
 * @module
 */
import { isAlive, named, tokensOf } from "./necessary.ts";
import type { Refutation } from "./proposition.ts";
import { exactSearch } from "./search.ts";
import {
  drawWorld,
  exactWorld,
  isViolated,
  modelOf,
  prefixOf,
  returned,
  siblingRank,
  siblingsOf,
  type World,
} from "./world.ts";

/** A refutation about worlds. Items of probability 0 and items taken out are left to those that are about them. */
function refutation(
  id: string,
  statement: string,
  source: string,
  finds: (world: World) => string | undefined,
  draw: (world: World) => string = drawWorld,
): Refutation<World> {
  return { id, statement, source, finds, draw };
}

const plain = ({ spec, pi }: World): boolean =>
  spec?.excluded.length === 0 && pi.every((p) => p > 0n);

export const R1: Refutation<World> = refutation(
  "R1",
  "Every y_t is among the best B of its siblings => y is returned (T1 would be sufficient)",
  "this project: root .9/.1, a -> .9/.1, b -> 1; B = 2 prunes a's second child (.09)",
  (world) => {
    const found = returned(world);
    const lost = plain(world) && world.leaves.find((leaf) =>
      !found.includes(leaf) &&
      tokensOf(world, leaf).every((t) => siblingRank(world, prefixOf(world, leaf, t)) < world.beam)
    );
    return lost ? `${named(world, lost)} passes at every step and is lost` : undefined;
  },
);

export const R2: Refutation<World> = refutation(
  "R2",
  "An item more probable than a returned one is returned",
  "this project: .6/.4, a -> .6/.4, b -> 1; B = 1 returns .36 and loses .40",
  (world) => {
    const { pi, leaves } = world;
    const found = returned(world);
    const least = found.reduce((a, b) => pi[a] < pi[b] ? a : b, found[0]);
    const lost = plain(world) && leaves.find((y) => !found.includes(y) && pi[y] > pi[least]);
    return lost
      ? `${named(world, lost)} is lost, the less probable [${world.trie.pathOf(least)}] is not`
      : undefined;
  },
);

export const R3: Refutation<World> = refutation(
  "R3",
  "An item returned at B is returned at B + 1",
  "this project: .55/.45, a -> .4/.3/.3, b -> .5/.5; .22 is returned at B = 1 and lost at B = 2",
  (world) => {
    if (!plain(world)) return undefined;
    const wider = exactSearch({ ...world, beam: world.beam + 1 }).at(-1)?.kept;
    const lost = returned(world).find((leaf) => !wider?.includes(leaf));
    return lost === undefined
      ? undefined
      : `${named(world, lost)} is returned, and lost at B = ${world.beam + 1}`;
  },
);

export const R4: Refutation<World> = refutation(
  "R4",
  "theta_t never rises with t",
  "this project: .9/.1, a -> .8/.2",
  (world) => {
    const { search, pi, beam } = world;
    const theta = search.map(({ pool }) => pool.length < beam ? 0n : pi[pool[beam - 1]]);
    // Only where both pools are full: a threshold that was not there cannot rise.
    const t = theta.findIndex((x, i) => i > 0 && theta[i - 1] > 0n && x > theta[i - 1]);
    return plain(world) && t > 0 ? `theta_${t + 1} is above theta_${t} at B = ${beam}` : undefined;
  },
);

export const R5: Refutation<World> = refutation(
  "R5",
  "The beam on a part of the catalogue is the catalogue's beam on that part",
  "this project; in a strong form: taking an item out loses another that was returned",
  (world) => {
    const { spec, pi } = world;
    if (spec === undefined || spec.excluded.length === 0 || pi.some((p) => p === 0n)) {
      return undefined;
    }
    const all = exactWorld({ ...spec, excluded: [] });
    const lost = returned(all).find((leaf) =>
      world.leaves.includes(leaf) && !returned(world).includes(leaf)
    );
    return lost === undefined
      ? undefined
      : `${named(world, lost)} is returned from the whole catalogue, and lost from this part`;
  },
);

export const R6: Refutation<World> = refutation(
  "R6",
  "A token below the B-th best of the whole vocabulary is pruned",
  "this project: it flagged the best valid child in 892 of 5,000 cases",
  (world) => {
    const { spec, weights, outside, trie, beam } = world;
    if (!plain(world) || spec?.normalization !== "vocabulary") return undefined;
    const flagged = returned(world).find((leaf) =>
      tokensOf(world, leaf).some((t) => {
        const node = prefixOf(world, leaf, t);
        const all = [
          ...siblingsOf(world, node).map((v) => weights[v]),
          ...outside[trie.parents[node]],
        ];
        return all.filter((w) => w > weights[node]).length >= beam;
      })
    );
    return flagged === undefined
      ? undefined
      : `${named(world, flagged)} is below that threshold and is returned`;
  },
);

export const R8: Refutation<World> = refutation(
  "R8",
  "An item that is pruned has a step at which the local condition could have failed",
  "this project: where |C(u)| <= B nothing can be violated",
  (world) => {
    const { trie, children, beam } = world;
    const lost = plain(world) && world.leaves.find((leaf) =>
      !returned(world).includes(leaf) &&
      tokensOf(world, leaf).every((t) =>
        children[trie.parents[prefixOf(world, leaf, t)]].length <= beam
      )
    );
    return lost
      ? `no node on the path of ${named(world, lost)} has more than B children`
      : undefined;
  },
);

export const R9: Refutation<World> = refutation(
  "R9",
  "The exact margin of y_<=t over the B-th best other entry is always <= -Delta_t",
  "found while T7 was stated in code: true where Delta_t > 0, or over the B-th best entry of all",
  (world) => {
    const { pi, beta, weights, beam, search } = world;
    if (!plain(world)) return undefined;
    for (const leaf of world.leaves) {
      for (const t of tokensOf(world, leaf)) {
        if (!isAlive(world, leaf, t - 1)) break;
        const node = prefixOf(world, leaf, t);
        const rival = search[t - 1].pool.filter((v) => v !== node)[beam - 1];
        if (rival === undefined || pi[rival] * weights[node] >= beta[node] * pi[node]) continue;
        const what = isViolated(world, node) ? "above 0" : "0 or less";
        return `${
          named(world, leaf)
        }, step ${t}: Delta is ${what}, the exact margin exceeds its negative`;
      }
    }
    return undefined;
  },
);

export const R10: Refutation<World> = refutation(
  "R10",
  "T1 needs no condition on probabilities",
  "found while T1 was stated in code: below a prefix of probability 0 all scores are 0 and the order of tokens decides",
  (world) => {
    const { spec, beam, children } = world;
    if (spec?.excluded.length !== 0 || children[0].length === 0) return undefined;
    const lost = returned(world).find((leaf) =>
      tokensOf(world, leaf).some((t) => siblingRank(world, prefixOf(world, leaf, t)) >= beam)
    );
    return lost === undefined
      ? undefined
      : `${named(world, lost)} is returned and is not among the best B of its siblings`;
  },
);

export const R11: Refutation<World> = refutation(
  "R11",
  "The two normalisations give the same beams (the second half of T12)",
  "this project: 5,769 of 20,000 tries differ",
  (world) => {
    const { spec } = world;
    if (!plain(world) || spec?.normalization !== "vocabulary") return undefined;
    const other = modelOf({ ...spec, normalization: "children" });
    const sets = [world.search, exactSearch(other)].map((s) =>
      (s.at(-1)?.kept ?? []).toSorted((a, b) => a - b).join()
    );
    return sets[0] === sets[1]
      ? undefined
      : `leaves ${sets[0]} over the vocabulary, ${sets[1]} over children`;
  },
);
