/**
 * Random worlds of every kind, valid by construction: nothing is generated and thrown away.
 *
 * @module
 */
import fc from "fast-check";
import { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { type SearchCase, TOP } from "./d2_devices.ts";
import type { SpreadCase } from "./device_models.ts";
import type { Worlds } from "./runner.ts";
import { losses, type TokenBatch } from "./s1_s6_token_losses.ts";
import { drawPair, errorOf, type FloatPair, type Perturbed } from "./t11_r7_rounding.ts";
import { drawWorld, exactWorld, type World } from "./world.ts";
import { type Branch, branchesOf, pathsOf } from "./world_model.ts";

/** The worlds of an arbitrary of fast-check. */
function worldsFrom<W>(arbitrary: fc.Arbitrary<W>, draw?: Worlds<W>["draw"]): Worlds<W> {
  return {
    draw,
    async search(holds, { cases, seed, shrink = true }): ReturnType<Worlds<W>["search"]> {
      let thrown: unknown;
      const property = fc.asyncProperty(arbitrary, async (world) => {
        try {
          return await holds(world);
        } catch (error) {
          thrown ??= error;
          return false;
        }
      });
      const options = { seed, numRuns: cases, endOnFailure: !shrink };
      const { counterexample, counterexamplePath } = await fc.check(property, options);
      if (thrown !== undefined) throw thrown;
      return counterexample === null
        ? undefined
        : { world: counterexample[0], path: counterexamplePath ?? "" };
    },
  };
}

/** Depth and fan-out, at most: flat and wide to deep and narrow. */
const SIZES = [[2, 4], [1, 8], [2, 6], [3, 3], [3, 4], [4, 3], [5, 2]] as const;

/**
 * Trees whose weights are numbers below 1000, read with `weightOf`: leaves at any depth, chains of
 * single children, items that share a leaf. A node without children is an item; the root has
 * children.
 */
function trees(weightOf: (raw: number) => number): fc.Arbitrary<Branch> {
  const weight = fc.nat(999).map(weightOf);
  const outside = fc.array(weight, { maxLength: 2 });
  const copies = fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 3 }));
  const branch = (depth: number, least: number, fanOut: number): fc.Arbitrary<Branch> => {
    const children = depth === 0 ? fc.constant([]) : fc.array(branch(depth - 1, 0, fanOut), {
      minLength: least,
      maxLength: fanOut,
      size: "max",
    });
    return fc.record({ weight, outside, copies, children });
  };
  return fc.oneof(...SIZES.map(([depth, fanOut]) => branch(depth, 1, fanOut)));
}

/** The options of a search: a width from 1 to past the catalogue; excluded items, 1 time in 5. */
const settings = fc.record({
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

/** A width from any number: at most two past the catalogue. */
function widthOf(beam: number, items: number): number {
  return 1 + (beam - 1) % (items + 2);
}

/** How raw numbers are read: with many ties, some, hardly any, and with probabilities of 0. */
const WEIGHTS: readonly ((raw: number) => number)[] = [
  (raw) => 1 + raw % 3,
  (raw) => 1 + raw % 10,
  (raw) => 1 + raw,
  (raw) => raw % 4,
];

/**
 * Worlds of whole-number weights: every probability is a fraction, so a failure is a counterexample
 * and never rounding.
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
  const worlds = fc.tuple(fc.oneof(...WEIGHTS.map(trees)), settings).map(([root, rest]) => {
    const items = pathsOf(root).length;
    const excluded = [...new Set(rest.excluded.map((item) => item % items))];
    return exactWorld({ ...rest, root, beam: widthOf(rest.beam, items), excluded });
  });
  return worldsFrom(worlds, drawWorld);
}

/** Logits are whole multiples of this, below 8 in size: their differences are exact in float64. */
const GRID = 2 ** -28;

/**
 * Logits of 31 bits, and what rounding to float32 makes of them, alone or after a further error of
 * up to 1/64, 1/4 or 4; and temperatures that are powers of two.
 */
export function perturbedLogits(): Worlds<Perturbed> {
  const sign = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(-128, 128) }, // the worst that an error can do
    { weight: 1, arbitrary: fc.integer({ min: -128, max: 128 }) },
  );
  const perturbed = fc.record({
    root: trees((raw) => raw),
    beam: fc.integer({ min: 1, max: 4 }),
    tau: fc.constantFrom(1, 0.5, 2),
    error: fc.constantFrom(0, 2 ** -6, 2 ** -2, 4),
    spread: fc.constantFrom(2 ** -20, 2 ** -4, 1),
    noise: fc.array(fc.tuple(sign, fc.nat(2 ** 20)), { minLength: 8, maxLength: 8 }),
  }).map(({ root, beam, tau, error, spread, noise }) => {
    const trie = new Trie(pathsOf(root));
    const at = (node: number): readonly [number, number] => noise[node % noise.length];
    const before = Float64Array.from(
      branchesOf(root),
      ({ weight }, node) =>
        Math.round(((weight - 500) / 125 * spread) / GRID) * GRID + at(node)[1] * GRID,
    );
    const after = before.map((z, node) => Math.fround(z + (at(node)[0] / 128) * error));
    return { trie, beam, tau, before, after, error: errorOf({ before, after }) };
  });
  return worldsFrom(perturbed);
}

