/** Beam search on devices against its reference on the host. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/tensor.ts";
import { ArgumentError, NonFiniteError } from "../../core/errors.ts";
import { BeamSearch, type BeamSearchOptions } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { BeamResult, BeamStep } from "../../models/decode/results.ts";
import { type Path, Trie } from "../../models/decode/trie.ts";
import { Transformer } from "../../models/transformer.ts";
import { type TransformerCache, TransformerDecoder } from "../../models/transformer_decoder.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { grouped, livelyParams, referenceLogits, weightsOf } from "./llamas.ts";
import { coarse, type Entries, smooth, TableDecoder } from "./table_decoder.ts";
import { catalogues, someItems } from "./tries.ts";

const V = 8;

/** A search problem: some users with histories and excluded items, a model, a width. */
interface Problem {
  readonly paths: readonly Path[];
  readonly histories: readonly (readonly number[])[];
  readonly excluded: readonly (readonly number[])[];
  readonly options: BeamSearchOptions;
  readonly seed: number;
}

/** Tries of depth 1 to 5, deep ones narrow; widths from 1 to past the catalogue. */
const problems: fc.Arbitrary<Problem> = fc
  .constantFrom([1, 6], [2, 6], [3, 4], [4, 3], [5, 3])
  .chain(([depth, fanOut]) => catalogues({ depth, fanOut, vocabulary: V }))
  .chain((paths) => {
    const history = fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 10 });
    const out = fc.oneof(fc.constant([]), someItems(paths.length));
    const user = fc.record({ history, out });
    return fc.record({
      users: fc.array(user, { minLength: 1, maxLength: 5 }),
      beam: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: paths.length + 2 })),
      normalization: fc.constantFrom("children" as const, "vocabulary" as const),
      tau: fc.constantFrom(1, 0.5, 2),
      batch: fc.integer({ min: 1, max: 4 }),
      seed: fc.nat(1e6),
    }).map(({ users, seed, ...options }) => ({
      paths,
      histories: users.map((u) => u.history),
      excluded: users.map((u) => u.out),
      options: { ...options, trace: true },
      seed,
    }));
  });

/** A search on a device, and on the host with the model as it is on that device. */
async function both(
  device: Device,
  { paths, histories, excluded, options }: Problem,
  entries: Entries,
): Promise<{ actual: BeamResult[]; expected: BeamResult[]; trie: Trie; decoder: TableDecoder }> {
  using _scope = device.arena();
  const trie = new Trie(paths);
  const decoder = new TableDecoder(device, V, entries);
  using search = new BeamSearch(decoder, trie.upload(device), options);
  const actual = await search.search(histories, excluded);
  const expected = histories.map((history, i) =>
    referenceBeamSearch(trie, decoder.logitsAfter(history), { ...options, excluded: excluded[i] })
  );
  return { actual, expected, trie, decoder };
}

/** Equal to the last bit, but for the sums over pools. */
function assertSame(actual: BeamResult, expected: BeamResult): void {
  const exact = ({ logMass: _, ...step }: BeamStep): object => step;
  assert.deepEqual(actual.ranking, expected.ranking);
  assert.deepEqual(actual.steps.map(exact), expected.steps.map(exact));
  assert.equal(actual.bestPruned, expected.bestPruned);
  assert.equal(actual.rows, expected.rows);
  actual.steps.forEach(({ logMass }, t) => {
    const other = expected.steps[t].logMass;
    assert.ok(logMass === other || Math.abs(logMass - other) <= 1e-12, `${logMass} ${other}`);
  });
}

for (const [kind, entries] of [["continuous", smooth], ["tied", coarse]] as const) {
  test(`beam search: cpu float64 is the reference, item by item, step by step, ${kind} logits`, async () => {
    const device = cpu({ float: "float64" });
    await fc.assert(
      fc.asyncProperty(problems, async (problem) => {
        const { actual, expected } = await both(device, problem, entries(problem.seed, V));
        actual.forEach((result, i) => assertSame(result, expected[i]));
      }),
      { numRuns: 150 },
    );
  });
}

/** How far apart scores may be that a float32 device and the reference both compute. */
const ROUNDING = 1e-4;

/**
 * Compares steps until one where rounding may decide who is kept; returns how many were compared.
 */
function compareSteps(actual: BeamResult, expected: BeamResult, beam: number): number {
  const near = (a: number, b: number): boolean => a === b || Math.abs(a - b) <= ROUNDING;
  for (const [t, step] of expected.steps.entries()) {
    const { scores } = step.pool as { scores: Float64Array };
    if (scores.length > beam && scores[beam - 1] - scores[beam] <= 2 * ROUNDING) return t;
    const other = actual.steps[t];
    assert.deepEqual(other.nodes.toSorted(), step.nodes.toSorted());
    assert.equal(other.poolSize, step.poolSize);
    assert.ok(near(other.threshold, step.threshold));
    assert.ok(near(other.bestPruned, step.bestPruned));
    assert.ok(near(other.logMass, step.logMass));
    step.nodes.forEach((node, i) => {
      assert.ok(near(other.scores[other.nodes.indexOf(node)], step.scores[i]));
    });
  }
  return expected.steps.length;
}

