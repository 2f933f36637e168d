/**
 * D2, and the theorems about searches on the real ones: worlds whose scores a device computes
 * without rounding, searched on that device. The theorems judge what it finds, and D2 compares its
 * beams with the exact ones entry by entry.
 *
 * Every logit of a child is a whole number of at most -40, and one token has logit 0: a leaf that
 * every node gets under "children", a token outside the trie under "vocabulary". The log-sum-exp is
 * then log(1 + some 1e-17), which is 0 in float32 and in float64, so log-probabilities are the
 * logits themselves and their sums are exact. To the propositions a score of -n is the probability
 * 2^-n: the same order, and whole numbers of units. (Under "children" the probabilities of siblings
 * then sum to 1 + some 2^-40. No theorem can notice: the masses that they compare are apart by 2^-7
 * or equal.)
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { BeamSearch, type BeamSearchOptions } from "../../models/decode/beam_search.ts";
import { BestFirstSearch } from "../../models/decode/best_first.ts";
import { logSumExp } from "../../models/decode/ranked.ts";
import type { BeamResult, SearchResult } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { searchTheorems, widthFor } from "./world_evidence.ts";
import { NodeDecoder } from "./node_decoder.ts";
import type { Proposition, Tally } from "./proposition.ts";
import { T16 } from "./t16_best_first.ts";
import { type World, worldOf } from "./world.ts";
import { catalogueOf } from "./world_model.ts";

/** A catalogue with the models of some users, and the options of a search. */
export interface SearchCase
  extends Required<Pick<BeamSearchOptions, "beam" | "normalization" | "tau">> {
  /** The catalogue. */
  readonly trie: Trie;
  /** The users. */
  readonly users: readonly SearchUser[];
}

/** A user of a {@link SearchCase}. */
export interface SearchUser {
  /** Node -> the log-probability of its token, a whole number. */
  readonly logs: Int32Array;
  /** Items taken out of the catalogue. */
  readonly excluded: readonly number[];
}

/** A search of one user. */
export interface SearchedUser {
  /** The exact world. */
  readonly exact: World;
  /** Node -> the exact log-probability of its path. */
  readonly scores: Float64Array;
  /** What the device returned. */
  readonly result: BeamResult;
  /** What its best-first search returned for lists of B. */
  readonly bestFirst: SearchResult;
  /** The exact world with the beams and the margins of the device. */
  readonly world: World;
}

/** The largest log-probability of an ordinary child is the negative of this. */
export const TOP = 40;

/** Tokens: up to 8 children, the leaf of logit 0, and the token of logit 0 outside the trie. */
const V = 12;

/** The logits of a user, (nodes, V) flat. */
function logitsOf({ trie, tau }: SearchCase, logs: Int32Array): Float64Array {
  const logits = new Float64Array(trie.nodeCount * V).fill(-2 * TOP * tau);
  for (let u = 0; u < trie.nodeCount; u++) {
    logits[u * V + V - 1] = 0;
    for (const v of trie.nodesUnder(u)) logits[u * V + trie.tokens[v]] = logs[v] * tau;
  }
  return logits;
}

/** Units of a weight: large enough for every log-probability to be a whole number of them. */
const SHIFT = 128n;

function exactOf(
  { trie, beam, normalization }: SearchCase,
  { logs, excluded }: SearchUser,
  scores: Float64Array,
): World {
  const least = BigInt(-Math.min(...scores));
  const power = (x: number, shift: bigint): bigint => 1n << (BigInt(x) + shift);
  return worldOf({
    ...catalogueOf(trie, excluded),
    beam,
    normalization,
    weights: Array.from(logs, (log) => power(log, SHIFT)),
    outside: Array.from(logs, () => []),
    one: power(0, least),
    pi: Array.from(scores, (score) => power(score, least)),
  });
}

