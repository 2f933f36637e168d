/**
 * One user's search, step by step around the item that it should find: what competed, where the thresholds were, where and why
 * the item fell. Pure: from a search and a teacher-forced pass to data that reports are made of.
 *
 * @module
 */
import { competitors, LevelCounts, type PathStep, pathSteps } from "./certificates.ts";
import { margins, type PathModel, prunedAt, type StepMargin } from "./pruning.ts";
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { Dataset, EvaluationCase } from "../data/dataset.ts";
import {
  type ExplainedPool,
  type ExplainedStep,
  type Explanation,
  LOGIT_ERROR,
  NAMED,
  type NamedItem,
  type PoolEntry,
} from "./explanation.ts";
import { attribute } from "../evaluate/metrics.ts";
import { verdictOf } from "./verify_user.ts";

/** What an explanation is made of. */
export interface ExplainInputs {
  /** What the model is called, and what it was trained with. */
  readonly name: string;
  /** The data set. */
  readonly dataset: Dataset;
  /** The trie of its paths. */
  readonly trie: Trie;
  /** The user, with the items that the model sees. */
  readonly kase: EvaluationCase;
  /** A traced search of the user. */
  readonly found: BeamResult;
  /** The model along the target's path. */
  readonly model: PathModel;
  /** B. */
  readonly beam: number;
  /** What to normalise over. */
  readonly normalization: Normalization;
  /** The temperature. */
  readonly tau: number;
  /** Items taken out of the catalogue. */
  readonly excluded?: readonly number[];
  /** The target's place in the exact ranking, from 0; -1 if it is beyond. */
  readonly exactRank: number;
  /** How many places were looked at. */
  readonly ranked: number;
}

/** Scores this close, relative to their size, are equal within the rounding of float32. */
const ROUNDING = 2 ** -20;
/** A pool that is no larger is shown as a whole. */
const WHOLE = 12;
/** How many of the best are shown of a larger one. */
const BEST = 3;
/** How many on either side of the threshold. */
const AROUND = 2;

/** Explains one user's search. */
export function explain(inputs: ExplainInputs): Explanation {
  const { dataset, trie, kase, found, beam, normalization, tau, exactRank, ranked } = inputs;
  const { excluded = [] } = inputs;
  const leaf = trie.leafOf[kase.target];
  const nameOf = (item: number): NamedItem => ({
    id: dataset.items[item],
    ...(dataset.titles && { title: dataset.titles[item] }),
  });
  const about = {
    ...{ model: inputs.name, user: kase.id, data: dataset.name, items: dataset.items.length },
    ...(dataset.codes && { codes: dataset.codes }),
    ...{ beam, normalization, tau, ranked },
    ...{ history: kase.history.map(nameOf), target: nameOf(kase.target) },
    alike: [...trie.itemsAt(leaf)].filter((item) => item !== kase.target).map(nameOf),
  };
  if (excluded.includes(kase.target)) {
    const lost = { cause: "absent", step: 1 } as const;
    return { ...about, steps: [], lost, certificate: { kind: "undecided" } };
  }
  const blocked = new Set(trie.blockedNodes(excluded));
  const options = { beam, normalization, tau, blocked };
  const path = pathSteps(trie, leaf, inputs.model, options);
  const local = margins(trie, leaf, inputs.model, options);
  const counts = new LevelCounts(trie);
  const facts = { counts, beam, path, margins: local };
  const rank = found.ranking.findIndex((item) => item.leaf === leaf);
  const lost = attribute(trie, leaf, { ...found, margins: local, beam, rounding: ROUNDING });
  const lostAt = prunedAt(trie, leaf, found.steps);
  const rivals = competitors(counts, path);
  const view = new View(dataset, trie, nameOf, excluded);
  const steps = found.steps.map((_, i): ExplainedStep => {
    const end = path[path.length - 1].score;
    const at = i < path.length
      ? localStep(view, leaf, i, path[i], local[i])
      : { ...ENDED, score: end };
    const pool = lostAt > 0 && i >= lostAt ? undefined : poolOf(found.steps, i, leaf, beam, view);
    return { step: i + 1, ...at, competitors: rivals[i], ...(pool && { pool }) };
  });
  return {
    ...about,
    steps: lostAt > 0 ? steps.slice(0, Math.max(lostAt, path.length)) : steps,
    ...(rank >= 0 && { rank }),
    ...(lost && { lost }),
    ...(exactRank >= 0 && { exactRank }),
    certificate: verdictOf(facts, { eps: LOGIT_ERROR, tau }),
  };
}