for (const { name, skip, open } of testDevices.filter((d) => d.name !== "cpu float64")) {
  test(
    `beam search: ${name} agrees with the reference where gaps exceed rounding`,
    { skip },
    async () => {
      const device = await open();
      let [compared, all] = [0, 0];
      await fc.assert(
        fc.asyncProperty(problems, async (problem) => {
          const { actual, expected } = await both(device, problem, smooth(problem.seed, V));
          actual.forEach((result, i) => {
            compared += compareSteps(result, expected[i], problem.options.beam);
            all += expected[i].steps.length;
          });
        }),
        { numRuns: name === "webgpu" ? 15 : 40 },
      );
      assert.ok(compared > 0.95 * all, `${compared} of ${all} steps were compared`);
    },
  );
}

onEachDevice("beam search: excluded items are as if never in the catalogue", async (device) => {
  await fc.assert(
    fc.asyncProperty(problems, async (problem) => {
      const { paths, histories, excluded, options, seed } = problem;
      const { actual, trie } = await both(device, problem, smooth(seed, V));
      for (const [i, history] of histories.entries()) {
        const left = [...paths.keys()].filter((item) => !excluded[i].includes(item));
        if (left.length === 0) {
          assert.deepEqual(actual[i].ranking, []);
          continue;
        }
        const less = { paths: left.map((item) => paths[item]), histories: [history], seed };
        const { actual: [rebuilt], trie: small } = await both(
          device,
          { ...less, excluded: [[]], options },
          smooth(seed, V),
        );
        assert.deepEqual(
          actual[i].ranking.map((r) => ({ ...r, leaf: trie.pathOf(r.leaf) })),
          rebuilt.ranking.map((r) => ({
            leaf: small.pathOf(r.leaf),
            items: r.items.map((item) => left[item]),
            logProb: r.logProb,
          })),
        );
        assert.deepEqual(
          actual[i].steps.slice(0, small.maxDepth).map((s) => s.scores),
          rebuilt.steps.map((s) => s.scores),
        );
      }
    }),
    { numRuns: device.kind === "webgpu" ? 10 : 25 },
  );
});

onEachDevice("beam search: exact ties go to the lexicographically smaller path", async (device) => {
  const complete = [0, 1, 2, 3].flatMap((a) => [0, 1, 2, 3].map((b) => [a, b]));
  const search = async (
    paths: readonly Path[],
    beam: number,
    entries: Entries,
  ): Promise<Path[]> => {
    const history = [1];
    const options = { beam };
    const problem = { paths, histories: [history], excluded: [[]], options, seed: 0 };
    const { actual, trie } = await both(device, problem, entries);
    return actual[0].ranking.map((r) => trie.pathOf(r.leaf));
  };
  // All paths are equally probable.
  for (const beam of [1, 3, 4, 7, 16, 30]) {
    const shuffled = complete.toReversed();
    assert.deepEqual(await search(shuffled, beam, () => 0), complete.slice(0, beam));
  }
  // Probabilities depend on the token alone, so (a, b) and (b, a) tie, and no two other paths do.
  const cost = [0, 1, 3, 7];
  const falling: Entries = (i) => -(cost[i % V] ?? 9);
  const total = ([a, b]: Path): number => cost[a] + cost[b];
  const bySum = complete.toSorted((p, q) => total(p) - total(q) || p[0] - q[0]);
  assert.deepEqual(await search(complete, 16, falling), bySum);
  assert.deepEqual(await search(complete, 5, falling), bySum.slice(0, 5));
});

onEachDevice(
  "beam search: with a transformer it is the reference on whole sequences",
  async (device) => {
    const trie = new Trie([[1, 2, 3], [1, 2, 4], [1, 5], [6, 1, 1], [6, 1, 2], [6, 3, 0], [7], [
      0,
      9,
      8,
    ]]);
    const config = { ...grouped, vocabSize: 40 }; // so many that few logits are computed alone
    const params = livelyParams(device, config, 4);
    const weights = await weightsOf(params);
    const decoder = new TransformerDecoder(new Transformer(device, config), params);
    const histories = [[3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 2, 2]];
    const excluded = [[], [0, 6], [2]];
    let [compared, all] = [0, 0];
    for (const normalization of ["children", "vocabulary"] as const) {
      for (const beam of [1, 3, 8]) {
        const options = { beam, normalization, trace: true };
        using search = new BeamSearch(decoder, trie.upload(device), options);
        const results = await search.search(histories, excluded);
        histories.forEach((history, i) => {
          const expected = referenceBeamSearch(
            trie,
            (path) => referenceLogits(weights, config, [...history, ...path]).at(-1) as number[],
            { ...options, excluded: excluded[i] },
          );
          compared += compareSteps(results[i], expected, beam);
          all += trie.maxDepth;
        });
      }
    }
    assert.ok(compared > 0.9 * all, `${compared} of ${all} steps were compared`);
  },
);

