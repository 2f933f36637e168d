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
import { defineKernel } from "../core/kernel.ts";
import { BEAM_TH_LARGEST_WGSL, BEAM_TH_TOKEN_WGSL, beamThLargest, beamThToken } from "./beam_th.ts";
import { ramp } from "./cases.ts";
import {
  CHILDREN_WGSL,
  childrenNormalizer,
  RANGE_WGSL,
  vocabularyNormalizer,
} from "./normalizer.ts";
import { exampleRows, exampleTable } from "./trie_table.ts";
import { simd } from "./wasm/modules.ts";

/**
 * logProb, logBeta, the number of children, and for the backward max z, log sum exp and z_b; one invocation a row. A node of
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
  invocations: ({ N }) => N,
  wgsl: `
${RANGE_WGSL}
${CHILDREN_WGSL}
${BEAM_TH_LARGEST_WGSL}
fn kernel(n: u32) {
  logProb[n] = 0.0;
  logBeta[n] = 0.0;
  choices[n] = 0;
  for (var i = 0u; i < 3u; i++) { saved[3u * n + i] = 0.0; }
  let u = nodes[n];
  if (u < 0) { return; }
  let begin = u32(table[u]);
  let end = u32(table[u + 1]);
  if (end == begin) { return; }
  choices[n] = i32(end - begin);
  let row = n * p.V;
  let first = u32(table[begin]);
  let range = u32(table[end - 1u]) - first == end - begin - 1u; // tokens ascend
  var normalizer: vec2f;
  if (p.vocabulary != 0u) { normalizer = normalizerOfRange(row, p.V); }
  else if (range) { normalizer = normalizerOfRange(row + first, end - begin); }
  else { normalizer = normalizerOfChildren(row, begin, end); }
  logProb[n] = (logits[row + u32(labels[n])] - normalizer.x) / p.tau - normalizer.y;
  saved[3u * n] = normalizer.x;
  saved[3u * n + 1u] = normalizer.y;
  if (p.beam == 0u) { return; }
  var beta: f32;
  if (range) { beta = largestOfRange(row, first, first + end - begin); }
  else { beta = largestOfChildren(row, begin, end); }
  logBeta[n] = (beta - normalizer.x) / p.tau - normalizer.y;
  saved[3u * n + 2u] = beta;
}`,
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

/**
 * dz, zeros included; one invocation a row. Under `vocabulary` p covers the row. `withProb` 0: dlogProb is not read
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
  invocations: ({ N }) => N,
  wgsl: `
${BEAM_TH_TOKEN_WGSL}
fn kernel(n: u32) {
  let row = n * p.V;
  let u = max(nodes[n], 0);
  let begin = u32(table[u]);
  let end = select(begin, u32(table[u + 1]), nodes[n] >= 0);
  let top = saved[3u * n];
  let logSum = saved[3u * n + 1u];
  let inverse = 1.0 / p.tau;
  var dProb = 0.0;
  if (p.withProb != 0u) { dProb = dlogProb[n] * inverse; }
  var dBeta = 0.0;
  if (p.withBeta != 0u) { dBeta = dlogBeta[n] * inverse; }
  let pull = dProb + dBeta;
  var low = row + p.V; // from low to high lie the exponentials of a range of tokens, and zeros elsewhere
  var high = low;
  var listed = 0u; // children that are no range
  if (end > begin + 1u) {
    let first = u32(table[begin]);
    low = row + first;
    high = low + end - begin;
    if (u32(table[end - 1u]) - first != end - begin - 1u) {
      low = row + p.V;
      high = low;
      listed = end - begin;
    }
  }
  if (p.vocabulary != 0u && end > begin) {
    low = row;
    high = row + p.V;
    listed = 0u;
  }
  for (var v = row; v < low; v++) { dlogits[v] = 0.0; }
  for (var v = low; v < high; v++) {
    dlogits[v] = -pull * exp((logits[v] - top) * inverse - logSum);
  }
  for (var v = high; v < row + p.V; v++) { dlogits[v] = 0.0; }
  for (var k = begin; k < begin + listed; k++) {
    let v = row + u32(table[k]);
    dlogits[v] = -pull * exp((logits[v] - top) * inverse - logSum);
  }
  if (low == high && listed == 0u) { return; }
  dlogits[row + u32(labels[n])] += dProb;
  if (p.withBeta == 0u) { return; }
  let b = beamThToken(row, begin, end, saved[3u * n + 2u]);
  dlogits[row + b] += dBeta;
}`,
  cases: () =>
    exampleRows().flatMap(({ name, V, z, nodes, labels }) =>
      [[0, 1, 1, 1], [0, 3, 1, 0], [1, 4, 0, 1], [0, 20, 1, 1], [1, 99, 1, 0]].map(
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
              dlogProb: ramp(N, 5),
              dlogBeta: ramp(N, 6),
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
