/**
 * The verdict on each user of an evaluation: what the searches returned, what the exact ranking
 * has, and why they differ.
 *
 * @module
 */
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { exactRanks, type RankQuestion, settledRank } from "../../models/decode/exact.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import type { Dataset, EvaluationCase } from "../data/dataset.ts";
import { attribute, certifiesTop } from "../evaluate/metrics.ts";
import { competitors, LevelCounts, massCertificate, pathSteps } from "./certificates.ts";
import {
  margins,
  type NodeLogits,
  prunedAt,
  type PruningCause,
  type StepMargin,
} from "./pruning.ts";

/**
 * What a model says along given items. Entry [u][t] is for the node after t tokens of the path to
 * `leaves[u]`, when the model has read `histories[u]` and these tokens.
 */
export type TeacherForced = (
  histories: readonly (readonly number[])[],
  leaves: readonly number[],
) => Promise<readonly (readonly NodeLogits[])[]>;

/** How users are judged. */
export interface JudgeOptions {
  /** The model, for the search. */
  readonly decoder: Decoder;
  /** The model, for the margins: under the same normalisation and temperature. */
  readonly teacherForced: TeacherForced;
  /** The trie of the data set's paths. */
  readonly trie: DeviceTrie;
  /** The data set. */
  readonly dataset: Dataset;
  /** The beam widths B to search with, one search each; lists are B long. */
  readonly beams: readonly number[];
  /** The list lengths to report. Default 5 and 10. A list has at most B items. */
  readonly ks?: readonly number[];
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory?: boolean;
  /** What the search normalises over. Default "children". */
  readonly normalization?: Normalization;
  /** The temperature. Default 1. */
  readonly tau?: number;
}

/** What became of one user. */
export interface Verdict {
  /** How many siblings each token of the target has; undefined if the target is excluded. */
  readonly choices: readonly number[] | undefined;
  /** What became of the user by beam. */
  readonly beams: readonly BeamVerdict[];
}

/** What became of one user in one search. */
export interface BeamVerdict {
  /** The target's place in the list, from 0, or -1. */
  readonly rank: number;
  /** Its place in the exact top B, or -1. */
  readonly exactRank: number;
  /** The step, from 1, that lost its prefix, or 0. */
  readonly lostAt: number;
  /** Whether the list, down to the largest k, is provably the exact one. */
  readonly certified: boolean;
  /** log beta - log p of each token of the target; empty if it is not in the catalogue. */
  readonly margins: readonly number[];
  /** What one teacher-forced pass says of the target (docs/theory.md, T4, T6 and T2). */
  readonly certificate: "retrieved" | "pruned" | "undecided";
  /** Why a target in the exact top B was not returned. */
  readonly cause?: Exclude<PruningCause, "absent">;
}

/** Scores this close, relative to their size, are equal within rounding. */
const ROUNDING = { float32: 2 ** -20, float64: 2 ** -48 };

/** One user's question to the model. */
interface Query {
  readonly tokens: readonly number[];
  readonly excluded: readonly number[];
  readonly leaf: number;
  /** Whether the target itself is excluded; another item may keep its leaf in the catalogue. */
  readonly absent: boolean;
  /** Nodes taken out of the trie. */
  readonly blocked: ReadonlySet<number>;
}

/** Judges users. `searches` has one search for each of `options.beams`. */
export async function judgeCases(
  cases: readonly EvaluationCase[],
  searches: readonly BeamSearch[],
  options: JudgeOptions,
): Promise<Verdict[]> {
  const { beams, dataset, excludeHistory = false, teacherForced } = options;
  const { trie } = options.trie;
  const queries = cases.map(({ history, target }): Query => {
    const excluded = excludeHistory ? history : [];
    return {
      tokens: dataset.prompt(history),
      excluded,
      leaf: trie.leafOf[target],
      absent: excluded.includes(target),
      blocked: new Set(trie.blockedNodes(excluded)),
    };
  });
  const found: Pick<BeamVerdict, "rank" | "lostAt" | "certified">[][] = []; // by beam, then user
  let wide: readonly BeamResult[] = []; // those of the widest beam
  for (const [b, search] of searches.entries()) {
    const results = await search.search(...inputsOf(queries));
    if (beams[b] === Math.max(...beams)) wide = results;
    found.push(results.map((result, i) => readFound(result, queries[i], beams[b], options)));
  }
  const models = await teacherForced(queries.map((q) => q.tokens), queries.map((q) => q.leaf));
  const marginsAt = (i: number, beam: number): StepMargin[] =>
    marginsOf(queries[i], models[i], beam, options);

  const counts = new LevelCounts(trie);
  const widest = beams.indexOf(Math.max(...beams));
  const paths = queries.map(({ absent }, i) => absent ? undefined : marginsAt(i, beams[widest]));
  const rivals = queries.map((query, i) => rivalsOf(query, models[i], counts, options));
  const ranks = await exactRanksOf(queries, paths, wide, options);

  const byBeam: BeamVerdict[][] = [];
  for (const [b, beam] of beams.entries()) {
    const verdicts = found[b].map(({ rank, lostAt, certified }, i): BeamVerdict => {
      const steps = queries[i].absent ? [] : marginsAt(i, beam);
      return {
        rank,
        exactRank: ranks[i] < beam ? ranks[i] : -1,
        lostAt,
        certified,
        margins: steps.map(({ margin }) => margin),
        certificate: certificateOf(steps, rivals[i], beam),
      };
    });
    const pruned = [...verdicts.keys()].filter((i) =>
      verdicts[i].exactRank >= 0 && verdicts[i].rank < 0
    );
    const causes = await causesOf(
      pruned.map((i) => ({ ...queries[i], margins: marginsAt(i, beam) })),
      beam,
      options,
    );
    pruned.forEach((i, n) => verdicts[i] = { ...verdicts[i], cause: causes[n] });
    byBeam.push(verdicts);
  }
  return queries.map((_, i) => ({
    choices: paths[i]?.map((step) => step.choices),
    beams: byBeam.map((verdicts) => verdicts[i]),
  }));
}

