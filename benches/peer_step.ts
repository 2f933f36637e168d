/**
 * The same training step on jax-js, in its own idiom: one jitted function of weights, moments and
 * batch.
 *
 * Where it has a faster way it is taken: the vocabulary is padded to a multiple of 4 (its
 * WebAssembly matrix product is 30 times slower on other widths), the rotary tables and the causal
 * mask are made once, and the loss is read once a step.
 *
 * @module
 */
import * as jax from "@jax-js/jax";
import { cpu } from "../core/cpu_backend.ts";
import type { Tensor } from "../core/tensor.ts";
import {
  initTransformer,
  type LayerParams,
  ropeTable,
  type TransformerConfig,
} from "../models/transformer.ts";
import { RATE, SEED, type Steps } from "../lab/device/training_steps.ts";
import { type ConfigName, decoderConfig, workload } from "../lab/device/workload.ts";

const { numpy: np, nn } = jax;
type Arr = jax.Array;

type Layer = {
  attnNorm: Arr;
  qkv: Arr;
  output: Arr;
  mlpNorm: Arr;
  gateUp: Arr;
  down: Arr;
};
type Params = { embed: Arr; layers: Layer[]; norm: Arr };

const BETAS = [0.9, 0.999] as const;
const [EPS, DECAY] = [1e-8, 0.01];

/** Starts jax-js on a device: `wasm` (all threads) or `webgpu`. */
export async function openJax(device: "cpu" | "webgpu"): Promise<void> {
  const name = device === "cpu" ? "wasm" : "webgpu";
  const started = await jax.init(name);
  if (!started.includes(name)) throw new Error(`jax-js does not start on ${name}`);
  jax.defaultDevice(name);
}

/**
 * Steps of a decoder on jax-js, from the same weights and on the same batch as `trainingSteps` with
 * sft.
 */
export async function jaxSteps(name: ConfigName): Promise<Steps> {
  const config = decoderConfig(name);
  let params = await initialParams(config);
  const zeros = (): Params => jax.tree.map((x: Arr) => np.zeros(x.shape), params) as Params;
  let [first, second] = [zeros(), zeros()];
  const { tokens, labels } = workload(name, "sft");
  const [B, T] = tokens.shape;
  const inputs = np.array(Int32Array.from(tokens.data), { shape: [B, T] });
  const targets = np.array(Int32Array.from(labels.data), { shape: [B * T, 1] });
  const loss = decoderLoss(config, B, T);

  const step = jax.jit((p: Params, m: Params, v: Params, x: Arr, y: Arr, scales: Arr) => {
    const [value, grads] = jax.valueAndGrad(loss)(jax.tree.ref(p), x, y) as [Arr, Params];
    return [value, ...adamw(p, grads, m, v, scales)];
  });
  let count = 0;
  return {
    async next(): Promise<number> {
      count++;
      const scales = np.array([1 / (1 - BETAS[0] ** count), 1 / (1 - BETAS[1] ** count)]);
      const out = step(params, first, second, inputs.ref, targets.ref, scales);
      let value: Arr;
      [value, params, first, second] = out as [Arr, Params, Params, Params];
      const [loss] = await value.data(); // on webgpu that is after everything
      if (jax.defaultDevice() === "wasm") await jax.blockUntilReady([params, first, second]);
      return loss;
    },
    [Symbol.dispose](): void {
      jax.tree.dispose([params, first, second, inputs, targets]);
      step.dispose();
    },
  };
}

