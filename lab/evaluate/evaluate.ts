/**
 * Judges a trained model: what it retrieves with beam search, what it would retrieve with an exhaustive search, and what became
 * of the difference.
 *
 * @module
 */
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { PruningCause } from "../analysis/pruning.ts";
import type { Baseline } from "./baselines.ts";
import { type EvaluationCase, evaluationCases, type Split } from "../data/dataset.ts";
import { hitRate, ndcg, share, survivalCurve, vacuousShares } from "./metrics.ts";
import { judgeCases, type JudgeOptions, type Verdict } from "../analysis/verdicts.ts";
import { turn } from "../progress.ts";

/** Options of {@link evaluate}. */
export interface EvaluateOptions extends JudgeOptions {
  /** Which targets. */
  readonly split: Split;
  /** The model sees at most so many items of a user. */
  readonly historyLength: number;
  /** The first so many users only. */
  readonly limitUsers?: number;
  /** Told how many users are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** How well lists do, by their length k. */
export interface ListScores {
  /** HR@k. */
  readonly hr: Readonly<Record<number, number>>;
  /** NDCG@k. */
  readonly ndcg: Readonly<Record<number, number>>;
  /** The rank of each user's target, from 0; -1 if it is not in the list. */
  readonly ranks: readonly number[];
}

/** What {@link evaluate} finds for one beam width B. Counts are given beside shares: many of them are small. */
export interface BeamEvaluation extends ListScores {
  /** B. */
  readonly beam: number;
  /** The same scores for the exact B most probable items. */
  readonly exact: ListScores;
  /** Targets in the exact top B. */
  readonly inExactTop: number;
  /** Of those, the ones that the beam search did not return. */
  readonly pruned: number;
  /** PR@B = pruned / inExactTop. */
  readonly pruningRate: number;
  /** Of the pruned, the share with a margin above 0. */
  readonly violationShare: number;
  /** The pruned by cause. */
  readonly causes: Readonly<Record<Exclude<PruningCause, "absent">, number>>;
  /** For each step, the share of targets at whose node no margin can be above 0. */
  readonly vacuousShare: readonly number[];
  /** For each step, the share of targets whose prefix the beam still holds. */
  readonly survival: readonly number[];
  /** The share of users whose list (of the largest k, or B if that is less) is provably the exact one. */
  readonly certifiedShare: number;
}

/** What {@link evaluate} finds. */
export interface Evaluation {
  /** Users. */
  readonly users: number;
  /** Targets that exclusion took out of the catalogue: misses of every list, and counted nowhere else. */
  readonly absent: number;
  /** By beam width, in the order asked for. */
  readonly beams: readonly BeamEvaluation[];
  /** On each user, in the data set's order. */
  readonly verdicts: readonly Verdict[];
}

/** How many users are judged between two reports of progress. */
const CHUNK = 256;

/**
 * Evaluates a model with beam searches of some widths, against the exact ranking.
 *
 * The target's place in the exact ranking is searched once, for the widest beam, and only for users whose search leaves it open.
 *
 * @throws {ArgumentError} if there are no beams, or one twice, or for the reasons of `BeamSearch`.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { trie, dataset, split, beams, ks = [5, 10], historyLength, limitUsers } = options;
  if (beams.length === 0 || new Set(beams).size < beams.length) {
    throw new ArgumentError(
      `Cannot evaluate: beams must be one or more different widths, got [${beams}]`,
    );
  }
  const cases = evaluationCases(dataset, split, historyLength, limitUsers);
  const { decoder, normalization, tau } = options;
  // Users whose prompts are equally long go together: few shapes at a time.
  const lengths = cases.map(({ history }) => dataset.prompt(history).length);
  const order = [...cases.keys()].sort((a, b) => lengths[b] - lengths[a] || a - b);
  const verdicts = new Array<Verdict>(cases.length);
  const searches: BeamSearch[] = [];
  try {
    for (const beam of beams) {
      searches.push(new BeamSearch(decoder, trie, { beam, normalization, tau }));
    }
    for (let at = 0; at < order.length; at += CHUNK) {
      const users = order.slice(at, at + CHUNK);
      const found = await judgeCases(users.map((i) => cases[i]), searches, options);
      users.forEach((i, n) => verdicts[i] = found[n]);
      options.onProgress?.(at + users.length, cases.length);
      await turn(); // for Ctrl-C
    }
  } finally {
    for (const search of searches) search.dispose();
  }
  return {
    users: verdicts.length,
    absent: verdicts.filter((v) => v.choices === undefined).length,
    beams: beams.map((beam, b) =>
      evaluationOf(verdicts, b, { beam, ks, steps: trie.trie.maxDepth })
    ),
    verdicts,
  };
}

/** What the verdicts on beam number `b` add up to. */
function evaluationOf(
  verdicts: readonly Verdict[],
  b: number,
  { beam, ks, steps }: {
    readonly beam: number;
    readonly ks: readonly number[];
    readonly steps: number;
  },
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

/** Evaluates a baseline on the same users. Its lists are of items. `onProgress` is called after each user. */
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
