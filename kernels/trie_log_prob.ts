/**
 * The log-probability of a token among the children of a trie node, and that of the beam-th most
 * probable child. Row n has logits z, a node with children C, and a label y, one of them:
 *
 *   log q(v) = (z_v - max z) / tau - log sum_w exp((z_w - max z) / tau)
 *
 * with w, and the maximum, over C or over the whole vocabulary. With b the child of the beam-th
 * largest logit (the smallest, if there are fewer children):
 *
 *   logProb = log q(y),   logBeta = log q(b)
 *
 * Backward, with p = q on C (or on the vocabulary) and 0 elsewhere:
 *
 *   dz_v = (dlogProb ([v = y] - p_v) + dlogBeta ([v = b] - p_v)) / tau
 *
 * Among equal logits at the beam-th place b is chosen by token order. logBeta is the same for any.
 *
 * The WGSL takes one workgroup per row, since rows have very different numbers of children. Its
 * invocations, here called lanes, take every LANES-th logit of the row.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel, linearGrid } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { WGSL_ORDER } from "./maths.ts";
import { normalizerOf, WGSL_NORMALIZER } from "./normalizer.ts";
import { childrenOf, exampleRows, exampleTable } from "./trie_table.ts";
import { simd } from "./wasm/modules.ts";

/** As many as most hardware runs in step; a software adapter would rather have 8. */
const LANES = 32;

/** The logits of tokens. */
function logitsOf(z: FloatArray, tokens: Int32Array): Float64Array {
  const out = new Float64Array(tokens.length);
  for (let k = 0; k < tokens.length; k++) out[k] = z[tokens[k]];
  return out;
}

/** The row of a workgroup. Its node's children are the `count` tokens from table[begin] on. */
const WGSL_ROW = `
@compute @workgroup_size(${LANES})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = group.x + group.y * groups.x;
  if (n >= p.N) { return; }
  let row = n * p.V;
  let node = max(nodes[n], 0);
  let begin = u32(table[node]);
  var count = 0u;
  if (nodes[n] >= 0) { count = u32(table[node + 1]) - begin; }
`;

/** Bits of a digit in WGSL_SELECT. */
const DIGIT = 8;
const DIGITS = 2 ** DIGIT;

/**
 * The beam-th largest logit of more than beam children, by radix selection: of its key, an integer
 * that grows with the logit, one digit after the other. Each time the lanes count the keys that
 * begin with the digits known so far by their next digit.
 */
const WGSL_SELECT = `${WGSL_ORDER}
var<workgroup> counts: array<atomic<u32>, ${DIGITS}>;
var<workgroup> found: vec2u; // the digits so far, and the place among the keys that begin with them
fn keyOf(z: f32) -> u32 { return bitcast<u32>(orderOf(z)) ^ 0x80000000u; }
fn logitOf(key: u32) -> f32 {
  let order = bitcast<i32>(key ^ 0x80000000u);
  return bitcast<f32>(select(u32(order), u32(-order) | 0x80000000u, order < 0));
}
fn beamThKey(lane: u32, row: u32, begin: u32, count: u32) -> u32 {
  if (lane == 0u) { found = vec2u(0u, p.beam); }
  for (var shift = 32u; shift > 0u;) {
    shift -= ${DIGIT}u;
    let known = workgroupUniformLoad(&found);
    for (var i = lane; i < ${DIGITS}u; i += ${LANES}u) { atomicStore(&counts[i], 0u); }
    workgroupBarrier();
    for (var k = lane; k < count; k += ${LANES}u) {
      let digits = keyOf(logits[row + u32(table[begin + k])]) >> shift;
      if ((digits >> ${DIGIT}u) == known.x) { atomicAdd(&counts[digits % ${DIGITS}u], 1u); }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var digit = ${DIGITS - 1}u;
      var place = known.y;
      for (; atomicLoad(&counts[digit]) < place; digit--) { place -= atomicLoad(&counts[digit]); }
      found = vec2u((known.x << ${DIGIT}u) | digit, place);
    }
  }
  return workgroupUniformLoad(&found).x;
}`;

