/**
 * T11, what an error in the logits can do, and R7, what rounding does when scores are added.
 *
 * @module
 */
import type { BeamSearchOptions } from "../../models/decode/beam_search.ts";
import { logProbs } from "../../models/decode/host_log_probs.ts";
import type { Trie } from "../../models/decode/trie.ts";
import type { Proposition, Refutation } from "./proposition.ts";
import { catalogueOf, exactSearch, type ExactStep } from "./world_model.ts";

/** A catalogue with logits and with the same logits in error. */
export interface Perturbed extends Required<Pick<BeamSearchOptions, "beam" | "tau">> {
  /** The catalogue. */
  readonly trie: Trie;
  /** Node -> its logit among its siblings. Differences of logits are exact in float64. */
  readonly before: Float64Array;
  /** The same logits in error, all of them float32. */
  readonly after: Float64Array;
  /** What the error is said to be, at most. */
  readonly error: number;
}

/** Node -> the margin of its token: exact. */
export function marginsOf({ trie, beam, tau }: Perturbed, z: Float64Array): Float64Array {
  const margins = new Float64Array(trie.nodeCount);
  for (let u = 0; u < trie.nodeCount; u++) {
    const nodes = trie.nodesUnder(u);
    const ranked = Float64Array.from(nodes, (v) => z[v]).sort().reverse();
    for (const v of nodes) margins[v] = (ranked[Math.min(beam, ranked.length) - 1] - z[v]) / tau;
  }
  return margins;
}

/** Node -> the log-probability of its path, in float64. */
export function scoresOf({ trie, tau }: Perturbed, z: Float64Array): Float64Array {
  const scores = new Float64Array(trie.nodeCount);
  for (let u = 0; u < trie.nodeCount; u++) {
    const nodes = trie.nodesUnder(u);
    if (nodes.length === 0) continue;
    const own = Float64Array.from(nodes, (v) => z[v]);
    const q = logProbs(own, own.keys().toArray(), "children", tau);
    nodes.forEach((v, i) => scores[v] = scores[u] + q[i]);
  }
  return scores;
}

/** The beam search by scores in float64. */
export function beamsOf({ trie, beam }: Perturbed, scores: Float64Array): readonly ExactStep[] {
  return exactSearch({ ...catalogueOf(trie), beam, pi: scores });
}

/** The step at which two paths first differ, from 1. */
function forkOf(trie: Trie, a: number, b: number): number {
  const [x, y] = [trie.pathOf(a), trie.pathOf(b)];
  return 1 + x.findIndex((token, i) => token !== y[i]);
}

/** The largest error of a logit; the root has none. */
export function errorOf({ before, after }: Pick<Perturbed, "before" | "after">): number {
  return before.reduce((most, z, v) => v ? Math.max(most, Math.abs(z - after[v])) : most, 0);
}

/** Log-sum-exps are rounded in float64; scores here are below 100. */
const ROUNDING = 1e-12;

/**
 * T11, what stands in spite of errors. One instance a token with |Delta| > 2e/tau, and one a step
 * whose gaps between kept and pruned all exceed the bound; d is where two prefixes first differ.
 */
export const T11: Proposition<Perturbed> = {
  id: "T11",
  statement:
    "logits off by at most e: |Delta - Delta'| <= 2e/tau, so a verdict with |Delta| > 2e/tau stands; score gaps move by at " +
    "most (4(t-d)+2)e/tau, so wider gaps at the boundary keep the beam",
  hypotheses: ["a clear verdict", "clear gaps"],
  check(world, tally): void {
    const { trie, tau, before, after, error: e } = world;
    const [a, b] = [marginsOf(world, before), marginsOf(world, after)]; // exact
    for (let v = 1; v < trie.nodeCount; v++) {
      const moved = Math.abs(a[v] - b[v]) <= 2 * e / tau;
      const what = (): string => `Delta of node ${v} moved by ${a[v] - b[v]}, e = ${e}`;
      if (!moved) tally.of("a margin").expect(false, what);
      if (Math.abs(a[v]) > 2 * e / tau) {
        const isSame = (a[v] > 0) === (b[v] > 0);
        tally.of("a clear verdict").expect(isSame, () => `the verdict on node ${v} flipped`);
      }
    }
    const [s, s2] = [scoresOf(world, before), scoresOf(world, after)];
    const [ours, theirs] = [beamsOf(world, s), beamsOf(world, s2)];
    for (const [t, { pool, kept }] of ours.entries()) {
      const pruned = pool.slice(kept.length);
      const stands = kept.every((k) =>
        pruned.every((p) => {
          const bound = (4 * (t + 1 - forkOf(trie, k, p)) + 2) * e / tau + ROUNDING;
          const change = Math.abs((s[k] - s[p]) - (s2[k] - s2[p]));
          const what = (): string => `the gap of ${k} and ${p} moved ${change}`;
          if (change > bound) tally.of("a gap").expect(false, what);
          return s[k] - s[p] > bound;
        })
      );
      if (!stands) break;
      const same = kept.toSorted().join() === theirs[t].kept.toSorted().join();
      if (pruned.length === 0) continue;
      tally.of("clear gaps").expect(same, () => `the beam of step ${t + 1} changed`);
    }
  },
};

/** A parent and two of its children, all log-probabilities in float32. */
export interface FloatPair {
  /** The log-probability of the parent's path. */
  readonly parent: number;
  /** That of the more probable child, given the parent. */
  readonly better: number;
  /** That of the other child, given the parent. */
  readonly worse: number;
}

/** R7, rounding makes ties. */
export const R7: Refutation<FloatPair> = {
  id: "R7",
  statement:
    "In float32 a strictly more probable sibling stays strictly ahead when the parent's score is added",
  finds({ parent, better, worse }): string | undefined {
    const [a, b] = [Math.fround(parent + better), Math.fround(parent + worse)];
    if (a !== b) return undefined;
    return "with B = 1 the order of tokens decides, so the better one is lost though it is the best of its siblings";
  },
};

/** Draws a pair. */
export function drawPair({ parent, better, worse }: FloatPair): string {
  const sum = (own: number): string =>
    `${own} + ${parent} = ${own + parent}, in float32 ${Math.fround(own + parent)}`;
  return [
    `  log pi(parent) = ${parent}`,
    `  better child: ${sum(better)}`,
    `  worse child:  ${sum(worse)}`,
  ].join("\n");
}
