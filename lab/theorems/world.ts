/**
 * A world: one catalogue with a model over it and a beam width, everything exact. What the theorems speak about.
 *
 * @module
 */
import { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { compare, fraction, lcm, total } from "./exact.ts";
import { type ExactSearch, exactSearch } from "./search.ts";

/** A node of a catalogue, as it is generated. */
export interface Branch {
  /** Its probability among its siblings is proportional to this. */
  readonly weight: number;
  /** Weights of the tokens that no child has. */
  readonly outside: readonly number[];
  /** How many items end here; of no meaning where there are children. */
  readonly copies: number;
  /** Child number i has token i; none: an item ends here. */
  readonly children: readonly Branch[];
}

/** What a world is made of. */
export interface WorldSpec {
  /** The root; it has children. */
  readonly root: Branch;
  /** The beam width. */
  readonly beam: number;
  /** What probabilities are normalised over. */
  readonly normalization: Normalization;
  /** Items taken out of the catalogue. */
  readonly excluded: readonly number[];
}

/** The part of a world that does not depend on a search. */
export interface Model {
  /** The catalogue, excluded items included. */
  readonly trie: Trie;
  /** The beam width B. */
  readonly beam: number;
  /** The number of steps: the length of the longest path. */
  readonly depth: number;
  /** Node -> its children that are in the catalogue, ascending. */
  readonly children: readonly (readonly number[])[];
  /** The leaves that are in the catalogue, ascending. */
  readonly leaves: readonly number[];
  /** Node -> its weight among its siblings. */
  readonly weights: readonly bigint[];
  /** Node -> the weights of the tokens that no child in the catalogue has. */
  readonly outside: readonly (readonly bigint[])[];
  /** The probability 1 in units. */
  readonly one: bigint;
  /** Node -> the probability of its path in units, a whole number. */
  readonly pi: readonly bigint[];
}

/** A world. A theorem reads it; a mutant changes one of its parts. */
export interface World extends Model {
  /** What it was made of, where it was generated as weights. */
  readonly spec?: WorldSpec;
  /** Node -> the B-th largest weight among its siblings and itself; the smallest if there are fewer. */
  readonly beta: readonly bigint[];
  /** Entry t: all prefixes of t tokens and all items that ended before, best first. */
  readonly levels: readonly (readonly number[])[];
  /** The search. */
  readonly search: ExactSearch;
  /** The search with ties the other way round. */
  readonly reversed: ExactSearch;
}

/** The paths of a catalogue's items, each child's token its number. */
export function pathsOf(root: Branch): number[][] {
  const paths: number[][] = [];
  const walk = ({ children, copies }: Branch, path: readonly number[]): void => {
    if (children.length === 0) { for (let i = 0; i < copies; i++) paths.push([...path]); }
    children.forEach((child, token) => walk(child, [...path, token]));
  };
  walk(root, []);
  return paths;
}

/** The branches in the order of their nodes. */
export function branchesOf(root: Branch): Branch[] {
  return [root, ...root.children.flatMap(branchesOf)];
}

/** The catalogue of a spec and which of its nodes are left. */
export function catalogueOf(
  trie: Trie,
  excluded: readonly number[],
): Pick<Model, "trie" | "depth" | "children" | "leaves"> {
  const blocked = new Set(trie.blockedNodes(excluded));
  const nodes = Array.from({ length: trie.nodeCount }, (_, node) => node);
  return {
    trie,
    depth: trie.maxDepth,
    children: nodes.map((node) => [...trie.nodesUnder(node)].filter((v) => !blocked.has(v))),
    leaves: nodes.filter((node) => trie.childCount(node) === 0 && !blocked.has(node)),
  };
}

/**
 * The model of a spec. With T_d the least common multiple of the totals at depth d, the unit is 1 / (T_0 T_1 ...), so
 * that every path has a whole number of units.
 */
export function modelOf({ root, beam, normalization, excluded }: WorldSpec): Model {
  const catalogue = catalogueOf(new Trie(pathsOf(root)), excluded);
  const { trie, children, depth } = catalogue;
  const branches = branchesOf(root);
  const weights = branches.map((branch) => BigInt(branch.weight));
  const outside = branches.map((branch, node) => {
    const gone = [...trie.nodesUnder(node)].filter((v) => !children[node].includes(v));
    return [...branch.outside.map(BigInt), ...gone.map((v) => weights[v])];
  });
  const scale: bigint[] = Array(depth).fill(1n);
  const totals = children.map((list, node) => {
    if (list.length === 0) return 1n;
    if (list.every((v) => weights[v] === 0n)) list.forEach((v) => weights[v] = 1n);
    const inside = total(list.map((v) => weights[v]));
    const sum = normalization === "children" ? inside : inside + total(outside[node]);
    scale[trie.depths[node]] = lcm(scale[trie.depths[node]], sum);
    return sum;
  });
  const one = scale.reduce((a, b) => a * b, 1n);
  const pi = branches.map(() => one);
  for (let v = 1; v < pi.length; v++) {
    const u = trie.parents[v];
    pi[v] = pi[u] * weights[v] / totals[u];
  }
  return { ...catalogue, beam, weights, outside, one, pi };
}

/** A model with its beams. */
export function worldOf(model: Model): World {
  const { trie, beam, children, leaves, weights, pi, depth } = model;
  const beta = weights.slice();
  for (const list of children) {
    const ranked = list.map((v) => weights[v]).sort((a, b) => compare(b, a));
    for (const v of list) beta[v] = ranked[Math.min(beam, ranked.length) - 1];
  }
  const levels: number[][] = Array.from({ length: depth + 1 }, () => []);
  const left = new Set(leaves);
  const walk = (node: number): void => {
    levels[trie.depths[node]].push(node);
    if (left.has(node)) {
      for (let t = trie.depths[node] + 1; t <= depth; t++) {
        levels[t].push(node);
      }
    }
    children[node].forEach(walk);
  };
  walk(0);
  for (const level of levels) level.sort((a, b) => compare(pi[b], pi[a]) || a - b);
  const search = exactSearch(model);
  const reversed = exactSearch(model, { tie: (a, b) => b - a });
  return { ...model, beta, levels, search, reversed };
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
  return { ...worldOf(modelOf(spec)), spec };
}

/** The first t tokens of a leaf's path, or the leaf itself where it has fewer. */
export function prefixOf({ trie }: Model, leaf: number, t: number): number {
  let node = leaf;
  while (trie.depths[node] > t) node = trie.parents[node];
  return node;
}

/** The leaves that the search returned. */
export function returned({ search }: World): readonly number[] {
  return search[search.length - 1].kept;
}

/** The other children of a node's parent. */
export function siblingsOf({ trie, children }: Model, node: number): number[] {
  return children[trie.parents[node]].filter((v) => v !== node);
}

/** How many siblings come before a node: more probable, or as probable and earlier in order. */
export function siblingRank(world: Model, node: number): number {
  const { weights } = world;
  return siblingsOf(world, node).filter((v) =>
    weights[v] > weights[node] || (weights[v] === weights[node] && v < node)
  ).length;
}

/** Whether the margin of a token is above 0. */
export function isViolated({ weights, beta }: World, node: number): boolean {
  return beta[node] > weights[node];
}

/** The tree of a world, a node a line: its tokens, its probability given its parent, its path's, and its fate. */
export function drawWorld(world: World): string {
  const { trie, children, weights, outside, one, pi, beam, search, spec } = world;
  const lines = [`B = ${beam}, normalised over ${spec?.normalization ?? "integers"}`];
  const end = new Set(returned(world));
  const walk = (node: number, indent: string): void => {
    const all = spec && [...trie.nodesUnder(node)];
    all?.forEach((v) => {
      if (children[node].includes(v)) {
        const inside = total(children[node].map((w) => weights[w]));
        const sum = spec?.normalization === "children" ? inside : inside + total(outside[node]);
        const step = search[trie.depths[v] - 1];
        const fate = children[v].length === 0
          ? end.has(v) ? "returned" : "lost"
          : step.kept.includes(v)
          ? "kept"
          : "pruned";
        const own = fraction(weights[v], sum);
        lines.push(`${indent}[${trie.pathOf(v)}] ${own}, path ${fraction(pi[v], one)}, ${fate}`);
      } else lines.push(`${indent}[${trie.pathOf(v)}] taken out of the catalogue`);
      walk(v, `${indent}  `);
    });
    const rest = spec?.normalization === "vocabulary" ? outside[node] : [];
    if (rest.length > 0 && children[node].length > 0) {
      const sum = total(children[node].map((w) => weights[w])) + total(rest);
      lines.push(`${indent}(no children) ${rest.map((w) => fraction(w, sum)).join(", ")}`);
    }
  };
  walk(0, "  ");
  return lines.join("\n");
}
