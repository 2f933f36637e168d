/**
 * The theorems on one user of a trained model: what the float64 reference says about the target's
 * path, against what the searches on the float32 device did.
 *
 * @module
 */
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { type Answer, type Proposition, Tally } from "../theorems/proposition.ts";
import { T11 } from "../theorems/t11_r7_rounding.ts";
import { type Evidence, type Range, theorems } from "../theorems/t1_t15_search.ts";
import {
  type Budget,
  certifiedCount,
  competitors,
  forced,
  type LevelCounts,
  SCORE_ROUNDING,
  slackAt,
} from "./certificates.ts";
import { type PathStep, prunedAt, type StepMargin } from "./pruning.ts";

/** What is known of one user. The searches are traced. */
export interface UserFacts {
  /** The counts of the trie. */
  readonly counts: LevelCounts;
  /** The beam width B. */
  readonly beam: number;
  /** What probabilities sum to 1 over. */
  readonly normalization: Normalization;
  /** The target. */
  readonly leaf: number;
  /** The target's path by the reference. */
  readonly path: readonly PathStep[];
  /** The target's margins by the reference. */
  readonly margins: readonly StepMargin[];
  /** The target's margins by the device. */
  readonly deviceMargins: readonly StepMargin[];
  /** The largest difference between the two in each row of logits. */
  readonly logitErrors: readonly number[];
  /** The device's search of width B. */
  readonly found: BeamResult;
  /** The device's search of a much larger width. */
  readonly wide: BeamResult;
  /** The device's search of width 1. */
  readonly greedy: BeamResult;
  /** The reference's search of width B. */
  readonly reference: BeamResult;
}

/** Whether gap > 0, where the gap may be off by `slack`. */
function isPositive(gap: number, slack: number): Answer {
  return gap > slack || (gap > -slack ? undefined : false);
}

/** Whether a theorem's bound leaves room >= 0; a lack of at most `slack` is left open. */
function hasRoom(room: number, slack: number): Answer {
  return room >= 0 || (room >= -slack ? undefined : false);
}

/** The evidence of one user: the search of width B is judged on the target alone. */
export interface UserEvidence extends Evidence {
  /** As of any search: what the wide search has found. */
  widths(): NonNullable<ReturnType<Evidence["widths"]>>;
  /** What the evidence is made of. */
  readonly facts: UserFacts;
  /** The error budget. */
  readonly budget: Budget;
}

