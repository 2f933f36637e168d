/**
 * What beam search prunes: the margins of an item along its path, and the step that lost it.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
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

/** Options of {@link margins}. */
export interface MarginOptions {
  /** The beam width B. */
  readonly beam: number;
  /** What to normalise over. Default "children". */
  readonly normalization?: Normalization;
  /** The temperature, at least 1e-8. Default 1. */
  readonly tau?: number;
  /** Nodes taken out of the trie, as `Trie.blockedNodes` gives them. */
  readonly blocked?: ReadonlySet<number>;
}

/** The children of a node that are not blocked. */
export interface ChildLogProbs {
  /** Their nodes, ascending. */
  readonly nodes: Int32Array;
  /** Their tokens. */
  readonly tokens: Int32Array;
  /** Their log-probabilities. */
  readonly logProbs: Float64Array;
}

/** The children of the node after the tokens of `path`, with their log-probabilities. */
export function childLogProbs(
  trie: Trie,
  node: number,
  path: readonly number[],
  model: PathModel,
  { normalization = "children", tau = 1, blocked }: Partial<MarginOptions>,
): ChildLogProbs {
  const { nodes, tokens } = openChildren(trie, node, blocked);
  if (typeof model === "function") {
    return { nodes, tokens, logProbs: logProbs(model(path), tokens, normalization, tau) };
  }
  const { children, logSumExp = NaN } = model[path.length];
  const all = trie.nodesUnder(node);
  const places = [...all.keys()].filter((k) => !blocked?.has(all[k]));
  if (normalization === "vocabulary") {
    const own = Float64Array.from(places, (k) => children[k] / tau - logSumExp);
    return { nodes, tokens, logProbs: own };
  }
  const isAlone = nodes.length === 1; // has probability 1, whatever its logit
  const own = isAlone ? new Float64Array(1) : logProbs(children, places, normalization, tau);
  return { nodes, tokens, logProbs: own };
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
  checkOptions("take margins", options, ["beam", "normalization", "tau", "blocked"]);
  const { beam, normalization = "children", tau = 1, blocked } = options;
  checkBeam("take margins", beam);
  checkDistribution("take margins", normalization, tau);
  if (trie.childCount(leaf) !== 0 || blocked?.has(leaf)) {
    throw new ArgumentError(`Cannot take margins: the node must be a leaf, got node ${leaf}`);
  }
  const path = trie.pathOf(leaf);
  let node = 0;
  return path.map((token, depth) => {
    const children = childLogProbs(trie, node, path.slice(0, depth), model, options);
    const { tokens, logProbs: siblings } = children;
    const logProb = siblings[tokens.indexOf(token)];
    // Ascending: a sort by a function takes ten times as long where siblings are a catalogue.
    const logBeta = siblings.toSorted()[tokens.length - Math.min(beam, tokens.length)];
    node = trie.child(node, token);
    return { logProb, logBeta, margin: logBeta - logProb, choices: tokens.length };
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
  return 1 + steps.findIndex(({ nodes }, t) => !nodes.includes(prefixAt(trie, leaf, t + 1)));
}

/** The node of the first t tokens of a leaf's path, or the leaf itself where it has fewer. */
export function prefixAt(trie: Trie, leaf: number, t: number): number {
  let node = leaf;
  while (trie.depths[node] > t) node = trie.parents[node];
  return node;
}
