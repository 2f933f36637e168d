/**
 * What is known of a beam search without running it, and of its list without searching further
 * (docs/theory.md: T2, T2', T4, T6, T9). All of it is about the absorbing semantics.
 *
 * @module
 */
import type { BeamResult, SearchResult } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { PathStep, SearchSetting, StepMargin } from "./pruning.ts";

/** Log-probabilities that differ by no more than this are equal within the rounding of float64. */
const ROUNDING = 1e-9;

/**
 * How many entries a subtree can have in the pool of a step.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { LevelCounts } from "beargrad/theory";
 *
 * const counts = new LevelCounts(new Trie([[0], [1, 0], [1, 1]]));
 * console.log(counts.at(0, 1), counts.at(0, 2)); // 2 3
 * ```
 */
export class LevelCounts {
  /** The trie. */
  readonly trie: Trie;
  /** Node -> the first node after its subtree. */
  readonly #ends: Int32Array;
  /** [t][n]: the number of nodes before n that are at depth t, or are leaves above it. */
  readonly #before: readonly Int32Array[];
  /** [t]: D_t of each node, made when it is asked for. */
  readonly #spreads: Float64Array[] = [];

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

  /** n_t(w): the descendants of w at depth t, and the items under w that end earlier. */
  at(w: number, t: number): number {
    return this.#before[t][this.#ends[w]] - this.#before[t][w];
  }

  /** D_t(w): the largest product of numbers of children on a way from w to level t. */
  spread(w: number, t: number): number {
    const { trie } = this;
    let spread = this.#spreads[t];
    if (spread === undefined) {
      spread = this.#spreads[t] = new Float64Array(trie.nodeCount).fill(1);
      for (let u = spread.length - 1; u >= 0; u--) { // children come after their parents
        const nodes = trie.nodesUnder(u);
        if (trie.depths[u] >= t || nodes.length === 0) continue;
        spread[u] = nodes.length * nodes.reduce((most, v) => Math.max(most, spread[v]), 1);
      }
    }
    return spread[w];
  }
}

/**
 * T4, the mass certificate: every beam search of width B retrieves a leaf with P > 1 / (B + 1). A P
 * that is larger by no more than the rounding of float64 (1e-9, relative) does not count as larger.
 *
 * @example
 * ```ts
 * import { massCertificate } from "beargrad/theory";
 *
 * console.log([0.34, 0.33].map((p) => massCertificate(Math.log(p), 2))); // [true, false]
 * ```
 */
export function massCertificate(logProb: number, beam: number): boolean {
  return logProb > -Math.log(beam + 1) + ROUNDING;
}

/**
 * T6, the certificate of one teacher-forced pass: entry t - 1 bounds how many prefixes can beat the
 * leaf's at step t. If every entry is at most B - 1, every beam search of width B retrieves the
 * leaf. There is an entry for each step of the trie, because a leaf that has ended must hold its
 * place.
 *
 * Below a sibling w that left the path at a step s < t there are n_t(w) prefixes, and at most
 * pi(w) / pi(y) of them have as much probability as the path y. At step t itself the siblings count
 * that score at least as much.
 *
 * `slack(t)` is the error of the gap between y and any w at step t, in log-probability. Default 0;
 * the rounding of float64 is added to it.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { competitors, LevelCounts, pathSteps } from "beargrad/theory";
 *
 * const trie = new Trie([[0], [1, 0], [1, 1]]);
 * const steps = pathSteps(trie, trie.leafOf[0], () => [1, 0]);
 * console.log(competitors(new LevelCounts(trie), steps)); // [0, 0]: a beam of 1 retrieves item 0
 * ```
 */
export function competitors(
  counts: LevelCounts,
  steps: readonly PathStep[],
  slack: (t: number) => number = () => 0,
): number[] {
  return Array.from({ length: counts.trie.maxDepth }, (_, i) => {
    const t = i + 1;
    const under = (rival: Rival): number => rival.step < t ? counts.at(rival.node, t) : 1;
    return rivalsAt(steps, t, slack(t) + ROUNDING)
      .reduce((sum, rival) => sum + Math.min(under(rival), rival.most), 0);
  });
}

/**
 * T2', the certificate of being pruned: entry t - 1 is how many entries must score above the leaf's
 * prefix at step t if that survives. If one is at least B, every beam search of width B prunes the
 * leaf at or before t, however ties are broken.
 *
 * A sibling w that is ahead of the path is kept as long as the path is. If the probabilities of n
 * children sum to 1, the best one has at least 1 / n. So w leaves an entry of at least pi(w) /
 * D_t(w), which is kept while it is ahead. Over the vocabulary this holds only for items that have
 * ended.
 *
 * `slack` is that of `competitors`.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { forced, LevelCounts, pathSteps } from "beargrad/theory";
 *
 * const trie = new Trie([[0, 0], [0, 1], [1]]);
 * const steps = pathSteps(trie, trie.leafOf[2], () => [3, 0]);
 * console.log(forced(new LevelCounts(trie), steps, "children")); // [1, 1]
 * ```
 */
