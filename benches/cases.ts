/**
 * What `bench.ts` times: matrix products, kernels and losses of a step of model S, ours and
 * jax-js's beside it.
 *
 * @module
 */
import { capture } from "../core/capture.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { AdamW } from "../models/adamw.ts";
import { Trie } from "../models/decode/trie.ts";
import { type LossName, lossNamed } from "../models/losses/index.ts";
import { attention } from "../ops/attention.ts";
import { linear, matmul } from "../ops/matmul.ts";
import { mul } from "../ops/binary.ts";
import { childLogits } from "../ops/child_logits.ts";
import { allLogits } from "../ops/logits.ts";
import { sum } from "../ops/reduce.ts";
import { rmsNorm } from "../ops/rms_norm.ts";
import { swiglu } from "../ops/swiglu.ts";
import { valueAndGrad } from "../ops/value_and_grad.ts";
import type { Targets as LossTargets } from "../models/losses/loss.ts";
import type { PeerWork } from "./peer_cases.ts";
import { batchLosses, catalogue, VOCABULARY, wave, workload } from "../lab/device/workload.ts";

/** Work that can be run again and again; it does not wait for the device. */
export interface Program extends Disposable {
  run(): void;
}

/** One thing to time. */
export interface Case {
  readonly name: string;
  /** Floating-point operations, in units of 1e9. */
  readonly gflop?: number;
  /** What must at least be read and written, in units of 1e9 bytes. */
  readonly gbyte?: number;
  /** Makes our work. */
  ours(device: Device): Program;
  /** The name of the same work for jax-js, and its sizes. */
  readonly peer?: PeerWork;
}

/** (M, K, N) of out (M, N) = a (M, K) b (K, N). */
const PRODUCTS = [
  [512, 512, 512],
  [1024, 1024, 1024],
  [2560, 128, 512],
  [2560, 512, 128],
  [2560, 128, 1027],
] as const;
const [B, T, H, D, C, F] = [32, 80, 4, 32, 128, 512];
const N = B * T;

function tensor(device: Device, shape: readonly number[]): Tensor {
  return device.tensor(wave(shape.reduce((a, b) => a * b)), shape);
}

/** A program without inputs. */
function captured(device: Device, run: () => Tensor): Program {
  const program = capture(device, () => {
    const out = run();
    return { out };
  });
  return { run: () => void program({}), [Symbol.dispose]: () => program.dispose() };
}

/** The gradient of a sum of products with fixed numbers, so that nothing can be left out. */
function gradient(device: Device, shape: readonly number[], f: (x: Tensor) => Tensor): Program {
  const x = tensor(device, shape);
  const shapeOfOut = f(x).shape;
  const weights = tensor(device, shapeOfOut);
  return captured(
    device,
    () => valueAndGrad((p: { x: Tensor }) => sum(mul(f(p.x), weights)))({ x }).grads.x,
  );
}

/** The gradient of a loss by its logits. */
function lossGradient(name: LossName, logits: Tensor, targets: LossTargets): Program {
  const loss = valueAndGrad((p: { z: Tensor }) => lossNamed(name).make({})(p.z, targets));
  return captured(logits.device, () => loss({ z: logits }).grads.z);
}

const products: Case[] = PRODUCTS.map(([M, K, N]) => ({
  name: `matmul ${M} x ${K} x ${N}`,
  gflop: 2e-9 * M * N * K,
  ours(device): Program {
    const [a, b] = [tensor(device, [M, K]), tensor(device, [K, N])];
    return captured(device, () => matmul(a, b));
  },
  peer: { kind: "matmul", sizes: [M, K, N] },
}));

/** (rows, in, out) of layers, with weights as floats and in half precision. */
const LAYERS = [[2560, 512, 128], [10, 4096, 4096], [1, 4096, 4096]] as const;

const layers: Case[] = LAYERS.flatMap(([M, K, N]) =>
  ["floats", "halves"].map((weights) => ({
    name: `linear ${M} x ${K} x ${N}, weights as ${weights}`,
    gflop: 2e-9 * M * N * K,
    ours(device: Device): Program {
      const x = tensor(device, [M, K]);
      const type = weights === "halves" ? device.half : device.float;
      const w = device.tensor(wave(N * K), [N, K], type);
      return captured(device, () => linear(x, w));
    },
  }))
);

const floats = (count: number): number => 4e-9 * count;

