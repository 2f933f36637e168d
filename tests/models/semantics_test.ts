/**
 * The declared semantics: length penalties, and Hugging Face's rules against a plain writing of
 * BeamSearchScorer's and against searches that it made.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, NonFiniteError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { prunedAt } from "../../lab/analysis/pruning.ts";
import { type PathLogits } from "../../models/decode/host_log_probs.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { RankedItem } from "../../models/decode/results.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { testDevices } from "../devices.ts";
import { type Entries, smooth, TableDecoder } from "./table_decoder.ts";

const END = 4;
const V = END + 1;

/** Catalogues whose items end with a token, so that an item may begin another. */
const problems = fc.record({
  paths: fc.array(fc.array(fc.nat(END - 1), { maxLength: 4 }), { minLength: 1, maxLength: 30 })
    .map((list) => list.map((path) => [...path, END])),
  history: fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 5 }),
  beam: fc.integer({ min: 1, max: 6 }),
  normalization: fc.constantFrom<Normalization>("children", "vocabulary"),
  tau: fc.constantFrom(0.5, 1, 2),
  lengthPenalty: fc.constantFrom(-0.5, 0, 0.7, 1, 1, 2),
  out: fc.oneof(fc.constant<number[]>([]), fc.array(fc.nat(29), { maxLength: 8 })),
  seed: fc.nat(1e6),
});

const float64 = cpu({ float: "float64" });
const huggingface = { semantics: "huggingface", endToken: END } as const;

interface ScorerSettings {
  readonly paths: readonly Path[];
  readonly beam: number;
  readonly lengthPenalty: number;
  readonly normalization: Normalization;
  readonly tau: number;
}

/** A beam of the scorer: tokens so far, and the sum of log-probabilities. */
interface Sequence {
  readonly tokens: readonly number[];
  readonly sum: number;
}

/**
 * The documented rules, as they are there: rows over the whole vocabulary in which what is not
 * allowed scores -Infinity, all beams but one begin at -1e9, 2B candidates are drawn, and a
 * hypothesis is added and the worst dropped one at a time.
 */
function beamSearchScorer(logits: PathLogits, settings: ScorerSettings): Sequence[] {
  const { paths, beam: B, lengthPenalty, normalization, tau } = settings;
  const allowed = (prefix: readonly number[]): Set<number> =>
    new Set(
      paths.filter((p) => p.length > prefix.length && prefix.every((t, i) => p[i] === t))
        .map((p) => p[prefix.length]),
    );
  const scores = (prefix: readonly number[]): number[] => {
    const open = allowed(prefix);
    const z = Array.from(logits(prefix), (x) => x / tau);
    const counted = normalization === "children" ? z.filter((_, v) => open.has(v)) : z;
    const total = Math.log(counted.reduce((sum, x) => sum + Math.exp(x), 0));
    return z.map((x, v) => open.has(v) ? x - total : -Infinity);
  };
  const longest = Math.max(...paths.map((p) => p.length));
  const hypotheses: (Sequence & { readonly score: number })[] = [];
  let beams: Sequence[] = Array.from({ length: B }, (_, i) => ({
    tokens: [],
    sum: i === 0 ? 0 : -1e9,
  }));
  for (let length = 1; length <= longest; length++) {
    const drawn = beams.flatMap(({ tokens, sum }) =>
      scores(tokens).map((q, v) => ({ tokens: [...tokens, v], sum: sum + q }))
    ).sort((a, b) => b.sum === a.sum ? 0 : b.sum - a.sum).slice(0, 2 * B);
    beams = [];
    for (const [rank, candidate] of drawn.entries()) {
      if (candidate.tokens.at(-1) === END) {
        if (rank >= B) continue;
        const score = candidate.sum / length ** lengthPenalty;
        const worst = Math.min(...hypotheses.map((h) => h.score));
        if (hypotheses.length === B && score <= worst) continue;
        if (hypotheses.length === B) {
          hypotheses.splice(hypotheses.findIndex((h) => h.score === worst), 1);
        }
        hypotheses.push({ ...candidate, score });
      } else {
        beams.push(candidate);
        if (beams.length === B) break;
      }
    }
    const attainable = drawn[0].sum / length ** lengthPenalty;
    if (hypotheses.length === B && Math.min(...hypotheses.map((h) => h.score)) >= attainable) break;
  }
  return hypotheses.filter((h) => h.sum > -1e8).sort((a, b) => b.score - a.score);
}