for (const { name, open } of testDevices.filter((d) => d.name.startsWith("cpu"))) {
  test(`beam search: rows that are not needed change nothing, on ${name}`, async () => {
    const device = await open();
    const config = { ...grouped, vocabSize: 72 };
    const params = livelyParams(device, config, 5);
    const decoder = new TransformerDecoder(new Transformer(device, config), params);
    const heedless: Decoder<TransformerCache> = { // it feeds rows that are not needed, too
      vocabSize: decoder.vocabSize,
      prefill: (...args) => decoder.prefill(...args),
      step: (cache, rows) =>
        decoder.step(cache, { ...rows, count: device.tensor(Int32Array.of(rows.tokens.size)) }),
    };
    await fc.assert(
      fc.asyncProperty(problems, async ({ paths, histories, excluded, options }) => {
        using _scope = device.arena();
        const trie = new Trie(paths).upload(device);
        const results: BeamResult[][] = [];
        for (const model of [decoder, heedless]) {
          using search = new BeamSearch(model, trie, options);
          results.push(await search.search(histories, excluded));
        }
        assert.deepEqual(results[0], results[1]);
      }),
      { numRuns: 60 },
    );
  });
}

test("beam search: finished items compete with their final score", async () => {
  const device = cpu({ float: "float64" });
  const trie = new Trie([[0], [1, 0], [1, 1], [1, 2]]);
  const decoder = new TableDecoder(device, V, () => 0);
  using search = new BeamSearch(decoder, trie.upload(device), { beam: 2 });
  const [{ ranking, steps }] = await search.search([[0]]);
  assert.deepEqual(ranking.map((r) => r.items), [[0], [1]]);
  assert.deepEqual(ranking[0].logProb, Math.log(1 / 2));
  assert.equal(steps[1].poolSize, 4);
  assert.equal(steps[1].bestPruned, ranking[1].logProb);
});

