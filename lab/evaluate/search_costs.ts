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

/**
 * The most rows of best-first search for a user. A model that spreads its mass thinly would expand
 * most of the catalogue.
 */
const BUDGET = 1000;

/** If a budget ends the best-first search of a larger share of users, adaptive is skipped. */
const ENDED = 0.01;

/** Where the budget ends a search, its width is above this. */
export const LEAST_WIDTH = 100;

/** The number of users that go through each search once before it is timed. */
const WARM_UP = 64;

/** Lists of up to 10 items for some test cases, by several searches. */
export interface SearchCosts {
  /** How many test cases: case floor(i n / cases) of all n, i = 0, 1, ... */
  readonly cases: number;
  /**
   * Beams by width, adaptive, best-first. Adaptive is left out if the budget ended the best-first
   * search of more than 1 % of the users.
   */
  readonly searches: readonly SearchCost[];
  /**
   * The smallest width whose beam is certified to return each user's list (docs/theory.md, T15);
   * null where it is above 100 and the budget of best-first search ended it.
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
  const { leafCount, leafOf, maxDepth } = trie.trie;
  const k = Math.min(LENGTH, leafCount);
  const beams = [...new Set([...WIDTHS, options.beam])].filter((beam) => beam < leafCount)
    .sort((a, b) => a - b);
  const total = beams.length + 2;
  let done = 0;

  const measure = async (
    method: SearchMethod,
    beam?: number,
  ): Promise<[SearchCost, ListResult[]]> => {
    const top = Math.min(k, beam ?? k);
    using search = openListSearch(decoder, trie, {
      method,
      beam: beam ?? k,
      top,
      // Best-first search reads only prefixes that score at least the k-th item (T16). After more
      // than 100 rows per step, some step has more than 100 of them, so B* is above 100.
      ...(method === "best-first" && { budget: Math.max(BUDGET, LEAST_WIDTH * maxDepth) }),
      normalization,
      tau,
    });
    await search.search(histories.slice(0, WARM_UP), excluded.slice(0, WARM_UP));
    const began = performance.now();
    const lists = await search.search(histories, excluded);
    const milliseconds = (performance.now() - began) / cases.length;
    options.onProgress?.(++done, total);
    await turn(); // for Ctrl-C
    const ranks = lists.map(({ ranking }, u) => {
      const { target } = cases[u];
      return excluded[u].includes(target)
        ? -1
        : ranking.findIndex(({ leaf }) => leaf === leafOf[target]);
    });
    const exact = lists.filter(({ ranking, certified, bestPruned }) =>
      certified === ranking.length && (certified === top || bestPruned === -Infinity)
    );
    const rows = lists.reduce((sum, { rows }) => sum + rows, 0) / cases.length;
    const cost = {
      method,
      ...(beam && { beam }),
      ranks,
      certified: exact.length,
      rows,
      milliseconds,
    };
    return [cost, lists];
  };

  const searches: SearchCost[] = [];
  for (const beam of beams) searches.push((await measure("beam", beam))[0]);
  const [bestFirst, lists] = await measure("best-first");
  const widths = lists.map(({ width }) => width ?? null);
  const ended = widths.filter((width) => width === null).length;
  if (ended <= ENDED * cases.length) searches.push((await measure("adaptive", k))[0]);
  else options.onProgress?.(total, total);
  return { cases: cases.length, searches: [...searches, bestFirst], widths };
}
