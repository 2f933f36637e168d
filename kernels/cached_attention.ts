/**
 * Attention of one new token a beam row, R = U B rows of U users, with nothing copied between rows. Row r of user
 * u = floor(r / B) attends to
 *
 *   the user's history: entry j < lengths_u of (U, T, KVH, D), and
 *   what it has generated: for each step i <= step, entry [i, row_i] of (steps, R, KVH, D),
 *   with row_i = ancestors[r, i] for i < step and r itself at i = step.
 *
 * Otherwise as in attention.ts: out_r = sum p v, p the softmax of q_r . k / sqrt(D). q and out are (R, H, D).
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { addRows, dotRows, packRows, softmaxScores } from "./head_rows.ts";
import { MAX_HEAD_SIZE } from "./attention.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** WGSL: takes the key and value at vec4 `at` into the softmax, as in attention.ts. */
const visit = (keys: string, values: string): string => `
    var s = 0.0;
    for (var d = 0u; d < D4; d++) { s += dot(qs[d], ${keys}[at + d]); }
    if (s > top) {
      let shrink = exp(top - s);
      total *= shrink;
      for (var d = 0u; d < D4; d++) { sums[d] *= shrink; }
      top = s;
    }
    let e = exp(s - top);
    total += e;
    for (var d = 0u; d < D4; d++) { sums[d] += e * ${values}[at + d]; }`;

const CASES = [
  { R: 6, beam: 3, H: 4, KVH: 2, D: 8, T: 5, steps: 3, step: 2 },
  { R: 1, beam: 1, H: 1, KVH: 1, D: 4, T: 1, steps: 1, step: 0 },
  { R: 10, beam: 5, H: 4, KVH: 2, D: 32, T: 70, steps: 2, step: 1 },
  { R: 9, beam: 9, H: 1, KVH: 1, D: 12, T: 3, steps: 80, step: 70 },
  { R: 2, beam: 1, H: 2, KVH: 1, D: 128, T: 4, steps: 1, step: 0 },
];

