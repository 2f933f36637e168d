/**
 * The log-probability of a token among the children of a trie node, and that of the beam-th most probable child. For
 * row n with logits z, node u = nodes[n], children C(u) and label y:
 *
 *   log q(v) = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau),   w over C(u), or over the vocabulary
 *   logProb = log q(y),   logBeta = log q(b),   b the beam-th of C(u) by z descending (the last if there are fewer)
 *
 * Backward, with p = q on C(u), or on the vocabulary, and 0 elsewhere:
 *
 *   dz_v = (dlogProb ([v = y] - p_v) + dlogBeta ([v = b] - p_v)) / tau
 *
 * Among equal logits at the beam-th place b is chosen by token order; the value does not depend on the choice.
 *
 * @module
 */
import { defineKernel, linearGrid } from "../core/kernel.ts";
import { beamThLargest, beamThToken } from "./beam_th.ts";
import { noise } from "./cases.ts";
import { childrenNormalizer, vocabularyNormalizer } from "./normalizer.ts";
import { exampleRows, exampleTable } from "./trie_table.ts";
import { backwardWgsl, forwardWgsl } from "./trie_log_prob_wgsl.ts";
import { simd } from "./wasm/modules.ts";

/** Lanes of a workgroup on a software adapter: as many as its vectors have. */
const LANES = 8;

/** Lanes of a workgroup on hardware. */
const WIDE_LANES = 64;

/**
 * logProb, logBeta, the number of children, and for the backward max z, log sum exp and z_b; a workgroup a row. A node of
 * -1 or without children gives zeros. `beam` 0: logBeta is not wanted and is 0.
 */
export const trieLogProbForward = defineKernel({
  name: "trieLogProbForward",
  buffers: {
    logits: "read float",
    table: "read int",
    nodes: "read int",
    labels: "read int",
    logProb: "write float",
    logBeta: "write float",
    choices: "write int",
    saved: "write float",
  },
  params: { N: "u32", V: "u32", beam: "u32", vocabulary: "u32", tau: "f32" },
  cpu(
    { logits, table, nodes, labels, logProb, logBeta, choices, saved },
    { N, V, beam, vocabulary, tau },
  ): void {
    const best = new Float64Array(beam);
    for (let n = 0, row = 0; n < N; n++, row += V) {
      const from = nodes[n] < 0 ? 0 : table[nodes[n]];
      const to = nodes[n] < 0 ? 0 : table[nodes[n] + 1];
      logProb[n] =
        logBeta[n] =
        saved[3 * n] =
        saved[3 * n + 1] =
        saved[3 * n + 2] =
          0;
      choices[n] = to - from;
      if (to === from) continue;
      const [max, logSum] = vocabulary
        ? vocabularyNormalizer(logits, row, V, tau)
        : childrenNormalizer(logits, row, table, from, to, tau);
      logProb[n] = (logits[row + labels[n]] - max) / tau - logSum;
      saved[3 * n] = max;
      saved[3 * n + 1] = logSum;
      if (beam === 0) continue;
      const beta = beamThLargest(logits, row, table, from, to, best);
      logBeta[n] = (beta - max) / tau - logSum;
      saved[3 * n + 2] = beta;
    }
  },
  wasm: {
    module: simd,
    function: "trieLogProbForward",
    args: (a, { V, beam, vocabulary, tau }) => {
      const read = [a.logits, a.table, a.nodes, a.labels];
      const written = [a.logProb, a.logBeta, a.choices, a.saved];
      return [...read, ...written, V, beam, vocabulary, tau];
    },
    items: ({ N }) => N,
    work: ({ N, V, vocabulary }) => (vocabulary ? 4 : 1) * N * V,
  },
  grid: ({ N }) => linearGrid(N * LANES, LANES),
  wgsl: forwardWgsl(LANES),
  cases: () =>
    exampleRows().flatMap(({ name, V, z, nodes, labels }) =>
      [[0, 0, 1], [0, 1, 0.5], [0, 3, 1], [1, 4, 2], [0, 20, 1], [1, 33, 1], [0, 99, 1]].map(
        ([vocabulary, beam, tau]) => ({
          name: `${name}, ${vocabulary ? "vocabulary" : "children"}, beam ${beam}, tau ${tau}`,
          params: { N: nodes.length, V, beam, vocabulary, tau },
          buffers: {
            logits: z,
            table: exampleTable(V),
            nodes,
            labels,
            logProb: nodes.length,
            logBeta: nodes.length,
            choices: nodes.length,
            saved: 3 * nodes.length,
          },
        }),
      )
    ),
});

