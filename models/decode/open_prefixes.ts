/**
 * One user's best-first search, on the host: which prefixes to expand next, and when to stop.
 *
 * @module
 */
import type { TypedArray } from "../../core/dtype.ts";
import { ABSENT } from "../../kernels/masked.ts";
import { byScore, type Prefix, rankedItem } from "./ranked.ts";
import type { SearchResult } from "./results.ts";
import type { Trie } from "./trie.ts";

/** An item that was found, or the prefix that only it has. */
interface Found extends Prefix {
  /** The depth at which it was alone. */
  readonly depth: number;
}

/** What the users of a search share. */
export interface OpenPrefixesOptions {
  /** The trie of the catalogue. */
  readonly trie: Trie;
  /** Whether the model is called at a node. */
  calls(node: number): boolean;
  /** The number of leaves below each node. */
  readonly leaves: Int32Array;
  /** The length of the list. */
  readonly k: number;
  /** The most prefixes to expand. Those before a reset do not count. */
  readonly budget: number;
}

/**
 * How much more than a prefix's own probability its items may have together, by rounding. Scores of
 * float32 are off by less. It decides when prefixes are expanded, never what is found.
 */
const ROUNDING = 1e-4;

/** The open prefixes of one user and the items found so far. */
export class OpenPrefixes {
  /** The number of prefixes that were expanded, also before a reset. */
  rows = 0;
  readonly #options: OpenPrefixesOptions;
  readonly #excluded: ReadonlySet<number>;
  /** Those whose children are not scored yet, best first, none below the k-th item found. */
  #open: Prefix[] = [];
  /** Best first, none below the k-th. */
  #found: Found[] = [];
  #expanded: Prefix[] = [];
  /** The best score of a prefix that was dropped. */
  #dropped = -Infinity;

  /** Starts with nothing known. `excluded` are the items taken out of the catalogue. */
  constructor(options: OpenPrefixesOptions, excluded: ReadonlySet<number>) {
    this.#options = options;
    this.#excluded = excluded;
  }

  /** The score of the k-th item so far, -Infinity without one. */
  get #floor(): number {
    return this.#found[this.#options.k - 1]?.score ?? -Infinity;
  }

  /** Whether nothing is left to expand. */
  get isDone(): boolean {
    return this.#open.length === 0 || this.#expanded.length >= this.#options.budget;
  }

  /**
   * The prefixes that any exact method must expand, best first: those that score at least the k-th
   * best item of the catalogue, as far as that is known. The best open prefix is always one.
   *
   * An item that scores more than prefix j is found already, or extends an open prefix i that
   * scores more than j. The items that extend i share its probability, so fewer than pi_i / pi_j of
   * them score more than j. If fewer than k items can, j is needed.
   */
  needed(): readonly Prefix[] {
    const { k, budget, leaves } = this.#options;
    const most = Math.min(this.#open.length, budget - this.#expanded.length);
    let count = 0;
    let above = 0; // how many open prefixes score more
    let found = 0; // and how many items
    for (; count < most; count++) {
      const { score } = this.#open[count];
      while (this.#open[above].score > score) above++;
      while (found < this.#found.length && this.#found[found].score > score) found++;
      let items = found;
      for (let i = 0; i < above && items < k; i++) {
        const { node, score: other } = this.#open[i];
        const shares = Math.ceil(Math.exp(other - score) * (1 + ROUNDING)) - 1;
        items += Math.min(leaves[node], shares);
      }
      if (items >= k) break;
    }
    return this.#open.slice(0, count);
  }

  /** Takes the first `count` open prefixes out, which are expanded. */
  expand(count: number): void {
    for (const prefix of this.#open.splice(0, count)) this.#expanded.push(prefix);
    this.rows += count;
  }

  /** Adds the children of a node, whose scores are in `pool` from `at` on. */
  add(node: number, pool: TypedArray, at: number): void {
    const { trie, calls } = this.#options;
    trie.nodesUnder(node).forEach((child, i) => {
      const score = pool[at + i];
      if (!(score > ABSENT)) return;
      if (calls(child)) this.#open.push({ node: child, score });
      else this.#found.push({ node: child, score, depth: trie.depths[child] });
    });
  }

  /** Puts what was added in order, and drops what scores below the k-th item. */
  sort(): void {
    this.#open.sort(byScore);
    this.#found.sort(byScore);
    const floor = this.#floor;
    while (this.#found.length > 0 && this.#found[this.#found.length - 1].score < floor) {
      this.#found.pop();
    }
    while (this.#open.length > 0 && this.#open[this.#open.length - 1].score < floor) {
      const { score } = this.#open.pop() as Prefix;
      this.#dropped = Math.max(this.#dropped, score);
    }
  }

  /** Forgets everything but the rows. */
  reset(): void {
    [this.#open, this.#found, this.#expanded] = [[], [], []];
    this.#dropped = -Infinity;
  }

  /** The result. */
  result(): SearchResult {
    const { trie, k } = this.#options;
    const ranking = this.#found.slice(0, k).map(({ node, score }) => {
      let leaf = node;
      while (trie.childCount(leaf) > 0) leaf = trie.nodesUnder(leaf)[0];
      return rankedItem(trie, leaf, score, this.#excluded);
    });
    const bestPruned = Math.max(this.#open[0]?.score ?? -Infinity, this.#dropped);
    const isExact = this.#open.length === 0;
    return { ranking, bestPruned, rows: this.rows, ...(isExact && { width: this.#width() }) };
  }

  /** See {@link SearchResult.width}: the k-th item is known. */
  #width(): number {
    const { trie, k } = this.#options;
    const counts = new Int32Array(trie.maxDepth); // of the steps before the last
    for (const { node, score } of this.#expanded) {
      if (score >= this.#floor) counts[trie.depths[node]]++;
    }
    for (const { depth } of this.#found) { // it stays in the beam
      for (let t = depth; t < trie.maxDepth; t++) counts[t]++;
    }
    return Math.max(Math.min(k, this.#found.length), ...counts);
  }
}
