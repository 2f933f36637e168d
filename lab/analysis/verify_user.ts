/**
 * The theorems on one user of a trained model: what the float64 oracle says of the target's path, against what the searches
 * on the float32 device did.
 *
 * @module
 */
import {
  certifiedCount,
  competitors,
  type LevelCounts,
  massCertificate,
  type PathStep,
} from "./certificates.ts";
import { prunedAt, type StepMargin } from "./pruning.ts";
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import { Judge, type TheoremCounts } from "./theorem_counts.ts";

/** The numerical error budget. */
export interface Budget {
  /** The largest difference between a logit of the float32 device and the oracle's. */
  readonly eps: number;
  /** The temperature. */
  readonly tau: number;
}

/** What is known of one user. */
export interface UserFacts {
  /** Of the trie. */
  readonly counts: LevelCounts;
  /** The beam width B. */
  readonly beam: number;
  /** The target. */
  readonly leaf: number;
  /** Its path by the oracle. */
  readonly path: readonly PathStep[];
  /** Its margins by the oracle. */
  readonly margins: readonly StepMargin[];
  /** Its margins by the device. */
  readonly deviceMargins: readonly StepMargin[];
  /** The largest difference between the two in each row of logits. */
  readonly logitErrors: readonly number[];
  /** The device's traced search of width B. */
  readonly found: BeamResult;
  /** A much wider one, traced. */
  readonly wide: BeamResult;
  /** One of width 1. */
  readonly greedy: BeamResult;
  /** The oracle's traced search of width B. */
  readonly oracle: BeamResult;
}

/** What one teacher-forced pass says of a target, beyond the budget. */
export type PathVerdict =
  | { readonly kind: "retrieved"; readonly by: "T4" | "T6" }
  | { readonly kind: "pruned"; readonly step: number }
  | { readonly kind: "undecided" };

/** Scores of the float32 device are off by this share of their size, or of 1 if that is more, beyond what its logits are. */
const ROUNDING = 2 ** -20;

/** By how much the gap of two prefixes of t tokens may differ between device and oracle (docs/theory.md, T11). */
function slackAt(t: number, score: number, { eps, tau }: Budget): number {
  return (2 * t * eps) / tau + 2 * ROUNDING * Math.max(1, Math.abs(score));
}

/** By how much a gap between siblings may. */
function siblingSlack({ score }: PathStep, budget: Budget): number {
  return slackAt(1, score, budget);
}

/** The verdict of the teacher-forced pass alone. */
export function verdictOf(
  { counts, beam, path, margins }: Pick<UserFacts, "counts" | "beam" | "path" | "margins">,
  budget: Budget,
): PathVerdict {
  const { score } = path[path.length - 1];
  const slack = (t: number): number => slackAt(t, score, budget);
  // T4 is a special case of T6: what is beside the path has too little mass for B competitors.
  if (massCertificate(score - slack(path.length), beam)) return { kind: "retrieved", by: "T4" };
  const few = competitors(counts, path, slack).every((n) => n < beam);
  if (few) return { kind: "retrieved", by: "T6" };
  const step = 1 + margins.findIndex((m, i) => m.margin > siblingSlack(path[i], budget));
  return step > 0 ? { kind: "pruned", step } : { kind: "undecided" };
}

/** Adds the instances of one user. */
export function judgeUser(facts: UserFacts, budget: Budget, counts: TheoremCounts): void {
  const judge = new Judge(counts);
  const { beam, leaf, path, margins, found } = facts;
  const { trie } = facts.counts;
  const lost = prunedAt(trie, leaf, found.steps);
  const retrieved = found.ranking.some((item) => item.leaf === leaf);
  const last = path[path.length - 1];
  const slack = (t: number): number => slackAt(t, last.score, budget);

  margins.forEach(({ margin }, i) => {
    const step = path[i];
    const own = siblingSlack(step, budget);
    if (retrieved) judge.bound("T1", -margin, own);
    const rivals = step.logProbs.filter((q, k) =>
      k !== step.own && q >= step.logProbs[step.own] - own
    );
    judge.certain("T2", rivals.length >= beam, margin > own, lost > 0 && lost <= i + 1);
    if (lost === 0 || lost > i) {
      const siblings = scoresOf(found.steps[i], new Set(step.nodes)).sort((a, b) => b - a);
      if (siblings.length >= beam) judge.add("T7", found.steps[i].threshold >= siblings[beam - 1]);
    }
  });

  const ranks = prefixRanks(facts, slack);
  judge.certain("T3", ranks.sure < beam, ranks.possible < beam, retrieved);

  judge.implies("T4", last.score + Math.log(beam + 1), slack(path.length), retrieved);

  found.steps.forEach(({ logMass, threshold }, i) => {
    if (threshold > -Infinity) {
      judge.bound("T5", logMass - Math.log(beam) - threshold, slackAt(0, threshold, budget));
    }
    if (lost > 0 && lost <= i) return; // the parent is not alive
    const { score } = path[Math.min(i, path.length - 1)];
    const share = score - (logMass - Math.log(beam + 1));
    judge.implies("T5", share, slack(i + 1), lost !== i + 1);
    const others = othersAt(facts, found.steps[i], i + 1);
    const rival = others.sort((a, b) => b - a)[beam - 1] ?? -Infinity;
    judge.equivalent("T7", score - rival, slack(i + 1), lost !== i + 1);
  });

  const few = (off?: (t: number) => number): boolean =>
    competitors(facts.counts, path, off).every((n) => n < beam);
  const inverse = (t: number): number => -slack(t);
  judge.certain("T6", few(inverse), few(slack), retrieved);

  const leads = path.map((step) => leadOf(step) - siblingSlack(step, budget));
  const trails = path.map((step) => leadOf(step) + siblingSlack(step, budget));
  const alone = facts.greedy.ranking.some((item) => item.leaf === leaf);
  if (trails.some((lead) => lead < 0)) judge.add("T8", !alone);
  else if (leads.every((lead) => lead > 0)) judge.add("T8", alone);
  else judge.open("T8");
  const levels = found.steps.map((_, i) => facts.counts.at(0, i + 1));
  if (Math.max(...levels) <= beam) judge.add("T8", retrieved);

  judgeList(facts, slackAt(path.length, last.score, budget), judge);
  judgeStability(facts, budget, judge);
}