/** The decoder and its mean cross-entropy over all positions. */
function decoderLoss(
  { heads, headDim: D, normEps, maxLength, ropeTheta, vocabSize, dim }: TransformerConfig,
  B: number,
  T: number,
): (p: Params, tokens: Arr, labels: Arr) => Arr {
  const padded = paddedWidth(vocabSize);
  const table = ropeTable(maxLength, D, ropeTheta);
  const angles = (from: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: T * (D / 2) }, (_, i) => {
      const [t, j] = [Math.floor(i / (D / 2)), i % (D / 2)];
      return table[t * D + from + j];
    });
  const shape = [1, T, 1, D / 2];
  const cos = np.array(angles(0)).reshape(shape);
  const sin = np.array(angles(D / 2)).reshape(shape);
  const vocabulary = np.arange(padded).reshape([1, padded]);
  const absent = np.array(
    Float32Array.from({ length: padded }, (_, v) => v < vocabSize ? 0 : -1e9),
  );

  // Its scatter, the backward of take, does not compile on webgpu; there a one-hot product does the
  // same.
  const embed = (table: Arr, tokens: Arr): Arr =>
    jax.defaultDevice() === "webgpu"
      ? np.dot(vocabulary.ref.equal(tokens.reshape([B * T, 1])).astype(np.float32), table)
      : np.take(table, tokens, 0);
  const norm = (x: Arr, weight: Arr): Arr => {
    const scale = np.reciprocal(
      np.sqrt(np.square(x.ref).mean(-1, { keepdims: true }).add(normEps)),
    );
    return x.mul(scale).mul(weight);
  };
  const linear = (x: Arr, w: Arr): Arr => np.dot(x, w.transpose());
  const rotate = (x: Arr): Arr => {
    const [a, b] = np.split(x, 2, -1);
    return np.concatenate([
      a.ref.mul(cos.ref).sub(b.ref.mul(sin.ref)),
      b.mul(cos.ref).add(a.mul(sin.ref)),
    ], -1);
  };
  return (p, tokens, labels) => {
    let x = embed(p.embed.ref, tokens.reshape([B * T])); // (B T, C)
    for (const layer of p.layers) {
      const a = norm(x.ref, layer.attnNorm);
      const qkv = linear(a, layer.qkv).reshape([B, T, 3, heads, D]);
      const [q, k, v] = np.split(qkv, 3, 2).map((part) => part.reshape([B, T, heads, D]));
      const mixed = nn.dotProductAttention(rotate(q), rotate(k), v, { isCausal: true });
      x = x.add(linear(mixed.reshape([B * T, dim]), layer.output));
      const m = norm(x.ref, layer.mlpNorm);
      const [gate, up] = np.split(linear(m, layer.gateUp), 2, -1);
      const inner = nn.silu(gate).mul(up);
      x = x.add(linear(inner, layer.down));
    }
    const logits = linear(norm(x, p.norm), p.embed).add(absent.ref); // (B T, V)
    const label = np.where(vocabulary.ref.equal(labels), logits.ref, 0).sum(-1);
    return nn.logsumexp(logits, -1).sub(label).mean();
  };
}

/** AdamW, matrix by matrix; `scales` holds what unbiases the moments. */
function adamw(p: Params, grads: Params, m: Params, v: Params, scales: Arr): Params[] {
  const [scale1, scale2] = [scales.ref.slice(0), scales.slice(1)];
  const one = (x: Arr, g: Arr, m0: Arr, v0: Arr): [Arr, Arr, Arr] => {
    const m1 = m0.mul(BETAS[0]).add(g.ref.mul(1 - BETAS[0]));
    const v1 = v0.mul(BETAS[1]).add(np.square(g).mul(1 - BETAS[1]));
    const decay = x.ndim >= 2 ? DECAY : 0;
    const move = m1.ref.mul(scale1.ref).div(np.sqrt(v1.ref.mul(scale2.ref)).add(EPS));
    return [x.mul(1 - RATE * decay).sub(move.mul(RATE)), m1, v1];
  };
  const [leaves, shape] = jax.tree.flatten<Arr>(p);
  const [gs, ms, vs] = [grads, m, v].map((tree) => jax.tree.leaves<Arr>(tree));
  const updated = leaves.map((x, i) => one(x, gs[i], ms[i], vs[i]));
  scale1.dispose();
  scale2.dispose();
  return [0, 1, 2].map((part) =>
    jax.tree.unflatten(shape, updated.map((triple) => triple[part])) as Params
  );
}

function paddedWidth(vocabSize: number): number {
  return 4 * Math.ceil(vocabSize / 4);
}

/** The weights that `initTransformer` draws, with the embedding padded. */
async function initialParams(config: TransformerConfig): Promise<Params> {
  const device = cpu();
  const params = initTransformer(device, config, SEED);
  const array = async (t: Tensor, rows: number = t.shape[0]): Promise<Arr> => {
    const data = new Float32Array(t.size / t.shape[0] * rows);
    data.set(await t.data());
    return np.array(data).reshape([rows, ...t.shape.slice(1)]);
  };
  const layers = await Promise.all(
    params.layers.map(async (layer: LayerParams) =>
      Object.fromEntries(
        await Promise.all(Object.entries(layer).map(async ([name, t]) => [name, await array(t)])),
      ) as Layer
    ),
  );
  const embed = await array(params.embed, paddedWidth(config.vocabSize));
  const norm = await array(params.norm);
  device.dispose();
  return { embed, layers, norm };
}
