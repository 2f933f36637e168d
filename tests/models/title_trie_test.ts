/**
 * Searches on deep, narrow tries such as item titles make: a wide root, few choices, long chains to
 * many depths.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { competitors, LevelCounts, massCertificate } from "../../lab/analysis/certificates.ts";
import { pathSteps } from "../../lab/analysis/pruning.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import { Trie } from "../../models/decode/trie.ts";
import { initTransformer, Transformer, type TransformerConfig } from "../../models/transformer.ts";
import { type TransformerCache, TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice } from "../devices.ts";
import { smooth, TableDecoder } from "./table_decoder.ts";
import { titleLike } from "./tries.ts";

const V = 41;
const paths = titleLike({ items: 150, tokens: V - 1, seed: 2, longest: 24 });
const trie = new Trie(paths);
const histories = [[1], [2, 3, 4], [5, 5], [40, 39, 1, 2]];

test("title-like tries: what the generator makes", () => {
  const big = new Trie(titleLike({ items: 2400, tokens: 4300, seed: 1 }));
  assert.equal(big.itemCount, 2400);
  assert.ok(big.duplicates > 0);
  assert.equal(big.maxDepth, 41);
  assert.ok(big.fanOuts[0] > 300);
  let choices = 0;
  for (let node = 0; node < big.nodeCount; node++) if (big.childCount(node) > 1) choices++;
  assert.ok(choices < 0.03 * big.nodeCount, `${choices} of ${big.nodeCount}`);
  assert.ok(new Set(big.leafOf.values().map((leaf) => big.depths[leaf])).size > 30);
});

test("title-like tries: how many nodes have something ahead, by depth", () => {
  const device = cpu();
  using uploaded = trie.upload(device);
  const [inner, choosing] = uploaded.aheadSizes;
  const ahead = (path: readonly number[], children: number): boolean =>
    new Set(
        paths.filter((other) => path.every((token, t) => other[t] === token))
          .map((other) => other.join()),
      ).size >= children && !paths.some((other) => other.join() === path.join());
  for (let depth = 0; depth <= trie.maxDepth; depth++) {
    const prefixes = new Set(
      paths.filter(({ length }) => length >= depth).map((path) => path.slice(0, depth).join()),
    );
    const all = [...prefixes].map((text) => text === "" ? [] : text.split(",").map(Number));
    assert.equal(inner[depth], all.filter((path) => ahead(path, 1)).length);
    assert.equal(choosing[depth], all.filter((path) => ahead(path, 2)).length);
  }
});

onEachDevice("title-like tries: the search is the reference", async (device) => {
  const uploaded = trie.upload(device);
  const decoder = new TableDecoder(device, V, smooth(4, V, 2));
  for (const normalization of ["children", "vocabulary"] as const) {
    for (const beam of [1, 5, 30]) {
      const options = { beam, normalization, tau: 1.3, trace: true };
      using search = new BeamSearch(decoder, uploaded, options);
      const excluded = [[], [0, 1, 2], [], [7, 90]];
      const results = await search.search(histories, excluded);
      results.forEach((found, u) => {
        const logits = decoder.logitsAfter(histories[u]);
        const expected = referenceBeamSearch(trie, logits, { ...options, excluded: excluded[u] });
        assert.equal(found.steps.length, trie.maxDepth);
        if (device.float === "float64") {
          assert.deepEqual(
            found.ranking.map((r) => r.items),
            expected.ranking.map((r) => r.items),
          );
          found.steps.forEach((step, t) => {
            assert.deepEqual(step.nodes, expected.steps[t].nodes);
            assert.equal(step.poolSize, expected.steps[t].poolSize);
          });
        }
        found.ranking.forEach(({ logProb }, i) =>
          assert.ok(Math.abs(logProb - expected.ranking[i].logProb) < 1e-3)
        );
      });
    }
  }
});

onEachDevice(
  "title-like tries: floors drop what is below them and nothing else",
  async (device) => {
    const decoder = new TableDecoder(device, V, smooth(4, V, 2));
    using search = new BeamSearch(decoder, trie.upload(device), { beam: trie.leafCount });
    const whole = await search.search(histories);
    const floors = whole.map(({ ranking }, u) =>
      (ranking[6 * u + 2].logProb + ranking[6 * u + 3].logProb) / 2
    );
    const some = await search.search(histories, histories.map(() => []), floors);
    some.forEach(({ ranking, bestPruned }, u) => {
      assert.deepEqual(ranking, whole[u].ranking.slice(0, 6 * u + 3));
      assert.equal(bestPruned, -Infinity);
    });
    const none = await search.search(histories, histories.map(() => []), histories.map(() => 1));
    for (const { ranking } of none) assert.deepEqual(ranking, []);
    await assert.rejects(search.search(histories, histories.map(() => []), [0]), ArgumentError);
  },
);

const config: TransformerConfig = {
  ...{ vocabSize: V, dim: 16, layers: 2, heads: 2, kvHeads: 1, headDim: 8, ffn: 24 },
  ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 64, dropout: 0, tiedEmbeddings: true },
};

test("title-like tries: the model is asked about no more rows than there are nodes to ask about", async () => {
  const device = cpu();
  const decoder = new TransformerDecoder(
    new Transformer(device, config),
    initTransformer(device, config, 3),
  );
  const uploaded = trie.upload(device);
  for (const normalization of ["children", "vocabulary"] as const) {
    const asked: number[] = [];
    const spy: Decoder<TransformerCache> = {
      vocabSize: V,
      prefill: (...args) => decoder.prefill(...args),
      step: (...args) => {
        asked.push(args[1].tokens.size);
        return decoder.step(...args);
      },
    };
    using search = new BeamSearch(spy, uploaded, { beam: 100, normalization });
    const [found] = await search.search(histories);
    const sizes = uploaded.aheadSizes[normalization === "children" ? 1 : 0];
    const most = asked.map((_, step) => 4 * Math.min(sizes[step + 1], 100));
    assert.deepEqual(asked, most);
    assert.ok(asked.length > 5 && asked.at(-1) as number < 100);
    assert.equal(found.ranking.length, 100);
  }
});

test("title-like tries: certificates hold", () => {
  const counts = new LevelCounts(trie);
  const given = { leaves: 0, certified: 0 };
  for (let seed = 0; seed < 6; seed++) {
    const table = new TableDecoder(cpu({ float: "float64" }), V, smooth(seed, V, 4)).logitsAfter([
      1,
    ]);
    for (const beam of [2, 10]) {
      const { ranking } = referenceBeamSearch(trie, table, { beam });
      const retrieved = new Set(ranking.map((r) => r.leaf));
      for (const leaf of new Set(trie.leafOf)) {
        const steps = pathSteps(trie, leaf, table);
        const few = competitors(counts, steps).every((n) => n < beam);
        given.leaves++;
        if (few || massCertificate(steps[steps.length - 1].score, beam)) {
          given.certified++;
          assert.ok(retrieved.has(leaf));
        }
      }
    }
  }
  assert.ok(given.certified > 20, JSON.stringify(given));
});