/**
 * logProb, logBeta, the number of children, and for the backward max z, log sum exp and z_b. A node
 * of -1 or without children gives zeros. With `beam` 0 logBeta is 0.
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
    for (const out of [logProb, logBeta, saved]) out.fill(0);
    for (let n = 0; n < N; n++) {
      const z = logits.subarray(n * V, n * V + V);
      const children = logitsOf(z, childrenOf(table, nodes[n]));
      choices[n] = children.length;
      if (children.length === 0) continue;
      const [max, logSum] = normalizerOf(vocabulary ? z : children, tau);
      logProb[n] = (z[labels[n]] - max) / tau - logSum;
      saved.set([max, logSum], 3 * n);
      if (beam === 0) continue;
      const beta = children.sort()[Math.max(children.length - beam, 0)];
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
  wgsl: `${WGSL_NORMALIZER}${WGSL_SELECT}
var<workgroup> shares: array<vec2f, ${LANES}>; // the normaliser of each lane's logits
${WGSL_ROW}
  let inverse = 1.0 / p.tau;
  var normalizer = NO_LOGITS;
  if (p.vocabulary != 0u && count > 0u) {
    for (var v = lane; v < p.V; v += ${LANES}u) {
      normalizer = withLogit(normalizer, logits[row + v], inverse);
    }
  } else {
    for (var k = lane; k < count; k += ${LANES}u) {
      normalizer = withLogit(normalizer, logits[row + u32(table[begin + k])], inverse);
    }
  }
  shares[lane] = normalizer;
  workgroupBarrier();
  var key = 0xffffffffu;
  if (p.beam > 0u && p.beam < count) { key = beamThKey(lane, row, begin, count); }
  if (lane > 0u) { return; }
  var numbers = vec3f(0.0);
  var logs = vec2f(0.0);
  if (count > 0u) {
    for (var j = 1u; j < ${LANES}u; j++) { normalizer = merged(normalizer, shares[j], inverse); }
    numbers = vec3f(normalizer.x, logOf(normalizer.y), 0.0);
    logs.x = (logits[row + u32(labels[n])] - numbers.x) / p.tau - numbers.y;
  }
  if (count > 0u && p.beam > 0u) {
    for (var k = begin; k < begin + count && count <= p.beam; k++) { // the smallest
      key = min(key, keyOf(logits[row + u32(table[k])]));
    }
    numbers.z = logitOf(key);
    logs.y = (numbers.z - numbers.x) / p.tau - numbers.y;
  }
  logProb[n] = logs.x;
  logBeta[n] = logs.y;
  choices[n] = i32(count);
  for (var i = 0u; i < 3u; i++) { saved[3u * n + i] = numbers[i]; }
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

/** The token whose logit is the beam-th largest, beta: among equals in token order. */
function beamThToken(z: FloatArray, children: Int32Array, beam: number, beta: number): number {
  let place = Math.min(beam, children.length);
  for (const v of children) if (z[v] > beta) place--;
  for (const v of children) if (z[v] === beta && --place === 0) return v;
  return children[0]; // not reached: some child is the beam-th
}

/**
 * dz (N, V), zeros included. Under `vocabulary` p covers the row. With `withProb` 0 dlogProb is not
 * read and counts as 0; the same holds for `withBeta` and dlogBeta.
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
    for (let n = 0; n < N; n++) {
      const z = logits.subarray(n * V, n * V + V);
      const dz = dlogits.subarray(n * V, n * V + V);
      const children = childrenOf(table, nodes[n]);
      if (children.length === 0 || (children.length === 1 && !vocabulary)) continue;
      const [max, logSum, beta] = saved.subarray(3 * n);
      const dProb = withProb ? dlogProb[n] / tau : 0;
      const dBeta = withBeta ? dlogBeta[n] / tau : 0;
      for (let k = 0; k < (vocabulary ? V : children.length); k++) {
        const v = vocabulary ? k : children[k];
        dz[v] = -(dProb + dBeta) * Math.exp((z[v] - max) / tau - logSum);
      }
      dz[labels[n]] += dProb;
      if (withBeta) dz[beamThToken(z, children, beam, beta)] += dBeta;
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
  wgsl: `${WGSL_ORDER}
fn beamThToken(row: u32, begin: u32, end: u32, beta: f32) -> u32 {
  let bound = orderOf(beta);
  var place = min(p.beam, end - begin);
  for (var k = begin; k < end; k++) {
    if (orderOf(logits[row + u32(table[k])]) > bound) { place--; }
  }
  for (var k = begin; k < end; k++) {
    if (orderOf(logits[row + u32(table[k])]) == bound) { place--; }
    if (place == 0u) { return u32(table[k]); }
  }
  return u32(table[begin]); // not reached: some child is the beam-th
}
${WGSL_ROW}
  let top = saved[3u * n];
  let logSum = saved[3u * n + 1u];
  let inverse = 1.0 / p.tau;
  var dProb = 0.0;
  if (p.withProb != 0u) { dProb = dlogProb[n] * inverse; }
  var dBeta = 0.0;
  if (p.withBeta != 0u) { dBeta = dlogBeta[n] * inverse; }
  let pull = -(dProb + dBeta);
  for (var v = row + lane; v < row + p.V; v += ${LANES}u) {
    var dz = 0.0;
    if (p.vocabulary != 0u && count > 0u) { dz = pull * exp((logits[v] - top) * inverse - logSum); }
    dlogits[v] = dz;
  }
  if (count == 0u || (count == 1u && p.vocabulary == 0u)) { return; }
  if (p.vocabulary == 0u) {
    storageBarrier();
    for (var k = begin + lane; k < begin + count; k += ${LANES}u) {
      let v = row + u32(table[k]);
      dlogits[v] = pull * exp((logits[v] - top) * inverse - logSum);
    }
  }
  storageBarrier();
  if (lane > 0u) { return; }
  dlogits[row + u32(labels[n])] += dProb;
  if (p.withBeta == 0u) { return; }
  dlogits[row + beamThToken(row, begin, begin + count, saved[3u * n + 2u])] += dBeta;
}`,
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
