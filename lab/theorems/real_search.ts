/**
 * The theorems on the real search: worlds whose scores a device computes without rounding, searched by {@link BeamSearch} on
 * that device, so that the propositions judge its beams, and its beams can be compared with the exact ones entry by entry.
 *
 * Every logit of a child is a whole number of at most -40, and one token has logit 0: a leaf that every node gets under
 * "children", a token outside the trie under "vocabulary". The log-sum-exp is then log(1 + some 1e-17), which is 0 in float32
 * and in float64, so log-probabilities are the logits themselves and their sums are exact. To the propositions a score of -n
 * is the probability 2^-n: the same order, and whole numbers of units. (Under "children" the probabilities of siblings then sum
 * to 1 + some 2^-40. No theorem can notice: the masses that they compare are apart by 2^-7 or are equal.)
 *
 * @module
 */
import fc from "fast-check";
import type { Device } from "../../core/device.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import { Trie } from "../../models/decode/trie.ts";
import { type Normalization, trieLogProb } from "../../ops/trie_log_prob.ts";
import { settings, trees } from "./arbitraries.ts";
import { NodeDecoder } from "./node_decoder.ts";
import type { Proposition, Tally } from "./proposition.ts";
import { type Branch, branchesOf, catalogueOf, pathsOf, type World, worldOf } from "./world.ts";
import { type Worlds, worldsFrom } from "./worlds.ts";

/** A catalogue with the models of some users, and what a search is told. */
export interface SearchCase {
  readonly trie: Trie;
  readonly beam: number;
  readonly normalization: Normalization;
  readonly tau: number;
  /** For each user: node -> the log-probability of its token, a whole number; and the items taken out. */
  readonly users: readonly { readonly logs: Int32Array; readonly excluded: readonly number[] }[];
}

/** Tokens: up to 8 children, the leaf of logit 0, and the token of logit 0 outside the trie. */
const V = 12;
/** The largest log-probability of an ordinary child. */
const TOP = 40;
/** A leaf that takes nearly all of the probability. */
const SINK: Branch = { weight: -1, outside: [], copies: 1, children: [] };

/** A tree whose every inner node has a sink as its last child. */
function withSinks(branch: Branch): Branch {
  if (branch.children.length === 0) return branch;
  return { ...branch, children: [...branch.children.map(withSinks), SINK] };
}

/** Cases of one to three users, on any tree, with many ties or few. */
export function searchCases(): Worlds<SearchCase> {
  const cases = fc.record({
    tree: trees((raw) => raw),
    rest: settings,
    tau: fc.constantFrom(1, 0.5, 2),
    spread: fc.constantFrom(2, 4, 30),
    users: fc.integer({ min: 1, max: 3 }),
  }).map(({ tree, rest: { beam, normalization, excluded }, tau, spread, users }) => {
    const root = normalization === "children" ? withSinks(tree) : tree;
    const trie = new Trie(pathsOf(root));
    const branches = branchesOf(root);
    const ordinary = [...trie.leafOf.keys()].filter((i) => branches[trie.leafOf[i]] !== SINK);
    return {
      trie,
      beam: 1 + (beam - 1) % (trie.itemCount + 2),
      normalization,
      tau,
      users: Array.from({ length: users }, (_, u) => ({
        logs: Int32Array.from(
          branches,
          (branch, node) =>
            branch === SINK ? 0 : -(TOP + (branch.weight + u * (7 * node + 3)) % spread),
        ),
        excluded: excluded.map((n) => ordinary[(n + u) % ordinary.length]),
      })),
    };
  });
  return worldsFrom(cases);
}

/** The logits of a user, (nodes, V) flat. */
function logitsOf({ trie, tau }: SearchCase, logs: Int32Array): Float64Array {
  const logits = new Float64Array(trie.nodeCount * V).fill(-2 * TOP * tau);
  for (let u = 0; u < trie.nodeCount; u++) {
    logits[u * V + V - 1] = 0;
    for (const v of trie.nodesUnder(u)) logits[u * V + trie.tokens[v]] = logs[v] * tau;
  }
  return logits;
}

/** A search of one user: the exact world, what the device returned, and the world with the device's beams and margins. */
export interface Searched {
  readonly exact: World;
  /** Node -> the exact log-probability of its path. */
  readonly scores: Float64Array;
  readonly result: BeamResult;
  readonly world: World;
}

/** Units of a weight: large enough for every log-probability to be a whole number of them. */
const SHIFT = 128n;

function exactOf({ trie, beam }: SearchCase, logs: Int32Array, excluded: readonly number[]): {
  exact: World;
  scores: Float64Array;
} {
  const catalogue = catalogueOf(trie, excluded);
  const scores = new Float64Array(trie.nodeCount);
  for (let v = 1; v < scores.length; v++) scores[v] = scores[trie.parents[v]] + logs[v];
  const least = BigInt(-Math.min(...scores));
  const power = (x: number, shift: bigint): bigint => 1n << (BigInt(x) + shift);
  const exact = worldOf({
    ...catalogue,
    beam,
    weights: Array.from(logs, (log) => power(log, SHIFT)),
    outside: Array.from(logs, () => []),
    one: power(0, least),
    pi: Array.from(scores, (score) => power(score, least)),
  });
  return { exact, scores };
}

