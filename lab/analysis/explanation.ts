/**
 * One user's search, step by step around the item that it should find: what competed, where the
 * thresholds were, where and why the item fell. As data, made from a search and a teacher-forced
 * pass.
 *
 * @module
 */
import type { BeamResult } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import type { Dataset, EvaluationCase } from "../data/dataset.ts";
import {
  certifyPath,
  competitors,
  LevelCounts,
  type PathCertificate,
  SCORE_ROUNDING,
} from "./certificates.ts";
import {
  attribute,
  type Attribution,
  marginsOf,
  type PathModel,
  type PathStep,
  pathSteps,
  type SearchSetting,
  type StepMargin,
} from "./pruning.ts";

/** An item as people know it. */
export interface NamedItem {
  /** The data set's own id. */
  readonly id: string;
  /** Its title, where the data set has titles. */
  readonly title?: string;
}

/** An entry of a step's pool. */
export interface PoolEntry {
  /** Its place in the pool, from 0. */
  readonly rank: number;
  /** The place, from 0, of its parent among the prefixes kept before; absent at the first step. */
  readonly parent?: number;
  /** The log-probability of the prefix, log pi. */
  readonly logProb: number;
  /** Whether it is among the B that are kept. */
  readonly kept: boolean;
  /** Whether the target begins with it. */
  readonly target: boolean;
  /** Its tokens as a text. */
  readonly prefix: string;
  /** How many items of the catalogue begin with it. */
  readonly items: number;
  /** The first one or two of these items. */
  readonly named: readonly NamedItem[];
}

/** The pool of one step, in which the target's prefix competes. */
export interface ExplainedPool {
  /** How many entries compete. */
  readonly size: number;
  /** theta_t, the score of the B-th best; absent if there are fewer. */
  readonly threshold?: number;
  /** The place of the target's prefix, from 0. */
  readonly rank: number;
  /** theta_t - log pi of the target's prefix, above 0 if it falls here; absent if all are kept. */
  readonly gap?: number;
  /** Whether the target's prefix is kept. */
  readonly kept: boolean;
  /** The best entries, those around the threshold and those around the target. */
  readonly entries: readonly PoolEntry[];
}

/** What happens at one token of the target's path, or while the target, having ended, holds on. */
export interface ExplainedStep {
  /** From 1. */
  readonly step: number;
  /** The target's token; absent once it has ended. */
  readonly token?: string;
  /** How many children its parent has, itself included; 1 where there is no choice. */
  readonly siblings: number;
  /** Its place among them, from 0. */
  readonly place: number;
  /** Its log-probability, log p; 0 once the target has ended. */
  readonly logProb: number;
  /** log beta - log p, beta being that of the B-th best sibling: above 0 is a violation. */
  readonly margin: number;
  /** The log-probability of the target's prefix, log pi. */
  readonly score: number;
  /** How many prefixes can be above the target's, counted on its path (T6). */
  readonly competitors: number;
  /** What it competes with; absent after the step that lost it. */
  readonly pool?: ExplainedPool;
}

/** One user's search. */
export interface Explanation extends SearchSetting {
  /** The model's name, and what it was trained with. */
  readonly model: string;
  /** The user's id. */
  readonly user: string;
  /** The data set's name. */
  readonly data: string;
  /** What items are written as, where that is not what the data set says. */
  readonly codes?: string;
  /** The number of items in the catalogue, without those that are taken out. */
  readonly items: number;
  /** The items that the model sees, oldest first. */
  readonly history: readonly NamedItem[];
  /** The item that should be found. */
  readonly target: NamedItem;
  /** Other items with the same tokens, which no search tells from it. */
  readonly alike: readonly NamedItem[];
  /** The steps; empty if the target is not in the catalogue. */
  readonly steps: readonly ExplainedStep[];
  /** The target's place in the list, from 0; absent if it was not returned. */
  readonly rank?: number;
  /** Why it was not returned. */
  readonly lost?: Attribution;
  /** Its place among all items, from 0; absent if it is not among the first `ranked`. */
  readonly exactRank?: number;
  /** How many places of the exact ranking were looked at. */
  readonly ranked: number;
  /** What one teacher-forced pass says without a search, for logits that are off by up to 1e-4. */
  readonly certificate: PathCertificate;
}

/** What an explanation is made of. */
export interface ExplainInputs extends SearchSetting, Pick<Explanation, "ranked"> {
  /** The model's name, and what it was trained with. */
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
  /** Items taken out of the catalogue. */
  readonly excluded?: readonly number[];
  /** The target's place in the exact ranking, from 0; -1 if it is not among the first `ranked`. */
  readonly exactRank: number;
}