/** T9: nothing outside the certified items is better than one of them. */
function judgeList({ leaf, path, found, wide }: UserFacts, slack: number, judge: Judge): void {
  const k = certifiedCount(found);
  if (k === 0) return;
  const listed = new Set(found.ranking.slice(0, k).map((item) => item.leaf));
  const kth = Math.min(...found.ranking.slice(0, k).map((item) => item.logProb));
  const outside = wide.ranking.filter((item) => !listed.has(item.leaf)).map((i) => i.logProb);
  if (!listed.has(leaf)) outside.push(path[path.length - 1].score);
  judge.bound("T9", kth - Math.max(-Infinity, ...outside), slack);
}

/** T11: margins row by row, the scores of the path and of all prefixes that both searches saw, and the beams. */
function judgeStability(facts: UserFacts, budget: Budget, judge: Judge): void {
  const { path, margins, deviceMargins, logitErrors, found, oracle } = facts;
  path.forEach(({ nodes, own, score }, i) => {
    for (const other of scoresOf(found.steps[i], new Set([nodes[own]]))) {
      judge.bound("T11", slackAt(i + 1, score, budget) - Math.abs(other - score), 0);
    }
  });
  margins.forEach(({ margin }, i) => {
    const moved = Math.abs(deviceMargins[i].margin - margin);
    judge.bound("T11", (2 * logitErrors[i]) / budget.tau + FLOAT64 - moved, 0);
  });
  let same = true; // as long as the beams before are certified to be the same
  oracle.steps.forEach((step, i) => {
    const t = i + 1;
    const other = found.steps[i];
    judge.add("T11", movedBeyond(step, other, t, budget) === 0);
    if (!same) return;
    const worst = step.scores[step.scores.length - 1];
    const gap = worst - step.bestPruned;
    const allowed = ((4 * t - 2) * budget.eps) / budget.tau +
      4 * ROUNDING * Math.max(1, Math.abs(worst));
    same = gap > allowed;
    if (same) judge.add("T11", sameNodes(step, other));
    else judge.open("T11");
  });
}

/** How many scores of one step differ by more than logits that are off by eps allow. */
function movedBeyond(step: BeamStep, other: BeamStep, t: number, budget: Budget): number {
  const scores = new Map<number, number>();
  step.pool?.nodes.forEach((node, k) => scores.set(node, step.pool?.scores[k] as number));
  let beyond = 0;
  other.pool?.nodes.forEach((node, k) => {
    const exact = scores.get(node);
    const moved = Math.abs((other.pool?.scores[k] as number) - (exact as number));
    if (exact !== undefined && !(moved <= slackAt(t, exact, budget))) beyond++;
  });
  return beyond;
}

function sameNodes(a: BeamStep, b: BeamStep): boolean {
  const nodes = new Set(a.nodes);
  return a.nodes.length === b.nodes.length && b.nodes.every((node) => nodes.has(node));
}

/** By how much the path's token leads the best of its siblings; Infinity if there are none. */
function leadOf({ logProbs, own }: PathStep): number {
  return logProbs[own] - logProbs.reduce((m, q, k) => k === own ? m : Math.max(m, q), -Infinity);
}

/** The scores that some nodes have in a step's pool. */
function scoresOf({ pool }: BeamStep, wanted: ReadonlySet<number>): Float64Array {
  const { nodes, scores } = pool as NonNullable<BeamStep["pool"]>;
  return scores.filter((_, k) => wanted.has(nodes[k]));
}

/** The scores of a step's pool, less the entry of the target's prefix. */
function othersAt({ counts: { trie }, leaf }: UserFacts, step: BeamStep, t: number): Float64Array {
  let node = leaf;
  while (trie.depths[node] > t) node = trie.parents[node];
  const { nodes, scores } = step.pool as NonNullable<BeamStep["pool"]>;
  return scores.filter((_, k) => nodes[k] !== node);
}

/**
 * The worst global rank (from 0) of the target's prefixes, counted in the wide search: how many others are more probable for
 * sure, and how many may be. What the wide search did not see scores no more than the best that it pruned before.
 */
function prefixRanks(
  facts: UserFacts,
  slack: (t: number) => number,
): { readonly sure: number; readonly possible: number } {
  const { counts: { trie }, leaf, path, wide } = facts;
  const lost = prunedAt(trie, leaf, wide.steps);
  if (lost > 0) return { sure: Infinity, possible: Infinity }; // more than B prefixes beat it there
  let [sure, possible, unseen] = [0, 0, -Infinity];
  wide.steps.forEach((step, i) => {
    const { score } = path[Math.min(i, path.length - 1)];
    const others = othersAt(facts, step, i + 1);
    sure = Math.max(sure, others.filter((s) => s > score + slack(i + 1)).length);
    possible = unseen >= score - slack(i + 1)
      ? Infinity
      : Math.max(possible, others.filter((s) => s >= score - slack(i + 1)).length);
    unseen = Math.max(unseen, step.bestPruned);
  });
  return { sure, possible };
}

/** What float64 does to a difference of log-probabilities. */
const FLOAT64 = 1e-9;
