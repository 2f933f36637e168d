/** The theorems on single users: nothing is found in a right search, and every mistake is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { certifyPath, LevelCounts } from "../../lab/analysis/certificates.ts";
import { margins, pathSteps } from "../../lab/analysis/pruning.ts";
import { OnePass } from "../../lab/analysis/one_pass.ts";
import {
  countTheorems,
  modelTheorems,
  type TheoremId,
  type UserFacts,
} from "../../lab/analysis/user_theorems.ts";
import { logProbs, type PathLogits } from "../../models/decode/host_log_probs.ts";
import { logSumExp } from "../../models/decode/ranked.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import { Trie } from "../../models/decode/trie.ts";
import { smooth, TableDecoder } from "../models/table_decoder.ts";
import { catalogues } from "../models/tries.ts";

const V = 9;
const float64 = cpu({ float: "float64" });
const budget = { eps: 1e-6, tau: 1 };

const worlds = fc.sample(
  fc.record({
    paths: fc.constantFrom([1, 6], [2, 6], [3, 4], [4, 3])
      .chain(([depth, fanOut]) => catalogues({ depth, fanOut, vocabulary: V })),
    seed: fc.nat(1e6),
    beam: fc.integer({ min: 1, max: 5 }),
  }),
  { numRuns: 150, seed: 7 },
);

type Search = (trie: Trie, logits: PathLogits, beam: number) => BeamResult;
const right: Search = (trie, logits, beam) => referenceBeamSearch(trie, logits, { beam });

/** The facts of every leaf, from a search that may be wrong. */
function factsOf({ paths, seed, beam }: typeof worlds[number], search: Search): UserFacts[] {
  const trie = new Trie(paths);
  const logits = new TableDecoder(float64, V, smooth(seed, V)).logitsAfter([1]);
  const shared = {
    counts: new LevelCounts(trie),
    beam,
    normalization: "children" as const,
    found: search(trie, logits, beam),
    wide: search(trie, logits, 4 * beam),
    greedy: search(trie, logits, 1),
    reference: right(trie, logits, beam),
  };
  return [...new Set(trie.leafOf)].map((leaf) => {
    const own = margins(trie, leaf, logits, { beam });
    return {
      ...shared,
      leaf,
      path: pathSteps(trie, leaf, logits),
      margins: own,
      deviceMargins: own,
      logitErrors: own.map(() => 0),
    };
  });
}

const users = worlds.flatMap((world) => factsOf(world, right));

test("theorems: a right search violates nothing, and every theorem has instances", async () => {
  for (const [id, count] of Object.entries(await countTheorems(users, budget))) {
    assert.equal(count.violations, 0, id);
    assert.ok(count.holds > 50, `${id}: ${count.holds} instances hold`);
    assert.ok(count.undecided < 0.02 * count.instances, `${id}: ${count.undecided} undecided`);
    assert.equal(count.holds + count.undecided, count.instances);
  }
});

test("theorems: certificates of the teacher-forced pass agree with the search", () => {
  const seen = { retrieved: 0, pruned: 0, undecided: 0 };
  for (const { counts, path, margins, beam, leaf, found } of users) {
    const { kind } = certifyPath(
      counts,
      path,
      margins,
      { beam, normalization: "children" },
      budget,
    );
    const isReturned = found.ranking.some((item) => item.leaf === leaf);
    seen[kind]++;
    if (kind !== "undecided") assert.equal(isReturned, kind === "retrieved");
  }
  assert.ok(Math.min(...Object.values(seen)) > 20, JSON.stringify(seen));
});

test("certificates: no model that agrees with the pass contradicts them", () => {
  const seen = { both: 0, retrieved: 0, pruned: 0 };
  const passes = new Map<UserFacts["counts"], OnePass>();
  for (const { counts, path, margins, beam, leaf } of users) {
    const pass = passes.get(counts) ?? new OnePass(counts, beam);
    passes.set(counts, pass);
    const setting = { beam, normalization: "children" } as const;
    const { kind } = certifyPath(counts, path, margins, setting, budget);
    const { returned, lost } = pass.fates(path);
    assert.ok(returned || lost);
    if (kind === "retrieved") assert.ok(!lost, `${leaf} at B = ${beam}`);
    if (kind === "pruned") assert.ok(!returned, `${leaf} at B = ${beam}`);
    if (kind !== "undecided") seen[kind]++;
    else if (returned && lost) seen.both++;
  }
  assert.ok(Math.min(...Object.values(seen)) > 20, JSON.stringify(seen));
});

test("theorems: every one of them catches a mistake", () => {
  const caught = new Set(Object.values(MISTAKES).flatMap(([ids]) => ids));
  assert.deepEqual(Object.keys(modelTheorems).filter((id) => !caught.has(id as TheoremId)), []);
});

test("theorems: what is within the budget is undecided", async () => {
  const counts = await countTheorems(users, { eps: 50, tau: 1 });
  for (const id of ["T2", "T3", "T4", "T6"] as const) {
    assert.equal(counts[id].violations, 0);
    assert.ok(counts[id].undecided > 0);
  }
  // T3 and T6 still know how few prefixes there are.
  for (const id of ["T2", "T4"] as const) assert.equal(counts[id].holds, 0);
  // Beams are compared up to the first that errors can change.
  assert.ok(counts.T11.instances < (await countTheorems(users, budget)).T11.instances);

  const wrong = worlds.flatMap((world) => factsOf(world, careless({ width: (b) => b + 1 })));
  const { T1 } = await countTheorems(wrong, { eps: 50, tau: 1 });
  assert.equal(T1.violations, 0);
  assert.ok(T1.undecided > 0);
});

