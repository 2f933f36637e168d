/**
 * Beam search in plain float64, one user at a time: the specification that `beam_search.ts` is
 * tested against.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { checkBeam, checkDistribution } from "../../ops/trie_log_prob.ts";
import { mostAhead } from "./choices.ts";
import { Hypotheses } from "./hypotheses.ts";
import { logProbs, openChildren, type PathLogits } from "./host_log_probs.ts";
import type { BeamSearchOptions } from "./beam_search.ts";
import { byScore, entriesOf, finalOrder, logSumExp, type Prefix, rankedItem } from "./ranked.ts";
import type { BeamResult, BeamStep } from "./results.ts";
import { resolveSemantics, SEARCH_OPTIONS } from "./semantics.ts";
import type { Trie } from "./trie.ts";

/**
 * Options of {@link referenceBeamSearch}: those of {@link BeamSearch}. `trace` and `batch` have no
 * effect.
 */
export interface ReferenceOptions extends BeamSearchOptions {
  /** Items taken out of the catalogue. */
  readonly excluded?: Iterable<number>;
}

/**
 * Beam search over a trie. F_0 = {root}; the pool of step t is all children of F_(t-1) and the
 * finished items in it; F_t is the best `beam` of the pool. A finished item keeps its score and
 * goes on competing. Results always contain the pools. With `semantics: "huggingface"` it is the
 * search that `Semantics` describes.
 *
 * @throws {ArgumentError} if beam is not a positive integer, tau is below 1e-8, an excluded item is
 * not in the catalogue, or the trie does not fit the semantics.
 *
 * @example
 * ```ts
 * import { referenceBeamSearch, Trie } from "beargrad";
 *
 * const trie = new Trie([[0], [1, 0], [1, 1]]);
 * const { ranking } = referenceBeamSearch(trie, () => [0, 1], { beam: 2 });
 * console.log(ranking.map((r) => r.items)); // [[2], [0]]
 * ```
 */
export function referenceBeamSearch(
  trie: Trie,
  logits: PathLogits,
  options: ReferenceOptions,
): BeamResult {
  checkOptions("search", options, [...SEARCH_OPTIONS, "excluded"]);
  const { beam, normalization = "children", tau = 1, excluded = [] } = options;
  checkBeam("search", beam);
  checkDistribution("search", normalization, tau);
  const { semantics, lengthPenalty } = resolveSemantics(trie, options);
  const out = new Set(excluded);
  if (semantics === "huggingface") {
    const shared = { beam, normalization, tau, lengthPenalty, excluded: out };
    const search = new Hypotheses(trie, shared);
    for (let t = 1; t <= trie.maxDepth; t++) {
      const paths = search.running.map(({ node }) => trie.pathOf(node));
      search.advance((i) => logits(paths[i]));
    }
    return search.result();
  }
  const blocked = new Set(trie.blockedNodes(out));
  const expand = ({ node, score }: Prefix): Prefix[] => {
    if (trie.childCount(node) === 0) return [{ node, score }];
    const { nodes, tokens } = openChildren(trie, node, blocked);
    const q = logProbs(logits(trie.pathOf(node)), tokens, normalization, tau);
    return Array.from(nodes, (child, i) => ({ node: child, score: score + Math.min(0, q[i]) }));
  };

  const ahead = mostAhead(trie);
  const least = normalization === "children" ? 2 : 1;
  let rows = 0;
  let frontier: Prefix[] = blocked.has(0) ? [] : [{ node: 0, score: 0 }];
  const steps: BeamStep[] = [];
  for (let t = 1; t <= trie.maxDepth; t++) {
    if (t > 1) rows += frontier.filter(({ node }) => ahead[node] >= least).length;
    const pool = frontier.flatMap(expand).sort(byScore);
    const entries = entriesOf(pool);
    frontier = pool.slice(0, beam);
    steps.push({
      ...entriesOf(frontier),
      poolSize: pool.length,
      threshold: pool[beam - 1]?.score ?? -Infinity,
      logMass: logSumExp(entries.scores),
      bestPruned: pool[beam]?.score ?? -Infinity,
      pool: entries,
    });
  }
  return {
    ranking: frontier.map(({ node, score }) => rankedItem(trie, node, score, out))
      .sort(finalOrder(trie, lengthPenalty)),
    steps,
    bestPruned: Math.max(...steps.map((s) => s.bestPruned)),
    rows,
  };
}