const kernels: Case[] = [
  {
    name: "matmul 128 x 2560 x 512, a transposed",
    gflop: 2e-9 * 128 * 2560 * 512,
    ours(device): Program {
      const [a, b] = [tensor(device, [2560, 128]), tensor(device, [2560, 512])];
      return captured(device, () => matmul(a, b, { transposeA: true }));
    },
    peer: { kind: "matmulTransposed", sizes: [128, 2560, 512] },
  },
  {
    name: "attention forward",
    gflop: 2e-9 * 2 * B * H * D * T * T / 2, // half of it is masked
    ours(device): Program {
      const qkv = tensor(device, [B, T, 3 * H, D]);
      return captured(device, () => attention(qkv, H, H));
    },
    peer: { kind: "attention", sizes: [B, T, H, D] },
  },
  {
    name: "attention forward and backward",
    gflop: 2e-9 * 7 * B * H * D * T * T / 2,
    ours: (device) => gradient(device, [B, T, 3 * H, D], (qkv) => attention(qkv, H, H)),
    peer: { kind: "attentionGradient", sizes: [B, T, H, D] },
  },
  {
    name: "rmsNorm forward",
    gbyte: floats(2 * N * C),
    ours(device): Program {
      const [x, w] = [tensor(device, [N, C]), tensor(device, [C])];
      return captured(device, () => rmsNorm(x, w, 1e-5));
    },
    peer: { kind: "rmsNorm", sizes: [N, C] },
  },
  {
    name: "rmsNorm forward and backward",
    gbyte: floats(5 * N * C),
    ours(device): Program {
      const w = tensor(device, [C]);
      return gradient(device, [N, C], (x) => rmsNorm(x, w, 1e-5));
    },
    peer: { kind: "rmsNormGradient", sizes: [N, C] },
  },
  {
    name: "swiglu forward",
    gbyte: floats(3 * N * F),
    ours(device): Program {
      const x = tensor(device, [N, 2 * F]);
      return captured(device, () => swiglu(x));
    },
    peer: { kind: "swiglu", sizes: [N, F] },
  },
  {
    name: "swiglu forward and backward",
    gbyte: floats(8 * N * F),
    ours: (device) => gradient(device, [N, 2 * F], swiglu),
    peer: { kind: "swigluGradient", sizes: [N, F] },
  },
  {
    name: "AdamW, 1.2 M weights",
    gbyte: floats(7 * 1.2e6),
    ours(device): Program {
      const params = { w: tensor(device, [1200, 1000]) };
      const grads = { w: tensor(device, [1200, 1000]) };
      const optimizer = new AdamW(params);
      return captured(device, () => optimizer.step(grads, 1e-3).norm);
    },
    peer: { kind: "adamw", sizes: [1200, 1000] },
  },
];

/** Rows of logits, each with its loss and its gradient. */
const losses: Case[] = batchLosses.map((loss) => ({
  name: `loss ${loss}, 2560 x 1027, forward and backward`,
  gbyte: floats(3 * N * 1027),
  ours(device): Program {
    const { trie: host, nodes, labels } = workload("S", loss);
    const trie = host.upload(device);
    const logits = tensor(device, [N, 1027]);
    const [n, y] = [device.tensor(nodes.data), device.tensor(labels.data)];
    return lossGradient(loss, logits, { trie, nodes: n, labels: y });
  },
  ...(loss === "sft" && { peer: { kind: "crossEntropy", sizes: [N, 1027] } as const }),
}));

/** Candidates of a row on average in the catalogue of Office's size. */
const CANDIDATES = 66;

/** Logits of hidden states and their gradients: of all tokens, or of children alone. */
const heads: Case[] = (["Office-like trie", "flat trie"] as const).flatMap((trieName) =>
  (["all", "children's"] as const).map((which): Case => ({
    name: `heads: ${which} logits, 2560 rows, ${trieName}, forward and backward`,
    gflop: 6e-9 * N * C * (which === "all" || trieName === "flat trie" ? VOCABULARY : CANDIDATES),
    ours(device): Program {
      const work = workload("S", trieName === "flat trie" ? "sft" : "msl");
      const trie = work.trie.upload(device);
      const nodes = device.tensor(work.nodes.data);
      const width = which === "all" ? VOCABULARY : trie.fanOut;
      const weights = tensor(device, [N, width]);
      const given = { hidden: tensor(device, [N, C]), head: tensor(device, [VOCABULARY, C]) };
      const step = valueAndGrad((p: typeof given) => {
        const z = which === "all" ? allLogits(p) : childLogits(p.hidden, p.head, trie, nodes);
        return sum(mul(z, weights));
      });
      const program = capture(device, (_: Record<never, Tensor>) => step(given).grads);
      return { run: () => void program({}), [Symbol.dispose]: () => program.dispose() };
    },
  }))
);

/** A catalogue of titles' size: 100,000 items whose first tokens are spread over 32,000. */
const wide: Case[] = (["sft", "msl", "bear"] as const).map((loss) => ({
  name: `loss ${loss}, 2560 x 32000, 100000 items, forward and backward`,
  gbyte: floats(3 * N * 32000),
  ours(device): Program {
    const V = 32000;
    const paths = catalogue(100_000).map((path, i) => [i % V, ...path]);
    const items = new Trie(paths);
    const trie = items.upload(device);
    const logits = tensor(device, [N, V]);
    const first = paths.slice(0, N);
    const at = Int32Array.from(first, ([token], i) => i % 5 === 0 ? 0 : items.child(0, token));
    const next = Int32Array.from(first, ([token, second], i) => i % 5 === 0 ? token : second);
    const [n, y] = [device.tensor(at), device.tensor(next)];
    return lossGradient(loss, logits, { trie, nodes: n, labels: y });
  },
}));

/** Everything, in the order of the table. */
export const cases: readonly Case[] = [
  ...products,
  ...layers,
  ...kernels,
  ...losses,
  ...wide,
  ...heads,
];
