/**
 * What beam search prunes: the margins of an item along its path, and the step that dropped it.
 *
 * @module
 */
import { checkOptions } from "../../core/checks.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkBeam, checkDistribution, type Normalization } from "../../ops/trie_log_prob.ts";
import { logProbs, openChildren, type PathLogits } from "../../models/decode/host_log_probs.ts";
import type { BeamStep } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";

/** What a model says at a node of the trie, as far as the trie asks. */
export interface NodeLogits {
  /**
   * The logits of the node's children, in their order. Where there is one child, nothing is read of it under "children", and there
   * may be none.
   */
  readonly children: ArrayLike<number>;
  /** log sum exp(z / tau) over the vocabulary, for the temperature that is asked for; read under "vocabulary" only. */
  readonly logSumExp?: number;
}

/** A model along the path to a leaf: any logits that are asked for, or what it says at the nodes of the path, root first. */
export type PathModel = PathLogits | readonly NodeLogits[];

/** One step of an item's path, against its siblings. */
export interface StepMargin {
  /** The log-probability of the item's token. */
  readonly logProb: number;
  /** That of the beam-th most probable sibling, the item's token included; the last one's if there are fewer. */
  readonly logBeta: number;
  /** logBeta - logProb. Above 0, a beam search of this width prunes the item here or earlier (docs/theory.md, T2). */
  readonly margin: number;
  /** The number of siblings, the item's token included. With at most `beam`, the margin cannot be above 0. */
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
  /** The first step (from 1) that did not keep its prefix. */
  readonly step: number;
}

/** Options of {@link margins}. */
export interface MarginOptions {
  /** The beam width. */
  readonly beam: number;
  /** What to normalise over; "children" unless told. */
  readonly normalization?: Normalization;
  /** The temperature, at least 1e-8; 1 unless told. */
  readonly tau?: number;
  /** Nodes taken out of the trie, as `Trie.blockedNodes` gives them. */
  readonly blocked?: ReadonlySet<number>;
}

/** The children of a node that are not blocked and their log-probabilities, after the tokens of `path`. Internal. */
export function childLogProbs(
  trie: Trie,
  node: number,
  model: PathModel,
  { path, normalization, tau, blocked }: {
    readonly path: readonly number[];
    readonly normalization: Normalization;
    readonly tau: number;
    readonly blocked?: ReadonlySet<number>;
  },
): { readonly nodes: Int32Array; readonly tokens: Int32Array; readonly logProbs: Float64Array } {
  const { nodes, tokens } = openChildren(trie, node, blocked);
  if (typeof model === "function") {
    return { nodes, tokens, logProbs: logProbs(model(path), tokens, normalization, tau) };
  }
  const { children, logSumExp = NaN } = model[path.length];
  const places = [...trie.nodesUnder(node).keys()].filter((k) =>
    !blocked?.has(trie.childNodes[trie.childOffsets[node] + k])
  );
  if (normalization === "vocabulary") {
    return {
      nodes,
      tokens,
      logProbs: Float64Array.from(places, (k) => children[k] / tau - logSumExp),
    };
  }
  const alone = nodes.length === 1; // has probability 1, whatever its logit
  return {
    nodes,
    tokens,
    logProbs: alone ? new Float64Array(1) : logProbs(children, places, normalization, tau),
  };
}

/**
 * The margins along the path to a leaf, one for each token.
 *
 * @throws {ArgumentError} if the node is no leaf or is blocked, beam is not a positive integer, or
 * tau below 1e-8.
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
    const { tokens, logProbs: siblings } = childLogProbs(trie, node, model, {
      ...{ path: path.slice(0, depth), normalization, tau, blocked },
    });
    const logProb = siblings[tokens.indexOf(token)];
    // Ascending, as a sort by a function takes ten times as long where siblings are a whole catalogue.
    const logBeta = siblings.toSorted()[tokens.length - Math.min(beam, tokens.length)];
    node = trie.child(node, token);
    return { logProb, logBeta, margin: logBeta - logProb, choices: tokens.length };
  });
}

/** The first step (from 1) that did not keep the prefix of a leaf, or 0 if the leaf was retrieved.
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
  const trail = [leaf];
  while (trail[0] > 0) trail.unshift(trie.parents[trail[0]]);
  return 1 + steps.findIndex(({ nodes }, t) => !nodes.includes(trail[t + 1] ?? leaf));
}
