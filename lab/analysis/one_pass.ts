/**
 * What one teacher-forced pass cannot know: models that say the same along a path and treat its
 * leaf otherwise.
 *
 * @module
 */
import type { Trie } from "../../models/decode/trie.ts";
import { exactSearch } from "../theorems/world_model.ts";
import { type LevelCounts, rivalsAt } from "./certificates.ts";
import type { PathStep } from "./pruning.ts";

/** Which fates of a leaf some model allows that agrees with one pass. */
export interface PossibleFates {
  /** Whether a beam search of some such model returns the leaf. */
  readonly returned: boolean;
  /** Whether that of another does not. */
  readonly lost: boolean;
}

/** Looks for two models that agree with a pass: what they do with its leaf, no pass can tell. */
export class OnePass {
  readonly #counts: LevelCounts;
  readonly #beam: number;
  readonly #children: readonly (readonly number[])[];

  /** For the catalogue of the counts and a beam of width B. */
  constructor(counts: LevelCounts, beam: number) {
    this.#counts = counts;
    this.#beam = beam;
    const { trie } = counts;
    this.#children = Array.from({ length: trie.nodeCount }, (_, u) => [...trie.nodesUnder(u)]);
  }

  /**
   * The fates of the path's leaf in the models that were tried. In each, what is beside the path
   * has the probability that the pass says. In one it is spread, so as to stay below the leaf as
   * far as it can. In the others it is gathered, at one step each, on B rivals of T6's count.
   */
  fates(steps: readonly PathStep[]): PossibleFates {
    const { trie } = this.#counts;
    const spread = this.#spread(steps);
    const { nodes, own } = steps[steps.length - 1];
    const leaf = nodes[own];
    const returned = this.#keeps(spread, leaf, trie.maxDepth);
    let lost = !returned;
    for (let t = 1; t <= trie.maxDepth && !lost; t++) {
      const gathered = this.#gather(spread, steps, t);
      lost = gathered !== undefined && !this.#keeps(gathered, leaf, t);
    }
    return { returned, lost };
  }

  /** Whether the search of a model still holds the leaf's prefix after t steps. */
  #keeps(pi: Float64Array, leaf: number, t: number): boolean {
    const search = exactSearch({ beam: this.#beam, depth: t, children: this.#children, pi });
    return search[t - 1].kept.includes(this.#counts.trie.prefixOf(leaf, t));
  }

  /**
   * Node -> its probability, where what is beside the path does as little harm as it can: each
   * child stays just below the leaf, and the one with the most items takes what is over.
   */
  #spread(steps: readonly PathStep[]): Float64Array {
    const { trie } = this.#counts;
    const pi = new Float64Array(trie.nodeCount).fill(NaN);
    let before = 0;
    for (const { nodes, logProbs, own, score } of steps) {
      nodes.forEach((node, k) => pi[node] = Math.exp(k === own ? score : before + logProbs[k]));
      before = score;
    }
    const least = Math.exp(before) * (1 - 1e-6);
    for (let u = 1; u < pi.length; u++) { // children come after their parents
      const children = this.#children[u];
      if (children.length === 0 || !Number.isNaN(pi[children[0]])) continue;
      const small = Math.min(least, pi[u] / children.length);
      const items = (v: number): number => this.#counts.at(v, trie.maxDepth);
      const heir = children.reduce((a, b) => items(b) > items(a) ? b : a);
      for (const v of children) pi[v] = small;
      pi[heir] = pi[u] - (children.length - 1) * small;
    }
    return pi;
  }

  /** The model with B rivals of step t by the count of T6; undefined if that is smaller. */
  #gather(spread: Float64Array, steps: readonly PathStep[], t: number): Float64Array | undefined {
    const { trie } = this.#counts;
    const rivals = rivalsAt(steps, t, 0).filter(({ most }) => most > 0);
    let missing = this.#beam - rivals.filter(({ step }) => step === t).length;
    const earlier = rivals.filter(({ step }) => step < t).map(({ node, most }) => {
      return { node, most: Math.min(most, this.#counts.at(node, t)) };
    }).sort((a, b) => b.most - a.most);
    const pi = spread.slice();
    for (const { node: w, most } of earlier) {
      if (missing <= 0) break;
      const entries = this.#entriesUnder(w, t - 1).flatMap((u) => {
        return this.#children[u].length === 0 ? [u] : this.#children[u];
      }).slice(0, Math.min(most, missing));
      missing -= entries.length;
      pi.fill(0, w + 1, endOf(trie, w));
      for (const entry of entries) {
        for (let v = entry; v > w; v = trie.parents[v]) pi[v] += spread[w] / entries.length;
      }
    }
    return missing > 0 ? undefined : pi;
  }

  /** The entries of level t under a node, those with the most children first. */
  #entriesUnder(w: number, t: number): number[] {
    const { trie } = this.#counts;
    const { depths } = trie;
    const children = this.#children;
    const found: number[] = [];
    for (let v = w; v < endOf(trie, w); v++) {
      if (depths[v] === t || (depths[v] < t && children[v].length === 0)) found.push(v);
    }
    return found.sort((a, b) => (children[b].length || 1) - (children[a].length || 1) || a - b);
  }
}

/** The first node after the subtree of a node. */
function endOf({ depths, nodeCount }: Trie, w: number): number {
  let end = w + 1;
  while (end < nodeCount && depths[end] > depths[w]) end++;
  return end;
}
