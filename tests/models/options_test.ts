/** Every public function that takes options refuses one that it does not know. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as engine from "../../models/engine.ts";

/** As an untyped caller sees it. */
// deno-lint-ignore no-explicit-any
const { Trie, ...b } = engine as any;

const device = b.cpu();
const trie = new Trie([[0, 1], [2, 3]]).upload(device);
const decoder: engine.Decoder<null> = {
  vocabSize: 4,
  prefill: ({ shape: [U] }) => ({ logits: b.full(device, [U, 4], 0), cache: null }),
  step: (_cache, _step, { size }) => b.full(device, [size, 4], 0),
};
const x = device.tensor([[1, 2, 3, 4]]);
const ids = device.tensor(Int32Array.of(0));
const config = {
  ...{ vocabSize: 16, dim: 8, layers: 1, heads: 2, kvHeads: 1, headDim: 4, ffn: 12 },
  ...{ ropeTheta: 10000, normEps: 1e-5, maxLength: 32, dropout: 0, tiedEmbeddings: true },
};
const model = new b.Transformer(device, config);
const schedule = { peak: 1, warmup: 0, steps: 1, floor: 0 };
const lora = { targets: ["q"], rank: 1, alpha: 1, dropout: 0 };

/** By what they are called with: the least that they take, and more. */
const CALLS: Readonly<Record<string, (more: object) => unknown>> = {
  cpu: (more) => b.cpu(more),
  webgpu: (more) => b.webgpu(undefined, more),
  capture: (more) => b.capture(device, () => x, more),
  matmul: (more) => b.matmul(x, x, { transposeB: true, ...more }),
  trieLogProb: (more) => b.trieLogProb(x, trie, ids, ids, { normalization: "children", ...more }),
  crossEntropy: (more) => b.crossEntropy(x, ids, more),
  SGD: (more) => new b.SGD({ x: device.tensor([1]) }, more),
  AdamW: (more) => new b.AdamW({ x: device.tensor([1]) }, more),
  cosineSchedule: (more) => b.cosineSchedule({ ...schedule, ...more }),
  Transformer: (more) => new b.Transformer(device, { ...config, ...more }),
  lora: (more) => new b.Transformer(device, config, { ...lora, ...more }),
  TransformerDecoder: (more) =>
    new b.TransformerDecoder(model, b.initTransformer(device, config, 0), more),
  loadWeights: (more) => b.loadWeights(device, config, [], more),
  sft: (more) => b.sft(more),
  msl: (more) => b.msl(more),
  bear: (more) => b.bear(more),
  beamExact: (more) => b.beamExact(more),
  apaoPoint: (more) => b.apaoPoint(more),
  apaoPair: (more) => b.apaoPair(more),
  lossByName: (more) => b.lossByName("bear", more),
  BeamSearch: (more) => new b.BeamSearch(decoder, trie, { beam: 1, ...more }),
  exactTopK: (more) => b.exactTopK(decoder, trie, [[0]], 1, more),
  exactRanks: (more) => b.exactRanks(decoder, trie, [], 1, more),
  scoreCatalogue: (more) => b.scoreCatalogue(decoder, trie, [0], more),
  margins: (more) => b.margins(trie.trie, trie.trie.leafOf[0], () => [0, 0], { beam: 1, ...more }),
  pathSteps: (more) => b.pathSteps(trie.trie, trie.trie.leafOf[0], () => [0, 0, 0, 0], more),
  referenceBeamSearch: (more) =>
    b.referenceBeamSearch(trie.trie, () => [0, 0, 0, 0], { beam: 1, ...more }),
};

for (const [name, call] of Object.entries(CALLS)) {
  test(`options: ${name} refuses one that it does not know`, async () => {
    await assert.rejects(async () => await call({ lr: 1 }), {
      name: "ArgumentError",
      message: /^Cannot [^:]*: its options must be among (\w+, )*\w+, got lr$/,
    });
  });
}