/** The arguments of a search. */
function inputsOf(
  queries: readonly Query[],
): [histories: (readonly number[])[], excluded: (readonly number[])[]] {
  return [queries.map((q) => q.tokens), queries.map((q) => q.excluded)];
}

function readFound(
  result: BeamResult,
  { leaf, absent }: Query,
  beam: number,
  { trie: { trie }, ks = [5, 10] }: JudgeOptions,
): Pick<BeamVerdict, "rank" | "lostAt" | "certified"> {
  return {
    rank: absent ? -1 : result.ranking.findIndex((item) => item.leaf === leaf),
    lostAt: prunedAt(trie, leaf, result.steps),
    certified: certifiesTop(result, Math.min(Math.max(...ks), beam)),
  };
}

/**
 * The most prefixes that can beat the target's at any step (T6). Infinity where T6 does not apply:
 * the target is not in the catalogue, or items are excluded.
 */
function rivalsOf(
  { leaf, absent, blocked }: Query,
  model: readonly NodeLogits[],
  counts: LevelCounts,
  { trie: { trie }, normalization, tau }: JudgeOptions,
): number {
  if (absent || blocked.size > 0) return Infinity;
  return Math.max(...competitors(counts, pathSteps(trie, leaf, model, { normalization, tau })));
}

function certificateOf(
  steps: readonly StepMargin[],
  rivals: number,
  beam: number,
): BeamVerdict["certificate"] {
  if (steps.length === 0 || steps.some(({ margin }) => margin > 0)) return "pruned";
  const logProb = steps.reduce((sum, step) => sum + step.logProb, 0);
  return rivals < beam || massCertificate(logProb, beam) ? "retrieved" : "undecided";
}

/** The margins along a target's path. */
function marginsOf(
  { leaf, blocked }: Query,
  model: readonly NodeLogits[],
  beam: number,
  { trie: { trie }, normalization, tau }: JudgeOptions,
): StepMargin[] {
  return margins(trie, leaf, model, { beam, normalization, tau, blocked });
}

/** The places of the targets in the exact top B of the widest beam, or -1. */
async function exactRanksOf(
  queries: readonly Query[],
  paths: readonly (readonly StepMargin[] | undefined)[],
  results: readonly BeamResult[],
  { decoder, trie, beams, normalization, tau }: JudgeOptions,
): Promise<number[]> {
  const k = Math.max(...beams);
  const ranks = queries.map(() => -1);
  const open: number[] = [];
  const questions = queries.map(({ tokens, excluded, leaf }, i): RankQuestion => ({
    history: tokens,
    excluded,
    leaf,
    logProb: paths[i]?.reduce((sum, step) => sum + step.logProb, 0) ?? -Infinity,
  }));
  questions.forEach((question, i) => {
    if (paths[i] === undefined) return;
    const rank = settledRank(results[i], question, k);
    if (rank === undefined) open.push(i);
    else ranks[i] = rank;
  });
  const asked = open.map((i) => questions[i]);
  const found = await exactRanks(decoder, trie, asked, k, { normalization, tau });
  open.forEach((i, n) => ranks[i] = found[n]);
  return ranks;
}

/** Why targets were pruned: searches again for these users, with traces. */
async function causesOf(
  queries: readonly (Query & { readonly margins: readonly StepMargin[] })[],
  beam: number,
  { decoder, trie, normalization, tau }: JudgeOptions,
): Promise<(BeamVerdict["cause"])[]> {
  if (queries.length === 0) return [];
  using traced = new BeamSearch(decoder, trie, { beam, normalization, tau, trace: true });
  const results = await traced.search(...inputsOf(queries));
  const rounding = ROUNDING[trie.table.device.float];
  return results.map(({ steps }, i) => {
    const { leaf, margins } = queries[i];
    const found = attribute(trie.trie, leaf, { steps, margins, beam, rounding });
    // A target that the second search returns was lost to rounding alone.
    return (found?.cause ?? "tie") as BeamVerdict["cause"];
  });
}
