/** What beam search prunes, and the exact best items that show it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { foldIn, keyOf, uniform } from "../../core/random.ts";
import {
  exactRanks,
  exactTopK,
  type RankQuestion,
  scoreCatalogue,
} from "../../models/decode/exact.ts";
import { margins, prunedAt } from "../../lab/analysis/pruning.ts";
import { logProbs, openChildren, type PathLogits } from "../../models/decode/host_log_probs.ts";
import { logSumExp } from "../../models/decode/ranked.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import { type Normalization, trieLogProb } from "../../ops/trie_log_prob.ts";
import { testDevices } from "../devices.ts";
import { coarse, smooth, TableDecoder } from "../models/table_decoder.ts";
import { catalogues, someItems } from "../models/tries.ts";

const V = 9;
const normalizations = fc.constantFrom<Normalization>("children", "vocabulary");

/** A trie with a model over it, smooth or with ties, and a beam width. */
const models = fc.record({
  paths: fc.constantFrom([2, 6], [3, 4], [4, 3])
    .chain(([depth, fanOut]) => catalogues({ depth, fanOut, vocabulary: V })),
  seed: fc.nat(1e6),
  tied: fc.boolean(),
  history: fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 4 }),
  beam: fc.integer({ min: 1, max: 6 }),
  normalization: normalizations,
  tau: fc.constantFrom(0.5, 1, 2),
});

const float64 = cpu({ float: "float64" });

function decoderOf({ seed, tied }: { seed: number; tied: boolean }): TableDecoder {
  return new TableDecoder(float64, V, tied ? coarse(seed, V) : smooth(seed, V));
}

/** Every leaf with its log-probability, best first, ties by node: walks the whole trie. */
function bruteForce(
  trie: Trie,
  logits: PathLogits,
  normalization: Normalization,
  tau: number,
  blocked: ReadonlySet<number> = new Set(),
): { leaf: number; logProb: number }[] {
  const walk = (node: number, score: number): { leaf: number; logProb: number }[] => {
    if (trie.childCount(node) === 0) return [{ leaf: node, logProb: score }];
    const { nodes, tokens } = openChildren(trie, node, blocked);
    const q = logProbs(logits(trie.pathOf(node)), tokens, normalization, tau);
    return [...nodes].flatMap((child, i) => walk(child, score + Math.min(0, q[i])));
  };
  return (blocked.has(0) ? [] : walk(0, 0))
    .sort((a, b) => b.logProb - a.logProb || a.leaf - b.leaf);
}

test("pruning: children sum to 1 over themselves, to at most 1 over the vocabulary", () => {
  fc.assert(fc.property(models, ({ paths, history, tau, ...model }) => {
    const trie = new Trie(paths);
    const logits = decoderOf(model).logitsAfter(history);
    for (let node = 0; node < trie.nodeCount; node++) {
      const tokens = trie.tokensUnder(node);
      if (tokens.length === 0) continue;
      const z = logits(trie.pathOf(node));
      assert.ok(Math.abs(logSumExp(logProbs(z, tokens, "children", tau))) < 1e-12);
      assert.ok(logSumExp(logProbs(z, tokens, "vocabulary", tau)) < 1e-12);
    }
  }));
});

test("pruning: margins along a path are those of trieLogProb", async () => {
  await fc.assert(fc.asyncProperty(models, fc.nat(), async (model, pick) => {
    const { paths, history, beam, normalization, tau } = model;
    const trie = new Trie(paths);
    const logits = decoderOf(model).logitsAfter(history);
    const path = paths[pick % paths.length];
    const leaf = trie.leafOf[pick % paths.length];
    const steps = margins(trie, leaf, logits, { beam, normalization, tau });
    using _scope = float64.arena();
    const nodes = path.map((_, t) =>
      path.slice(0, t).reduce((n, token) => trie.child(n, token), 0)
    );
    const { logProb, logBeta, choices } = trieLogProb(
      float64.tensor(path.map((_, t) => Array.from(logits(path.slice(0, t))))),
      trie.upload(float64),
      float64.tensor(Int32Array.from(nodes)),
      float64.tensor(Int32Array.from(path)),
      { normalization, beam, tau },
    );
    const [p, beta, count] = await float64.read([logProb, logBeta, choices]);
    assert.equal(steps.length, path.length);
    steps.forEach((step, t) => {
      assert.equal(step.logProb, p[t]);
      assert.equal(step.logBeta, beta[t]);
      assert.equal(step.margin, beta[t] - p[t]);
      assert.equal(step.choices, count[t]);
    });
  }));
});

