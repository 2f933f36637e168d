/**
 * Judges a trained model: what it retrieves with beam search, what it would retrieve with an exhaustive search, and what became
 * of the difference.
 *
 * @module
 */
import type { Normalization } from "../ops/trie_log_prob.ts";
import { BeamSearch } from "../models/decode/beam_search.ts";
import type { Decoder } from "../models/decode/decoder.ts";
import { exactTopK } from "../models/decode/exact.ts";
import { margins, prunedAt, type PruningCause, type StepMargin } from "../models/decode/pruning.ts";
import type { BeamResult, RankedItem } from "../models/decode/results.ts";
import type { DeviceTrie } from "../models/decode/trie.ts";
import type { Baseline } from "./baselines.ts";
import { type Dataset, type EvaluationCase, evaluationCases, type Split } from "./data/dataset.ts";
import {
  attribute,
  certifiesTop,
  hitRate,
  ndcg,
  share,
  survivalCurve,
  vacuousShares,
} from "./metrics.ts";

/**
 * The model's logits along given items: entry [u][t] is the V logits of token t of `paths[u]` after `histories[u]` and the
 * tokens before it.
 */
export type TeacherForced = (
  histories: readonly (readonly number[])[],
  paths: readonly (readonly number[])[],
) => Promise<readonly (readonly ArrayLike<number>[])[]>;

