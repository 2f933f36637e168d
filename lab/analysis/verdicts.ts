/**
 * The verdict on each user of an evaluation: what the searches returned, what the exact ranking
 * has, and why they differ.
 *
 * @module
 */
import type { BeamSearchOptions } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { exactRanks, type RankQuestion, settledRank } from "../../models/decode/exact.ts";
import type { DeviceTrie } from "../../models/decode/trie.ts";
import type { Dataset, EvaluationCase } from "../data/dataset.ts";
import { certifiesTop, competitors, LevelCounts, massCertificate } from "./certificates.ts";
import {
  attribute,
  marginsOf,
  type NodeLogits,
  type PathStep,
  pathSteps,
  prunedAt,
  type PruningCause,
} from "./pruning.ts";
import { type ListResult, type ListSearch, openListSearch, type SearchChoice } from "./searches.ts";

/**
 * What a model says along given items. Entry [u][t] is for the node after t tokens of the path to
 * `leaves[u]`, when the model has read `histories[u]` and these tokens.
 */
export type TeacherForced = (
  histories: readonly (readonly number[])[],
  leaves: readonly number[],
) => Promise<readonly (readonly NodeLogits[])[]>;

/** How users are judged. */
export interface JudgeOptions extends Pick<BeamSearchOptions, "normalization" | "tau"> {
  /** The model, for the search. */
  readonly decoder: Decoder;
  /** The model, for the margins: under the same normalisation and temperature. */
  readonly teacherForced: TeacherForced;
  /** The trie of the data set's paths. */
  readonly trie: DeviceTrie;
  /** The data set. */
  readonly dataset: Dataset;
  /** How to search. Default a beam. */
  readonly search?: SearchChoice;
  /** The beam widths B to search with, one search each; lists are B long, by any method. */
  readonly beams: readonly number[];
  /** The list lengths to report. Default 5 and 10. A list has at most B items. */
  readonly ks?: readonly number[];
  /** Whether the items that the model sees are taken out of the catalogue. */
  readonly excludeHistory?: boolean;
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
  /** The step, from 1, that lost its prefix, or 0. Exact methods lose items at the last step. */
  readonly lostAt: number;
  /** Whether the list, down to the largest k, is provably the exact one. */
  readonly certified: boolean;
  /** log beta - log p of each token of the target; empty if it is not in the catalogue. */
  readonly margins: readonly number[];
  /** What one teacher-forced pass says of the target (docs/theory.md, T4, T6 and T2). */
  readonly certificate: "retrieved" | "pruned" | "undecided";
  /**
   * Why a target in the exact top B was not returned. Where a budget ended the search, others were
   * expanded in its place: "displacement".
   */
  readonly cause?: Exclude<PruningCause, "absent">;
}

/** Scores this close, relative to their size, are equal within rounding. */
const ROUNDING = { float32: 2 ** -20, float64: 2 ** -48 };

/** One user's question to the model, and what the model says along the target's path. */
interface Query {
  /** The tokens that the model reads. */
  readonly history: readonly number[];
  readonly excluded: readonly number[];
  readonly leaf: number;
  /** Undefined if the target is excluded; another item may keep its leaf in the catalogue. */
  readonly path: readonly PathStep[] | undefined;
  /** How many prefixes can be above the target's; Infinity where T6 does not apply. */
  readonly rivals: number;
}