/** Searches a case on a device. */
export async function searchOn(device: Device, search: SearchCase): Promise<Searched[]> {
  using _scope = device.arena();
  const { trie, beam, normalization, tau, users } = search;
  const uploaded = trie.upload(device);
  const tables = users.map(({ logs }) => logitsOf(search, logs));
  const decoder = new NodeDecoder(device, uploaded, tables);
  using beams = new BeamSearch(decoder, uploaded, { beam, normalization, tau, trace: true });
  const results = await beams.search(users.map((_, u) => [u]), users.map((user) => user.excluded));

  // Margins of every token, by the op that the losses are made of. It knows no exclusions.
  const nodes = Int32Array.from({ length: trie.nodeCount - 1 }, (_, i) => i + 1);
  const parents = device.tensor(nodes.map((v) => trie.parents[v]));
  const labels = device.tensor(nodes.map((v) => trie.tokens[v]));
  const margins = await Promise.all(tables.map(async (table) => {
    const rows = [...nodes].map((v) => [
      ...table.subarray(trie.parents[v] * V, (trie.parents[v] + 1) * V),
    ]);
    const logits = device.tensor(rows); // (nodes - 1, V)
    const options = { normalization, tau, beam };
    const { logProb, logBeta } = trieLogProb(logits, uploaded, parents, labels, options);
    const [p, beta] = await device.read([logProb, logBeta]);
    return Float64Array.from(p, (log, i) => beta[i] - log);
  }));

  return users.map(({ logs, excluded }, u) => {
    const { exact, scores } = exactOf(search, logs, excluded);
    const steps = results[u].steps.map(({ nodes: kept, pool }) => ({
      kept: [...kept],
      pool: [...pool?.nodes ?? []],
    }));
    const beta = excluded.length > 0 ? exact.beta : exact.weights.map((w, v) => {
      const margin = v === 0 ? 0 : margins[u][v - 1];
      const holds = Number.isInteger(margin) && Math.abs(margin) < 128;
      return holds ? w << BigInt(margin) : -1n; // not a margin of this world
    });
    return { exact, scores, result: results[u], world: { ...exact, search: steps, beta } };
  });
}

/** Searches of a case by device, so that all propositions share them. */
const searched = new WeakMap<Device, WeakMap<SearchCase, Promise<Searched[]>>>();

function shared(device: Device, search: SearchCase): Promise<Searched[]> {
  const own = searched.get(device) ?? new WeakMap<SearchCase, Promise<Searched[]>>();
  searched.set(device, own);
  const results = own.get(search) ?? searchOn(device, search);
  own.set(search, results);
  return results;
}

/** A proposition about worlds as one about the beams of a device. */
export function onDevice(device: Device, proposition: Proposition<World>): Proposition<SearchCase> {
  const { id, statement, hypothesis, proof, source } = proposition;
  return {
    ...{ id, statement, hypothesis, proof, source },
    async check(search, tally): Promise<void> {
      for (const { world } of await shared(device, search)) await proposition.check(world, tally);
    },
  };
}

/** D2 on a device; `find` searches. */
export function equalsExact(
  device: Device,
  find: (device: Device, search: SearchCase) => Promise<Searched[]> = shared,
): Proposition<SearchCase> {
  return {
    id: "D2",
    statement: "a device's beams, pools, scores and margins are the exact ones, entry by entry",
    hypothesis:
      "Scores are whole numbers that the device adds without rounding. One instance a step of a user.",
    proof: "Definition; ties go to the lower node on every device.",
    source: "differential check",
    async check(search, tally): Promise<void> {
      for (const found of await find(device, search)) compareSteps(found, search.beam, tally);
    },
  };
}

function compareSteps(
  { exact, scores, result, world }: Searched,
  beam: number,
  tally: Tally,
): void {
  const same = (a: ArrayLike<number>, b: readonly number[]): boolean =>
    a.length === b.length && b.every((x, i) => x === a[i]);
  exact.search.forEach(({ pool, kept }, t) => {
    const step = result.steps[t];
    const next = pool.at(kept.length);
    const holds = same(step.nodes, kept) && same(step.scores, kept.map((v) => scores[v])) &&
      same(step.pool?.nodes ?? [], pool) && step.poolSize === pool.length &&
      same(step.pool?.scores ?? [], pool.map((v) => scores[v])) &&
      step.threshold === (pool.length < beam ? -Infinity : scores[pool[beam - 1]]) &&
      step.bestPruned === (next === undefined ? -Infinity : scores[next]);
    tally.expect(holds, () => `step ${t + 1}: kept ${step.nodes}, not ${kept}, of pool ${pool}`);
  });
  const last = exact.search[exact.search.length - 1].kept;
  const ranking = same(result.ranking.map((r) => r.leaf), last) &&
    same(result.ranking.map((r) => r.logProb), last.map((v) => scores[v]));
  if (!ranking) {
    tally.expect(false, () => `returned ${result.ranking.map((r) => r.leaf)}, not ${last}`);
  }
  const beta = world.beta.findIndex((b, v) => v > 0 && b !== exact.beta[v]);
  if (beta > 0) tally.expect(false, () => `the margin of node ${beta} at B = ${beam} is off`);
}
