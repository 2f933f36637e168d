/**
 * One user's beam search by Hugging Face's rules (`Semantics` says which), on the host: whatever runs the model, the
 * bookkeeping is this.
 *
 * @module
 */
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { logProbs, openChildren } from "./host_log_probs.ts";
import { finalOrder, finalScore, logSumExp, rankedItem } from "./ranked.ts";
import type { BeamResult, BeamStep, RankedItem } from "./results.ts";
import type { Trie } from "./trie.ts";

/** A prefix that goes on, and which of the step before it extends. */
export interface RunningBeam {
  /** Its node. */
  readonly node: number;
  /** Its log-probability. */
  readonly score: number;
  /** Its place among the running beams of the step before. */
  readonly parent: number;
}

/** What {@link Hypotheses} needs to know. */
export interface HypothesesOptions {
  /** How many prefixes go on, and how many hypotheses are kept. */
  readonly beam: number;
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
  /** The power of the length that log-probabilities are divided by. */
  readonly lengthPenalty: number;
  /** Items taken out of the catalogue. */
  readonly excluded: ReadonlySet<number>;
}

/** A search in progress. */
export class Hypotheses {
  /** The prefixes that go on, best first; none once the search is done. */
  running: readonly RunningBeam[];
  readonly #trie: Trie;
  readonly #options: HypothesesOptions;
  readonly #blocked: ReadonlySet<number>;
  /** The finished hypotheses, best final score first. */
  #finished: readonly RankedItem[] = [];
  readonly #steps: BeamStep[] = [];

  /** At the root. */
  constructor(trie: Trie, options: HypothesesOptions) {
    this.#trie = trie;
    this.#options = options;
    this.#blocked = new Set(trie.blockedNodes(options.excluded));
    this.running = this.#blocked.has(0) ? [] : [{ node: 0, score: 0, parent: 0 }];
  }

  /** One step: `logits(i)` are those after running beam i. */
  advance(logits: (i: number) => ArrayLike<number>): void {
    const { beam, normalization, tau, lengthPenalty, excluded } = this.#options;
    const candidates = this.running.flatMap(({ node, score }, parent) => {
      const { nodes, tokens } = openChildren(this.#trie, node, this.#blocked);
      const q = logProbs(logits(parent), tokens, normalization, tau);
      return Array.from(nodes, (child, i): RunningBeam => {
        return { node: child, score: score + Math.min(0, q[i]), parent };
      });
    }).sort(bestFirst);
    const ended = candidates.slice(0, beam).filter((c) => this.#isEnd(c))
      .map(({ node, score }) => rankedItem(this.#trie, node, score, excluded));
    const finished = [...this.#finished, ...ended].sort(finalOrder(this.#trie, lengthPenalty))
      .slice(0, beam);
    const running = this.#isDone(finished, candidates)
      ? []
      : candidates.filter((c) => !this.#isEnd(c)).slice(0, beam);
    this.#record(
      [...this.#finished.map(entryOf), ...candidates],
      [...finished.map(entryOf), ...running],
    );
    this.#finished = finished;
    this.running = running;
  }

  /** What was found, once there has been a step for each token of the longest path. */
  result(): BeamResult {
    return {
      ranking: this.#finished,
      steps: this.#steps,
      bestPruned: Math.max(...this.#steps.map((s) => s.bestPruned)),
    };
  }

  /** Whether B hypotheses are there and the step's best candidate cannot beat the worst of them at its length. */
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

  #record(pool: Entry[], kept: Entry[]): void {
    pool.sort(bestFirst);
    kept.sort(bestFirst);
    const keptNodes = new Set(kept.map((k) => k.node));
    this.#steps.push({
      ...entriesOf(kept),
      poolSize: pool.length,
      threshold: pool[this.#options.beam - 1]?.score ?? -Infinity,
      logMass: logSumExp(entriesOf(pool).scores),
      bestPruned: pool.find((c) => !keptNodes.has(c.node))?.score ?? -Infinity,
      pool: entriesOf(pool),
    });
  }
}

type Entry = Pick<RunningBeam, "node" | "score">;

const entryOf = ({ leaf, logProb }: RankedItem): Entry => ({ node: leaf, score: logProb });

/** The total order: score descending, then node ascending. */
const bestFirst = (a: Entry, b: Entry): number => b.score - a.score || a.node - b.node;

function entriesOf(list: readonly Entry[]): Pick<BeamStep, "nodes" | "scores"> {
  return {
    nodes: Int32Array.from(list, (e) => e.node),
    scores: Float64Array.from(list, (e) => e.score),
  };
}