/** How a retrieved leaf's tokens stand among their siblings, from the root down. */
function standings(
  trie: Trie,
  leaf: number,
  logits: PathLogits,
): { end: boolean; better: number; betterWithoutEnd: number }[] {
  return trie.pathOf(leaf).map((token, t, path) => {
    const parent = path.slice(0, t).reduce((node, v) => trie.child(node, v), 0);
    const z = logits(path.slice(0, t));
    const better = [...trie.tokensUnder(parent)].filter((v) =>
      z[v] > z[token] || (z[v] === z[token] && v < token)
    );
    return {
      end: token === END,
      better: better.length,
      betterWithoutEnd: better.filter((v) => v !== END).length,
    };
  });
}

test("huggingface semantics: a plain writing of BeamSearchScorer's rules returns the same, and T1 holds as corrected", () => {
  let [full, short, dropped, tokens, printed] = [0, 0, 0, 0, 0];
  fc.assert(
    fc.property(problems, ({ out, seed, history, paths, ...settings }) => {
      const { beam } = settings;
      const trie = new Trie(paths);
      const logits = new TableDecoder(float64, V, smooth(seed, V)).logitsAfter(history);
      const excluded = out.filter((item) => item < paths.length);
      const gone = new Set(excluded);
      const left = paths.filter((_, i) => !gone.has(i));
      const expected = left.length === 0
        ? []
        : beamSearchScorer(logits, { ...settings, paths: left });
      const { ranking, steps } = referenceBeamSearch(trie, logits, {
        ...settings,
        ...huggingface,
        excluded,
      });
      assert.deepEqual(ranking.map((r) => trie.pathOf(r.leaf)), expected.map((h) => h.tokens));
      ranking.forEach((r, i) => assert.ok(Math.abs(r.logProb - expected[i].sum) < 1e-9));
      // T1 on the catalogue that is left.
      const small = excluded.length > 0 && left.length > 0 ? new Trie(left) : trie;
      for (const { leaf } of ranking) {
        const own = trie.pathOf(leaf).reduce((node, token) => small.child(node, token), 0);
        for (const { end, better, betterWithoutEnd } of standings(small, own, logits)) {
          tokens++;
          if (better >= beam) printed++;
          assert.ok((end ? better : betterWithoutEnd) < beam);
        }
      }
      // The steps tell the same story as the ranking.
      assert.equal(steps.length, trie.maxDepth);
      const leaves = ranking.map((r) => r.leaf);
      for (const leaf of new Set(trie.leafOf)) {
        assert.equal(prunedAt(trie, leaf, steps) === 0, leaves.includes(leaf));
        const seen = steps.some((s) => s.nodes.includes(leaf));
        if (seen && !leaves.includes(leaf)) dropped++;
      }
      if (ranking.length === beam) full++;
      else short++;
    }),
    { numRuns: 1500 },
  );
  assert.ok(full > 300 && short > 300 && dropped > 100, `${full} ${short} ${dropped}`);
  assert.ok(tokens > 5000);
  assert.ok(printed > 0, "T1 as printed must fail somewhere");
});

/**
 * Made once by the code of transformers' BeamSearchScorer (commit 4e7bd11, early_stopping=False) in
 * PyTorch 2.6, in float64. The loop around it was written for this: log-softmax, the tokens that
 * the trie allows, over children renormalised, and 2 B candidates. A case is the seed, B, the
 * length penalty, the normalization, the paths, and the hypotheses, each with its final score.
 */
type Golden = [number, number, number, Normalization, paths: string, found: string];

