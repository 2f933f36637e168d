/** Teacher-forced passes against whole rows of logits, one user at a time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { TeacherForcing } from "../../lab/evaluate/teacher_forcing.ts";
import { margins, pathSteps } from "../../lab/analysis/pruning.ts";
import { type PathLogits } from "../../models/decode/host_log_probs.ts";
import { Trie } from "../../models/decode/trie.ts";
import { initTransformer, Transformer, type TransformerConfig } from "../../models/transformer.ts";
import { reshape } from "../../ops/layout.ts";
import { testDevices } from "../devices.ts";
import { titleLike } from "../models/tries.ts";

const V = 60;
const paths = titleLike({ items: 40, tokens: V - 1, seed: 3 });
const trie = new Trie(paths);

function configOf(dim: number): TransformerConfig {
  return {
    vocabSize: V,
    dim,
    layers: 2,
    heads: 1,
    kvHeads: 1,
    headDim: 8,
    ffn: 12,
    ropeTheta: 10000,
    normEps: 1e-5,
    maxLength: 64,
    dropout: 0,
    tiedEmbeddings: false,
  };
}

const histories = [[5], [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], [50, 7, 21], [9]];
const leaves = [0, 7, 11, 25, 39].map((item) => trie.leafOf[item]);

for (const { name, skip, open } of testDevices) {
  test(`teacher forcing: children and sums are those of whole rows, on ${name}`, {
    skip,
  }, async () => {
    const device = await open();
    const close = (a: number, b: number): void =>
      assert.ok(Math.abs(a - b) < (device.float === "float64" ? 1e-12 : 1e-4), `${a} and ${b}`);
    using _scope = device.arena();
    for (const dim of [8, 6]) { // of 6 numbers no kernel takes four at a time
      const config = configOf(dim);
      const model = new Transformer(device, config);
      const params = initTransformer(device, config, 1);
      /** All logits of each step of a path. */
      const rowsOf = async (
        history: readonly number[],
        path: readonly number[],
      ): Promise<Float64Array[]> => {
        using _scope = device.arena();
        const T = history.length + path.length - 1;
        const tokens = Int32Array.from([...history, ...path.slice(0, -1)]);
        const hidden = model.hidden(params, device.tensor(tokens, [1, T]));
        const logits = await model.logits(params, reshape(hidden, [T, dim])).data();
        return path.map((_, t) => {
          const row = history.length - 1 + t;
          return Float64Array.from(logits.subarray(row * V, (row + 1) * V));
        });
      };
      for (const normalization of ["children", "vocabulary"] as const) {
        const options = { normalization, tau: 1.7, beam: 2 };
        using forcing = new TeacherForcing(device, model, params, trie.upload(device), {
          normalization,
          tau: 1.7,
          batch: 2,
        });
        const done: number[] = [];
        const found = await forcing.logits(histories, leaves, (n) => done.push(n));
        assert.deepEqual(done.slice(0, 2), [0, 2]);
        assert.equal(done.at(-1), leaves.length);
        for (const [u, leaf] of leaves.entries()) {
          const path = trie.pathOf(leaf);
          const rows = await rowsOf(histories[u], path);
          const dense: PathLogits = (before) => rows[before.length];
          assert.equal(found[u].length, path.length);
          const expected = margins(trie, leaf, dense, options);
          margins(trie, leaf, found[u], options).forEach((step, t) => {
            close(step.logProb, expected[t].logProb);
            close(step.logBeta, expected[t].logBeta);
            assert.equal(step.choices, expected[t].choices);
            if (normalization === "children" && step.choices === 1) {
              assert.equal(found[u][t].children.length, 0);
            } else assert.equal(found[u][t].children.length, step.choices);
          });
          const steps = pathSteps(trie, leaf, dense, options);
          pathSteps(trie, leaf, found[u], options).forEach((step, t) => {
            assert.deepEqual(step.nodes, steps[t].nodes);
            assert.equal(step.own, steps[t].own);
            step.logProbs.forEach((q, k) => close(q, steps[t].logProbs[k]));
          });
        }
      }
    }
  });
}

test("teacher forcing: never a row of logits for each step", async () => {
  const users = 32; // of some 700 steps, whose rows of 20,000 logits would take 56 MB
  const vocabSize = 20_000;
  const config = { ...configOf(8), vocabSize };
  for (const [normalization, most] of [["children", 4e6], ["vocabulary", 5e7]] as const) {
    const device = cpu();
    const model = new Transformer(device, config);
    const params = initTransformer(device, config, 1);
    const on = trie.upload(device);
    using forcing = new TeacherForcing(device, model, params, on, { normalization });
    const before = device.stats.heldBytes;
    const found = await forcing.logits(
      Array.from({ length: users }, () => [1]),
      Array.from({ length: users }, (_, u) => trie.leafOf[u]),
    );
    assert.equal(found.length, users);
    const bytes = device.stats.heldBytes - before;
    assert.ok(bytes < most, `${normalization}: ${bytes} bytes`);
  }
});
