/**
 * What beam search prunes: the margins of an item along its path, and the step that lost it.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { BeamSearchOptions } from "../../models/decode/beam_search.ts";
import { logProbs, openChildren, type PathLogits } from "../../models/decode/host_log_probs.ts";
import type { BeamStep } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import { checkBeam, checkDistribution, type Normalization } from "../../ops/trie_log_prob.ts";

/** What a model says at a node of the trie. */
export interface NodeLogits {
  /**
   * The logits of the node's children, in their order. May be empty where there is one child and
   * probabilities are over children: they are not read then.
   */
  readonly children: ArrayLike<number>;
  /** log sum exp(z / tau) over the vocabulary; read under "vocabulary" only. */
  readonly logSumExp?: number;
}

/** A model along the path to a leaf: a function to logits, or the nodes of the path, root first. */
export type PathModel = PathLogits | readonly NodeLogits[];

/** Why a beam search did not return an item. */
export type PruningCause =
  /** Some margin is above 0: the token is not among the best B of its siblings. */
  | "violation"
  /** Prefixes from other parts of the trie took the places. */
  | "displacement"
  /** Items that ended earlier took the places. */
  | "length"
  /** Its score equals the threshold, and the total order decided. */
  | "tie"
  /** It is not in the catalogue, or was excluded. */
  | "absent";

/** An item that a beam search did not return. */
export interface Attribution {
  /** Why. */
  readonly cause: PruningCause;
  /** The first step, from 1, that did not keep its prefix. */
  readonly step: number;
}

/** How a model is searched. */
export type SearchSetting = Required<Pick<BeamSearchOptions, "beam" | "normalization" | "tau">>;

/** Options of {@link margins}. */
export interface MarginOptions extends Pick<BeamSearchOptions, "beam" | "normalization" | "tau"> {
  /** Nodes taken out of the trie, as `Trie.blockedNodes` gives them. */
  readonly blocked?: ReadonlySet<number>;
}

/** One step of a leaf's path: the children that it chooses among. */
export interface PathStep {
  /** The children that are not blocked, ascending. */
  readonly nodes: Int32Array;
  /** Their log-probabilities given the path so far. */
  readonly logProbs: Float64Array;
  /** Which of them is on the path. */
  readonly own: number;
  /** The log-probability of the path up to and with this step. */
  readonly score: number;
}

/**
 * The steps of the path to a leaf with all that is beside it: what one teacher-forced pass says
 * about the trie. `options` are those of `margins`; `beam` is not needed.
 *
 * @throws {ArgumentError} if the node is no leaf or is blocked, or `tau` is below 1e-8.
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
    const { nodes, tokens } = openChildren(trie, node, blocked);
    const q = typeof model === "function"
      ? logProbs(model(path.slice(0, depth)), tokens, normalization, tau)
      : nodeLogProbs(trie, node, model[depth], normalization, tau, blocked);
    const own = tokens.indexOf(token);
    score += Math.min(0, q[own]);
    node = nodes[own];
    return { nodes, logProbs: q, own, score };
  });
}

/** The log-probabilities of a node's children that are not blocked. */
function nodeLogProbs(
  trie: Trie,
  node: number,
  { children, logSumExp = NaN }: NodeLogits,
  normalization: Normalization,
  tau: number,
  blocked: MarginOptions["blocked"],
): Float64Array {
  const nodes = trie.nodesUnder(node);
  const places = [...nodes.keys()].filter((k) => !blocked?.has(nodes[k]));
  if (normalization === "vocabulary") {
    return Float64Array.from(places, (k) => children[k] / tau - logSumExp);
  }
  // An only child has probability 1, whatever its logit.
  if (places.length === 1) return new Float64Array(1);
  return logProbs(children, places, normalization, tau);
}

/** One step of an item's path, against its siblings. */
export interface StepMargin {
  /** The log-probability of the item's token. */
  readonly logProb: number;
  /**
   * The log-probability of the B-th most probable sibling, the item's token included; that of the
   * least probable one if they are fewer.
   */
  readonly logBeta: number;
  /** logBeta - logProb. Above 0, a beam search prunes the item here or earlier (T2). */
  readonly margin: number;
  /** The number of siblings, the item's token included. With at most B, no margin is above 0. */
  readonly choices: number;
}

