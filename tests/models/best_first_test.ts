/** Exact searches: best-first and adaptive, against enumeration and against each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { ArgumentError, NonFiniteError } from "../../core/errors.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { type BestFirstOptions, BestFirstSearch } from "../../models/decode/best_first.ts";
import { leavesBelow, mostAhead } from "../../models/decode/choices.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { AdaptiveSearch, exactTopK } from "../../models/decode/exact.ts";
import { logProbs, openChildren, type PathLogits } from "../../models/decode/host_log_probs.ts";
import { OpenPrefixes } from "../../models/decode/open_prefixes.ts";
import { openSearch, type Search, SEARCH_METHODS } from "../../models/decode/open_search.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { SearchResult } from "../../models/decode/results.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import { Transformer } from "../../models/transformer.ts";
import { TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice } from "../devices.ts";
import { grouped, livelyParams } from "./llamas.ts";
import { coarse, type Entries, smooth, TableDecoder } from "./table_decoder.ts";
import { catalogues, someItems, titleLike } from "./tries.ts";

const V = 8;
const float64 = cpu({ float: "float64" });

interface Problem {
  readonly paths: readonly Path[];
  readonly histories: readonly (readonly number[])[];
  readonly excluded: readonly (readonly number[])[];
  readonly options: BestFirstOptions & { readonly tau: number };
  readonly entries: Entries;
}

/** Tries as codes and as titles make them, k up to past the catalogue, with and without ties. */
const problems: fc.Arbitrary<Problem> = fc.oneof(
  fc.constantFrom([1, 6], [2, 6], [3, 4], [4, 3], [5, 3])
    .chain(([depth, fanOut]) => catalogues({ depth, fanOut, vocabulary: V })),
  fc.record({ items: fc.integer({ min: 1, max: 40 }), seed: fc.nat(99) })
    .map((of) => titleLike({ ...of, tokens: V - 1, longest: 9 })),
).chain((paths) => {
  const history = fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 10 });
  const out = fc.oneof(fc.constant([]), someItems(paths.length));
  return fc.record({
    users: fc.array(fc.record({ history, out }), { minLength: 1, maxLength: 5 }),
    k: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: paths.length + 2 })),
    normalization: fc.constantFrom("children" as const, "vocabulary" as const),
    tau: fc.constantFrom(1, 0.5, 2),
    batch: fc.integer({ min: 1, max: 4 }),
    seed: fc.nat(1e6),
    kind: fc.constantFrom(smooth, coarse),
  }).map(({ users, seed, kind, ...options }) => ({
    paths,
    histories: users.map((u) => u.history),
    excluded: users.map((u) => u.out),
    options,
    entries: kind(seed, V),
  }));
});

/** The log-probability of every prefix that is not blocked, by node. */
function enumerate(
  trie: Trie,
  logits: PathLogits,
  { normalization = "children", tau }: Problem["options"],
  excluded: readonly number[],
): Map<number, number> {
  const blocked = new Set(trie.blockedNodes(excluded));
  const scores = new Map<number, number>();
  const visit = (node: number, score: number): void => {
    scores.set(node, score);
    if (trie.childCount(node) === 0) return;
    const { nodes, tokens } = openChildren(trie, node, blocked);
    const q = logProbs(logits(trie.pathOf(node)), tokens, normalization, tau);
    nodes.forEach((child, i) => visit(child, score + Math.min(0, q[i])));
  };
  if (!blocked.has(0)) visit(0, 0);
  return scores;
}