test("huggingface semantics: 300 searches by transformers' BeamSearchScorer", () => {
  const cases: Golden[] = JSON.parse(readFileSync("tests/golden/huggingface.json", "utf8"));
  assert.equal(cases.length, 300);
  const digits = (text: string): number[] => Array.from(text, Number);
  for (const [seed, beam, lengthPenalty, normalization, paths, found] of cases) {
    const trie = new Trie(paths.split(" ").map(digits));
    const logits: PathLogits = (path) =>
      Float64Array.from({ length: 6 }, (_, v) => {
        const hash = [...path, v].reduce((h, t) => (3671 * h + 1117 * t + 7) % 1_000_003, seed);
        return 3 * Math.sin(hash);
      });
    const options = { beam, lengthPenalty, normalization, ...huggingface, endToken: 5 };
    const { ranking } = referenceBeamSearch(trie, logits, options);
    const expected = found === "" ? [] : found.split(" ").map((one) => one.split(":"));
    assert.deepEqual(
      ranking.map(({ leaf }) => trie.pathOf(leaf)),
      expected.map(([path]) => digits(path)),
    );
    ranking.forEach(({ leaf, logProb }, i) => {
      const score = logProb / trie.depths[leaf] ** lengthPenalty;
      assert.ok(Math.abs(score - Number(expected[i][1])) < 1e-6);
    });
  }
});

test("huggingface semantics: what scores above everything pruned is the exact best (T9), for any length penalty", () => {
  let instances = 0;
  fc.assert(
    fc.property(problems, ({ out: _, seed, history, paths, ...settings }) => {
      const trie = new Trie(paths);
      const logits = new TableDecoder(float64, V, smooth(seed, V)).logitsAfter(history);
      const found = referenceBeamSearch(trie, logits, { ...settings, ...huggingface });
      const wide = { ...settings, beam: trie.leafCount, lengthPenalty: 0 };
      const all = referenceBeamSearch(trie, logits, wide);
      const sure = found.ranking.filter((r) => r.logProb > found.bestPruned).map((r) => r.leaf);
      const best = all.ranking.slice(0, sure.length).map((r) => r.leaf);
      assert.deepEqual(sure.toSorted(), best.toSorted());
      instances += sure.length;
    }),
    { numRuns: 300 },
  );
  assert.ok(instances > 200);
});

test("huggingface semantics: T4 fails under a length penalty of 1", () => {
  // root: a .704, b .296; a: end .571, a1 .429; everything else is forced.
  const [a, b, a1] = [0, 1, 2];
  const trie = new Trie([[a, END], [a, a1, END], [b, b, END]]);
  const logits: PathLogits = (path) => {
    const row = new Float64Array(V);
    const q = path.length === 0 ? { [a]: .704, [b]: .296 } : { [END]: .571, [a1]: .429 };
    for (const [token, p] of Object.entries(q)) row[Number(token)] = Math.log(p);
    return row;
  };
  const leaves = (ranking: readonly RankedItem[]): (readonly number[])[] =>
    ranking.map((r) => r.items);
  const absorbing = referenceBeamSearch(trie, logits, { beam: 2 });
  assert.deepEqual(leaves(absorbing.ranking), [[0], [1]]);
  assert.ok(Math.exp(absorbing.ranking[0].logProb) > 0.4); // above 1/3: T4's hypothesis
  const lost = referenceBeamSearch(trie, logits, { beam: 2, ...huggingface });
  assert.deepEqual(leaves(lost.ranking), [[1], [2]]);
  assert.equal(prunedAt(trie, trie.leafOf[0], lost.steps), 3);
  const plain = { beam: 2, ...huggingface, lengthPenalty: 0 };
  assert.deepEqual(leaves(referenceBeamSearch(trie, logits, plain).ranking), [[0], [1]]);
});

test("absorbing semantics: a length penalty orders the final list and changes nothing else", () => {
  let reordered = 0;
  fc.assert(
    fc.property(problems, ({ out: _, seed, history, paths, lengthPenalty, ...settings }) => {
      const trie = new Trie(paths);
      const logits = new TableDecoder(float64, V, smooth(seed, V)).logitsAfter(history);
      const plain = referenceBeamSearch(trie, logits, settings);
      const { ranking, ...rest } = referenceBeamSearch(trie, logits, {
        ...settings,
        lengthPenalty,
      });
      const { ranking: before, ...same } = plain;
      assert.deepEqual(rest, same);
      const score = (r: RankedItem): number =>
        r.logProb / trie.pathOf(r.leaf).length ** lengthPenalty;
      assert.deepEqual(ranking, before.toSorted((x, y) => score(y) - score(x) || x.leaf - y.leaf));
      if (ranking.some((r, i) => r.leaf !== before[i].leaf)) reordered++;
    }),
    { numRuns: 200 },
  );
  assert.ok(reordered > 20);
});

