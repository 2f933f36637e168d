/**
 * What can be known of a beam search without running it, and of its list without searching on (docs/theory.md, T4, T6, T9). All of it is
 * about the absorbing semantics.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkDistribution } from "../../ops/trie_log_prob.ts";
import { childLogProbs, type MarginOptions, type PathModel } from "./pruning.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";

/** One step of a leaf's path: the children it chooses among. */
export interface PathStep {
  /** The children, ascending. */
  readonly nodes: Int32Array;
  /** Their log-probabilities given the path so far. */
  readonly logProbs: Float64Array;
  /** Which of them is on the path. */
  readonly own: number;
  /** The log-probability of the path up to and with this step. */
  readonly score: number;
}

/**
 * The steps of the path to a leaf, with all that is beside it: what one teacher-forced pass tells
 * of the trie. Nodes that are `blocked`, as `Trie.blockedNodes` gives them, are not there.
 * `options` are those of `margins`, but need no beam.
 *
 * @throws {ArgumentError} if the node is no leaf or is blocked, or tau below 1e-8.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { pathSteps } from "beargrad/theory";
 *
 * const trie = new Trie([[0], [1]]);
 * const [step] = pathSteps(trie, trie.leafOf[1], () => [0, 0]);
 * console.log(step.own, Math.exp(step.score)); // 1 0.5
 * ```
 */
export function pathSteps(
  trie: Trie,
  leaf: number,
  model: PathModel,
  options: Partial<MarginOptions> = {},
): PathStep[] {
  checkOptions("walk a path", options, ["beam", "normalization", "tau", "blocked"]);
  const { normalization = "children", tau = 1, blocked } = options;
  checkDistribution("walk a path", normalization, tau);
  if (trie.childCount(leaf) !== 0 || blocked?.has(leaf)) {
    throw new ArgumentError(`Cannot walk a path: it must end at a leaf, got node ${leaf}`);
  }
  const path = trie.pathOf(leaf);
  let [node, score] = [0, 0];
  return path.map((token, depth) => {
    const { nodes, tokens, logProbs } = childLogProbs(trie, node, model, {
      ...{ path: path.slice(0, depth), normalization, tau, blocked },
    });
    const own = tokens.indexOf(token);
    score += Math.min(0, logProbs[own]);
    const step = { nodes, logProbs, own, score };
    node = nodes[own];
    return step;
  });
}

/** Log-probabilities that differ by no more than this are equal within the rounding of float64. */
const ROUNDING = 1e-9;

/** How many entries a subtree can have in the pool of a step. */
export class LevelCounts {
  /** Its trie. */
  readonly trie: Trie;
  /** Node -> the first node after its subtree. */
  readonly #ends: Int32Array;
  /** [t][n]: how many nodes before n are at depth t, or are leaves above it. */
  readonly #before: readonly Int32Array[];

  /** Counts once, in maxDepth * nodeCount numbers. */
  constructor(trie: Trie) {
    this.trie = trie;
    const { nodeCount, maxDepth, depths } = trie;
    this.#ends = Int32Array.from({ length: nodeCount }, (_, node) => node + 1);
    for (let node = nodeCount - 1; node > 0; node--) {
      const parent = trie.parents[node];
      this.#ends[parent] = Math.max(this.#ends[parent], this.#ends[node]);
    }
    this.#before = Array.from({ length: maxDepth + 1 }, (_, t) => {
      const before = new Int32Array(nodeCount + 1);
      for (let node = 0; node < nodeCount; node++) {
        const counts = depths[node] === t || (depths[node] < t && trie.childCount(node) === 0);
        before[node + 1] = before[node] + (counts ? 1 : 0);
      }
      return before;
    });
  }

  /** n_t(w): the descendants of w at depth t, w itself included; an item that ends earlier counts once. */
  at(w: number, t: number): number {
    return this.#before[t][this.#ends[w]] - this.#before[t][w];
  }
}

/**
 * T4, the mass certificate: a leaf with P > 1 / (B + 1) is retrieved by every beam of width B, as prefixes of one length are disjoint
 * events and so at most B of them have that much. A P that is larger by no more than the rounding of float64 (1e-9, relative)
 * does not count as larger.
 *
 * @example
 * ```ts
 * import { massCertificate } from "beargrad/theory";
 *
 * console.log(massCertificate(Math.log(0.34), 2), massCertificate(Math.log(0.33), 2)); // true false
 * ```
 */
export function massCertificate(logProb: number, beam: number): boolean {
  return logProb > -Math.log(beam + 1) + ROUNDING;
}

/**
 * T6, the certificate from one teacher-forced pass: entry t - 1 bounds how many prefixes can beat the leaf's at step t. Below a
 * sibling w that left the path at a step s < t there are n_t(w) of them, and at most pi(w) / pi(y) of these have as much
 * probability as the path y; at step t itself the siblings that score at least as much count. If every entry is at most B - 1, every beam
 * of width B retrieves the leaf. There is an entry for each step of the trie: a leaf that has ended must hold its place.
 *
 * `slack(t)` is by how much (in log-probability) the gap between y and any w may be off at step t; none, but for the
 * rounding of float64, unless told.
 */
export function competitors(
  counts: LevelCounts,
  steps: readonly PathStep[],
  slack: (t: number) => number = () => 0,
): number[] {
  return Array.from({ length: counts.trie.maxDepth }, (_, i) => {
    const t = i + 1;
    const score = steps[Math.min(t, steps.length) - 1].score;
    const off = slack(t) + ROUNDING;
    let rivals = 0;
    let before = 0; // the path's score before step s
    for (let s = 1; s <= Math.min(t, steps.length); s++) {
      const { nodes, logProbs, own } = steps[s - 1];
      for (let k = 0; k < nodes.length; k++) {
        if (k === own) continue;
        const ratio = Math.floor(Math.exp(before + Math.min(0, logProbs[k]) - score + off));
        rivals += s < t ? Math.min(counts.at(nodes[k], t), ratio) : Math.min(1, ratio);
      }
      before = steps[s - 1].score;
    }
    return rivals;
  });
}

/**
 * T9: how many of a list's first items are provably the exact best of the catalogue, because they score above everything that was
 * pruned before the last step. (What was pruned at the last step are whole items, which lost to all of the list.)
 *
 * @example
 * ```ts
 * import { referenceBeamSearch, Trie } from "beargrad";
 * import { certifiedCount } from "beargrad/theory";
 *
 * const trie = new Trie([[0, 0], [1, 0], [1, 1]]);
 * console.log(certifiedCount(referenceBeamSearch(trie, () => [3, 0], { beam: 1 }))); // 1
 * ```
 */
export function certifiedCount({ ranking, steps }: BeamResult): number {
  const lost = Math.max(-Infinity, ...steps.slice(0, -1).map((s) => s.bestPruned));
  return ranking.filter(({ logProb }) => logProb > lost).length;
}