test("best-first: the best of all items, and no prefix more than an exact method needs", async () => {
  await fc.assert(
    fc.asyncProperty(problems, async ({ paths, histories, excluded, options, entries }) => {
      using _scope = float64.arena();
      const trie = new Trie(paths);
      const decoder = new TableDecoder(float64, V, entries);
      using search = new BestFirstSearch(decoder, trie.upload(float64), options);
      const results = await search.search(histories, excluded);
      const ahead = mostAhead(trie);
      histories.forEach((history, u) => {
        const scores = enumerate(trie, decoder.logitsAfter(history), options, excluded[u]);
        const items = [...scores].filter(([node]) => node > 0 && trie.childCount(node) === 0)
          .sort(([a, p], [b, q]) => q - p || a - b);
        const { ranking, bestPruned, rows, width } = results[u];
        assert.deepEqual(
          ranking,
          items.slice(0, options.k).map(([leaf, logProb]) => ({
            leaf,
            items: [...trie.itemsAt(leaf)].filter((item) => !excluded[u].includes(item)),
            logProb,
          })),
        );
        const kth = ranking.at(options.k - 1)?.logProb ?? -Infinity;
        // T16: it expands the prefixes with at least the k-th best P, and leaves their children.
        const least = options.normalization === "children" ? 2 : 1;
        const asked = [...scores].filter(([node]) => node > 0 && ahead[node] >= least);
        assert.equal(rows, asked.filter(([, score]) => score >= kth).length);
        const left = asked.filter(([node, score]) =>
          score < kth && scores.get(trie.parents[node]) as number >= kth
        );
        assert.equal(bestPruned, Math.max(-Infinity, ...left.map(([, score]) => score)));
        // T15: a beam of at least k is certified from this width on.
        const k = ranking.length;
        assert.ok(width as number >= k);
        for (let beam = Math.max(k, 1); beam <= trie.leafCount; beam++) {
          const found = referenceBeamSearch(trie, decoder.logitsAfter(history), {
            ...{ beam, normalization: options.normalization, tau: options.tau },
            excluded: excluded[u],
          });
          const pruned = Math.max(-Infinity, ...found.steps.slice(0, -1).map((s) => s.bestPruned));
          const isCertified = pruned === -Infinity || found.ranking[k - 1].logProb > pruned;
          assert.equal(isCertified, beam >= (width as number), `beam ${beam}, width ${width}`);
        }
      });
    }),
    { numRuns: 150 },
  );
});

onEachDevice("best-first: exactTopK, item by item", async (device) => {
  await fc.assert(
    fc.asyncProperty(problems, async ({ paths, histories, excluded, options, entries }) => {
      using _scope = device.arena();
      const trie = new Trie(paths).upload(device);
      const decoder = new TableDecoder(device, V, entries);
      const { k, normalization, tau } = options;
      using search = new BestFirstSearch(decoder, trie, options);
      const found = await search.search(histories, excluded);
      const expected = await exactTopK(decoder, trie, histories, k, {
        normalization,
        tau,
        excluded,
      });
      assert.deepEqual(found.map((r) => r.ranking), expected);
      // From a beam that is too narrow for the list, and with scores of any size.
      for (const size of [1, 1e20]) {
        const large = new TableDecoder(device, V, (i) => size * entries(i));
        using adaptive = new AdaptiveSearch(large, trie, { ...options, beam: 1 });
        using bestFirst = new BestFirstSearch(large, trie, options);
        const lists = await adaptive.search(histories, excluded);
        const same = await bestFirst.search(histories, excluded);
        assert.deepEqual(lists.map((r) => r.ranking), same.map((r) => r.ranking));
        for (const { ranking, bestPruned } of lists) {
          assert.ok(bestPruned === -Infinity || ranking[k - 1].logProb > bestPruned);
        }
      }
    }),
    { numRuns: device.kind === "webgpu" ? 15 : 50 },
  );
});