test("pruning: margins with blocked nodes are those of a trie without them", () => {
  const inputs = models.chain((model) =>
    fc.tuple(fc.constant(model), someItems(model.paths.length), fc.nat())
  );
  fc.assert(fc.property(inputs, ([model, out, pick]) => {
    const { paths, history, beam, normalization, tau } = model;
    const trie = new Trie(paths);
    const logits = decoderOf(model).logitsAfter(history);
    const blocked = new Set(trie.blockedNodes(out));
    const options = { beam, normalization, tau };
    const item = pick % paths.length;
    if (blocked.has(trie.leafOf[item])) {
      assert.throws(
        () => margins(trie, trie.leafOf[item], logits, { ...options, blocked }),
        ArgumentError,
      );
      return;
    }
    const less = new Trie(paths.filter((_, i) => !blocked.has(trie.leafOf[i])));
    const leaf = paths[item].reduce((node, token) => less.child(node, token), 0);
    assert.deepEqual(
      margins(trie, trie.leafOf[item], logits, { ...options, blocked }),
      margins(less, leaf, logits, options),
    );
  }));
});

test("T1: every token of a retrieved item is among the best B of its siblings", () => {
  fc.assert(fc.property(models, (model) => {
    const { paths, history, beam, normalization, tau } = model;
    const trie = new Trie(paths);
    const logits = decoderOf(model).logitsAfter(history);
    const { ranking } = referenceBeamSearch(trie, logits, { beam, normalization, tau });
    for (const { leaf } of ranking) {
      for (let node = leaf; node > 0; node = trie.parents[node]) {
        const parent = trie.parents[node];
        const siblings = trie.nodesUnder(parent);
        const z = logits(trie.pathOf(parent));
        const better = siblings.filter((other) => {
          const gap = z[trie.tokens[other]] - z[trie.tokens[node]];
          return gap > 0 || (gap === 0 && other < node);
        });
        assert.ok(better.length < beam);
      }
      for (const { margin } of margins(trie, leaf, logits, { beam, normalization, tau })) {
        assert.ok(margin <= 0);
      }
    }
  }));
});

test("pruning: prunedAt is the first step that lost the leaf's prefix", () => {
  fc.assert(fc.property(models, (model) => {
    const { paths, history, beam, normalization, tau } = model;
    const trie = new Trie(paths);
    const logits = decoderOf(model).logitsAfter(history);
    const { steps, ranking } = referenceBeamSearch(trie, logits, { beam, normalization, tau });
    const retrieved = ranking.map((r) => r.leaf);
    for (const leaf of new Set(trie.leafOf)) {
      const step = prunedAt(trie, leaf, steps);
      assert.equal(step === 0, retrieved.includes(leaf));
      const path = trie.pathOf(leaf).join();
      const held = steps.map(({ nodes }, t) =>
        [...nodes].some((n) =>
          trie.pathOf(n).join() === path ||
          (trie.depths[n] === t + 1 && `${path},`.startsWith(`${trie.pathOf(n).join()},`))
        )
      );
      assert.equal(step, 1 + held.indexOf(false));
    }
  }));
});

test("exactTopK: the best of the whole catalogue, with and without excluded items", async () => {
  const inputs = models.chain((model) =>
    fc.tuple(fc.constant(model), someItems(model.paths.length), fc.integer({ min: 1, max: 9 }))
  );
  await fc.assert(
    fc.asyncProperty(inputs, async ([model, out, k]) => {
      const { paths, history, normalization, tau } = model;
      using _scope = float64.arena();
      const trie = new Trie(paths);
      const decoder = decoderOf(model);
      const logits = decoder.logitsAfter(history);
      const excluded = [[], out];
      const options = { normalization, tau, excluded };
      const found = await exactTopK(
        decoder,
        trie.upload(float64),
        [history, history],
        k,
        options,
      );
      excluded.forEach((items, i) => {
        const blocked = new Set(trie.blockedNodes(items));
        const best = bruteForce(trie, logits, normalization, tau, blocked).slice(0, k);
        assert.deepEqual(found[i].map(({ leaf, logProb }) => ({ leaf, logProb })), best);
      });
    }),
    { numRuns: 60 },
  );
});

test("exactRanks: the place of a leaf in the catalogue, with and without excluded items", async () => {
  const inputs = models.chain((model) =>
    fc.tuple(fc.constant(model), someItems(model.paths.length), fc.integer({ min: 1, max: 4 }))
  );
  await fc.assert(
    fc.asyncProperty(inputs, fc.nat(), async ([model, out, k], pick) => {
      const { paths, history, normalization, tau } = model;
      using _scope = float64.arena();
      const trie = new Trie(paths);
      const decoder = decoderOf(model);
      const logits = decoder.logitsAfter(history);
      const expected: number[] = [];
      const questions = [[], out].flatMap((excluded): RankQuestion[] => {
        const all = bruteForce(
          trie,
          logits,
          normalization,
          tau,
          new Set(trie.blockedNodes(excluded)),
        );
        if (all.length === 0) return [];
        const at = pick % all.length;
        expected.push(at < k ? at : -1);
        // What is said of the leaf's probability may be off a little.
        return [{ history, excluded, leaf: all[at].leaf, logProb: all[at].logProb + 0.005 }];
      });
      const options = { normalization, tau };
      const found = await exactRanks(decoder, trie.upload(float64), questions, k, options);
      assert.deepEqual(found, expected);
    }),
    { numRuns: 100 },
  );
});

