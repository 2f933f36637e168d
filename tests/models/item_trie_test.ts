/** One token an item: all items are children of the root, up to 100,000 of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, normal } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import type { Decoder } from "../../models/decode/decoder.ts";
import { Trie } from "../../models/decode/trie.ts";
import { take } from "../../ops/take.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { testDevices } from "../devices.ts";

/** The same logits for everybody. */
function constant(logits: Tensor): Decoder<null> {
  const rows = (n: number): Tensor => take(logits, logits.device.tensor(new Int32Array(n)));
  return {
    vocabSize: logits.shape[1],
    prefill: (tokens) => ({ logits: rows(tokens.shape[0]), cache: null }),
    step: (_cache, { tokens }) => rows(tokens.size),
  };
}

for (const items of [2420, 100_000]) {
  const values = Float32Array.from(normal(keyOf(items), items + 1)); // token 0 is no item
  const best = Array.from({ length: items }, (_, i) => i).sort((a, b) =>
    values[b + 1] - values[a + 1] || a - b
  );
  const host = new Trie(best.map((_, item) => [item + 1]));
  const beams = [1, 20, ...(items < 3000 ? [3000] : [])]; // the last is wider than the catalogue
  const logSum = Math.log(values.subarray(1).reduce((sum, z) => sum + Math.exp(z), 0));

  for (const { name, skip, open } of testDevices) {
    test(`item trie: ${items} items, searched exactly on ${name}`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      const trie = host.upload(device);
      const decoder = constant(device.tensor(values, [1, items + 1]));
      for (const beam of beams) {
        using search = new BeamSearch(decoder, trie, { beam, batch: 2 });
        const [, { ranking, bestPruned }] = await search.search([[0], [0, 5]]);
        assert.deepEqual(ranking.map((r) => r.items[0]), best.slice(0, beam));
        const logProb = values[best[0] + 1] - logSum;
        assert.ok(Math.abs(ranking[0].logProb - logProb) < 1e-4, `${ranking[0].logProb}`);
        if (beam >= items) assert.equal(bestPruned, -Infinity);
      }
    });

    test(`item trie: ${items} items, thresholds of losses on ${name}`, { skip }, async () => {
      const device = await open();
      using _scope = device.arena();
      const trie = host.upload(device);
      const logits = take(
        device.tensor(values, [1, items + 1]),
        device.tensor(new Int32Array(2)),
      );
      const label = best[7] + 1;
      const [nodes, labels] = [Int32Array.of(0, 0), Int32Array.of(label, 3)].map((a) =>
        device.tensor(a)
      );
      for (const beam of beams) {
        const found = trieLogProb(logits, trie, nodes, labels, {
          normalization: "children",
          tau: 1,
          beam,
        });
        const [logProb, logBeta] = await device.read([found.logProb, found.logBeta]);
        const threshold = values[best[Math.min(beam, items) - 1] + 1] - logSum;
        [values[label], values[3]].forEach((z, n) => {
          assert.ok(Math.abs(logProb[n] - (z - logSum)) < 1e-4, `${logProb[n]}`);
          assert.ok(Math.abs(logBeta[n] - threshold) < 1e-4, `${logBeta[n]} ${threshold}`);
        });
      }
    });
  }
}