onEachDevice("best-first: with a transformer it finds what a whole beam does", async (device) => {
  const config = { ...grouped, vocabSize: 40 }; // so many that few logits are computed alone
  const decoder = new TransformerDecoder(
    new Transformer(device, config),
    livelyParams(device, config, 4),
  );
  const paths = titleLike({ items: 40, tokens: 39, seed: 3, longest: 8 });
  const trie = new Trie(paths).upload(device);
  const histories = [[3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 2, 2]];
  const excluded = [[], [0, 6], [2]];
  const { liveBytes } = device.stats;
  for (const normalization of ["children", "vocabulary"] as const) {
    using beam = new BeamSearch(decoder, trie, { beam: trie.trie.leafCount, normalization });
    using search = new BestFirstSearch(decoder, trie, { k: 6, normalization });
    const whole = await beam.search(histories, excluded);
    const found = await search.search(histories, excluded);
    found.forEach(({ ranking }, u) => {
      const expected = whole[u].ranking.slice(0, 6);
      assert.deepEqual(ranking.map((r) => r.leaf), expected.map((r) => r.leaf));
      ranking.forEach(({ logProb }, i) =>
        assert.ok(Math.abs(logProb - expected[i].logProb) < 1e-4)
      );
    });
  }
  assert.equal(device.stats.liveBytes, liveBytes);
});

test("best-first: a round expands all prefixes that are needed for sure", () => {
  // a with 2 leaves, b with 9, then c, d and e with 2
  const trie = new Trie(
    [2, 9, 2, 2, 2].flatMap((leaves, token) =>
      Array.from({ length: leaves }, (_, leaf) => [token, leaf])
    ),
  );
  const nodes = [...trie.nodesUnder(0)];
  const shared = {
    trie,
    calls: (node: number) => trie.childCount(node) > 0,
    leaves: leavesBelow(trie),
    budget: Infinity,
  };
  // The probabilities, k and how many are needed. At .14 for c at most 2 items of a score more, as
  // it has no others, and at most 2 of b, as 3 would have more than .3.
  for (
    const [probabilities, k, needed] of [
      [[0.5, 0.3, 0.14, 0.04, 0.02], 1, 1],
      [[0.5, 0.3, 0.14, 0.04, 0.02], 2, 2],
      [[0.5, 0.3, 0.14, 0.04, 0.02], 4, 2],
      [[0.5, 0.3, 0.14, 0.04, 0.02], 5, 3],
      [[0.5, 0.25, 0.1, 0.1, 0.05], 5, 4], // c and d do not count for each other
      [[0.5, 0.3, 0.14, 0.06, 0], 8, 3],
      [[0.5, 0.3, 0.14, 0.06, 0], 9, 3], // 2 of a, 2 of c, and by rounding 5 of b
      [[0.5, 0.3, 0.14, 0.06, 0], 10, 4],
    ] as const
  ) {
    const prefixes = new OpenPrefixes({ ...shared, k }, new Set());
    prefixes.add(0, Float64Array.from(probabilities, (p) => Math.log(p + 1e-300)), 0);
    prefixes.sort();
    assert.deepEqual(
      prefixes.needed().map(({ node }) => node),
      nodes.slice(0, needed),
      `${probabilities}, k = ${k}`,
    );
  }
});

test("best-first: a round whose pools are too large is split", async () => {
  // One node with many children among so many that the pools of all have more than 2^22 entries.
  const trie = new Trie([
    ...Array.from({ length: 4100 }, (_, leaf) => [0, leaf]),
    ...Array.from({ length: 1300 }, (_, i) => [1 + (i >> 1), i & 1]),
  ]);
  const V = 4100;
  const decoder = new TableDecoder(float64, V, smooth(8, V));
  const options = { k: trie.leafCount, tau: 1 };
  using search = new BestFirstSearch(decoder, trie.upload(float64), options);
  const [{ ranking, rows }] = await search.search([[1]]);
  const scores = enumerate(trie, decoder.logitsAfter([1]), options, []);
  assert.equal(rows, 651);
  assert.equal(ranking.length, trie.leafCount);
  assert.ok(ranking.every(({ leaf, logProb }) => logProb === scores.get(leaf)));
});