/** Searches a case on a device. */
export async function searchOn(device: Device, search: SearchCase): Promise<SearchedUser[]> {
  using _scope = device.arena();
  const { trie, beam, normalization, tau, users } = search;
  const uploaded = trie.upload(device);
  const tables = users.map(({ logs }) => logitsOf(search, logs));
  const decoder = new NodeDecoder(device, uploaded, tables);
  using beams = new BeamSearch(decoder, uploaded, { beam, normalization, tau, trace: true });
  using best = new BestFirstSearch(decoder, uploaded, { k: beam, normalization, tau });
  const histories = users.map((_, u) => [u]);
  const excluded = users.map((user) => user.excluded);
  const results = await beams.search(histories, excluded);
  const bests = await best.search(histories, excluded);

  // The margins of all tokens, by the op that the losses are made of. It knows no exclusions.
  const nodes = Array.from({ length: trie.nodeCount - 1 }, (_, i) => i + 1);
  const parents = device.tensor(Int32Array.from(nodes, (v) => trie.parents[v]));
  const labels = device.tensor(Int32Array.from(nodes, (v) => trie.tokens[v]));
  const margins = await Promise.all(tables.map(async (table) => {
    const rowOf = (u: number): number[] => [...table.subarray(u * V, (u + 1) * V)];
    const logits = device.tensor(nodes.map((v) => rowOf(trie.parents[v]))); // (nodes - 1, V)
    const options = { normalization, tau, beam };
    const { logProb, logBeta } = trieLogProb(logits, uploaded, parents, labels, options);
    const [p, beta] = await device.read([logProb, logBeta]);
    return Float64Array.from(p, (log, i) => beta[i] - log);
  }));

  return users.map((user, u) => {
    const scores = new Float64Array(trie.nodeCount);
    for (let v = 1; v < scores.length; v++) scores[v] = scores[trie.parents[v]] + user.logs[v];
    const exact = exactOf(search, user, scores);
    const steps = results[u].steps.map(({ nodes: kept, pool }) => ({
      kept: [...kept],
      pool: [...pool?.nodes ?? []],
    }));
    const beta = user.excluded.length > 0 ? exact.beta : exact.weights.map((w, v) => {
      const margin = v === 0 ? 0 : margins[u][v - 1];
      const isPossible = Number.isInteger(margin) && Math.abs(margin) < SHIFT;
      return isPossible ? w << BigInt(margin) : -1n; // not a margin of this world
    });
    return {
      ...{ exact, scores, result: results[u], bestFirst: bests[u] },
      world: { ...exact, search: steps, beta },
    };
  });
}

/** The searches of a case on a device. */
export interface SearchedCase {
  /** The device. */
  readonly device: Device;
  /** The case. */
  readonly search: SearchCase;
  /** What was found for each user. */
  readonly found: readonly SearchedUser[];
}

/** The theorems about beams and D2 on the beams of a device. They share its searches. */
export function devicePropositions(device: Device): Proposition<SearchCase>[] {
  const searched = new WeakMap<SearchCase, Promise<SearchedCase>>();
  const find = (search: SearchCase): Promise<SearchedCase> => {
    const found = searched.get(search) ??
      searchOn(device, search).then((found) => ({ device, search, found }));
    searched.set(search, found);
    return found;
  };
  const onBeams = searchTheorems.map((theorem): Proposition<SearchedCase> => ({
    ...theorem,
    hypotheses: undefined,
    async check({ found }, tally): Promise<void> {
      for (const { world } of found) await theorem.check(world, tally);
    },
  }));
  return [...onBeams, T16OnDevice, D2].map((proposition) => ({
    ...proposition,
    check: async (search, tally) => proposition.check(await find(search), tally),
  }));
}

/**
 * T16 and T15 on the best-first search of a device: the exact list, no more rows than there are
 * prefixes with at least the k-th best P, no fewer than those with more that must be asked about,
 * and B*. One instance a user with items.
 */