/** The evidence of a user within an error budget. */
export function userEvidence(facts: UserFacts, budget: Budget): UserEvidence {
  const { counts, beam, normalization, leaf, path, margins, found, wide, greedy } = facts;
  const { trie } = counts;
  const lostAt = prunedAt(trie, leaf, found.steps);
  const target = path[path.length - 1].score;
  const scoreAt = (t: number): number => path[Math.min(t, path.length) - 1].score;
  const slack = (t: number): number => slackAt(t, target, budget);
  const siblingSlack = (t: number): number => slackAt(1, scoreAt(t), budget);
  /** A bound of each step, for errors of either sign. */
  const within = (count: (slack: (t: number) => number) => number[]): Range[] => {
    const most = count(slack);
    return count((t) => -slack(t)).map((least, i) => ({ least, most: most[i] }));
  };
  const holds = ({ ranking }: BeamResult): boolean => ranking.some((item) => item.leaf === leaf);
  /** How many siblings of token t may be at least as probable. */
  const strongSiblings = (t: number): number => {
    const { logProbs, own } = path[t - 1];
    const least = logProbs[own] - siblingSlack(t);
    return logProbs.filter((q, k) => k !== own && q >= least).length;
  };
  /** The scores of a pool without the entry of the target's prefix. */
  const others = (step: BeamStep, t: number): Float64Array => {
    const own = trie.prefixOf(leaf, t);
    return scoresOf(step, (node) => node !== own);
  };
  return {
    facts,
    budget,
    beam,
    depth: found.steps.length,
    leaves: [leaf],
    nameOf: () => `the target at B = ${beam}`,
    lengthOf: () => path.length,
    choices: (_, t) => margins[t - 1].choices,
    prunes: found.steps.some(({ bestPruned }) => bestPruned > -Infinity),
    isReturned: () => holds(found),
    isAlive: (_, t) => lostAt === 0 || lostAt > t,
    isPrunedBy: (_, t) => lostAt > 0 && lostAt <= t,
    isAmongBestSiblings: (_, t) => hasRoom(-margins[t - 1].margin, siblingSlack(t)),
    isViolated(_, t) {
      if (margins[t - 1].margin > siblingSlack(t)) return true;
      return strongSiblings(t) >= beam ? undefined : false;
    },
    isMarginRight: (_, t) =>
      !(margins[t - 1].margin > siblingSlack(t)) || strongSiblings(t) >= beam,
    // Counted in the wide search. What it missed scores no more than the best that it pruned.
    isAmongBestPrefixes() {
      if (prunedAt(trie, leaf, wide.steps) > 0) return false; // more than B prefixes beat it there
      let [sure, possible, unseen] = [0, 0, -Infinity];
      wide.steps.forEach((step, i) => {
        const scores = others(step, i + 1);
        const [low, high] = [scoreAt(i + 1) - slack(i + 1), scoreAt(i + 1) + slack(i + 1)];
        sure = Math.max(sure, scores.filter((s) => s > high).length);
        const level = unseen >= low ? Infinity : scores.filter((s) => s >= low).length;
        possible = Math.max(possible, level);
        unseen = Math.max(unseen, step.bestPruned);
      });
      return possible < beam || (sure < beam ? undefined : false);
    },
    hasMass: () => isPositive(target + Math.log(beam + 1), slack(path.length)),
    hasMassInPool(_, t) {
      const share = scoreAt(t) - (found.steps[t - 1].logMass - Math.log(beam + 1));
      return isPositive(share, slack(t));
    },
    hasThreshold: (t) => found.steps[t - 1].threshold > -Infinity,
    isThresholdWithinMass(t) {
      const { logMass, threshold } = found.steps[t - 1];
      return hasRoom(logMass - Math.log(beam) - threshold, slackAt(0, threshold, budget));
    },
    competitors: () => within((slack) => competitors(counts, path, slack)),
    forced: () =>
      // Fewer are ahead where errors go against them.
      within((slack) => forced(counts, path, normalization, (t) => -slack(t))),
    beatsOthers(_, t) {
      const rival = others(found.steps[t - 1], t).sort((a, b) => b - a)[beam - 1] ?? -Infinity;
      return isPositive(scoreAt(t) - rival, slack(t));
    },
    isThresholdAboveSiblings(_, t) {
      const step = found.steps[t - 1];
      const nodes = new Set(path[t - 1].nodes);
      const siblings = scoresOf(step, (node) => nodes.has(node)).sort((a, b) => b - a);
      return siblings.length < beam ? undefined : step.threshold >= siblings[beam - 1];
    },
    greedy() {
      const leads = path.map((step, i) => isPositive(leadOf(step), siblingSlack(i + 1)));
      const isBest = !leads.includes(false) && (leads.includes(undefined) ? undefined : true);
      return { isBest, isReturned: holds(greedy) };
    },
    fits: (t) => Array.from({ length: t }, (_, s) => counts.at(0, s)).every((n) => n <= beam),
    isInExactTop: () => undefined,
    // One entry for the whole list: nothing that is known outside of it is better.
    certified() {
      const list = found.ranking.slice(0, certifiedCount(found));
      if (list.length === 0) return [];
      const listed = new Set(list.map((item) => item.leaf));
      const outside = wide.ranking.filter((item) => !listed.has(item.leaf)).map((i) => i.logProb);
      if (!listed.has(leaf)) outside.push(target);
      const worst = Math.min(...list.map((item) => item.logProb));
      const isBest = hasRoom(worst - Math.max(-Infinity, ...outside), slack(path.length));
      return [{ what: `the first ${list.length} items are not the best`, isBest }];
    },
    // Known where the wide search found all items that score as much.
    ahead() {
      const off = slack(path.length);
      if (!(wide.bestPruned < target - off)) return undefined;
      const rivals = wide.ranking.filter((item) => item.leaf !== leaf);
      const sure = rivals.filter((item) => item.logProb > target + off);
      const possible = rivals.filter((item) => item.logProb >= target - off);
      const wasted = found.steps.map((step, i): Range => {
        const t = i + 1;
        const own = trie.prefixOf(leaf, t);
        const [sureEnds, ends] = [sure, possible].map((items) =>
          new Set(items.map((item) => trie.prefixOf(item.leaf, t)))
        );
        const ahead = (least: number, leads: ReadonlySet<number>): number =>
          scoresOf(step, (node) => node !== own && !leads.has(node))
            .filter((score) => score >= least).length;
        return {
          least: ahead(scoreAt(t) + slack(t), ends),
          most: ahead(scoreAt(t) - slack(t), sureEnds),
        };
      });
      return { items: { least: sure.length, most: possible.length }, wasted };
    },
    // Known where the wide search found all prefixes with the k-th best P.
    widths() {
      const lost = Math.max(-Infinity, ...found.steps.slice(0, -1).map((s) => s.bestPruned));
      return wide.ranking.slice(0, beam).flatMap(({ logProb }, i) => {
        const off = slackAt(path.length, logProb, budget);
        if (!(wide.bestPruned < logProb - off)) return [];
        const levels = wide.steps.slice(0, -1);
        const most = (least: number): number =>
          Math.max(0, ...levels.map((s) => poolOf(s).scores.filter((x) => x >= least).length));
        const score = found.ranking[i]?.logProb ?? -Infinity;
        return [{
          k: i + 1,
          width: { least: most(logProb + off), most: most(logProb - off) },
          isCertified: isPositive(score - lost, lost > -Infinity ? off : 0),
        }];
      });
    },
  };
}

