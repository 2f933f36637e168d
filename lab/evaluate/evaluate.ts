/**
 * Evaluates a trained model: what beam search retrieves, what an exhaustive search would retrieve,
 * and the causes of the difference.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import type { PruningCause } from "../analysis/pruning.ts";
import { type ListSearch, openListSearch } from "../analysis/searches.ts";
import { judgeCases, type JudgeOptions, type Verdict } from "../analysis/verdicts.ts";
import { type EvaluationCase, evaluationCases, type Split } from "../data/dataset.ts";
import { turn } from "../turn.ts";
import type { Baseline } from "./baselines.ts";
import { hitRate, ndcg, share, survivalCurve, vacuousShares } from "./metrics.ts";

/** Options of {@link evaluate}. */
export interface EvaluateOptions extends JudgeOptions {
  /** The targets to predict. */
  readonly split: Split;
  /** The most items of a user that the model reads. */
  readonly historyLength: number;
  /** Only the first users. */
  readonly limitUsers?: number;
  /** Called with the number of users done and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The scores of lists, by their length k. */
export interface ListScores {
  /** HR@k. */
  readonly hr: Readonly<Record<number, number>>;
  /** NDCG@k. */
  readonly ndcg: Readonly<Record<number, number>>;
  /** The rank of each user's target, from 0; -1 if it is not in the list. */
  readonly ranks: readonly number[];
}

/** The result for one beam width B. It has counts beside shares, because many counts are small. */
export interface BeamEvaluation extends ListScores {
  /** The beam width B. */
  readonly beam: number;
  /** The scores of the exact B most probable items. */
  readonly exact: ListScores;
  /** The number of targets in the exact top B. */
  readonly inExactTop: number;
  /** How many of those the beam search did not return. */
  readonly pruned: number;
  /** The pruning rate, PR@B = pruned / inExactTop. */
  readonly pruningRate: number;
  /** The share of the pruned targets that have a margin above 0. */
  readonly violationShare: number;
  /** The pruned targets by cause. */
  readonly causes: Readonly<Record<Exclude<PruningCause, "absent">, number>>;
  /** For each step, the share of targets at whose node no margin can be above 0. */
  readonly vacuousShare: readonly number[];
  /** For each step, the share of targets whose prefix is still in the beam. */
  readonly survival: readonly number[];
  /**
   * The share of users whose first k items (the largest k, at most B) are provably the exact ones.
   */
  readonly certifiedShare: number;
}

/** The result of {@link evaluate}. */
export interface Evaluation {
  /** The number of users. */
  readonly users: number;
  /**
   * Targets that were excluded from the catalogue. They are misses, and no other count has them.
   */
  readonly absent: number;
  /** The results by beam width, in the order of the options. */
  readonly beams: readonly BeamEvaluation[];
  /** The verdict on each user, in the data set's order. */
  readonly verdicts: readonly Verdict[];
}

/** The number of users between two reports of progress. */
const CHUNK = 256;

/**
 * Evaluates a model with searches of some widths against the exact ranking. The exact ranking is
 * searched once, for the widest, and only for users whose search does not settle it.
 *
 * @throws {ArgumentError} if there are no beams, one is given twice, or `BeamSearch` refuses one.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { trie, dataset, split, beams, ks = [5, 10], historyLength, limitUsers } = options;
  if (beams.length === 0 || new Set(beams).size < beams.length) {
    throw new ArgumentError(
      `Cannot evaluate: beams must be one or more different widths, got [${beams}]`,
    );
  }
  const cases = evaluationCases(dataset, split, historyLength, limitUsers);
  const { decoder, normalization, tau, search } = options;
  // Users with equally long prompts are judged together, so that there are few shapes.
  const lengths = cases.map(({ history }) => dataset.prompt(history).length);
  const order = [...cases.keys()].sort((a, b) => lengths[b] - lengths[a] || a - b);
  const verdicts = new Array<Verdict>(cases.length);
  const searches: ListSearch[] = [];
  try {
    for (const beam of beams) {
      searches.push(openListSearch(decoder, trie, { beam, normalization, tau, ...search }));
    }
    for (let at = 0; at < order.length; at += CHUNK) {
      const users = order.slice(at, at + CHUNK);
      const found = await judgeCases(users.map((i) => cases[i]), searches, options);
      users.forEach((i, n) => verdicts[i] = found[n]);
      options.onProgress?.(at + users.length, cases.length);
      await turn(); // for Ctrl-C
    }
  } finally {
    for (const search of searches) search[Symbol.dispose]();
  }
  return {
    users: verdicts.length,
    absent: verdicts.filter((v) => v.choices === undefined).length,
    beams: beams.map((beam, b) => evaluationOf(verdicts, b, beam, ks, trie.trie.maxDepth)),
    verdicts,
  };
}

/** Adds up the verdicts on the searches with index `b`. */
function evaluationOf(
  verdicts: readonly Verdict[],
  b: number,
  beam: number,
  ks: readonly number[],
  steps: number,
): BeamEvaluation {
  const found = verdicts.map((v) => v.beams[b]);
  const causes = { violation: 0, displacement: 0, length: 0, tie: 0 };
  for (const { cause } of found) if (cause !== undefined) causes[cause]++;
  const inExactTop = found.filter((v) => v.exactRank >= 0).length;
  const pruned = causes.violation + causes.displacement + causes.length + causes.tie;
  const present = verdicts.filter((v) => v.choices !== undefined);
  return {
    beam,
    ...scoreRanks(found.map((v) => v.rank), ks),
    exact: scoreRanks(found.map((v) => v.exactRank), ks),
    inExactTop,
    pruned,
    pruningRate: share(pruned, inExactTop),
    violationShare: share(causes.violation, pruned),
    causes,
    vacuousShare: vacuousShares(present.map((v) => v.choices ?? []), beam, steps),
    survival: survivalCurve(present.map((v) => v.beams[b].lostAt), steps),
    certifiedShare: share(found.filter((v) => v.certified).length, found.length),
  };
}

/**
 * Evaluates a baseline. Its lists are of items. `onProgress` is called with the number of users
 * done.
 */
export function evaluateBaseline(
  baseline: Baseline,
  cases: readonly EvaluationCase[],
  ks: readonly number[] = [5, 10],
  onProgress?: (done: number) => void,
): ListScores {
  const k = Math.max(...ks);
  const ranks = cases.map(({ history, target }, user) => {
    const rank = baseline.rank(history, k).indexOf(target);
    onProgress?.(user + 1);
    return rank;
  });
  return scoreRanks(ranks, ks);
}

function scoreRanks(ranks: readonly number[], ks: readonly number[]): ListScores {
  return {
    hr: Object.fromEntries(ks.map((k) => [k, hitRate(ranks, k)])),
    ndcg: Object.fromEntries(ks.map((k) => [k, ndcg(ranks, k)])),
    ranks,
  };
}