export function forced(
  counts: LevelCounts,
  steps: readonly PathStep[],
  normalization: Normalization,
  slack: (t: number) => number = () => 0,
): number[] {
  const { trie } = counts;
  let ahead: { readonly node: number; readonly score: number }[] = [];
  let before = 0; // the path's score before the step
  return Array.from({ length: trie.maxDepth }, (_, i) => {
    const t = i + 1;
    const { nodes, logProbs, own, score } = steps[Math.min(t, steps.length) - 1];
    const least = score + slack(t) + ROUNDING;
    ahead = ahead.filter(({ node, score }) => {
      const isKnown = normalization === "children" || trie.childCount(node) === 0;
      return isKnown && score - Math.log(counts.spread(node, t)) > least;
    });
    for (let k = 0; k < nodes.length && t <= steps.length; k++) {
      const reached = before + logProbs[k];
      if (k !== own && reached > least) ahead.push({ node: nodes[k], score: reached });
    }
    before = score;
    return ahead.length;
  });
}

/** A sibling that is beside the path. */
export interface Rival {
  /** Its node. */
  readonly node: number;
  /** The step of the path that it is beside. */
  readonly step: number;
  /** How many entries under it can have as much as the path: its share of probability allows. */
  readonly most: number;
}

/** What is beside the path up to step t, where gaps of log-probability may be larger by `off`. */
export function rivalsAt(steps: readonly PathStep[], t: number, off: number): Rival[] {
  const { score } = steps[Math.min(t, steps.length) - 1];
  const rivals: Rival[] = [];
  let before = 0; // the path's score before the step
  for (const [i, { nodes, logProbs, own, score: after }] of steps.slice(0, t).entries()) {
    for (let k = 0; k < nodes.length; k++) {
      if (k === own) continue;
      const most = Math.floor(Math.exp(before + Math.min(0, logProbs[k]) - score + off));
      rivals.push({ node: nodes[k], step: i + 1, most });
    }
    before = after;
  }
  return rivals;
}

/**
 * T9: how many of a list's first items are provably the exact best of the catalogue, because they
 * score above all that was pruned before the last step. (What the last step pruned are whole items,
 * which lost to all of the list.)
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

/**
 * Whether the first `k` items of a search are provably the exact best of the catalogue, in order
 * (docs/theory.md, T9): nothing was pruned, or the k-th item scores above everything that was.
 */
export function certifiesTop({ ranking, bestPruned }: SearchResult, k: number): boolean {
  return bestPruned === -Infinity || (ranking[k - 1]?.logProb ?? -Infinity) > bestPruned;
}

/** The error budget of a float32 device. */
export interface Budget extends Pick<SearchSetting, "tau"> {
  /** The largest difference between a logit of the device and of the float64 reference. */
  readonly eps: number;
}

/** float32 moves a score by this share of its size, or of 1 if that is more, beyond its logits. */
export const SCORE_ROUNDING = 2 ** -20;

/** By how much the gap of two prefixes of t tokens may differ from the reference's (T11). */
export function slackAt(t: number, score: number, { eps, tau }: Budget): number {
  return (2 * t * eps) / tau + 2 * SCORE_ROUNDING * Math.max(1, Math.abs(score));
}

/** What one teacher-forced pass says about a target, beyond the budget. */
export type PathCertificate =
  | { readonly kind: "retrieved"; readonly by: "T4" | "T6" }
  | { readonly kind: "pruned"; readonly by: "T2" | "T2'"; readonly step: number }
  | { readonly kind: "undecided" };

/** What one teacher-forced pass says about a target. */
export function certifyPath(
  counts: LevelCounts,
  path: readonly PathStep[],
  margins: readonly StepMargin[],
  { beam, normalization }: Pick<SearchSetting, "beam" | "normalization">,
  budget: Budget,
): PathCertificate {
  const { score } = path[path.length - 1];
  const slack = (t: number): number => slackAt(t, score, budget);
  // T4 is a special case of T6: what is beside the path has too little mass for B competitors.
  if (massCertificate(score - slack(path.length), beam)) return { kind: "retrieved", by: "T4" };
  const isClear = competitors(counts, path, slack).every((n) => n < beam);
  if (isClear) return { kind: "retrieved", by: "T6" };
  const step = 1 + margins.findIndex((m, i) => m.margin > slackAt(1, path[i].score, budget));
  if (step > 0) return { kind: "pruned", by: "T2", step };
  const lost = 1 + forced(counts, path, normalization, slack).findIndex((n) => n >= beam);
  return lost > 0 ? { kind: "pruned", by: "T2'", step: lost } : { kind: "undecided" };
}
