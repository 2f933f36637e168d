/**
 * One user's beam search by Hugging Face's rules, on the host. `Semantics` has the rules.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { logProbs, openChildren } from "./host_log_probs.ts";
import {
  byScore,
  entriesOf,
  finalOrder,
  finalScore,
  logSumExp,
  type Prefix,
  rankedItem,
} from "./ranked.ts";
import type { BeamResult, BeamStep, RankedItem } from "./results.ts";
import type { Trie } from "./trie.ts";

/** A prefix that the search continues. */
export interface RunningBeam extends Prefix {
  /** The index, among the running beams of the step before, of the prefix that it extends. */
  readonly parent: number;
}

/** Options of {@link Hypotheses}. */
export interface HypothesesOptions {
  /** The number of prefixes that continue, and of hypotheses that are kept. */
  readonly beam: number;
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
  /** Final scores are log P / length^lengthPenalty. */
  readonly lengthPenalty: number;
  /** Items taken out of the catalogue. */
  readonly excluded: ReadonlySet<number>;
}

/** A search in progress. */
export class Hypotheses {
  /** The prefixes that continue, best first; none once the search is done. */
  running: readonly RunningBeam[];
  readonly #trie: Trie;
  readonly #options: HypothesesOptions;
  readonly #blocked: ReadonlySet<number>;
  /** The finished hypotheses, best final score first. */
  #finished: readonly RankedItem[] = [];
  readonly #steps: BeamStep[] = [];
  #rows = 0;

  /** Starts at the root. */
  constructor(trie: Trie, options: HypothesesOptions) {
    this.#trie = trie;
    this.#options = options;
    this.#blocked = new Set(trie.blockedNodes(options.excluded));
    this.running = this.#blocked.has(0) ? [] : [{ node: 0, score: 0, parent: 0 }];
  }

  /** Takes a step. `logits(i)` are the logits of the token after running beam i. */
  advance(logits: (i: number) => ArrayLike<number>): void {
    const { beam, normalization, tau, lengthPenalty, excluded } = this.#options;
    if (this.#steps.length > 0) this.#rows += this.running.length;
    const candidates = this.running.flatMap(({ node, score }, parent) => {
      const { nodes, tokens } = openChildren(this.#trie, node, this.#blocked);
      const q = logProbs(logits(parent), tokens, normalization, tau);
      return Array.from(nodes, (child, i): RunningBeam => {
        return { node: child, score: score + Math.min(0, q[i]), parent };
      });
    }).sort(byScore);
    const ended = candidates.slice(0, beam).filter((c) => this.#isEnd(c))
      .map(({ node, score }) => rankedItem(this.#trie, node, score, excluded));
    const finished = [...this.#finished, ...ended].sort(finalOrder(this.#trie, lengthPenalty))
      .slice(0, beam);
    const running = this.#isDone(finished, candidates)
      ? []
      : candidates.filter((c) => !this.#isEnd(c)).slice(0, beam);
    this.#record(
      [...this.#finished.map(prefixOf), ...candidates],
      [...finished.map(prefixOf), ...running],
    );
    this.#finished = finished;
    this.running = running;
  }

  /** The result, after one step for each token of the longest path. */
  result(): BeamResult {
    return {
      ranking: this.#finished,
      steps: this.#steps,
      bestPruned: Math.max(...this.#steps.map((s) => s.bestPruned)),
      rows: this.#rows,
    };
  }

  /**
   * Whether there are B hypotheses and the best candidate, at its length, scores below all of them.
   */
  #isDone(finished: readonly RankedItem[], candidates: readonly RunningBeam[]): boolean {
    const { beam, lengthPenalty } = this.#options;
    if (candidates.length === 0) return true;
    if (finished.length < beam) return false;
    const { leaf, logProb } = finished[beam - 1];
    const worst = finalScore(logProb, this.#trie.depths[leaf], lengthPenalty);
    return worst >= finalScore(candidates[0].score, this.#steps.length + 1, lengthPenalty);
  }

  #isEnd({ node }: RunningBeam): boolean {
    return this.#trie.childCount(node) === 0;
  }

  #record(pool: Prefix[], kept: Prefix[]): void {
    pool.sort(byScore);
    kept.sort(byScore);
    const keptNodes = new Set(kept.map((k) => k.node));
    const entries = entriesOf(pool);
    this.#steps.push({
      ...entriesOf(kept),
      poolSize: pool.length,
      threshold: pool[this.#options.beam - 1]?.score ?? -Infinity,
      logMass: logSumExp(entries.scores),
      bestPruned: pool.find((c) => !keptNodes.has(c.node))?.score ?? -Infinity,
      pool: entries,
    });
  }
}

const prefixOf = ({ leaf, logProb }: RankedItem): Prefix => ({ node: leaf, score: logProb });
