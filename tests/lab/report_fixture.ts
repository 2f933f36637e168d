/** Made-up results of runs: outcomes drawn with a seed, in the shape of real ones. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foldIn, keyOf, normal, uniform } from "../../core/random.ts";
import {
  type BaselineResults,
  type BeamOutcome,
  type Histogram,
  resultText,
  type RunResult,
} from "../../lab/compare/run_result.ts";
import { modelTheorems } from "../../lab/analysis/user_theorems.ts";
import type { Recipe } from "../../lab/train/recipe.ts";
import type { SearchMethod } from "../../models/decode/open_search.ts";

/** What a made-up run is like. */
export interface FixtureOptions {
  /** Its variant. Default its loss. */
  readonly variant?: string;
  /** Its loss. */
  readonly loss: string;
  /** Its seed. */
  readonly seed: number;
  /** Users. */
  readonly users?: number;
  /** Widths of the search. */
  readonly beams?: readonly number[];
  /** The width the loss aims at. */
  readonly beam?: number;
  /** Tokens of an item. */
  readonly steps?: number;
  /** How much better than the rest it ranks, in nats of rank. */
  readonly strength?: number;
  /** The share of what the search loses at B = 10. */
  readonly loses?: number;
}

const DIGEST = "0123456789abcdef";

/** A made-up recipe. */
export function fixtureRecipe(loss: string, seed: number, beam = 10): Recipe {
  return {
    data: "office-made-up",
    digest: DIGEST,
    reading: {},
    device: "cpu",
    loss: loss as Recipe["loss"],
    beam,
    xi: 1,
    lambda: 1,
    tau: 1,
    seed,
    layers: 4,
    dim: 128,
    heads: 4,
    kvHeads: 4,
    ffn: 512,
    dropout: 0.2,
    history: 20,
    epochs: 20,
    batch: 128,
    lr: 1e-3,
    warmup: 100,
    decay: 0.01,
  };
}

/** A made-up run. */
export function fixtureRun(options: FixtureOptions): RunResult {
  const { loss, seed, users = 300, beams = [5, 10, 20], beam = 10, steps = 4 } = options;
  const { variant = loss, strength = 0 } = options;
  const key = foldIn(foldIn(keyOf(seed), hash(variant)), 7);
  const people = normal(keyOf(99), users);
  const draws = normal(foldIn(key, 1), users);
  const luck = normal(foldIn(key, 2), 1)[0] * 0.05;
  // The place in the exact ranking.
  const places = Array.from(
    people,
    (person, u) => Math.floor(Math.exp(4.2 + 1.6 * person + 0.7 * draws[u] - strength - luck)),
  );
  const epochs = 12 + (hash(variant) + seed) % 6;
  const bestEpoch = epochs - 3;
  const perEpoch = 40;
  return {
    version: 1,
    variant,
    recipe: fixtureRecipe(loss, seed, beam),
    adapter: "made up",
    data: { name: "office-made-up", users, items: 2400 },
    parameters: 903_296,
    epochs,
    bestEpoch,
    steps: epochs * perEpoch,
    seconds: {
      training: epochs * (20 + (hash(variant) % 5)) * (1 + 0.02 * seed),
      validation: epochs * 3,
      judging: 40,
    },
    tokensPerSecond: 9000 - 100 * seed,
    curve: Array.from({ length: epochs * 4 }, (_, i) => ({
      step: (i + 1) * (perEpoch / 4),
      epoch: Math.floor(i / 4),
      loss: 1.5 + 2.5 * Math.exp(-i / 12) + 0.03 * Math.sin(i * (seed + 1)),
    })),
    validation: Array.from({ length: epochs }, (_, e) => {
      const away = Math.abs(e + 1 - bestEpoch);
      const best = 0.04 + 0.006 * strength + 0.002 * luck;
      const hr = Math.max(0.002, 1.8 * best * (1 - 0.012 * away * away));
      return { epoch: e + 1, hr, ndcg: hr / 1.8, seconds: 3 };
    }),
    judging: { beams, excludeHistory: false },
    test: {
      users,
      absent: 0,
      beams: beams.map((width) => outcome(options, places, width, steps, foldIn(key, 100 + width))),
    },
    verification: {
      users: 50,
      counts: Object.fromEntries(
        Object.keys(modelTheorems).map((id, i) => [
          id,
          { instances: 100 * i + 50, holds: 100 * i + 48, undecided: 2, violations: 0 },
        ]),
      ) as NonNullable<RunResult["verification"]>["counts"],
    },
  };
}

/** What lists cost a made-up run, on 10 of its users. */
export function fixtureCosts(): NonNullable<RunResult["costs"]> {
  const search = (method: SearchMethod, beam: number | undefined, hits: number, rows: number) => ({
    method,
    beam,
    ranks: Array.from({ length: 10 }, (_, u) => u < hits ? u : -1),
    certified: method === "beam" ? hits : 10,
    rows,
    milliseconds: rows / 10,
  });
  return {
    cases: 10,
    searches: [
      search("beam", 1, 1, 3),
      search("beam", 10, 4, 24),
      search("adaptive", 10, 6, 80),
      search("best-first", undefined, 6, 40),
    ],
    widths: [10, 10, 12, 14, 20, 30, 40, 90, 101, null],
  };
}