export const T16OnDevice: Proposition<SearchedCase> = {
  ...T16,
  hypotheses: undefined,
  check({ found: users }, tally): void {
    for (const { exact, scores, bestFirst } of users) {
      const { ranking, rows, width } = bestFirst;
      const { beam: k, levels, depth, children, leaves, pi, trie, normalization } = exact;
      const best = levels[depth].slice(0, k);
      if (best.length === 0) continue;
      const least = pi[best[best.length - 1]];
      const inner = children.flatMap((list, u) => u > 0 && list.length > 0 ? [u] : []);
      const mayAsk = inner.filter((u) => pi[u] >= least).length;
      const mustAsk = leaves.length <= k ? 0 : inner.filter((u) => {
        const under = leaves.filter((y) => trie.prefixOf(y, trie.depths[u]) === u);
        return pi[u] > least && (normalization === "vocabulary" || under.length > 1);
      }).length;
      const needed = Math.max(best.length, widthFor(exact, least));
      const found = ranking.map(({ leaf }) => leaf).join();
      const isExact = found === best.join() &&
        ranking.every(({ leaf, logProb }) => logProb === scores[leaf]);
      const what = (): string =>
        `k = ${k}: ${found}, not ${best}; ${rows} rows of ${mustAsk} to ${mayAsk}; width ${width} of ${needed}`;
      tally.expect(isExact && mustAsk <= rows && rows <= mayAsk && width === needed, what);
    }
  },
};

/** D2, a device's search against the definition. One instance a step of a user. */
export const D2: Proposition<SearchedCase> = {
  id: "D2",
  statement:
    "a device's beams, pools, scores, masses and margins are the exact ones, entry by entry",
  check({ device, search, found }, tally): void {
    for (const user of found) compareSteps(user, search.beam, device, tally);
  },
};

/** The rounding of a log of a sum, relative to its size. */
const MASS_ROUNDING = { float32: 2 ** -20, float64: 2 ** -48 };

function compareSteps(
  { exact, scores, result, world }: SearchedUser,
  beam: number,
  { float }: Device,
  tally: Tally,
): void {
  const same = (a: ArrayLike<number>, b: readonly number[]): boolean =>
    a.length === b.length && b.every((x, i) => x === a[i]);
  exact.search.forEach(({ pool, kept }, t) => {
    const step = result.steps[t];
    const next = pool.at(kept.length);
    const mass = logSumExp(Float64Array.from(pool, (v) => scores[v]));
    const isMass = step.logMass === mass ||
      Math.abs(step.logMass - mass) <= MASS_ROUNDING[float] * Math.max(1, Math.abs(mass));
    const holds = isMass && same(step.nodes, kept) && same(
      step.scores,
      kept.map((v) => scores[v]),
    ) &&
      same(step.pool?.nodes ?? [], pool) && step.poolSize === pool.length &&
      same(step.pool?.scores ?? [], pool.map((v) => scores[v])) &&
      step.threshold === (pool.length < beam ? -Infinity : scores[pool[beam - 1]]) &&
      step.bestPruned === (next === undefined ? -Infinity : scores[next]);
    tally.of("a step").expect(
      holds,
      () => `step ${t + 1}: kept ${step.nodes}, not ${kept}, of pool ${pool}`,
    );
  });
  const last = exact.search[exact.search.length - 1].kept;
  const isRanked = same(result.ranking.map((r) => r.leaf), last) &&
    same(result.ranking.map((r) => r.logProb), last.map((v) => scores[v]));
  if (!isRanked) {
    tally.of("the list").expect(
      false,
      () => `returned ${result.ranking.map((r) => r.leaf)}, not ${last}`,
    );
  }
  const wrong = world.beta.findIndex((b, v) => v > 0 && b !== exact.beta[v]);
  const what = (): string => `the margin of node ${wrong} at B = ${beam} is off`;
  if (wrong > 0) tally.of("the margins").expect(false, what);
}