test("beam search: the order of users and the size of batches do not matter, and each batch is read once", async () => {
  const device = cpu({ float: "float64" });
  const trie = new Trie([[0, 1], [0, 2], [3, 1], [4], [5, 5, 5]]);
  const uploaded = trie.upload(device);
  const decoder = new TableDecoder(device, V, smooth(1, V));
  const histories = Array.from(
    { length: 11 },
    (_, i) => Array.from({ length: 1 + i }, () => i % V),
  );
  const excluded = histories.map((_, i) => i % 3 === 0 ? [i % 5] : []);
  const results: BeamResult[][] = [];
  for (const batch of [64, 4, 1]) {
    using search = new BeamSearch(decoder, uploaded, { beam: 3, batch });
    const before = device.stats.downloads;
    results.push(await search.search(histories, excluded));
    assert.equal(device.stats.downloads - before, Math.ceil(11 / batch));
    assert.deepEqual(await search.search(histories, excluded), results.at(-1));
    assert.deepEqual(
      await search.search(histories.toReversed(), excluded.toReversed()),
      results.at(-1)?.toReversed(),
    );
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
  using search = new BeamSearch(decoder, uploaded, { beam: 3 });
  assert.deepEqual(await search.search([]), []);
});

test("beam search: once there is no choice left the model is not called, and steps are complete", async () => {
  const device = cpu({ float: "float64" });
  const trie = new Trie([[1, 2, 3, 4], [1, 5, 6, 7], [2, 2, 2]]);
  for (const [normalization, calls] of [["children", 1], ["vocabulary", 3]] as const) {
    const decoder = new TableDecoder(device, V, smooth(3, V));
    const options = { beam: 2, normalization, trace: true };
    using search = new BeamSearch(decoder, trie.upload(device), options);
    const [actual] = await search.search([[1, 2]]);
    assert.equal(decoder.stepCalls, calls);
    assert.equal(actual.steps.length, 4);
    assertSame(actual, referenceBeamSearch(trie, decoder.logitsAfter([1, 2]), options));
  }
});

test("beam search: pools come only with a trace", async () => {
  const device = cpu();
  const decoder = new TableDecoder(device, V, smooth(3, V));
  const trie = new Trie([[1, 2], [1, 3]]).upload(device);
  for (const trace of [false, true]) {
    using search = new BeamSearch(decoder, trie, { beam: 1, trace });
    const [{ steps }] = await search.search([[1]]);
    assert.ok(steps.every((s) => (s.pool !== undefined) === trace));
  }
});

test("beam search: bad arguments are refused", async () => {
  const device = cpu();
  const decoder = new TableDecoder(device, V, smooth(3, V));
  const trie = new Trie([[1, 2], [1, 3]]).upload(device);
  for (const beam of [0, -1, 1.5, NaN]) {
    assert.throws(() => new BeamSearch(decoder, trie, { beam }), ArgumentError);
    assert.throws(() => referenceBeamSearch(trie.trie, () => [0], { beam }), ArgumentError);
  }
  for (const wrong of [{ tau: 0 }, { batch: 0 }, { normalization: "all" as "children" }]) {
    assert.throws(() => new BeamSearch(decoder, trie, { beam: 1, ...wrong }), ArgumentError);
  }
  const strange = new Trie([[V]]).upload(device);
  assert.throws(() => new BeamSearch(decoder, strange, { beam: 1 }), ArgumentError);
  using search = new BeamSearch(decoder, trie, { beam: 1 });
  await assert.rejects(search.search([[1], []]), ArgumentError);
  await assert.rejects(search.search([[V]]), ArgumentError);
  await assert.rejects(search.search([[0.5]]), ArgumentError);
  await assert.rejects(search.search([[1]], [[2]]), ArgumentError);
  await assert.rejects(search.search([[1]], []), ArgumentError);
});

onEachDevice(
  "beam search: the smallest tau ranks as in float64, smaller ones are refused",
  async (device) => {
    const paths = Array.from({ length: 36 }, (_, i) => [Math.floor(i / 6), i % 6]);
    for (const normalization of ["children", "vocabulary"] as const) {
      const problem = (tau: number): Problem => ({
        ...{ paths, histories: [[1, 2, 3]], excluded: [[]], seed: 3 },
        options: { beam: 8, normalization, tau },
      });
      const { actual, expected } = await both(device, problem(1e-8), smooth(3, V));
      const leaves = ([{ ranking }]: BeamResult[]): number[] => ranking.map(({ leaf }) => leaf);
      assert.equal(leaves(actual).length, 8);
      assert.deepEqual(leaves(actual), leaves(expected));
      await assert.rejects(both(device, problem(1e-45), smooth(3, V)), {
        name: "ArgumentError",
        message: "Cannot search: tau must be a number of at least 1e-8, got 1e-45",
      });
    }
  },
);

onEachDevice("beam search: logits that are not finite are reported", async (device) => {
  const trie = new Trie([[1, 2, 3], [1, 4, 3], [5, 2, 3]]).upload(device);
  const rejects = async (
    entries: Entries,
    options: Partial<BeamSearchOptions>,
  ): Promise<void> => {
    using search = new BeamSearch(new TableDecoder(device, V, entries), trie, {
      beam: 2,
      ...options,
    });
    await assert.rejects(search.search([[0], [0, 5]]), NonFiniteError);
  };
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const normalization of ["children", "vocabulary"] as const) {
      await rejects(() => bad, { normalization });
      await rejects((i) => i % V === 4 ? bad : i % V, { normalization }); // at the second step
      await rejects(() => bad, { normalization, semantics: "huggingface", endToken: 3 });
    }
    // Only the vocabulary has token 7.
    const apart: Entries = (i) => i % V === 7 ? bad : -(i % V);
    await rejects(apart, { normalization: "vocabulary" });
    using search = new BeamSearch(new TableDecoder(device, V, apart), trie, { beam: 3 });
    const [{ ranking }] = await search.search([[0]]);
    assert.deepEqual(ranking.map((r) => r.items), [[0], [1], [2]]);
  }
  // Finite, but lost among what is absent.
  await rejects(() => -1e30, {});
  await rejects((i) => i % V === 7 ? 4e29 : -4e29, { normalization: "vocabulary" });
});

onEachDevice("beam search: a beam of any size keeps the whole catalogue", async (device) => {
  const trie = new Trie([[1, 2], [1, 3], [4], [6, 0, 0], [6, 0, 1]]).upload(device);
  const decoder = new TableDecoder(device, V, smooth(5, V));
  const run = async (beam: number): Promise<BeamResult[]> => {
    using search = new BeamSearch(decoder, trie, { beam });
    return await search.search([[0], [0, 5]]);
  };
  const expected = await run(6); // one more than there are items
  assert.equal(expected[0].ranking.length, 5);
  for (const beam of [2 ** 31, 2 ** 32, 2 ** 32 + 1]) {
    assert.deepEqual(await run(beam), expected);
  }
});