for (const { name, skip, open } of testDevices) {
  test(`both semantics: ${name} is the reference`, { skip }, async () => {
    const device = await open();
    await fc.assert(
      fc.asyncProperty(problems, fc.boolean(), async (problem, declared) => {
        const { paths, history, out, seed, ...settings } = problem;
        using _scope = device.arena();
        const trie = new Trie(paths);
        const options = declared ? { ...settings, ...huggingface } : settings;
        const decoder = new TableDecoder(device, V, smooth(seed, V));
        using search = new BeamSearch(decoder, trie.upload(device), { ...options, batch: 2 });
        const histories = [history, [1], [2, ...history]];
        const excluded = histories.map((_, i) =>
          i === 1 ? [] : out.filter((x) => x < paths.length)
        );
        const before = device.stats.downloads;
        const results = await search.search(histories, excluded);
        if (declared) assert.ok(device.stats.downloads - before <= 2 * trie.maxDepth);
        histories.forEach((tokens, i) => {
          const expected = referenceBeamSearch(trie, decoder.logitsAfter(tokens), {
            ...options,
            excluded: excluded[i],
          });
          // The host's bookkeeping reads the very logits that the reference does.
          if (declared) assert.deepEqual(results[i], expected);
          else if (device.float === "float64") {
            assert.deepEqual(results[i].ranking, expected.ranking);
          } else assert.equal(results[i].ranking.length, expected.ranking.length);
        });
      }),
      { numRuns: name === "webgpu" ? 20 : 60 },
    );
  });
}

test("huggingface semantics: searches at the same time leave each other and other tensors alone", async () => {
  const device = cpu();
  const open = (paths: readonly Path[], entries: Entries): BeamSearch => {
    const decoder = new TableDecoder(device, V, entries);
    return new BeamSearch(decoder, new Trie(paths).upload(device), { beam: 2, ...huggingface });
  };
  const short = open([[0, END], [1, 2, END]], smooth(1, V));
  const long = open([[0, 1, 2, 3, END], [3, 1, END]], smooth(2, V));
  const broken = open([[0, END]], () => NaN);
  const { liveBytes } = device.stats;
  const expected = [await short.search([[1]]), await long.search([[2]])];
  const both = [short.search([[1]]), long.search([[2]])];
  const made = device.tensor([5]);
  assert.deepEqual(await Promise.all(both), expected);
  assert.equal(await made.item(), 5);
  made.dispose();
  await assert.rejects(broken.search([[1]]), NonFiniteError);
  assert.equal(device.stats.liveBytes, liveBytes);
});

test("semantics: what is not possible is refused", async () => {
  const trie = new Trie([[0, END], [1, 2, END]]);
  const zeros: PathLogits = () => new Float64Array(V);
  const search = (trie: Trie, options: object): void => {
    referenceBeamSearch(trie, zeros, { beam: 2, ...options });
  };
  search(trie, huggingface);
  for (
    const wrong of [
      { semantics: "other" },
      { semantics: "huggingface" },
      { endToken: END },
      { lengthPenalty: NaN },
      { ...huggingface, lengthPenalty: Infinity },
      { ...huggingface, endToken: 0 },
    ]
  ) assert.throws(() => search(trie, wrong), ArgumentError);
  assert.throws(() => search(new Trie([[0, END], [1, 2]]), huggingface), ArgumentError);
  assert.throws(() => search(new Trie([[END, 0, END], [1, END]]), huggingface), ArgumentError);

  using uploaded = trie.upload(float64);
  const decoder = new TableDecoder(float64, V, () => 0);
  const wrong = { beam: 1, semantics: "huggingface" } as const;
  assert.throws(() => new BeamSearch(decoder, uploaded, wrong), ArgumentError);
  const broken = new TableDecoder(float64, V, () => NaN);
  using strange = new BeamSearch(broken, uploaded, { beam: 1, ...huggingface });
  await assert.rejects(strange.search([[1]]), NonFiniteError);
});