/** Siblings one float32 apart near -64, under a parent from -512 to -64. */
export function adjacentFloats(): Worlds<FloatPair> {
  const ulp = 2 ** -17; // of float32 between 64 and 128
  const pairs = fc.record({ parent: fc.integer({ min: 64, max: 512 }), step: fc.nat(2 ** 20) })
    .map(({ parent, step }) => ({
      parent: -parent,
      better: -(64 + step * ulp),
      worse: -(64 + (step + 1) * ulp),
    }));
  return worldsFrom(pairs, drawPair);
}

/** The size of the vocabulary of token batches. */
const V = 8;

/** Batches of one to four tokens: ties, single children, margins on both sides. */
export function tokenBatches(): Worlds<TokenBatch> {
  const logit = fc.oneof(
    fc.integer({ min: -2, max: 2 }),
    fc.double({ min: -9, max: 9, noNaN: true }),
  );
  const row = fc.record({
    logits: fc.array(logit, { minLength: V, maxLength: V }),
    children: fc.subarray([...Array(V).keys()], { minLength: 1 }),
    at: fc.nat(V - 1),
  }).map(({ logits, children, at }) => ({
    logits,
    children,
    label: children[at % children.length],
  }));
  const batches = fc.record({
    rows: fc.array(row, { minLength: 1, maxLength: 4 }),
    beam: fc.integer({ min: 1, max: 6 }),
    tau: fc.constantFrom(1, 0.5, 2),
    xi: fc.constantFrom(1, 0.25, 2.75),
    lambda: fc.constantFrom(1, 0, 0.25, 4),
    losses: fc.constant(losses),
  });
  return worldsFrom(batches);
}

/** A leaf that takes nearly all of the probability. */
const SINK: Branch = { weight: -1, outside: [], copies: 1, children: [] };

/** A tree whose every inner node has a sink as its last child. */
function withSinks(branch: Branch): Branch {
  if (branch.children.length === 0) return branch;
  return { ...branch, children: [...branch.children.map(withSinks), SINK] };
}

/** Cases of one to three users, on any tree, with many ties or few. */
export function searchCases(): Worlds<SearchCase> {
  const cases = fc.record({
    tree: trees((raw) => raw),
    rest: settings,
    tau: fc.constantFrom(1, 0.5, 2),
    spread: fc.constantFrom(2, 4, 30),
    users: fc.integer({ min: 1, max: 3 }),
  }).map(({ tree, rest: { beam, normalization, excluded }, tau, spread, users }) => {
    const root = normalization === "children" ? withSinks(tree) : tree;
    const trie = new Trie(pathsOf(root));
    const branches = branchesOf(root);
    const ordinary = [...trie.leafOf.keys()].filter((i) => branches[trie.leafOf[i]] !== SINK);
    const logOf = (branch: Branch, node: number, u: number): number =>
      branch === SINK ? 0 : -(TOP + (branch.weight + u * (7 * node + 3)) % spread);
    return {
      trie,
      beam: widthOf(beam, trie.itemCount),
      normalization,
      tau,
      users: Array.from({ length: users }, (_, u) => ({
        logs: Int32Array.from(branches, (branch, node) => logOf(branch, node, u)),
        excluded: excluded.map((n) => ordinary[(n + u) % ordinary.length]),
      })),
    };
  });
  return worldsFrom(cases);
}

/** Models whose logits are whole sixteenths, some nearly flat, and two tokens outside the trie. */
export function spreadCases(): Worlds<SpreadCase> {
  const cases = fc.record({
    root: trees((raw) => raw),
    beam: fc.integer({ min: 1, max: 6 }),
    normalization: fc.constantFrom<Normalization>("children", "vocabulary"),
    tau: fc.constantFrom(1, 0.5, 2),
    spread: fc.constantFrom(1, 16, 100),
  }).map(({ root, spread, ...setting }) => {
    const trie = new Trie(pathsOf(root));
    const branches = branchesOf(root);
    const V = 10;
    const logits = new Float64Array(trie.nodeCount * V).fill(-4);
    for (let u = 0; u < trie.nodeCount; u++) {
      for (const v of trie.nodesUnder(u)) {
        logits[u * V + trie.tokens[v]] = (branches[v].weight % (spread + 1)) / 16;
      }
    }
    return { ...setting, trie, logits };
  });
  return worldsFrom(cases);
}
