/**
 * Random worlds, valid by construction: nothing is generated and thrown away.
 *
 * @module
 */
import fc from "fast-check";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { type Worlds, worldsFrom } from "./worlds.ts";
import { type Branch, exactWorld, pathsOf, type World, type WorldSpec } from "./world.ts";

/** A node before its weight is known: numbers that stand for one. */
interface Shape {
  readonly raw: number;
  readonly outside: readonly number[];
  readonly copies: number;
  readonly children: readonly Shape[];
}

/** What raw numbers stand for: many ties, some, hardly any, and probabilities of 0. */
const KINDS: Readonly<Record<string, (raw: number) => number>> = {
  tied: (raw) => 1 + raw % 3,
  mixed: (raw) => 1 + raw % 10,
  free: (raw) => 1 + raw,
  zeros: (raw) => raw % 4,
};

/** Depth and fan-out, at most: flat and wide to deep and narrow. */
const SIZES = [[2, 4], [1, 8], [2, 6], [3, 3], [3, 4], [4, 3], [5, 2]] as const;

/**
 * Trees of at most this depth and fan-out: leaves at any depth, chains of single children, items that share a leaf. A
 * node without children is an item; the root has children.
 */
function shapes(depth: number, fanOut: number): fc.Arbitrary<Shape> {
  const raw = fc.nat(999);
  const outside = fc.array(raw, { maxLength: 2 });
  const copies = fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 3 }));
  const node = (left: number, least: number): fc.Arbitrary<Shape> => {
    if (left === 0) return fc.record({ raw, outside, copies, children: fc.constant([]) });
    const some = fc.array(node(left - 1, 0), { minLength: least, maxLength: fanOut, size: "max" });
    return fc.record({ raw, outside, copies, children: some });
  };
  return node(depth, 1);
}

/** A tree with its numbers read as weights. */
function weigh(shape: Shape, weight: (raw: number) => number): Branch {
  return {
    weight: weight(shape.raw),
    outside: shape.outside.map(weight),
    copies: shape.copies,
    children: shape.children.map((child) => weigh(child, weight)),
  };
}

/** Trees whose numbers are read with `weight`. */
export function trees(weight: (raw: number) => number): fc.Arbitrary<Branch> {
  return fc.oneof(...SIZES.map(([depth, fanOut]) => shapes(depth, fanOut)))
    .map((shape) => weigh(shape, weight));
}

/** What a search is told besides the tree: a width from 1 to past the catalogue, items taken out one time in five. */
export const settings: fc.Arbitrary<Omit<WorldSpec, "root">> = fc.record({
  beam: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) },
  ),
  normalization: fc.constantFrom<Normalization>("children", "vocabulary"),
  excluded: fc.oneof(
    { weight: 4, arbitrary: fc.constant<number[]>([]) },
    { weight: 1, arbitrary: fc.array(fc.nat(99), { maxLength: 4 }) },
  ),
});

/** A spec from its parts: the width at most two past the catalogue, excluded items among the items. */
export function specOf(
  root: Branch,
  { beam, normalization, excluded }: Omit<WorldSpec, "root">,
): WorldSpec {
  const items = pathsOf(root).length;
  return {
    root,
    beam: 1 + (beam - 1) % (items + 2),
    normalization,
    excluded: [...new Set(excluded.map((item) => item % items))],
  };
}

/**
 * Worlds of whole-number weights: every probability is a fraction, so a failure is a counterexample and never rounding.
 *
 * @example
 * ```ts
 * import { exactTheorems, exactWorlds, verifyPropositions } from "beargrad/theory";
 *
 * const outcomes = await verifyPropositions(exactWorlds(), exactTheorems, { cases: 100, seed: 1 });
 * console.log(outcomes[0].id, outcomes[0].failures); // T1 0
 * ```
 */
export function exactWorlds(): Worlds<World> {
  const kinds = Object.values(KINDS).map((weight) => trees(weight));
  const specs = fc.tuple(fc.oneof(...kinds), settings);
  return worldsFrom(specs.map(([root, rest]) => exactWorld(specOf(root, rest))));
}