/** Options of {@link evaluate}. */
export interface EvaluateOptions {
  /** The model, for the search. */
  readonly decoder: Decoder;
  /** The model, for the margins. */
  readonly teacherForced: TeacherForced;
  /** The trie of the data set's paths. */
  readonly trie: DeviceTrie;
  /** The data set. */
  readonly dataset: Dataset;
  /** Which targets. */
  readonly split: Split;
  /** The beam width B; lists are B long. */
  readonly beam: number;
  /** The model sees at most so many items of a user. */
  readonly historyLength: number;
  /** The list lengths to report; 5 and 10 unless told. Beyond B a list has no more items. */
  readonly ks?: readonly number[];
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory?: boolean;
  /** What the search normalises over; "children" unless told. */
  readonly normalization?: Normalization;
  /** The temperature; 1 unless told. */
  readonly tau?: number;
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

/** What {@link evaluate} finds. Counts are given beside shares: many of them are small. */
export interface Evaluation extends ListScores {
  /** Users. */
  readonly users: number;
  /** Targets that exclusion took out of the catalogue: misses of every list, and no part of what is counted below. */
  readonly absent: number;
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

/** How many users are judged between two reports of progress. */
const CHUNK = 512;

/** A list beats the target for certain if it does so by this much: far above what rounding does to a log-probability. */
const CLEARLY = 0.01;

/** Scores this close, relative to their size, are equal within rounding. */
const ROUNDING = { float32: 2 ** -20, float64: 2 ** -48 };

/**
 * Evaluates a model with beam search, against the exact ranking.
 *
 * The exact top B is searched only for users for whom it matters: where B returned items are clearly more probable than
 * the target, the target is not in it.
 *
 * @throws {ArgumentError} for the reasons of `BeamSearch`.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { trie, dataset, split, beam, ks = [5, 10], historyLength, limitUsers } = options;
  const cases = evaluationCases(dataset, split, historyLength, limitUsers);
  const { decoder, normalization, tau } = options;
  using search = new BeamSearch(decoder, trie, { beam, normalization, tau });
  const verdicts: Verdict[] = [];
  for (let at = 0; at < cases.length; at += CHUNK) {
    verdicts.push(...await judge(search, cases.slice(at, at + CHUNK), options));
    options.onProgress?.(verdicts.length, cases.length);
  }

  const top = Math.min(Math.max(...ks), beam);
  const causes = { violation: 0, displacement: 0, length: 0, tie: 0 };
  for (const { cause } of verdicts) if (cause !== undefined) causes[cause]++;
  const present = verdicts.filter((v) => v.margins !== undefined);
  const inExactTop = verdicts.filter((v) => v.exactRank >= 0).length;
  const pruned = causes.violation + causes.displacement + causes.length + causes.tie;
  const { maxDepth } = trie.trie;
  return {
    users: verdicts.length,
    ...scoreRanks(verdicts.map((v) => v.rank), ks),
    absent: verdicts.length - present.length,
    exact: scoreRanks(verdicts.map((v) => v.exactRank), ks),
    inExactTop,
    pruned,
    pruningRate: share(pruned, inExactTop),
    violationShare: share(causes.violation, pruned),
    causes,
    vacuousShare: vacuousShares(verdicts.map((v) => v.margins ?? []), beam, maxDepth),
    survival: survivalCurve(
      present.map((v) => prunedAt(trie.trie, v.leaf, v.result.steps)),
      maxDepth,
    ),
    certifiedShare: share(
      verdicts.filter((v) => certifiesTop(v.result, top)).length,
      verdicts.length,
    ),
  };
}

/** Evaluates a baseline on the same users. Its lists are of items. */
export function evaluateBaseline(
  baseline: Baseline,
  cases: readonly EvaluationCase[],
  ks: readonly number[] = [5, 10],
): ListScores {
  const k = Math.max(...ks);
  const ranks = cases.map(({ history, target }) => baseline.rank(history, k).indexOf(target));
  return scoreRanks(ranks, ks);
}

/** What there is to say of one user. */
interface Verdict {
  readonly leaf: number;
  readonly result: BeamResult;
  readonly rank: number;
  /** The target's place in the exact top B, or -1. */
  exactRank: number;
  /** Along the target's path; undefined if it is not in the catalogue. */
  readonly margins: readonly StepMargin[] | undefined;
  /** For a target in the exact top B that the search did not return. */
  cause?: Exclude<PruningCause, "absent">;
}

async function judge(
  search: BeamSearch,
  cases: readonly EvaluationCase[],
  options: EvaluateOptions,
): Promise<Verdict[]> {
  const { beam, dataset, excludeHistory = false } = options;
  const { trie } = options.trie;
  const queries = cases.map(({ history, target }): Query => {
    const excluded = excludeHistory ? history : [];
    return {
      tokens: dataset.prompt(history),
      excluded,
      leaf: trie.leafOf[target],
      absent: excluded.includes(target),
    };
  });
  const results = await search.search(
    queries.map((q) => q.tokens),
    queries.map((q) => q.excluded),
  );
  const paths = await marginsOf(queries, options);
  const verdicts = queries.map(({ leaf, absent }, i): Verdict => ({
    leaf,
    result: results[i],
    rank: absent ? -1 : rankOf(leaf, results[i].ranking),
    exactRank: -1,
    margins: paths[i],
  }));

  const open = [...verdicts.keys()].filter((i) => mayBeInTop(verdicts[i], beam));
  const exact = await exactRankings(open.map((i) => queries[i]), options);
  open.forEach((i, n) => verdicts[i].exactRank = rankOf(verdicts[i].leaf, exact[n]));

  const pruned = open.filter((i) => verdicts[i].exactRank >= 0 && verdicts[i].rank < 0);
  const causes = await causesOf(
    pruned.map((i) => ({ ...queries[i], margins: verdicts[i].margins ?? [] })),
    options,
  );
  pruned.forEach((i, n) => verdicts[i].cause = causes[n]);
  return verdicts;
}

/** One user's question to the model. */
interface Query {
  readonly tokens: readonly number[];
  readonly excluded: readonly number[];
  readonly leaf: number;
  /** Whether the target is itself excluded; another item may keep its leaf in the catalogue. */
  readonly absent: boolean;
}

/** The margins along each target's path, in float64; undefined for a target that is not in the catalogue. */
async function marginsOf(
  queries: readonly Query[],
  { teacherForced, trie: { trie }, beam, normalization, tau }: EvaluateOptions,
): Promise<(StepMargin[] | undefined)[]> {
  const rows = await teacherForced(
    queries.map((q) => q.tokens),
    queries.map((q) => trie.pathOf(q.leaf)),
  );
  return queries.map(({ leaf, excluded, absent }, i) => {
    if (absent) return undefined;
    const blocked = new Set(trie.blockedNodes(excluded));
    return margins(trie, leaf, (path) => rows[i][path.length], {
      beam,
      normalization,
      tau,
      blocked,
    });
  });
}

/** Whether the target may be one of the exact `beam` best: not so if that many returned items are clearly better. */
function mayBeInTop({ margins, result }: Verdict, beam: number): boolean {
  if (margins === undefined) return false;
  const logProb = margins.reduce((sum, step) => sum + step.logProb, 0);
  const last = result.ranking[beam - 1]?.logProb ?? -Infinity;
  return last <= logProb + CLEARLY;
}

async function exactRankings(
  queries: readonly Query[],
  { decoder, trie, beam, normalization, tau }: EvaluateOptions,
): Promise<(readonly RankedItem[])[]> {
  if (queries.length === 0) return [];
  const excluded = queries.map((q) => q.excluded);
  const histories = queries.map((q) => q.tokens);
  return await exactTopK(decoder, trie, histories, beam, { normalization, tau, excluded });
}

/** Searches again for the users whose target was pruned, this time with traces, and tells the causes. */
async function causesOf(
  queries: readonly (Query & { readonly margins: readonly StepMargin[] })[],
  { decoder, trie, beam, normalization, tau }: EvaluateOptions,
): Promise<(Verdict["cause"])[]> {
  if (queries.length === 0) return [];
  using traced = new BeamSearch(decoder, trie, { beam, normalization, tau, trace: true });
  const results = await traced.search(
    queries.map((q) => q.tokens),
    queries.map((q) => q.excluded),
  );
  const rounding = ROUNDING[trie.table.device.float];
  return results.map(({ steps }, i) => {
    const { leaf, margins } = queries[i];
    const found = attribute(trie.trie, leaf, { steps, margins, beam, rounding });
    // A target that the second search returns was lost to rounding alone.
    return (found?.cause ?? "tie") as Verdict["cause"];
  });
}

function rankOf(leaf: number, ranking: readonly RankedItem[]): number {
  return ranking.findIndex((item) => item.leaf === leaf);
}

function scoreRanks(ranks: readonly number[], ks: readonly number[]): ListScores {
  return {
    hr: Object.fromEntries(ks.map((k) => [k, hitRate(ranks, k)])),
    ndcg: Object.fromEntries(ks.map((k) => [k, ndcg(ranks, k)])),
    ranks,
  };
}