/** How far the path's token leads the best of its siblings; Infinity if there are none. */
function leadOf({ logProbs, own }: PathStep): number {
  return logProbs[own] - logProbs.reduce((m, q, k) => k === own ? m : Math.max(m, q), -Infinity);
}

/** The pool of a traced step. */
function poolOf({ pool }: BeamStep): NonNullable<BeamStep["pool"]> {
  return pool as NonNullable<BeamStep["pool"]>;
}

/** The scores of some nodes in a step's pool. */
function scoresOf(step: BeamStep, isWanted: (node: number) => boolean): Float64Array {
  const { nodes, scores } = poolOf(step);
  return scores.filter((_, k) => isWanted(nodes[k]));
}

/** float64 moves a difference of log-probabilities by less than this. */
const FLOAT64 = 1e-9;

/**
 * T11 on a user. One instance a score of the target's path, a margin, a step whose scores are those
 * of the reference, and a step up to which the beams are certified to be the same.
 */
const T11OnUser: Proposition<UserEvidence> = {
  ...T11,
  check({ facts, budget }, tally): void {
    const { path, margins, deviceMargins, logitErrors, found, reference } = facts;
    path.forEach(({ nodes, own, score }, i) => {
      for (const other of scoresOf(found.steps[i], (node) => node === nodes[own])) {
        const moved = Math.abs(other - score);
        const what = (): string => `the score of step ${i + 1} moved by ${moved}`;
        tally.expect(moved <= slackAt(i + 1, score, budget), what);
      }
    });
    margins.forEach(({ margin }, i) => {
      const moved = Math.abs(deviceMargins[i].margin - margin);
      const bound = (2 * logitErrors[i]) / budget.tau + FLOAT64;
      tally.expect(moved <= bound, () => `the margin of step ${i + 1} moved by ${moved}`);
    });
    let isSame = true; // as long as the beams before are certified to be the same
    reference.steps.forEach((step, i) => {
      const t = i + 1;
      const other = found.steps[i];
      const beyond = movedBeyond(step, other, t, budget);
      tally.expect(beyond === 0, () => `${beyond} scores of step ${t} moved too far`);
      if (!isSame) return;
      const worst = step.scores[step.scores.length - 1];
      const bound = ((4 * t - 2) * budget.eps) / budget.tau +
        4 * SCORE_ROUNDING * Math.max(1, Math.abs(worst));
      isSame = worst - step.bestPruned > bound;
      const answer = isSame ? hasSameNodes(step, other) : undefined;
      tally.expect(answer, () => `the beam of step ${t} changed`);
    });
  },
};

/** How many scores of one step differ by more than the budget allows. */
function movedBeyond(step: BeamStep, other: BeamStep, t: number, budget: Budget): number {
  const [ours, theirs] = [poolOf(step), poolOf(other)];
  const scores = new Map(Array.from(ours.nodes, (node, k) => [node, ours.scores[k]]));
  return theirs.nodes.filter((node, k) => {
    const exact = scores.get(node) ?? NaN; // NaN where only one pool has the node
    return Math.abs(theirs.scores[k] - exact) > slackAt(t, exact, budget);
  }).length;
}

function hasSameNodes(a: BeamStep, b: BeamStep): boolean {
  return a.nodes.toSorted().join() === b.nodes.toSorted().join();
}

/** The id of a theorem that is checked on trained models. */
export type TheoremId =
  | ("T1" | "T2" | "T2'" | "T3" | "T4" | "T5" | "T6" | "T7" | "T8" | "T9" | "T11")
  | ("T13" | "T13'" | "T15");

const onBeams = Object.fromEntries(theorems.map((theorem) => [theorem.id, theorem]));
const { T10: _, T13, "T13'": T13Prime, T15, ...others } = onBeams; // T10 says what T4 says

/** The theorems that are checked on trained models. */
export const modelTheorems = {
  ...others,
  T11: T11OnUser,
  T13,
  "T13'": T13Prime,
  T15,
} as Readonly<Record<TheoremId, Proposition<UserEvidence>>>;

/** What became of the instances of a theorem. */
export interface TheoremCount {
  /** How often its hypothesis is true, or within the budget of being so. */
  readonly instances: number;
  /** The instances whose conclusion is true. */
  readonly holds: number;
  /** The instances that the budget leaves open. */
  readonly undecided: number;
  /** The instances whose conclusion is false, beyond the budget. */
  readonly violations: number;
}

/** Counts by theorem. */
export type TheoremCounts = Readonly<Record<TheoremId, TheoremCount>>;

/** Checks the theorems on users and counts their instances. */
export async function countTheorems(
  users: readonly UserFacts[],
  budget: Budget,
): Promise<TheoremCounts> {
  const counts: Record<string, TheoremCount> = {};
  for (const [id, theorem] of Object.entries(modelTheorems)) {
    const tally = new Tally({ each: true });
    for (const user of users) await theorem.check(userEvidence(user, budget), tally);
    const { instances, undecided, failures: { length: violations } } = tally;
    counts[id] = { instances, holds: instances - undecided - violations, undecided, violations };
  }
  return counts as TheoremCounts;
}