/** One invocation a head of a row. */
export const cachedAttentionForward = defineKernel({
  name: "cachedAttentionForward",
  buffers: {
    q: "read float4",
    historyKeys: "read float4",
    historyValues: "read float4",
    lengths: "read int",
    keys: "read float4",
    values: "read float4",
    ancestors: "read int",
    out: "write float4",
  },
  params: {
    R: "u32",
    beam: "u32",
    H: "u32",
    KVH: "u32",
    D: "u32",
    T: "u32",
    steps: "u32",
    step: "u32",
  },
  cpu(
    { q, historyKeys, historyValues, lengths, keys, values, ancestors, out },
    { R, beam, H, KVH, D, T, steps, step },
  ): void {
    const [ks, vs] = [0, 1].map(() => new Float64Array((T + step + 1) * D));
    const query = new Float64Array(D);
    const p = new Float64Array(T + step + 1);
    const sum = new Float64Array(D);
    const group = H / KVH;
    for (let u = 0; u < R / beam; u++) {
      const length = lengths[u];
      const n = length + step + 1;
      for (let g = 0; g < KVH; g++) {
        packRows(ks, historyKeys, (u * T * KVH + g) * D, KVH * D, length, D);
        packRows(vs, historyValues, (u * T * KVH + g) * D, KVH * D, length, D);
        for (let r = u * beam; r < (u + 1) * beam; r++) {
          for (let i = 0; i <= step; i++) {
            const row = i < step ? ancestors[r * steps + i] : r;
            const at = ((i * R + row) * KVH + g) * D;
            ks.set(keys.subarray(at, at + D), (length + i) * D);
            vs.set(values.subarray(at, at + D), (length + i) * D);
          }
          for (let h = g * group; h < (g + 1) * group; h++) {
            query.set(q.subarray((r * H + h) * D, (r * H + h + 1) * D));
            dotRows(p, query, 0, ks, 0, n, D, 1 / Math.sqrt(D));
            softmaxScores(p, n);
            sum.fill(0);
            addRows(sum, p, vs, 0, n, D);
            out.set(sum, (r * H + h) * D);
          }
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "cachedAttentionForward",
    args: (address, p) => {
      const { q, historyKeys, historyValues, lengths, keys, values, ancestors, out } = address;
      const buffers = [q, historyKeys, historyValues, lengths, keys, values, ancestors, out];
      return [...buffers, p.R, p.beam, p.H, p.KVH, p.D, p.T, p.steps, p.step];
    },
    items: ({ R, beam }) => R / beam,
    work: ({ R, H, D, T, step }) => 2 * R * H * D * (T + step),
  },
  invocations: ({ R, H }) => R * H,
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let r = i / p.H;
  let u = r / p.beam;
  let head = i % p.H / (p.H / p.KVH) * D4;
  let pitch = p.KVH * D4;
  var qs: array<vec4f, ${MAX_HEAD_SIZE / 4}>;
  var sums: array<vec4f, ${MAX_HEAD_SIZE / 4}>;
  var top = ${MASKED};
  var total = 0.0;
  for (var d = 0u; d < D4; d++) { qs[d] = q[i * D4 + d] / sqrt(f32(p.D)); }
  for (var j = 0u; j < u32(lengths[u]); j++) {
    let at = (u * p.T + j) * pitch + head;${visit("historyKeys", "historyValues")}
  }
  for (var j = 0u; j <= p.step; j++) {
    var row = r;
    if (j < p.step) { row = u32(ancestors[r * p.steps + j]); }
    let at = (j * p.R + row) * pitch + head;${visit("keys", "values")}
  }
  for (var d = 0u; d < D4; d++) { out[i * D4 + d] = sums[d] / total; }
}`,
  cases: () =>
    CASES.map((params) => {
      const { R, beam, H, KVH, D, T, steps } = params;
      const history = (R / beam) * T * KVH * D;
      const generated = steps * R * KVH * D;
      return {
        name: Object.entries(params).flat().join(" "),
        params,
        buffers: {
          q: ramp(R * H * D, 1).map((x) => 3 * x),
          historyKeys: ramp(history, 2),
          historyValues: ramp(history, 3),
          lengths: Array.from({ length: R / beam }, (_, u) => Math.max(1, T - 3 * u)),
          keys: ramp(generated, 4),
          values: ramp(generated, 5),
          ancestors: Array.from({ length: R * steps }, (_, i) => (i * 5) % R),
          out: R * H * D,
        },
      };
    }),
});

/**
 * out_r = stride u + lengths_u + offset for row r of user u = floor(r / beam): the positions of generated tokens
 * (stride 0, offset = step), and the rows of the last tokens of histories in (U T, C) (stride T, offset -1, beam 1).
 */
export const offsetLengths = defineKernel({
  name: "offsetLengths",
  buffers: { lengths: "read int", out: "write int" },
  params: { R: "u32", beam: "u32", stride: "i32", offset: "i32" },
  cpu({ lengths, out }, { R, beam, stride, offset }): void {
    for (let r = 0; r < R; r++) {
      const u = Math.floor(r / beam);
      out[r] = stride * u + lengths[u] + offset;
    }
  },
  invocations: ({ R }) => R,
  wgsl: `
fn kernel(i: u32) {
  let u = i / p.beam;
  out[i] = p.stride * i32(u) + lengths[u] + p.offset;
}`,
  cases: () => [
    {
      name: "positions at step 2 of 3 users with 2 beams",
      params: { R: 6, beam: 2, stride: 0, offset: 2 },
      buffers: { lengths: [3, 1, 7], out: 6 },
    },
    {
      name: "last rows of 3 users",
      params: { R: 3, beam: 1, stride: 7, offset: -1 },
      buffers: { lengths: [3, 1, 7], out: 3 },
    },
  ],
});