interface Entry {
  readonly node: number;
  readonly score: number;
}
interface Slip {
  /** The score of a child. */
  readonly score?: (parent: number, q: number) => number;
  /** How many entries are kept of B. */
  readonly width?: (beam: number) => number;
  /** The order of the pool. */
  readonly order?: (a: Entry, b: Entry) => number;
  /** Whether finished items go on. */
  readonly absorbs?: boolean;
}

/** A beam search with a slip in it. */
function careless(slip: Slip): Search {
  const { score = (p, q) => p + q, width = (b) => b, absorbs = true } = slip;
  const { order = (a, b) => b.score - a.score || a.node - b.node } = slip;
  return (trie, logits, beam) => {
    let frontier: Entry[] = [{ node: 0, score: 0 }];
    const steps: BeamStep[] = [];
    const list = (entries: Entry[]): { nodes: Int32Array; scores: Float64Array } => ({
      nodes: Int32Array.from(entries, (e) => e.node),
      scores: Float64Array.from(entries, (e) => e.score),
    });
    for (let t = 0; t < trie.maxDepth; t++) {
      const pool = frontier.flatMap((entry) => {
        const nodes = [...trie.nodesUnder(entry.node)];
        if (nodes.length === 0) return absorbs ? [entry] : [];
        const tokens = trie.tokensUnder(entry.node);
        const q = logProbs(logits(trie.pathOf(entry.node)), tokens, "children", 1);
        return nodes.map((node, i) => ({ node, score: score(entry.score, Math.min(0, q[i])) }));
      }).sort(order);
      frontier = pool.slice(0, Math.max(1, width(beam)));
      steps.push({
        ...list(frontier),
        poolSize: pool.length,
        threshold: pool[beam - 1]?.score ?? -Infinity,
        logMass: logSumExp(list(pool).scores),
        bestPruned: pool[frontier.length]?.score ?? -Infinity,
        pool: list(pool),
      });
    }
    return {
      ranking: frontier.map(({ node, score }) => ({ leaf: node, items: [], logProb: score })),
      steps,
      bestPruned: Math.max(...steps.map((s) => s.bestPruned)),
      rows: 0,
    };
  };
}

/** By a mistake's name: the theorems that must catch it, the wrong search, and facts gone wrong. */
type Mistake = readonly [readonly TheoremId[], Slip, ((facts: UserFacts) => UserFacts)?];
const MISTAKES: Readonly<Record<string, Mistake>> = {
  "one beam too few": [["T3", "T6", "T7", "T13", "T13'"], { width: (b) => b - 1 }],
  "one beam too many": [["T1", "T2", "T2'", "T7", "T15"], { width: (b) => b + 1 }],
  "the parent's score left out": [["T7", "T11"], { score: (_, q) => q }],
  "the worst are kept": [
    ["T1", "T2", "T3", "T4", "T6", "T7", "T8"],
    { order: (a, b) => a.score - b.score },
  ],
  "finished items are forgotten": [["T4", "T5", "T6"], { absorbs: false }],
  "probabilities are halved at each step": [
    ["T7", "T11"],
    { score: (p, q) => p + q - Math.log(2) },
  ],
  "what was pruned is not recorded": [["T9"], {}, (facts) => ({
    ...facts,
    found: withSteps(facts.found, (step) => ({ ...step, bestPruned: -Infinity })),
  })],
  "the best item is left out of the list": [["T9"], {}, (facts) => ({
    ...facts,
    found: { ...facts.found, ranking: facts.found.ranking.slice(1) },
    wide: { ...facts.wide, ranking: [] },
  })],
  "a threshold too high": [["T5"], {}, (facts) => ({
    ...facts,
    found: withSteps(facts.found, (step) => ({ ...step, threshold: step.scores[0] })),
  })],
  "margins of another model": [["T11"], {}, (facts) => ({
    ...facts,
    deviceMargins: facts.margins.map((m) => ({ ...m, margin: m.margin + 1e-3 })),
  })],
};

function withSteps(found: BeamResult, change: (step: BeamStep) => BeamStep): BeamResult {
  return { ...found, steps: found.steps.map(change) };
}

for (const [name, [caught, slip, change]] of Object.entries(MISTAKES)) {
  test(`theorems: caught: ${name}`, async () => {
    const open = new Set(caught);
    for (const world of worlds) {
      const facts = factsOf(world, careless(slip));
      const counts = await countTheorems(change ? facts.map(change) : facts, budget);
      for (const id of open) if (counts[id].violations > 0) open.delete(id);
      if (open.size === 0) return;
    }
    assert.deepEqual([...open], []);
  });
}

test("theorems: the right search, written like the careless ones, violates nothing", async () => {
  const facts = worlds.flatMap((world) => factsOf(world, careless({})));
  for (const { violations } of Object.values(await countTheorems(facts, budget))) {
    assert.equal(violations, 0);
  }
});
