// deno-lint-ignore-file no-console -- it prints
/**
 * How fast the engine is here: matrix products and whole training steps. `deno task bench [cpu|webgpu]`.
 *
 * @module
 */
import process from "node:process";
import { Bench } from "tinybench";
import { capture } from "../core/capture.ts";
import type { Tensor } from "../core/tensor.ts";
import { openDevice } from "../lab/devices.ts";
import { renderTable } from "../lab/table.ts";
import { AdamW, hyperOf } from "../models/adamw.ts";
import { Trie } from "../models/decode/trie.ts";
import { lossByName } from "../models/losses/loss_by_name.ts";
import { initTransformer, Transformer, type TransformerParams } from "../models/transformer.ts";
import { reshape } from "../ops/layout.ts";
import { matmul } from "../ops/matmul.ts";
import { valueAndGrad } from "../ops/value_and_grad.ts";

/** (M, N, K) of out (M, N) = a (M, K) b (K, N). */
const PRODUCTS = [
  [512, 512, 512],
  [1024, 1024, 1024],
  [2560, 512, 128],
  [2560, 128, 512],
  [2560, 1028, 128],
] as const;

/** Decoders, and what all of them share. */
const CONFIGS = {
  small: { dim: 64, layers: 2, heads: 2, kvHeads: 2, ffn: 256 },
  S: { dim: 128, layers: 4, heads: 4, kvHeads: 4, ffn: 512 },
} as const;
const SHARED = {
  ...{ vocabSize: 1028, headDim: 32, ropeTheta: 10000, normEps: 1e-5 },
  ...{ maxLength: 96, dropout: 0, tiedEmbeddings: true },
};
const [B, T] = [32, 80];

const device = await openDevice(process.argv[2] === "webgpu" ? "webgpu" : "cpu");
const probe = device.tensor([0]);

/** Median milliseconds of `run`, the device having finished; a read-back's own time is in it. */
async function medianOf(name: string, run: () => void): Promise<number> {
  const bench = new Bench({ time: 1500, iterations: 5, warmupTime: 0, warmupIterations: 2 });
  bench.add(name, async () => {
    using _scope = device.arena();
    run();
    await probe.data();
  });
  await bench.run();
  return bench.tasks[0].result.state === "completed"
    ? bench.tasks[0].result.latency.p50
    : Promise.reject(new Error(`${name} did not complete`));
}

const ints = (shape: number[], below: number): { data: Int32Array; shape: number[] } => ({
  data: Int32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i * 7919) % below),
  shape,
});

const rows: string[][] = [];
for (const [M, N, K] of PRODUCTS) {
  const a = device.tensor(new Float32Array(M * K).fill(0.5), [M, K]);
  const b = device.tensor(new Float32Array(K * N).fill(0.25), [K, N]);
  const ms = await medianOf("matmul", () => matmul(a, b));
  rows.push([
    `matmul ${M} x ${K} by ${K} x ${N}`,
    ms.toFixed(2),
    (2 * M * N * K / ms / 1e6).toFixed(1),
  ]);
}

const trie = new Trie(Array.from({ length: 1027 }, (_, token) => [token])).upload(device);
for (const [name, config] of Object.entries(CONFIGS)) {
  for (const lossName of ["sft", "bear"] as const) {
    const model = new Transformer(device, { ...SHARED, ...config });
    const params = initTransformer(device, model.config, 0);
    const optimizer = new AdamW(params);
    const loss = lossByName(lossName);
    using step = capture(device, ({ tokens, nodes, labels, hyper }: Record<string, Tensor>) => {
      const { value, grads } = valueAndGrad((p: TransformerParams) => {
        const hidden = reshape(model.hidden(p, tokens), [B * T, config.dim]);
        return loss(model.logits(p, hidden), { trie, nodes, labels });
      })(params);
      optimizer.update(grads, hyper);
      return { value };
    });
    const inputs = {
      tokens: ints([B, T], 1027),
      nodes: ints([B * T], 1),
      labels: ints([B * T], 1027),
      hyper: { data: hyperOf(1, 1e-3), shape: [3] },
    };
    const ms = await medianOf(name, () => step(inputs));
    rows.push([`step ${name}, ${lossName}, ${B} x ${T} tokens`, ms.toFixed(1), ""]);
  }
}
console.log(`${device.kind}: ${device.adapter}`);
console.log(renderTable(["what", "ms (median)", "GFLOP/s"], rows));
