/** Certificates against brute force: whatever they promise, a beam search keeps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import {
  certifiedCount,
  competitors,
  LevelCounts,
  massCertificate,
} from "../../lab/analysis/certificates.ts";
import { margins, pathSteps } from "../../lab/analysis/pruning.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { Trie } from "../../models/decode/trie.ts";
import type { Normalization } from "../../ops/trie_log_prob.ts";
import { coarse, smooth, TableDecoder } from "../models/table_decoder.ts";
import { catalogues } from "../models/tries.ts";

const V = 9;
const float64 = cpu({ float: "float64" });

const models = fc.record({
  paths: fc.constantFrom([1, 6], [2, 6], [3, 4], [4, 3])
    .chain(([depth, fanOut]) => catalogues({ depth, fanOut, vocabulary: V })),
  seed: fc.nat(1e6),
  tied: fc.boolean(),
  history: fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 4 }),
  beam: fc.integer({ min: 1, max: 6 }),
  normalization: fc.constantFrom<Normalization>("children", "vocabulary"),
  tau: fc.constantFrom(0.5, 1, 2),
});

test("certificates: n_t(w) counts prefixes of t tokens below w, and items that ended once", () => {
  fc.assert(fc.property(models, ({ paths }) => {
    const trie = new Trie(paths);
    const counts = new LevelCounts(trie);
    for (let w = 0; w < trie.nodeCount; w++) {
      const own = trie.pathOf(w);
      const below = paths.filter((path) => own.every((token, i) => path[i] === token));
      for (let t = trie.depths[w]; t <= trie.maxDepth; t++) {
        const prefixes = new Set(below.map((path) => path.slice(0, t).join()));
        assert.equal(counts.at(w, t), prefixes.size);
      }
    }
  }));
});

test("certificates: the path's steps are those of margins", () => {
  fc.assert(fc.property(models, ({ paths, seed, history, tied: _, ...options }) => {
    const trie = new Trie(paths);
    const logits = new TableDecoder(float64, V, smooth(seed, V)).logitsAfter(history);
    for (const leaf of trie.leafOf) {
      const steps = pathSteps(trie, leaf, logits, options);
      let total = 0;
      margins(trie, leaf, logits, options).forEach(({ logProb, choices }, t) => {
        total += Math.min(0, logProb);
        assert.equal(steps[t].logProbs[steps[t].own], logProb);
        assert.equal(steps[t].score, total);
        assert.equal(steps[t].nodes.length, choices);
      });
    }
  }));
});

test("T4, T6, T9: no certificate is ever wrong, and each is given", () => {
  const given = { leaves: 0, retrieved: 0, mass: 0, forced: 0, list: 0 };
  fc.assert(
    fc.property(models, ({ paths, seed, tied, history, beam, ...options }) => {
      const trie = new Trie(paths);
      const counts = new LevelCounts(trie);
      const entries = tied ? coarse(seed, V) : smooth(seed, V);
      const logits = new TableDecoder(float64, V, entries).logitsAfter(history);
      const found = referenceBeamSearch(trie, logits, { beam, ...options });
      const all = referenceBeamSearch(trie, logits, { beam: trie.leafCount, ...options });
      const retrieved = new Set(found.ranking.map((r) => r.leaf));
      for (const leaf of new Set(trie.leafOf)) {
        const steps = pathSteps(trie, leaf, logits, options);
        const score = steps[steps.length - 1].score;
        const negatives = competitors(counts, steps);
        assert.equal(negatives.length, trie.maxDepth);
        const forced = negatives.every((n) => n <= beam - 1);
        // Equal shares of float64 probabilities may sum to a hair above 1.
        const mass = massCertificate(score - 1e-9, beam);
        if (forced || mass) assert.ok(retrieved.has(leaf));
        if (mass) assert.ok(forced); // T4 is a special case of T6
        // T6 counts no fewer than the prefixes of one length that are strictly more probable.
        all.steps.forEach(({ pool }, t) => {
          const own = steps[Math.min(t + 1, steps.length) - 1].score;
          const better = pool?.scores.filter((s) => s > own + 1e-9).length ?? NaN;
          assert.ok(negatives[t] >= better);
        });
        given.leaves++;
        if (retrieved.has(leaf)) given.retrieved++;
        if (mass) given.mass++;
        if (forced) given.forced++;
      }
      const k = certifiedCount(found);
      given.list += k;
      assert.deepEqual(found.ranking.slice(0, k), all.ranking.slice(0, k));
    }),
    { numRuns: 600 },
  );
  assert.ok(given.mass > 0.2 * given.retrieved, JSON.stringify(given));
  assert.ok(given.forced > 0.5 * given.retrieved && given.list > 0.5 * given.retrieved);
});

test("T4: a probability of 1 / (B + 1) is not more than that, however it was rounded", () => {
  for (let beam = 1; beam <= 50; beam++) {
    for (let first = 1; first <= beam + 1; first++) { // P = (1 / first) (first / (beam + 1))
      const logProb = -Math.log(first) + Math.log(first / (beam + 1));
      assert.ok(!massCertificate(logProb, beam), `${beam}, ${first}`);
    }
    assert.ok(massCertificate(-Math.log(beam + 0.99), beam));
  }
});

test("T9: an item that ties with a pruned prefix is not certified", () => {
  const trie = new Trie([[0, 0], [1, 0]]);
  const tied = referenceBeamSearch(trie, () => [0, 0], { beam: 1 });
  assert.equal(certifiedCount(tied), 0);
  assert.equal(certifiedCount(referenceBeamSearch(trie, () => [1, 0], { beam: 1 })), 1);
});

test("T6: a slack makes it more careful", () => {
  const trie = new Trie([[0], [1]]);
  const steps = pathSteps(trie, trie.leafOf[0], () => [0.1, 0]);
  const counts = new LevelCounts(trie);
  assert.deepEqual(competitors(counts, steps), [0]);
  assert.deepEqual(competitors(counts, steps, () => 0.05), [0]);
  assert.deepEqual(competitors(counts, steps, () => 0.2), [1]);
});

test("certificates: bad arguments are refused", () => {
  const trie = new Trie([[0, 1], [1]]);
  assert.throws(() => pathSteps(trie, 0, () => [0, 0]), ArgumentError);
  const [leaf, zeros] = [trie.leafOf[0], (): number[] => [0, 0]];
  assert.throws(() => pathSteps(trie, leaf, zeros, { tau: 0 }), ArgumentError);
  const unknown = { beam: 1, lr: 1 };
  for (const take of [margins, pathSteps]) {
    assert.throws(() => take(trie, leaf, zeros, unknown), /its options must be among .*, got lr$/);
  }
});