/** Users with a title-like catalogue. */
function titles(device: Device): {
  readonly decoder: TableDecoder;
  readonly trie: Trie;
  readonly histories: number[][];
} {
  const trie = new Trie(titleLike({ items: 150, tokens: 40, seed: 2, longest: 24 }));
  const decoder = new TableDecoder(device, 41, smooth(4, 41, 2));
  return { decoder, trie, histories: [[1], [2, 3, 4], [5, 5], [40, 39, 1, 2], [7]] };
}

test("best-first: a budget bounds the rows, and what is certified is exact", async () => {
  const { decoder, trie, histories } = titles(float64);
  const uploaded = trie.upload(float64);
  using whole = new BestFirstSearch(decoder, uploaded, { k: 8 });
  const exact = await whole.search(histories);
  let [cut, certified] = [0, 0];
  for (const budget of [1, 2, 5, 10, 20, 40, 1000]) {
    using search = new BestFirstSearch(decoder, uploaded, { k: 8, budget });
    const found = await search.search(histories);
    found.forEach((result, u) => {
      const { ranking, bestPruned, rows, width } = result;
      if (exact[u].rows <= budget) return assert.deepEqual(result, exact[u]);
      cut++;
      assert.equal(rows, budget);
      assert.equal(width, undefined);
      const sure = ranking.filter(({ logProb }) => logProb > bestPruned);
      assert.ok(sure.length < 8);
      assert.deepEqual(sure, exact[u].ranking.slice(0, sure.length));
      certified += sure.length;
    });
  }
  assert.ok(cut > 5 && certified > 5, `${cut} were cut, with ${certified} items certified`);
});

onEachDevice("best-first: where slots run out, users wait and lose nothing", async (device) => {
  const { decoder, trie, histories } = titles(device);
  const k = trie.leafCount;
  const uploaded = trie.upload(device);
  const inner = trie.nodeCount - 1 - trie.leafCount;
  const bare = ({ ranking, bestPruned, width }: SearchResult) => ({
    ranking,
    bestPruned,
    width,
  });
  for (const budget of [inner, inner - 9]) {
    const run = async (batch: number): Promise<SearchResult[]> => {
      const options = { k, normalization: "vocabulary", batch, budget } as const;
      using search = new BestFirstSearch(decoder, uploaded, options);
      return await search.search(histories);
    };
    const [alone, together] = [await run(1), await run(4)];
    assert.deepEqual(together.map(bare), alone.map(bare));
    for (const { rows } of alone) assert.equal(rows, budget);
    // Some began anew, and what they had fed counts.
    assert.ok(together.some(({ rows }) => rows > budget), `${together.map((r) => r.rows)}`);
  }
});

