/**
 * What lists cost, and how good they are, by the search: beams of some widths, and exact ones.
 *
 * @module
 */
import type { SearchMethod } from "../../models/decode/open_search.ts";
import { type ListResult, openListSearch } from "../analysis/searches.ts";
import type { JudgeOptions } from "../analysis/verdicts.ts";
import { evaluationCases } from "../data/dataset.ts";
import { turn } from "../turn.ts";

/** The length of the lists. */
const LENGTH = 10;

/** The widths of the beams, where the catalogue has more items. */
const WIDTHS = [1, 2, 5, 10, 20, 50];

/** The most rows of best-first search for a user: a model that spreads its mass thinly has no end. */
const BUDGET = 2000;

/** The number of users that go through each search once before it is timed. */
const WARM_UP = 64;

/** Lists of up to 10 items for some test cases, by several searches. */
export interface SearchCosts {
  /** How many test cases: case floor(i n / cases) of all n, i = 0, 1, ... */
  readonly cases: number;
  /** Each search. */
  readonly searches: readonly SearchCost[];
  /**
   * The smallest width whose beam is certified to return each user's list (docs/theory.md, T15);
   * null if best-first search ended by its budget of 2,000 rows.
   */
  readonly widths: readonly (number | null)[];
}

/** What one search of {@link SearchCosts} returned and took. */
export interface SearchCost {
  /** How it searched. */
  readonly method: SearchMethod;
  /** The width of a beam, or the first one of an adaptive one. */
  readonly beam?: number;
  /** The rank of each user's target in the list, from 0, or -1. */
  readonly ranks: readonly number[];
  /** The number of users whose list is certified to be the exact one. */
  readonly certified: number;
  /** Rows of the model, the mean over users. */
  readonly rows: number;
  /** Milliseconds that passed, the mean over users: one search of all of them, after a warm-up. */
  readonly milliseconds: number;
}

/** Options of {@link measureSearches}. */
export interface CostOptions extends
  Pick<
    JudgeOptions,
    "decoder" | "trie" | "dataset" | "normalization" | "tau" | "excludeHistory"
  > {
  /** The most test cases. They are spread over all, as their order may mean something. */
  readonly cases: number;
  /** A width that is measured with the others. */
  readonly beam: number;
  /** The most items of a user that the model reads. */
  readonly historyLength: number;
  /** Called with the number of searches done and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The test cases of {@link SearchCosts}, by their numbers. */
export function spreadCases(total: number, cases: number): number[] {
  return Array.from({ length: cases }, (_, i) => Math.floor(i * total / cases));
}

/** Searches the same test cases by beams of some widths, adaptive and best-first search. */
export async function measureSearches(options: CostOptions): Promise<SearchCosts> {
  const { decoder, trie, dataset, excludeHistory = false, normalization, tau } = options;
  const all = evaluationCases(dataset, "test", options.historyLength);
  const cases = spreadCases(all.length, Math.min(options.cases, all.length)).map((i) => all[i]);
  const histories = cases.map(({ history }) => dataset.prompt(history));
  const excluded = cases.map(({ history }) => excludeHistory ? history : []);
  const { leafCount, leafOf } = trie.trie;
  const k = Math.min(LENGTH, leafCount);
  const beams = [...new Set([...WIDTHS, options.beam])].filter((beam) => beam < leafCount)
    .sort((a, b) => a - b);
  const searches: readonly Pick<SearchCost, "method" | "beam">[] = [
    ...beams.map((beam) => ({ method: "beam" as const, beam })),
    { method: "adaptive", beam: k },
    { method: "best-first" },
  ];
  const costs: SearchCost[] = [];
  let lists: ListResult[] = [];
  for (const [i, { method, beam = k }] of searches.entries()) {
    const top = Math.min(k, beam);
    using search = openListSearch(decoder, trie, {
      method,
      beam,
      top,
      budget: method === "best-first" ? BUDGET : undefined,
      normalization,
      tau,
    });
    await search.search(histories.slice(0, WARM_UP), excluded.slice(0, WARM_UP));
    const began = performance.now();
    lists = await search.search(histories, excluded);
    const milliseconds = (performance.now() - began) / cases.length;
    const rankOf = ({ ranking }: ListResult, u: number): number =>
      excluded[u].includes(cases[u].target)
        ? -1
        : ranking.findIndex(({ leaf }) => leaf === leafOf[cases[u].target]);
    costs.push({
      ...searches[i],
      ranks: lists.map(rankOf),
      certified: lists.filter(({ ranking, certified, bestPruned }) =>
        certified === ranking.length && (certified === top || bestPruned === -Infinity)
      ).length,
      rows: lists.reduce((sum, { rows }) =>
        sum + rows, 0) / cases.length,
      milliseconds,
    });
    options.onProgress?.(i + 1, searches.length);
    await turn(); // for Ctrl-C
  }
  return { cases: cases.length, searches: costs, widths: lists.map(({ width }) => width ?? null) };
}
