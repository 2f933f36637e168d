/**
 * The log-probability of a label y in the whole vocabulary, from logits that are computed a chunk
 * of W tokens at a time, v = first, ..., first + W - 1. Each row carries from chunk to chunk the
 * largest logit so far, m, the logarithm of the sum so far, s, and the label's logit z_y:
 *
 *   m = max z_v,   s = log sum_v exp((z_v - m) / tau),   logProb = (z_y - m) / tau - s
 *
 * Backward, of a chunk, with m and s of all chunks:
 *
 *   dz_v = dlogProb ([v = y] - exp((z_v - m) / tau - s)) / tau
 *
 * @module
 */
import { defineKernel, linearGrid } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { MASKED } from "./masked.ts";
import { normalizerOf, WGSL_NORMALIZER } from "./normalizer.ts";
import { simd } from "./wasm/modules.ts";

/** Invocations of a workgroup, which takes a row: as many as most hardware runs in step. */
const LANES = 32;

const CASES = [
  { name: "the first of two chunks", N: 3, W: 5, first: 0, labels: [4, 0, 7], before: undefined },
  { name: "the second", N: 3, W: 70, first: 5, labels: [4, 5, 74], before: [2, 1, 1.5] },
  { name: "a chunk of 1101", N: 2, W: 1101, first: 64, labels: [64, 1164], before: [-9, 0.5, 3] },
] as const;

/** What a row holds before its first chunk. */
export const NOTHING = [MASKED, 0, 0] as const;

const rowsOf = (N: number, values: readonly number[] = NOTHING): number[] =>
  Array.from({ length: N }, () => values).flat();

/** logProb (N) and m, s, z_y (N, 3) after a chunk, from those before it; one workgroup per row. */
export const vocabularyForward = defineKernel({
  name: "vocabularyForward",
  buffers: {
    logits: "read float",
    labels: "read int",
    before: "read float",
    after: "write float",
    logProb: "write float",
  },
  params: { N: "u32", W: "u32", first: "u32", tau: "f32" },
  cpu({ logits, labels, before, after, logProb }, { N, W, first, tau }): void {
    for (let n = 0; n < N; n++) {
      const [max, logSum] = normalizerOf(logits.subarray(n * W, n * W + W), tau);
      const most = Math.max(max, before[3 * n]);
      const sum = Math.exp((before[3 * n] - most) / tau + before[3 * n + 1]) +
        Math.exp((max - most) / tau + logSum);
      const label = labels[n] - first;
      const own = label >= 0 && label < W ? logits[n * W + label] : before[3 * n + 2];
      after[3 * n] = most;
      after[3 * n + 1] = Math.log(sum);
      after[3 * n + 2] = own;
      logProb[n] = (own - most) / tau - Math.log(sum);
    }
  },
  wasm: {
    module: simd,
    function: "vocabularyForward",
    args: (a, { W, first, tau }) => {
      return [a.logits, a.labels, a.before, a.after, a.logProb, W, first, tau];
    },
    items: ({ N }) => N,
    work: ({ N, W }) => 4 * N * W,
  },
  grid: ({ N }) => linearGrid(N * LANES, LANES),
  wgsl: `${WGSL_NORMALIZER}
var<workgroup> shares: array<vec2f, ${LANES}>; // the normaliser of each lane's logits
@compute @workgroup_size(${LANES})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = group.x + group.y * groups.x;
  if (n >= p.N) { return; }
  let row = n * p.W;
  let inverse = 1.0 / p.tau;
  var normalizer = NO_LOGITS;
  for (var k = lane; k < p.W; k += ${LANES}u) {
    normalizer = withLogit(normalizer, logits[row + k], inverse);
  }
  shares[lane] = normalizer;
  workgroupBarrier();
  if (lane > 0u) { return; }
  for (var j = 1u; j < ${LANES}u; j++) { normalizer = merged(normalizer, shares[j], inverse); }
  let state = vec2f(before[3u * n], exp(before[3u * n + 1u]));
  normalizer = merged(normalizer, state, inverse);
  let logSum = logOf(normalizer.y);
  var own = before[3u * n + 2u];
  let label = u32(labels[n]) - p.first; // wraps around where it is of an earlier chunk
  if (label < p.W) { own = logits[row + label]; }
  after[3u * n] = normalizer.x;
  after[3u * n + 1u] = logSum;
  after[3u * n + 2u] = own;
  logProb[n] = (own - normalizer.x) / p.tau - logSum;
}`,
  cases: () =>
    CASES.map(({ name, N, W, first, labels, before }) => ({
      name,
      params: { N, W, first, tau: 1.5 },
      buffers: {
        logits: noise(N * W, 1).map((z) => 4 * z),
        labels,
        before: rowsOf(N, before),
        after: 3 * N,
        logProb: N,
      },
    })),
});

/** dz (N, W) of a chunk; four logits per invocation. */
export const vocabularyBackward = defineKernel({
  name: "vocabularyBackward",
  buffers: {
    dlogProb: "read float",
    logits: "read float",
    labels: "read int",
    saved: "read float",
    dlogits: "write float",
  },
  params: { N: "u32", W: "u32", first: "u32", tau: "f32" },
  cpu({ dlogProb, logits, labels, saved, dlogits }, { N, W, first, tau }): void {
    for (let n = 0; n < N; n++) {
      const [max, logSum, d] = [saved[3 * n], saved[3 * n + 1], dlogProb[n] / tau];
      for (let v = n * W; v < n * W + W; v++) {
        dlogits[v] = -d * Math.exp((logits[v] - max) / tau - logSum);
      }
      const label = labels[n] - first;
      if (label >= 0 && label < W) dlogits[n * W + label] += d;
    }
  },
  wasm: {
    module: simd,
    function: "vocabularyBackward",
    args: (a, { W, first, tau }) => {
      return [a.dlogProb, a.logits, a.labels, a.saved, a.dlogits, W, first, tau];
    },
    items: ({ N }) => N,
    work: ({ N, W }) => 4 * N * W,
  },
  invocations: ({ N, W }) => N * Math.ceil(W / 4),
  wgsl: `
fn kernel(i: u32) {
  let quads = (p.W + 3u) / 4u;
  let n = i / quads;
  let start = i % quads * 4u;
  let d = dlogProb[n] / p.tau;
  let top = saved[3u * n];
  let logSum = saved[3u * n + 1u];
  let label = u32(labels[n]) - p.first;
  for (var k = start; k < min(start + 4u, p.W); k++) {
    let own = select(0.0, d, k == label);
    dlogits[n * p.W + k] = own - d * exp((logits[n * p.W + k] - top) / p.tau - logSum);
  }
}`,
  cases: () =>
    CASES.map(({ name, N, W, first, labels }) => ({
      name,
      params: { N, W, first, tau: 1.5 },
      buffers: {
        dlogProb: noise(N, 2),
        logits: noise(N * W, 1).map((z) => 4 * z),
        labels,
        saved: rowsOf(N, [4, 2.5, 1]),
        dlogits: N * W,
      },
    })),
});