/** What a search of one width makes of them. */
function outcome(
  { loss, loses = 0.25 }: FixtureOptions,
  places: readonly number[],
  beam: number,
  steps: number,
  key: readonly [number, number],
): BeamOutcome {
  const users = places.length;
  const u = uniform(key, users * 3);
  const lost = loses * Math.sqrt(10 / beam);
  const exactRanks = places.map((place) => place < beam ? place : -1);
  const ranks = exactRanks.map((place, user) => u[user] < lost ? -1 : place);
  const lostAt = ranks.map((rank, user) =>
    rank >= 0 ? 0 : 1 + Math.floor(u[users + user] ** 2 * steps)
  );
  const none = (): number[] => Array.from({ length: steps }, () => 0);
  const pruned = { violation: none(), displacement: none(), length: none(), tie: none() };
  ranks.forEach((rank, user) => {
    if (rank >= 0 || exactRanks[user] < 0) return;
    const cause = u[2 * users + user] < 0.35 ? "violation" : "displacement";
    pruned[cause][lostAt[user] - 1]++;
  });
  const reached = none().map(() => users);
  const missed = ranks.filter((rank) => rank < 0).length;
  const out = Math.floor(missed * 0.6);
  const sure = Math.floor((users - missed) * 0.5);
  return {
    beam,
    ranks,
    exactRanks,
    lostAt,
    pruned,
    reached,
    violated: reached.map((n, t) => Math.floor(n * (0.4 + 0.5 * loses) / (t + 1) ** 2)),
    vacuous: reached.map((n, t) => Math.floor(n * Math.min(1, t * beam / 30))),
    margins: {
      before: reached.map((n, t) => histogramOf(n >> t, 0, 1.2)),
      after: reached.map((n, t) => histogramOf(n >> t, loss === "sft" ? 1 - t : -0.5 - t, 3)),
    },
    certificates: { retrieved: sure, pruned: out, undecided: users - sure - out },
    exactLists: Math.floor(users * 0.4),
  };
}

/** Of `n` margins with a normal distribution. */
function histogramOf(n: number, mean: number, deviation: number): Histogram {
  const weights = Array.from({ length: 48 }, (_, i) => {
    const z = (-12 + i / 2 + 0.25 - mean) / deviation;
    return Math.exp(-z * z / 2);
  });
  const sum = weights.reduce((total, w) => total + w, 0);
  return weights.map((w) => Math.round((n * w) / sum));
}

/** Made-up baselines. */
export function fixtureBaselines(users = 300): BaselineResults {
  const people = normal(keyOf(99), users);
  const places = (shift: number): number[] =>
    Array.from(people, (person) => Math.floor(Math.exp(4.2 + 1.9 * person + shift)))
      .map((place) => place < 10 ? place : -1);
  return {
    version: 1,
    digest: DIGEST,
    baselines: [
      { name: "popularity", ranks: places(1.5) },
      { name: "co-occurrence, history left out", ranks: places(0.9) },
      { name: "oracle", ranks: places(-1.5) },
    ],
  };
}

function hash(text: string): number {
  let h = 7;
  for (const c of text) h = (Math.imul(h, 31) + (c.codePointAt(0) as number)) >>> 0;
  return h % 1009;
}

/** Six variants with three seeds each. */
export function fixtureRuns(users = 300, seeds = 3): RunResult[] {
  const kinds = [
    { loss: "sft", strength: 0, loses: 0.33 },
    { loss: "msl", strength: 0.05, loses: 0.22 },
    { loss: "bear", strength: 0.15, loses: 0.15 },
    { loss: "bear-paper", strength: -0.05, loses: 0.24 },
    { loss: "bear-convex", strength: 0.2, loses: 0.16 },
    { loss: "apao-point", strength: 0.02, loses: 0.21 },
  ];
  return kinds.flatMap((kind) =>
    Array.from({ length: seeds }, (_, seed) => fixtureRun({ ...kind, seed, users }))
  );
}

/** Writes runs, and baselines if they are given, as a comparison does; returns the folder. */
export function writeFixture(runs: readonly RunResult[], baselines?: BaselineResults): string {
  const folder = mkdtempSync(join(tmpdir(), "beargrad-report-"));
  for (const run of runs) {
    const name = `${run.variant.replaceAll(/[^\w=.-]+/g, "-")}-seed${run.recipe.seed}`;
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "result.json"), resultText(run));
  }
  if (baselines !== undefined) {
    writeFileSync(join(folder, "baselines.json"), JSON.stringify(baselines));
  }
  return folder;
}