test("best-first: the order of users, the size of batches and other searches do not matter", async () => {
  const { decoder, trie, histories } = titles(float64);
  const uploaded = trie.upload(float64);
  const excluded = histories.map((_, u) => u % 2 === 0 ? [u, 30] : []);
  const results: SearchResult[][] = [];
  for (const batch of [64, 2, 1]) {
    using search = new BestFirstSearch(decoder, uploaded, { k: 5, batch });
    results.push(await search.search(histories, excluded));
    assert.deepEqual(await search.search(histories, excluded), results.at(-1));
    assert.deepEqual(
      await search.search(histories.toReversed(), excluded.toReversed()),
      results.at(-1)?.toReversed(),
    );
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
  using search = new BestFirstSearch(decoder, uploaded, { k: 5 });
  const both = await Promise.all([
    search.search(histories.toReversed(), excluded.toReversed()),
    search.search(histories, excluded),
  ]);
  assert.deepEqual(both, [results[0].toReversed(), results[0]]);
  await assert.rejects(search.search([[1]], [[trie.itemCount]]), ArgumentError);
  assert.deepEqual(await search.search(histories, excluded), results[0]);
  assert.deepEqual(await search.search([]), []);
});

onEachDevice("best-first: logits that are not finite are reported", async (device) => {
  const trie = new Trie([[1, 2, 3], [1, 4, 3], [5, 2, 3]]).upload(device);
  for (const bad of [NaN, Infinity, -Infinity, -1e30]) {
    for (const normalization of ["children", "vocabulary"] as const) {
      for (const entries of [() => bad, (i: number) => i % V === 4 ? bad : i % V]) {
        const decoder = new TableDecoder(device, V, entries);
        using search = new BestFirstSearch(decoder, trie, { k: 3, normalization });
        await assert.rejects(search.search([[0], [0, 5]]), NonFiniteError);
      }
    }
  }
});

test("openSearch: the methods agree, and later searches of adaptive drop what cannot matter", async () => {
  const { decoder, trie, histories } = titles(float64);
  const uploaded = trie.upload(float64);
  const found = new Map<string, SearchResult[]>();
  for (const method of SEARCH_METHODS) {
    using search = openSearch(decoder, uploaded, { method, beam: 6 });
    found.set(method, await search.search(histories));
  }
  using short = openSearch(decoder, uploaded, { method: "beam", beam: 6, k: 2 });
  const firsts = found.get("beam")?.map(({ ranking }) => ranking.slice(0, 2));
  assert.deepEqual((await short.search(histories)).map(({ ranking }) => ranking), firsts);
  const [beam, adaptive, bestFirst] = SEARCH_METHODS.map((method) =>
    found.get(method) as SearchResult[]
  );
  let widened = 0;
  for (const u of histories.keys()) {
    using plain = new BeamSearch(decoder, uploaded, { beam: 6 });
    const [{ ranking, rows, steps }] = await plain.search([histories[u]]);
    const isCertified = steps.slice(0, -1).every((s) => s.bestPruned < ranking[5].logProb);
    assert.deepEqual(beam[u].ranking, ranking);
    assert.equal(beam[u].rows, rows);
    assert.deepEqual(adaptive[u].ranking, bestFirst[u].ranking);
    assert.ok(adaptive[u].ranking[5].logProb > adaptive[u].bestPruned);
    assert.equal(adaptive[u].rows === rows, isCertified);
    if (isCertified) continue;
    widened++;
    assert.ok(adaptive[u].rows >= rows + bestFirst[u].rows);
    using wide = new BeamSearch(decoder, uploaded, { beam: 24 });
    assert.ok(adaptive[u].rows < rows + (await wide.search([histories[u]]))[0].rows);
  }
  assert.ok(widened > 0);
});

test("searches: a history fits if the model can read it and the generated tokens", async () => {
  const params = livelyParams(float64, grouped, 5);
  const decoderOf = (maxLength: number): TransformerDecoder =>
    new TransformerDecoder(new Transformer(float64, { ...grouped, maxLength }), params);
  const END = 10;
  const trie = new Trie([[0, 1, END], [0, 2, END], [3, 1, END], [4, 5, END]]).upload(float64);
  const historyOf = (length: number): number[] =>
    Array.from({ length }, (_, t) => (7 * t + length) % 11);
  const options = { beam: 3, normalization: "vocabulary" } as const; // the model reads two tokens
  const huggingface = { ...options, semantics: "huggingface", endToken: END } as const;
  const searches: Record<string, (decoder: TransformerDecoder) => Search> = {
    ...Object.fromEntries(SEARCH_METHODS.map((method) => [
      method,
      (decoder: TransformerDecoder) => openSearch(decoder, trie, { ...options, method }),
    ])),
    huggingface: (decoder) => new BeamSearch(decoder, trie, huggingface),
  };
  for (const [name, open] of Object.entries(searches)) {
    using search = open(decoderOf(16));
    using roomy = open(decoderOf(64));
    for (const lengths of [[14], [10, 11], [9, 14, 2]]) {
      const histories = lengths.map(historyOf);
      assert.deepEqual(await search.search(histories), await roomy.search(histories), name);
    }
    await assert.rejects(search.search([historyOf(15)]), {
      name: "ShapeError",
      message: "Cannot decode 2 tokens after histories of 15: the sum must be at most 16, got 17",
    });
  }
});

test("openSearch: the methods take the same decoders and the same arguments", async () => {
  const table = new TableDecoder(float64, V, smooth(6, V));
  const trie = new Trie([[1, 2, 3], [1, 4, 3], [5, 2, 3], [5, 2, 4]]).upload(float64);
  /** Caches of any form: the tensors of a table's are somewhere in it, beside other values. */
  const forms: Record<string, (cache: unknown) => unknown> = {
    "a record": (cache) => ({ length: 3, name: "cache", none: null, cache }),
    "an array": (cache) => [3, undefined, [cache]],
    "a map": (cache) => new Map([["cache", cache]]),
    "an instance that refers to itself": (cache) =>
      new class {
        readonly self = this;
        readonly read = (): unknown => this.parts;
        readonly parts = new Set([cache, new Float64Array(3)]);
      }(),
  };
  for (const [form, wrap] of Object.entries(forms)) {
    const wrapped = new Map<unknown, unknown>();
    const decoder: Decoder = {
      vocabSize: V,
      prefill(tokens, lengths, slots) {
        const { logits, cache } = table.prefill(tokens, lengths, slots);
        const outer = wrap(cache);
        wrapped.set(outer, cache);
        return { logits, cache: outer };
      },
      step: (cache, rows) => table.step(wrapped.get(cache) as never, rows),
    };
    for (const method of SEARCH_METHODS) {
      using expected = openSearch(table, trie, { method, beam: 2 });
      using search = openSearch(decoder, trie, { method, beam: 2 });
      assert.deepEqual(
        await search.search([[1]]),
        await expected.search([[1]]),
        `${form} ${method}`,
      );
    }
  }
  const once = function* (items: readonly number[]): Iterable<number> {
    yield* items;
  };
  const wrong: Record<string, readonly unknown[]> = {
    "no array of histories": [7],
    "a history that is no array": [[5]],
    "an empty history": [[[]]],
    "a token outside the vocabulary": [[[V]]],
    "too few exclusions": [[[1], [2]], [[]]],
    "too many exclusions": [[[1]], [[], [0]]],
    "exclusions that are no iterables": [[[1]], [5]],
    "an item outside the catalogue": [[[1]], [[4]]],
  };
  for (const method of SEARCH_METHODS) {
    using search = openSearch(table, trie, { method, beam: 2 });
    for (const [what, given] of Object.entries(wrong)) {
      const call = search.search(...given as Parameters<typeof search.search>);
      await assert.rejects(call, ArgumentError, `${what}, ${method}`);
    }
    const [{ ranking }] = await search.search([[1]], [once([0, 2])]);
    assert.deepEqual(ranking.flatMap(({ items }) => items).sort(), [1, 3], method);
  }
});

test("openSearch: bad arguments are refused", () => {
  const { decoder, trie } = titles(float64);
  const uploaded = trie.upload(float64);
  const open = (options: object) => () =>
    openSearch(decoder, uploaded, { method: "beam", beam: 4, ...options });
  for (
    const options of [
      ...[0, -1, 1.5, NaN, "5"].flatMap((k) => SEARCH_METHODS.map((method) => ({ method, k }))),
      ...[0, 1.5, NaN].map((budget) => ({ method: "best-first", budget })),
      { method: "best" },
      { beam: 0 },
      { k: 5 },
      { budget: 3 },
      { batch: 0, method: "best-first" },
      { tau: 0, method: "best-first" },
    ]
  ) {
    assert.throws(open(options), ArgumentError, JSON.stringify(options));
  }
  const small = new TableDecoder(float64, 3, () => 0);
  assert.throws(() => new BestFirstSearch(small, uploaded, { k: 1 }), ArgumentError);
});