/** The same for hardware. */
export const trieLogProbForwardWide = defineKernel({
  ...trieLogProbForward,
  name: "trieLogProbForwardWide",
  grid: ({ N }) => linearGrid(N * WIDE_LANES, WIDE_LANES),
  wgsl: forwardWgsl(WIDE_LANES),
});

/**
 * dz, zeros included; a workgroup a row. Under `vocabulary` p covers the row. `withProb` 0: dlogProb is not read
 * and counts as 0; so with `withBeta`.
 */
export const trieLogProbBackward = defineKernel({
  name: "trieLogProbBackward",
  buffers: {
    dlogProb: "read float",
    dlogBeta: "read float",
    logits: "read float",
    table: "read int",
    nodes: "read int",
    labels: "read int",
    saved: "read float",
    dlogits: "write float",
  },
  params: {
    N: "u32",
    V: "u32",
    beam: "u32",
    vocabulary: "u32",
    tau: "f32",
    withProb: "u32",
    withBeta: "u32",
  },
  cpu(
    { dlogProb, dlogBeta, logits, table, nodes, labels, saved, dlogits },
    { N, V, beam, vocabulary, tau, withProb, withBeta },
  ): void {
    dlogits.fill(0);
    for (let n = 0, row = 0; n < N; n++, row += V) {
      const from = nodes[n] < 0 ? 0 : table[nodes[n]];
      const to = nodes[n] < 0 ? 0 : table[nodes[n] + 1];
      if (to === from || (to === from + 1 && !vocabulary)) continue;
      const max = saved[3 * n];
      const logSum = saved[3 * n + 1];
      const dProb = withProb ? dlogProb[n] / tau : 0;
      const dBeta = withBeta ? dlogBeta[n] / tau : 0;
      const pull = dProb + dBeta;
      if (vocabulary) {
        for (let v = row; v < row + V; v++) {
          dlogits[v] = -pull * Math.exp((logits[v] - max) / tau - logSum);
        }
      } else {
        for (let k = from; k < to; k++) {
          const v = row + table[k];
          dlogits[v] = -pull * Math.exp((logits[v] - max) / tau - logSum);
        }
      }
      dlogits[row + labels[n]] += dProb;
      if (withBeta) {
        const b = beamThToken(logits, row, table, from, to, beam, saved[3 * n + 2]);
        dlogits[row + b] += dBeta;
      }
    }
  },
  wasm: {
    module: simd,
    function: "trieLogProbBackward",
    args: (a, p) => {
      const read = [a.dlogProb, a.dlogBeta, a.logits, a.table, a.nodes, a.labels, a.saved];
      return [...read, a.dlogits, p.V, p.beam, p.vocabulary, p.tau, p.withProb, p.withBeta];
    },
    items: ({ N }) => N,
    work: ({ N, V, vocabulary }) => (vocabulary ? 4 : 1) * N * V,
  },
  grid: ({ N }) => linearGrid(N * LANES, LANES),
  wgsl: backwardWgsl(LANES),
  cases: () =>
    exampleRows().flatMap(({ name, V, z, nodes, labels }) =>
      [[0, 1, 1, 1], [0, 3, 1, 0], [1, 4, 0, 1], [0, 20, 1, 1], [0, 33, 0, 1], [1, 99, 1, 0]].map(
        ([vocabulary, beam, withProb, withBeta]) => {
          const N = nodes.length;
          const saved = new Float64Array(3 * N);
          const forward = {
            logits: z,
            table: exampleTable(V),
            nodes,
            labels,
            logProb: new Float64Array(N),
            logBeta: new Float64Array(N),
            choices: new Int32Array(N),
            saved,
          };
          const params = { N, V, beam, vocabulary, tau: 1.5 };
          trieLogProbForward.cpu(forward, params);
          return {
            name: `${name}, ${vocabulary ? "vocabulary" : "children"}, beam ${beam}` +
              `${withProb ? ", dlogProb" : ""}${withBeta ? ", dlogBeta" : ""}`,
            params: { ...params, withProb, withBeta },
            buffers: {
              dlogProb: noise(N, 5),
              dlogBeta: noise(N, 6),
              logits: z,
              table: exampleTable(V),
              nodes,
              labels,
              saved,
              dlogits: N * V,
            },
          };
        },
      )
    ),
});

/** The same for hardware. */
export const trieLogProbBackwardWide = defineKernel({
  ...trieLogProbBackward,
  name: "trieLogProbBackwardWide",
  grid: ({ N }) => linearGrid(N * WIDE_LANES, WIDE_LANES),
  wgsl: backwardWgsl(WIDE_LANES),
});