/** By how much a logit may be off: far more than float32 makes it, as `verify` measures. */
const LOGIT_ERROR = 1e-4;

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
    model: inputs.name,
    user: kase.id,
    data: dataset.name,
    items: dataset.items.length - new Set(excluded).size,
    ...(dataset.codes && { codes: dataset.codes }),
    beam,
    normalization,
    tau,
    ranked,
    history: kase.history.map(nameOf),
    target: nameOf(kase.target),
    alike: [...trie.itemsAt(leaf)].filter((item) => item !== kase.target).map(nameOf),
  };
  if (excluded.includes(kase.target)) {
    const lost = { cause: "absent", step: 1 } as const;
    return { ...about, steps: [], lost, certificate: { kind: "undecided" } };
  }
  const blocked = new Set(trie.blockedNodes(excluded));
  const path = pathSteps(trie, leaf, inputs.model, { normalization, tau, blocked });
  const margins = marginsOf(path, beam);
  const counts = new LevelCounts(trie);
  const rank = found.ranking.findIndex((item) => item.leaf === leaf);
  const rounding = SCORE_ROUNDING;
  const lost = attribute(trie, leaf, { steps: found.steps, margins, beam, rounding });
  const lostAt = lost?.step ?? 0;
  const perStep = competitors(counts, path);
  const steps = found.steps.map((_, i): ExplainedStep => ({
    step: i + 1,
    ...(i < path.length
      ? localStep(dataset.tokens[trie.tokens[trie.prefixOf(leaf, i + 1)]], path[i], margins[i])
      : { siblings: 1, place: 0, logProb: 0, margin: 0, score: path[path.length - 1].score }),
    competitors: perStep[i],
    ...(lostAt > 0 && i >= lostAt ? {} : poolOf(inputs, i, nameOf)),
  }));
  return {
    ...about,
    steps: lostAt > 0 ? steps.slice(0, Math.max(lostAt, path.length)) : steps,
    ...(rank >= 0 && { rank }),
    ...(lost && { lost }),
    ...(exactRank >= 0 && { exactRank }),
    certificate: certifyPath(counts, path, margins, inputs, { eps: LOGIT_ERROR, tau }),
  };
}

/** How many items of a prefix are named. */
const NAMED = 2;

/** The texts of an entry of a pool. */
function textsOf(
  { dataset: { tokens }, trie, excluded = [] }: ExplainInputs,
  node: number,
  nameOf: (item: number) => NamedItem,
): Pick<PoolEntry, "prefix" | "items" | "named"> {
  const { depths, nodeCount, leafOffsets, leafItems } = trie;
  let end = node + 1; // the nodes of a subtree have consecutive numbers
  while (end < nodeCount && depths[end] > depths[node]) end++;
  const out = new Set(excluded);
  const items = [...leafItems.subarray(leafOffsets[node], leafOffsets[end])]
    .filter((item) => !out.has(item)).sort((a, b) => a - b);
  const between = tokens.some((text) => text.startsWith(" ")) ? "" : " ";
  return {
    prefix: trie.pathOf(node).map((token) => tokens[token]).join(between).trim(),
    items: items.length,
    named: items.slice(0, NAMED).map(nameOf),
  };
}

/** A token of the path against its siblings. */
function localStep(
  token: string,
  { logProbs, own, score }: PathStep,
  { logProb, margin, choices }: StepMargin,
): Omit<ExplainedStep, "step" | "competitors" | "pool"> {
  return {
    token,
    siblings: choices,
    place: logProbs.filter((q, k) => q > logProbs[own] || (q === logProbs[own] && k < own)).length,
    logProb,
    margin,
    score,
  };
}

/** The pool of a step, in which the target's prefix is. */
function poolOf(
  inputs: ExplainInputs,
  i: number,
  nameOf: (item: number) => NamedItem,
): Pick<ExplainedStep, "pool"> {
  const { trie, kase, found, beam } = inputs;
  const { pool, threshold, nodes } = found.steps[i];
  const own = trie.prefixOf(trie.leafOf[kase.target], i + 1);
  const rank = pool?.nodes.indexOf(own) ?? -1;
  if (pool === undefined || rank < 0) return {};
  const parentOf = (node: number): number =>
    found.steps[i - 1].nodes.indexOf(trie.depths[node] > i ? trie.parents[node] : node);
  const entries = shownRanks(pool.nodes.length, beam, rank).map((r): PoolEntry => ({
    rank: r,
    logProb: pool.scores[r],
    kept: nodes.includes(pool.nodes[r]),
    ...(i > 0 && { parent: parentOf(pool.nodes[r]) }),
    target: r === rank,
    ...textsOf(inputs, pool.nodes[r], nameOf),
  }));
  return {
    pool: {
      size: pool.nodes.length,
      ...(threshold > -Infinity && { threshold, gap: threshold - pool.scores[rank] }),
      rank,
      kept: nodes.includes(own),
      entries,
    },
  };
}

/** A pool that is no larger is shown as a whole. */
const WHOLE = 12;
/** How many of the best entries of a larger one are shown. */
const BEST = 3;
/** How many on either side of the threshold. */
const AROUND = 2;

/** Which places of a pool are shown. */
export function shownRanks(size: number, beam: number, target: number): number[] {
  return Array.from({ length: size }, (_, rank) => rank).filter((rank) =>
    size <= WHOLE || rank < BEST || Math.abs(rank - target) <= 1 ||
    (rank >= beam - AROUND && rank < beam + AROUND)
  );
}
