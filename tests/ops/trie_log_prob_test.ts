/** Where the gradient of the beam-th child goes when logits are absent. */
import assert from "node:assert/strict";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { Trie } from "../../models/decode/trie.ts";
import { uniform } from "../../core/random.ts";
import { sum } from "../../ops/reduce.ts";
import { trieLogProb } from "../../ops/trie_log_prob.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";

const [N, V] = [6, 63];
/** The root has 36 children, no range. */
const TRIE = new Trie(Array.from({ length: 36 }, (_, i) => [i + Math.floor(i / 2)]));
/** Logits of which more and more are absent, row by row. */
const LOGITS = uniform([1, 2], N * V).map((u, i) => u < Math.floor(i / V) / 6 ? -Infinity : u);

async function gradientsOf(device: Device, beam: number): Promise<number[]> {
  using _scope = device.arena();
  const trie = TRIE.upload(device);
  const nodes = device.tensor(new Int32Array(N));
  const labels = device.tensor(new Int32Array(N).fill(1));
  const options = { normalization: "children", beam } as const;
  const { grads } = valueAndGrad((z: Tensor) =>
    sum(trieLogProb(z, trie, nodes, labels, options).logBeta)
  )(device.tensor(LOGITS, [N, V]));
  return [...await grads.data()];
}

onEachDevice(
  "trieLogProb: the gradient of an absent beam-th logit goes by token order",
  async (device) => {
    for (const beam of [1, 8, 20, 33, 36]) {
      const expected = await gradientsOf(cpu({ float: "float64" }), beam);
      const actual = await gradientsOf(device, beam);
      actual.forEach((g, i) => {
        if (Math.abs(g - expected[i]) < 1e-5) return;
        assert.fail(`beam ${beam}, [${i}]: ${g}, not ${expected[i]}`);
      });
    }
  },
);