/** Judges users. `searches` has one search for each of `options.beams`. */
export async function judgeCases(
  cases: readonly EvaluationCase[],
  searches: readonly ListSearch[],
  options: JudgeOptions,
): Promise<Verdict[]> {
  const { beams, dataset, excludeHistory = false, ks = [5, 10], normalization, tau } = options;
  const { trie } = options.trie;
  const histories = cases.map(({ history }) => dataset.prompt(history));
  const leaves = cases.map(({ target }) => trie.leafOf[target]);
  const models = await options.teacherForced(histories, leaves);
  const counts = new LevelCounts(trie);
  const queries = cases.map(({ history, target }, i): Query => {
    const leaf = leaves[i];
    const excluded = excludeHistory ? history : [];
    const blocked = new Set(trie.blockedNodes(excluded));
    const path = excluded.includes(target)
      ? undefined
      : pathSteps(trie, leaf, models[i], { normalization, tau, blocked });
    const isWhole = path !== undefined && blocked.size === 0;
    const rivals = isWhole ? Math.max(...competitors(counts, path)) : Infinity;
    return { history: histories[i], excluded, leaf, path, rivals };
  });
  const results: (readonly ListResult[])[] = []; // by beam, then by user
  for (const search of searches) results.push(await searchAll(search, queries));
  const widest = Math.max(...beams);
  const ranks = await exactRanksOf(queries, results[beams.indexOf(widest)], widest, options);

  const byBeam: BeamVerdict[][] = [];
  for (const [b, beam] of beams.entries()) {
    const verdicts = queries.map(({ leaf, path, rivals }, i): BeamVerdict => {
      const result = results[b][i];
      const { ranking, steps } = result;
      const margins = marginsOf(path ?? [], beam).map(({ margin }) => margin);
      const rank = ranking.findIndex((item) => item.leaf === leaf);
      const k = Math.min(Math.max(...ks), beam);
      return {
        rank: path === undefined ? -1 : rank,
        exactRank: ranks[i] < beam ? ranks[i] : -1,
        lostAt: steps ? prunedAt(trie, leaf, steps) : rank < 0 ? trie.maxDepth : 0,
        certified: certifiesTop(result, k) && result.certified >= Math.min(k, ranking.length),
        margins,
        certificate: certificateOf(path?.at(-1), margins, rivals, beam),
      };
    });
    const pruned = [...queries.keys()].filter((i) =>
      verdicts[i].exactRank >= 0 && verdicts[i].rank < 0
    );
    const causes = await causesOf(
      pruned.map((i) => queries[i]),
      pruned.map((i) => results[b][i]),
      beam,
      options,
    );
    pruned.forEach((i, n) => verdicts[i] = { ...verdicts[i], cause: causes[n] });
    byBeam.push(verdicts);
  }
  return queries.map(({ path }, i) => ({
    choices: path?.map(({ nodes }) => nodes.length),
    beams: byBeam.map((verdicts) => verdicts[i]),
  }));
}

function searchAll(
  search: ListSearch,
  queries: readonly Query[],
): Promise<readonly ListResult[]> {
  return search.search(queries.map((q) => q.history), queries.map((q) => q.excluded));
}

function certificateOf(
  last: PathStep | undefined,
  margins: readonly number[],
  rivals: number,
  beam: number,
): BeamVerdict["certificate"] {
  if (last === undefined || margins.some((margin) => margin > 0)) return "pruned";
  return rivals < beam || massCertificate(last.score, beam) ? "retrieved" : "undecided";
}

/** The places of the targets among the k best, or -1. Searches where `results` leave them open. */
async function exactRanksOf(
  queries: readonly Query[],
  results: readonly ListResult[],
  k: number,
  { decoder, trie, search, normalization, tau }: JudgeOptions,
): Promise<number[]> {
  const isByScore = search?.method !== "huggingface"; // whose lists may be in another order
  const questions = queries.map(({ history, excluded, leaf, path }): RankQuestion => {
    return { history, excluded, leaf, logProb: path?.at(-1)?.score ?? -Infinity };
  });
  const settled = questions.map((question, i) => {
    if (queries[i].path === undefined) return -1;
    return isByScore ? settledRank(results[i], question, k) : undefined;
  });
  const open = questions.filter((_, i) => settled[i] === undefined);
  const found = await exactRanks(decoder, trie, open, k, { normalization, tau });
  return settled.map((rank) => rank ?? found.shift() ?? -1);
}

/** Why targets were pruned. Where there are no pools, a beam searches again for these users. */
async function causesOf(
  queries: readonly Query[],
  found: readonly ListResult[],
  beam: number,
  { decoder, trie, search: choice = { method: "beam" }, normalization, tau }: JudgeOptions,
): Promise<BeamVerdict["cause"][]> {
  const { method, budget } = choice;
  if (queries.length === 0) return [];
  if (method === "adaptive" || method === "best-first") {
    return queries.map(() => budget === undefined ? "tie" : "displacement"); // a tie by rounding
  }
  let results = found;
  if (method === "beam") {
    const traced = { beam, normalization, tau, trace: true };
    using search = openListSearch(decoder, trie, traced);
    results = await searchAll(search, queries);
  }
  const rounding = ROUNDING[trie.table.device.float];
  return results.map(({ steps = [] }, i) => {
    const { leaf, path = [] } = queries[i];
    const margins = marginsOf(path, beam);
    const found = attribute(trie.trie, leaf, { steps, margins, beam, rounding });
    // A target that the second search returns was lost to rounding alone.
    return (found?.cause ?? "tie") as BeamVerdict["cause"];
  });
}