test("exactRanks: widens where the first search leaves it open", async () => {
  const trie = new Trie(large(500, 1));
  const decoder = new TableDecoder(float64, V, smooth(5, V, 0.05));
  using uploaded = trie.upload(float64);
  const all = bruteForce(trie, decoder.logitsAfter([1]), "children", 1);
  const places = [0, 3, 7, 8, 40, 300];
  const questions = places.map((at) => ({ history: [1], excluded: [], ...all[at] }));
  const before = float64.stats.downloads;
  const ranks = await exactRanks(decoder, uploaded, questions, 8);
  assert.ok(float64.stats.downloads - before > 1);
  assert.deepEqual(ranks, [0, 3, 7, -1, -1, -1]);
});

/** A catalogue with far more leaves than the first search of exactTopK holds. */
function large(items: number, seed: number): Path[] {
  const tokens = uniform(foldIn(keyOf(seed), 3), 3 * items).map((u) => Math.floor(V * u));
  return Array.from({ length: items }, (_, i) => [...tokens.subarray(3 * i, 3 * i + 3)]);
}

for (const { name, skip, open } of testDevices) {
  test(`exactTopK: widens where a user has no certificate, on ${name}`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const trie = new Trie(large(500, 1));
    assert.ok(trie.leafCount > 256);
    // Flat logits certify little: there the search must widen. Steep ones certify at once.
    for (const [scale, widens] of [[0.05, true], [9, false]] as const) {
      const decoder = new TableDecoder(device, V, smooth(5, V, scale));
      const histories = [[1], [2, 3], [4]];
      const before = device.stats.downloads;
      const found = await exactTopK(decoder, trie.upload(device), histories, 5);
      assert.equal(device.stats.downloads - before > 1, widens);
      histories.forEach((history, i) => {
        const best = bruteForce(trie, decoder.logitsAfter(history), "children", 1);
        found[i].forEach(({ leaf, logProb }, rank) => {
          assert.ok(Math.abs(logProb - best[rank].logProb) < 1e-4);
          if (device.float === "float64") assert.equal(leaf, best[rank].leaf);
        });
        assert.equal(found[i].length, 5);
      });
    }
  });
}

test("scoreCatalogue: every leaf once, with its probability; they sum to 1", async () => {
  const trie = new Trie(large(300, 2));
  const decoder = new TableDecoder(float64, V, smooth(6, V));
  using uploaded = trie.upload(float64);
  const history = [3, 1];
  const scores = await scoreCatalogue(decoder, uploaded, history);
  assert.deepEqual(
    scores.map(({ leaf, logProb }) => ({ leaf, logProb })),
    bruteForce(trie, decoder.logitsAfter(history), "children", 1),
  );
  assert.deepEqual(
    scores.flatMap((s) => s.items).sort((a, b) => a - b),
    [...Array(300).keys()],
  );
  assert.ok(Math.abs(logSumExp(Float64Array.from(scores, (s) => s.logProb))) < 1e-10);
  const without = await scoreCatalogue(decoder, uploaded, history, { excluded: [7] });
  assert.ok(without.every((s) => !s.items.includes(7)));
  assert.ok(Math.abs(logSumExp(Float64Array.from(without, (s) => s.logProb))) < 1e-10);
});

test("pruning: bad arguments are refused", async () => {
  const trie = new Trie([[1, 2], [1, 3]]);
  const leaf = trie.leafOf[0];
  const zeros: PathLogits = () => new Float64Array(V);
  for (const beam of [0, 2.5]) {
    assert.throws(() => margins(trie, leaf, zeros, { beam }), ArgumentError);
  }
  assert.throws(() => margins(trie, leaf, zeros, { beam: 1, tau: -1 }), ArgumentError);
  for (const node of [0, 1, -1, 99, 0.5]) {
    assert.throws(() => margins(trie, node, zeros, { beam: 1 }), ArgumentError);
  }
  const decoder = new TableDecoder(float64, V, () => 0);
  using uploaded = trie.upload(float64);
  for (const k of [0, 1.5, -1]) {
    await assert.rejects(exactTopK(decoder, uploaded, [[1]], k), ArgumentError);
    await assert.rejects(exactRanks(decoder, uploaded, [], k), ArgumentError);
  }
});
