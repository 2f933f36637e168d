/** The theorems on the beams of every device, and those beams against exact ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { devicePropositions } from "../../lab/theorems/d2_devices.ts";
import { spreadPropositions } from "../../lab/theorems/device_models.ts";
import { searchCases, spreadCases } from "../../lab/theorems/generators.ts";
import { NodeDecoder } from "../../lab/theorems/node_decoder.ts";
import { verifyPropositions } from "../../lab/theorems/runner.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { Trie } from "../../models/decode/trie.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { testDevices } from "../devices.ts";

for (const { name, skip, open } of testDevices) {
  test(`theorems and D2: the beams of ${name} are the exact ones`, { skip }, async () => {
    const device = await open();
    const options = { cases: name === "webgpu" ? 40 : 250, seed: 11 };
    const propositions = devicePropositions(device);
    for (const outcome of await verifyPropositions(searchCases(), propositions, options)) {
      const { id, instances, failures, counterexample } = outcome;
      assert.equal(failures, 0, `${id}: ${counterexample}`);
      assert.ok(instances > 0, `${id}: its hypothesis was never true`);
    }
  });

  test(`theorems: the beams of ${name} where probability is spread`, { skip }, async () => {
    const device = await open();
    const options = { cases: name === "webgpu" ? 40 : 250, seed: 11 };
    for (
      const outcome of await verifyPropositions(
        spreadCases(),
        spreadPropositions(device),
        options,
      )
    ) {
      const { id, instances, failures, counterexample } = outcome;
      assert.equal(failures, 0, `${id}: ${counterexample}`);
      assert.ok(instances > 0, `${id}: its hypothesis was never true`);
      const { "something is pruned": hard } = outcome.hypotheses;
      if (hard !== undefined) {
        assert.ok(hard > 0.2 * options.cases, `${id}: ${hard} hard instances`);
      }
    }
  });

  test(`R7: T2 fails on ${name} exactly where rounding makes a tie`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    // Over a vocabulary with a token of logit 0 the normaliser is 0: logits are log-probabilities.
    const trie = new Trie([[0, 0], [0, 1]]);
    const V = 4;
    const logits = new Float64Array(trie.nodeCount * V).fill(-90);
    logits[V - 1] = logits[2 * V - 1] = 0;
    logits[0] = -64;
    logits[V] = -64 - 2 ** -17; // the less probable child has the lower token
    logits[V + 1] = -64;
    const uploaded = trie.upload(device);
    const decoder = new NodeDecoder(device, uploaded, [logits]);
    const options = { beam: 1, normalization: "vocabulary" } as const;
    using search = new BeamSearch(decoder, uploaded, options);
    const [{ ranking }] = await search.search([[0]]);
    const { logProb, logBeta } = trieLogProb(
      device.tensor([...logits.subarray(V, 2 * V)], [1, V]),
      uploaded,
      device.tensor(Int32Array.of(1)),
      device.tensor(Int32Array.of(0)),
      options,
    );
    const margin = await logBeta.item() - await logProb.item();
    assert.equal(margin, 2 ** -17); // item 0 is violated, in float32 too
    assert.deepEqual(ranking[0].items, [device.float === "float32" ? 0 : 1]);
  });
}