/**
 * The margins along the path to a leaf, one for each token.
 *
 * @throws {ArgumentError} if the node is no leaf or is blocked, `beam` is not a positive integer,
 * or `tau` is below 1e-8.
 *
 * @example
 * ```ts
 * import { Trie } from "beargrad";
 * import { margins } from "beargrad/lab";
 *
 * const trie = new Trie([[0], [1]]);
 * const [step] = margins(trie, trie.leafOf[0], () => [0, 3], { beam: 1 });
 * console.log(step.margin); // 3: a beam of 1 prunes item 0
 * ```
 */
export function margins(
  trie: Trie,
  leaf: number,
  model: PathModel,
  options: MarginOptions,
): StepMargin[] {
  checkBeam("take margins", options.beam);
  return marginsOf(pathSteps(trie, leaf, model, options), options.beam);
}

/** The margins of a path for a beam of width B. */
export function marginsOf(path: readonly PathStep[], beam: number): StepMargin[] {
  return path.map(({ logProbs, own }) => {
    const choices = logProbs.length;
    // Ascending: a sort by a function takes ten times as long where siblings are a catalogue.
    const logBeta = logProbs.toSorted()[choices - Math.min(beam, choices)];
    return { logProb: logProbs[own], logBeta, margin: logBeta - logProbs[own], choices };
  });
}

/**
 * The first step, from 1, that did not keep the prefix of a leaf, or 0 if the leaf was retrieved.
 *
 * @example
 * ```ts
 * import { referenceBeamSearch, Trie } from "beargrad";
 * import { prunedAt } from "beargrad/lab";
 *
 * const trie = new Trie([[0], [1]]);
 * const { steps } = referenceBeamSearch(trie, () => [0, 3], { beam: 1 });
 * console.log(prunedAt(trie, trie.leafOf[0], steps)); // 1
 * ```
 */
export function prunedAt(trie: Trie, leaf: number, steps: readonly BeamStep[]): number {
  return 1 + steps.findIndex(({ nodes }, t) => !nodes.includes(trie.prefixOf(leaf, t + 1)));
}

/**
 * Explains why a search did not return a leaf; undefined if it did. With t the first step that did
 * not keep the leaf's prefix, the cause is the first of these that holds:
 *
 * - `absent`: the prefix was not in the pool of step t, so the leaf is not in the catalogue or was
 *   excluded.
 * - `violation`: the margin of a token of the path is above 0, at t or elsewhere. T1's local
 *   condition fails.
 * - `tie`: the score at t equals the threshold within rounding.
 * - `length`: the leaf had ended before t and lost its place to longer items, or it would have been
 *   kept at t without the items that had ended before t.
 * - `displacement`: prefixes from other parts of the trie took the places.
 *
 * `steps` are those of a traced search, `margins` those of the leaf for the same beam, or empty if
 * it was excluded. Scores count as equal up to the relative difference `rounding`.
 *
 * @throws {ArgumentError} if the steps have no pools.
 */
export function attribute(
  trie: Trie,
  leaf: number,
  { steps, margins, beam, rounding }: {
    readonly steps: readonly BeamStep[];
    readonly margins: readonly StepMargin[];
    readonly beam: number;
    readonly rounding: number;
  },
): Attribution | undefined {
  const step = prunedAt(trie, leaf, steps);
  if (step === 0) return undefined;
  const { pool, threshold } = steps[step - 1];
  if (pool === undefined) {
    throw new ArgumentError(
      "Cannot find the cause of pruning: the search must be traced, got steps without pools",
    );
  }
  const rank = pool.nodes.indexOf(trie.prefixOf(leaf, step));
  const cause = (): PruningCause => {
    if (rank < 0) return "absent";
    if (margins.some(({ margin }) => margin > 0)) return "violation";
    const gap = Math.abs(threshold - pool.scores[rank]); // a length penalty may drop a better one
    if (gap <= rounding * Math.abs(threshold)) return "tie";
    if (trie.depths[leaf] < step) return "length";
    const ended = pool.nodes.subarray(0, rank).filter((other) => trie.depths[other] < step).length;
    return rank - ended < beam ? "length" : "displacement";
  };
  return { step, cause: cause() };
}