/** A target that has ended has no choice left. */
const ENDED = { siblings: 1, place: 0, logProb: 0, margin: 0 } as const;

/** How prefixes are shown. */
class View {
  readonly trie: Trie;
  readonly #dataset: Dataset;
  readonly #nameOf: (item: number) => NamedItem;
  readonly #excluded: ReadonlySet<number>;
  /** What stands between two tokens: nothing where tokens bring their own spaces. */
  readonly #between: string;

  constructor(
    dataset: Dataset,
    trie: Trie,
    nameOf: (item: number) => NamedItem,
    excluded: readonly number[],
  ) {
    this.trie = trie;
    this.#dataset = dataset;
    this.#nameOf = nameOf;
    this.#excluded = new Set(excluded);
    this.#between = dataset.tokens.some((text) => text.startsWith(" ")) ? "" : " ";
  }

  /** The text of the token that leads to a node. */
  token(node: number): string {
    return this.#dataset.tokens[this.trie.tokens[node]];
  }

  /** An entry of a pool. */
  entry(node: number, target: number): Omit<PoolEntry, "rank" | "logProb" | "kept"> {
    const { tokens } = this.#dataset;
    const items = this.#itemsUnder(node);
    return {
      target: node === target,
      prefix: this.trie.pathOf(node).map((token) => tokens[token]).join(this.#between).trim(),
      items: items.length,
      named: items.slice(0, NAMED).map(this.#nameOf),
    };
  }

  /** The items whose paths begin with a node's. A subtree's nodes are numbered one after the other. */
  #itemsUnder(node: number): number[] {
    const { depths, nodeCount, leafOffsets, leafItems } = this.trie;
    let end = node + 1;
    while (end < nodeCount && depths[end] > depths[node]) end++;
    const items = leafItems.subarray(leafOffsets[node], leafOffsets[end]);
    return [...items].filter((item) => !this.#excluded.has(item)).sort((a, b) => a - b);
  }
}

/** A token of the path against its siblings. */
function localStep(
  view: View,
  leaf: number,
  i: number,
  { logProbs, own, score }: PathStep,
  { logProb, margin, choices }: StepMargin,
): Omit<ExplainedStep, "step" | "competitors"> {
  return {
    token: view.token(ancestorAt(view.trie, leaf, i + 1)),
    siblings: choices,
    place: logProbs.filter((q, k) => q > logProbs[own] || (q === logProbs[own] && k < own)).length,
    ...{ logProb, margin, score },
  };
}

/** The pool of a step, in which the target's prefix is. */
function poolOf(
  steps: readonly BeamStep[],
  i: number,
  leaf: number,
  beam: number,
  view: View,
): ExplainedPool | undefined {
  const { trie } = view;
  const { pool, threshold, nodes } = steps[i];
  const own = ancestorAt(trie, leaf, i + 1);
  const rank = pool?.nodes.indexOf(own) ?? -1;
  if (pool === undefined || rank < 0) return undefined;
  const kept = new Set(nodes);
  const parent = (node: number): object =>
    i === 0
      ? {}
      : { parent: steps[i - 1].nodes.indexOf(trie.depths[node] > i ? trie.parents[node] : node) };
  return {
    size: pool.nodes.length,
    ...(threshold > -Infinity && { threshold, gap: threshold - pool.scores[rank] }),
    rank,
    kept: kept.has(own),
    entries: shownRanks(pool.nodes.length, beam, rank).map((r) => ({
      ...{ rank: r, logProb: pool.scores[r], kept: kept.has(pool.nodes[r]) },
      ...parent(pool.nodes[r]),
      ...view.entry(pool.nodes[r], own),
    })),
  };
}

/** Which places of a pool are shown. */
export function shownRanks(size: number, beam: number, target: number): number[] {
  return Array.from({ length: size }, (_, rank) => rank).filter((rank) =>
    size <= WHOLE || rank < BEST || Math.abs(rank - target) <= 1 ||
    (rank >= beam - AROUND && rank < beam + AROUND)
  );
}

/** The node of a path at some depth, or its leaf if it ends before. */
function ancestorAt(trie: Trie, leaf: number, depth: number): number {
  let node = leaf;
  while (trie.depths[node] > depth) node = trie.parents[node];
  return node;
}
