/**
 * The work of `cases.ts` on jax-js, jitted.
 *
 * @module
 */
import * as jax from "@jax-js/jax";
import { wave } from "../lab/device/workload.ts";

const { numpy: np, nn } = jax;
type Arr = jax.Array;

/** A piece of work that jax-js can do, and its sizes. */
export interface PeerWork {
  readonly kind: keyof typeof works;
  readonly sizes: readonly number[];
}

/** A function to be jitted, and its arguments. */
interface Work {
  readonly run: (...args: Arr[]) => Arr | Arr[];
  readonly args: Arr[];
}

/**
 * The work, ready to run. A run is put off until somebody waits for what comes of it, and never
 * done if that is given back before: so everything is kept until `finish`.
 */
export function peerWork({ kind, sizes }: PeerWork): { run(): void; finish(): Promise<void> } {
  const { run, args } = works[kind](sizes);
  const jitted = jax.jit(run);
  let outs: (Arr | Arr[])[] = [];
  return {
    run: () => void outs.push(jitted(...args.map((x) => x.ref))),
    async finish(): Promise<void> {
      const leaves = jax.tree.leaves<Arr>(outs);
      // On webgpu each wait is a read-back, of which one behind everything else is enough.
      const webgpu = jax.defaultDevice() === "webgpu";
      if (webgpu) { for (const leaf of leaves) await leaf.ref.gpuBuffer(); }
      await jax.blockUntilReady(webgpu ? leaves.slice(-1) : leaves);
      jax.tree.dispose(outs);
      outs = [];
    },
  };
}

function array(...shape: number[]): Arr {
  return np.array(wave(shape.reduce((a, b) => a * b))).reshape(shape);
}

/** The gradients of a sum of products with fixed numbers, as in `cases.ts`. */
function gradient(f: (...args: Arr[]) => Arr, argnums: number[]): (...args: Arr[]) => Arr[] {
  const scalar = (...args: Arr[]): Arr => f(...args.slice(0, -1)).mul(args[args.length - 1]).sum();
  return (...args) => jax.grad(scalar, { argnums })(...args) as Arr[];
}

const causal = (q: Arr, k: Arr, v: Arr): Arr => nn.dotProductAttention(q, k, v, { isCausal: true });
const rmsNorm = (x: Arr, w: Arr): Arr => {
  const square = np.square(x.ref).mean(-1, { keepdims: true });
  return x.mul(np.reciprocal(np.sqrt(square.add(1e-5)))).mul(w);
};
const swiglu = (gate: Arr, up: Arr): Arr => nn.silu(gate).mul(up);
/** `hot` is 1 at each row's label. */
const crossEntropy = (logits: Arr, hot: Arr): Arr =>
  nn.logsumexp(logits.ref, -1).sub(logits.mul(hot).sum(-1)).mean();

const works = {
  matmul: ([M, K, N]: readonly number[]): Work => ({
    run: (a, b) => np.dot(a, b),
    args: [array(M, K), array(K, N)],
  }),
  matmulTransposed: ([M, K, N]: readonly number[]): Work => ({
    run: (a, b) => np.dot(a.transpose(), b),
    args: [array(K, M), array(K, N)],
  }),
  attention: (shape: readonly number[]): Work => ({
    run: causal,
    args: [array(...shape), array(...shape), array(...shape)],
  }),
  attentionGradient: (shape: readonly number[]): Work => ({
    run: gradient(causal, [0, 1, 2]),
    args: [array(...shape), array(...shape), array(...shape), array(...shape)],
  }),
  rmsNorm: ([n, c]: readonly number[]): Work => ({ run: rmsNorm, args: [array(n, c), array(c)] }),
  rmsNormGradient: ([n, c]: readonly number[]): Work => ({
    run: gradient(rmsNorm, [0]),
    args: [array(n, c), array(c), array(n, c)],
  }),
  swiglu: ([n, f]: readonly number[]): Work => ({ run: swiglu, args: [array(n, f), array(n, f)] }),
  swigluGradient: ([n, f]: readonly number[]): Work => ({
    run: gradient(swiglu, [0, 1]),
    args: [array(n, f), array(n, f), array(n, f)],
  }),
  adamw: (shape: readonly number[]): Work => ({
    run(x, g, m0, v0): Arr[] {
      const m = m0.mul(0.9).add(g.ref.mul(0.1));
      const v = v0.mul(0.999).add(np.square(g).mul(0.001));
      const move = m.ref.mul(10).div(np.sqrt(v.ref.mul(1000)).add(1e-8));
      return [x.mul(1 - 1e-5).sub(move.mul(1e-3)), m, v];
    },
    args: [array(...shape), array(...shape), array(...shape), np.square(array(...shape))],
  }),
  crossEntropy: ([n, v]: readonly number[]): Work => {
    const hot = new Float32Array(n * v);
    for (let i = 0; i < n; i++) hot[i * v + (i * 7919) % v] = 1;
    return {
      run: (logits, labels) => jax.grad(crossEntropy)(logits, labels) as Arr,
      args: [array(n, v), np.array(hot).reshape([n, v])],
    };
  },
};
