/**
 * A world: a catalogue, a model over it and its beams, everything exact.
 *
 * @module
 */
import { apaoPoint } from "../../models/losses/apao.ts";
import { beamExact } from "../../models/losses/beam_exact.ts";
import { bear } from "../../models/losses/bear.ts";
import { bestFirst } from "./best_first.ts";
import {
  compare,
  exactSearch,
  type ExactStep,
  fraction,
  modelOf,
  total,
  type WorldModel,
  type WorldSpec,
} from "./world_model.ts";

/** The code that statements judge beside a world's own beams. */
export interface Judged {
  /** Beam search. */
  readonly exactSearch: typeof exactSearch;
  /** Best-first search. */
  readonly bestFirst: typeof bestFirst;
  /** The loss apao-point. */
  readonly apaoPoint: typeof apaoPoint;
  /** The loss beam-exact. */
  readonly beamExact: typeof beamExact;
  /** The losses of BEAR. */
  readonly bear: typeof bear;
}

const judged: Judged = { exactSearch, bestFirst, apaoPoint, beamExact, bear };

/** A world. A proposition reads it; a planted fault changes one of its parts. */
export interface World extends WorldModel {
  /** What it was made of; absent where it was not generated as weights. */
  readonly spec?: WorldSpec;
  /** The code that statements judge. */
  readonly judged: Judged;
  /** The search. */
  readonly search: readonly ExactStep[];
  /** The search with ties the other way round. */
  readonly reversed: readonly ExactStep[];
  /**
   * Node -> the B-th largest weight among its siblings and itself; the smallest if they are fewer.
   */
  readonly beta: readonly bigint[];
  /** Entry t: all prefixes of t tokens and all items that ended before, best first. */
  readonly levels: readonly (readonly number[])[];
}

/** The world of a model. */
export function worldOf(model: WorldModel, spec?: WorldSpec): World {
  return {
    ...model,
    spec,
    judged,
    search: exactSearch(model),
    reversed: exactSearch(model, { tie: (a, b) => b - a }),
    beta: betaOf(model),
    levels: levelsOf(model),
  };
}

function betaOf({ beam, children, weights }: WorldModel): bigint[] {
  const beta = weights.slice();
  for (const list of children) {
    const ranked = list.map((v) => weights[v]).sort((a, b) => compare(b, a));
    for (const v of list) beta[v] = ranked[Math.min(beam, ranked.length) - 1];
  }
  return beta;
}

function levelsOf({ trie: { depths }, children, pi, depth }: WorldModel): number[][] {
  const nodes = [0, ...children.flat()];
  const hasEnded = (v: number): boolean => v > 0 && children[v].length === 0;
  return Array.from(
    { length: depth + 1 },
    (_, t) =>
      nodes.filter((v) => depths[v] === t || (depths[v] < t && hasEnded(v)))
        .sort((a, b) => compare(pi[b], pi[a]) || a - b),
  );
}

/**
 * The world of a spec.
 *
 * @example
 * ```ts
 * import { exactWorld } from "beargrad/theory";
 *
 * const item = (weight: number) => ({ weight, outside: [], copies: 1, children: [] });
 * const root = { weight: 1, outside: [], copies: 1, children: [item(1), item(2)] };
 * const world = exactWorld({ root, beam: 1, normalization: "children", excluded: [] });
 * console.log(world.search[0].kept); // [2]: the second item, with probability 2/3
 * ```
 */
export function exactWorld(spec: WorldSpec): World {
  return worldOf(modelOf(spec), spec);
}

/** The nodes of a leaf's path, without the root. */
export function pathTo(world: WorldModel, leaf: number): number[] {
  return Array.from(
    { length: world.trie.depths[leaf] },
    (_, i) => world.trie.prefixOf(leaf, i + 1),
  );
}

/** The leaves that the search returned. */
export function returned({ search }: World): readonly number[] {
  return search[search.length - 1].kept;
}

/** Whether a leaf's prefix was kept at step t; at step 0 it is the root. */
export function isAlive(world: World, leaf: number, t: number): boolean {
  return t === 0 || world.search[t - 1].kept.includes(world.trie.prefixOf(leaf, t));
}

/** The other children of a node's parent. */
export function siblingsOf({ trie, children }: WorldModel, node: number): number[] {
  return children[trie.parents[node]].filter((v) => v !== node);
}

/** How many siblings come before a node: more probable, or as probable and earlier in order. */
export function siblingRank(world: WorldModel, node: number): number {
  const { weights } = world;
  return siblingsOf(world, node).filter((v) =>
    weights[v] > weights[node] || (weights[v] === weights[node] && v < node)
  ).length;
}

/** Whether the margin of a token is above 0. */
export function isViolated({ weights, beta }: World, node: number): boolean {
  return beta[node] > weights[node];
}

/** The B-th best entry of a step's pool other than a node; undefined if there are fewer. */
export function rivalOf({ search, beam }: World, node: number, t: number): number | undefined {
  return search[t - 1].pool.filter((v) => v !== node)[beam - 1];
}

/** The largest score that a search pruned before its last step; -1 if it pruned nothing. */
export function prunedBeforeLast({ search, pi }: World): bigint {
  let most = -1n;
  for (const { pool, kept } of search.slice(0, -1)) {
    for (const v of pool) if (!kept.includes(v) && pi[v] > most) most = pi[v];
  }
  return most;
}

/** A leaf in words. */
export function named({ trie, beam }: WorldModel, leaf: number): string {
  return `item [${trie.pathOf(leaf)}] at B = ${beam}`;
}

/** A world as a tree, a node a line: tokens, probability given the parent, the path's, and fate. */
export function drawWorld(world: World): string {
  const { trie, children, weights, outside, one, pi, beam, normalization, search, spec } = world;
  const lines = [`B = ${beam}, normalised over ${normalization}`];
  const end = returned(world);
  const fateOf = (v: number): string => {
    if (children[v].length === 0) return end.includes(v) ? "returned" : "lost";
    return search[trie.depths[v] - 1].kept.includes(v) ? "kept" : "pruned";
  };
  const walk = (node: number, indent: string): void => {
    const gone = normalization === "vocabulary" ? outside[node] : [];
    const sum = total([...children[node].map((v) => weights[v]), ...gone]);
    for (const v of spec === undefined ? [] : trie.nodesUnder(node)) {
      const what = children[node].includes(v)
        ? `${fraction(weights[v], sum)}, path ${fraction(pi[v], one)}, ${fateOf(v)}`
        : "taken out of the catalogue";
      lines.push(`${indent}[${trie.pathOf(v)}] ${what}`);
      walk(v, `${indent}  `);
    }
    if (gone.length > 0 && children[node].length > 0) {
      lines.push(`${indent}(no children) ${gone.map((w) => fraction(w, sum)).join(", ")}`);
    }
  };
  walk(0, "  ");
  return lines.join("\n");
}
