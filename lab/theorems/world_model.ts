/**
 * A catalogue with a model over it and its beam search, all of it exact: probabilities are whole
 * numbers of one unit.
 *
 * @module
 */
import type { BeamSearchOptions } from "../../models/decode/beam_search.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";

/** A node of a generated catalogue. */
export interface Branch {
  /** Its probability among its siblings is proportional to this. */
  readonly weight: number;
  /** Weights of the tokens that no child has. */
  readonly outside: readonly number[];
  /** How many items end here; without meaning where there are children. */
  readonly copies: number;
  /** Child number i has token i; without children, an item ends here. */
  readonly children: readonly Branch[];
}

/** What a world is made of. */
export interface WorldSpec extends Required<Pick<BeamSearchOptions, "beam" | "normalization">> {
  /** The root; it has children. */
  readonly root: Branch;
  /** Items taken out of the catalogue. */
  readonly excluded: readonly number[];
}

/** A catalogue and a model over it. */
export interface WorldModel {
  /** The catalogue, excluded items included. */
  readonly trie: Trie;
  /** The beam width B. */
  readonly beam: number;
  /** What the probabilities of siblings sum to 1 over. */
  readonly normalization: Normalization;
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

/** The paths of a catalogue's items; each child's token is its number. */
export function pathsOf({ children, copies }: Branch): number[][] {
  if (children.length === 0) return Array.from({ length: copies }, () => []);
  return children.flatMap((child, token) => pathsOf(child).map((path) => [token, ...path]));
}

/** The branches in the order of their nodes. */
export function branchesOf(root: Branch): Branch[] {
  return [root, ...root.children.flatMap(branchesOf)];
}

/** A catalogue and which of its nodes are left without the excluded items. */
export function catalogueOf(
  trie: Trie,
  excluded: readonly number[] = [],
): Pick<WorldModel, "trie" | "depth" | "children" | "leaves"> {
  const blocked = new Set(trie.blockedNodes(excluded));
  const nodes = Array.from({ length: trie.nodeCount }, (_, node) => node);
  return {
    trie,
    depth: trie.maxDepth,
    children: nodes.map((node) => [...trie.nodesUnder(node)].filter((v) => !blocked.has(v))),
    leaves: nodes.filter((node) => trie.childCount(node) === 0 && !blocked.has(node)),
  };
}

/** The model of a spec. */
export function modelOf({ root, beam, normalization, excluded }: WorldSpec): WorldModel {
  const catalogue = catalogueOf(new Trie(pathsOf(root)), excluded);
  const { trie, children } = catalogue;
  const branches = branchesOf(root);
  const weights = branches.map((branch) => BigInt(branch.weight));
  const outside = branches.map((branch, node) => {
    const gone = [...trie.nodesUnder(node)].filter((v) => !children[node].includes(v));
    return [...branch.outside.map(BigInt), ...gone.map((v) => weights[v])];
  });
  const totals = children.map((list, node) => {
    if (list.length === 0) return 1n;
    if (list.every((v) => weights[v] === 0n)) list.forEach((v) => weights[v] = 1n);
    const inside = total(list.map((v) => weights[v]));
    return normalization === "children" ? inside : inside + total(outside[node]);
  });
  return {
    ...catalogue,
    beam,
    normalization,
    weights,
    outside,
    ...scoresOf(trie, weights, totals),
  };
}

/**
 * Node -> the product along its path of its weight / the total of its parent. With T_d the least
 * common multiple of the totals at depth d, the unit is 1 / (T_0 T_1 ...), so every path has a
 * whole number of units.
 */
export function scoresOf(
  { parents, depths, maxDepth }: Trie,
  weights: readonly bigint[],
  totals: readonly bigint[],
): Pick<WorldModel, "one" | "pi"> {
  const scale: bigint[] = Array(maxDepth + 1).fill(1n);
  totals.forEach((sum, u) => scale[depths[u]] = lcm(scale[depths[u]], sum));
  const one = scale.reduce((a, b) => a * b, 1n);
  const pi = weights.map(() => one);
  for (let v = 1; v < pi.length; v++) pi[v] = pi[parents[v]] * weights[v] / totals[parents[v]];
  return { one, pi };
}

/** One step: nodes, best first. */
export interface ExactStep {
  /** All entries that competed. */
  readonly pool: readonly number[];
  /** The entries that were kept. */
  readonly kept: readonly number[];
}

/** What a search looks at. */
export interface Searchable extends Pick<WorldModel, "beam" | "depth" | "children"> {
  /** Node -> the score of its path. */
  readonly pi: ArrayLike<bigint | number>;
}

/** The rules of a search. */
export interface Rules {
  /** How many entries a step keeps. */
  places(beam: number): number;
  /** The score of a node. */
  score(node: number): bigint | number;
  /** Which of two entries of equal score comes first. */
  tie(a: number, b: number): number;
  /** The entries of the next pool that a kept node stands for. */
  expand(node: number): readonly number[];
}

/**
 * Beam search in exact arithmetic: the definition in docs/theory.md, rule by rule, so that each
 * rule can be replaced by a wrong one. F_0 = {root}; the pool of a step is what the kept nodes of
 * the step before stand for; the best of it are kept. There are as many steps as the longest path
 * has tokens. By default there are B places, the score is the path's probability, ties go by node,
 * and finished items compete on.
 */
export function exactSearch(
  { beam, depth, children, pi }: Searchable,
  {
    places = () => beam,
    score = (node) => pi[node],
    tie = (a, b) => a - b,
    expand = (node) => children[node].length === 0 ? [node] : children[node],
  }: Partial<Rules> = {},
): readonly ExactStep[] {
  const order = (a: number, b: number): number => compare(score(b), score(a)) || tie(a, b);
  const steps: ExactStep[] = [];
  let kept: readonly number[] = children[0].length === 0 ? [] : [0]; // nothing is left
  for (let t = 1; t <= depth; t++) {
    const pool = kept.flatMap(expand).sort(order);
    kept = pool.slice(0, places(beam));
    steps.push({ pool, kept });
  }
  return steps;
}

/** The greatest common divisor of two numbers that are not negative. */
function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/** The least common multiple of two positive numbers. */
function lcm(a: bigint, b: bigint): bigint {
  return (a / gcd(a, b)) * b;
}

/** The sum. */
export function total(values: Iterable<bigint>): bigint {
  let sum = 0n;
  for (const value of values) sum += value;
  return sum;
}

/** -1, 0 or 1 as a is less than, equal to or greater than b. */
export function compare(a: bigint | number, b: bigint | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** part / whole in lowest terms: `2/3`, `0`, `1`. */
export function fraction(part: bigint, whole: bigint): string {
  const by = gcd(part, whole);
  return by === whole || part === 0n ? `${part / whole}` : `${part / by}/${whole / by}`;
}
