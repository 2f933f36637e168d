/**
 * T16, what an exact search must look at.
 *
 * @module
 */
import type { Proposition } from "./proposition.ts";
import type { World } from "./world.ts";
import { compare } from "./world_model.ts";

const [EXPANDED, ROUND, ABOVE, LIST] = [
  "a prefix that it expands",
  "a prefix of a round",
  "a prefix above the k-th best",
  "the list",
];

/**
 * T16 for the best B items. One instance a prefix that the search expands alone or in a round, one
 * a list of each, and, where all probabilities are positive and there are more than B items, one a
 * prefix above the B-th best whose items the trie alone does not rank.
 */
export const T16: Proposition<World> = {
  id: "T16",
  statement:
    "best-first search returns the exact top k, asks only about prefixes with at least the k-th best P, one by one or in " +
    "rounds of safe ones; an exact method without look-ahead asks about all with more",
  hypotheses: [EXPANDED, ROUND, ABOVE, LIST],
  check(world, tally): void {
    const { beam: k, levels, depth, children, leaves, pi, trie, normalization, judged } = world;
    const items = levels[depth];
    if (items.length === 0) return;
    const nameOf = (v: number): string => `[${trie.pathOf(v)}], k = ${k}`;
    const least = pi[items[Math.min(k, items.length) - 1]];
    const single = judged.bestFirst(world, k, { one: true });
    const batched = judged.bestFirst(world, k);
    for (const { ranking } of [single, batched]) {
      const isExact = `${ranking}` === `${items.slice(0, k)}`;
      tally.of(LIST).expect(isExact, () => `${ranking} for ${items.slice(0, k)}, k = ${k}`);
    }
    const asked = new Set(single.rounds.flat());
    for (const v of asked) tally.of(EXPANDED).expect(pi[v] >= least, () => nameOf(v));
    for (const v of batched.rounds.flat()) tally.of(ROUND).expect(pi[v] >= least, () => nameOf(v));
    if (items.length <= k || pi.some((p) => p === 0n)) return;
    children.forEach((list, u) => {
      if (list.length === 0 || pi[u] <= least) return;
      const under = leaves.filter((y) => trie.prefixOf(y, trie.depths[u]) === u);
      // Over children the trie gives the one item under u all of its probability.
      if (under.length === 1 && normalization === "children") return;
      const isNeeded = isAmbiguous(world, under, pi[u]);
      tally.of(ABOVE).expect(isNeeded && asked.has(u), () => `${nameOf(u)} was not asked about`);
    });
  },
};

/**
 * Whether the best k items depend on what is under a node: two models that agree everywhere else
 * have others. One gives all that the node has to the last of its items, but a unit for each other
 * item; the other gives it to the first one, or to what is outside the trie.
 */
function isAmbiguous(
  { leaves, beam, pi }: World,
  under: readonly number[],
  share: bigint,
): boolean {
  const unit = BigInt(leaves.length + 1); // a unit of before: more than all that is given away
  const isBest = (favourite: number | undefined, of: number): boolean => {
    const score = (y: number): bigint => {
      if (!under.includes(y)) return pi[y] * unit;
      return y === favourite ? share * unit - BigInt(under.length - 1) : 1n;
    };
    const ranked = leaves.toSorted((a, b) => compare(score(b), score(a)) || a - b);
    return ranked.indexOf(of) < beam;
  };
  const last = under[under.length - 1];
  return isBest(last, last) && !isBest(under.length > 1 ? under[0] : undefined, last);
}
