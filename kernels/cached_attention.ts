/**
 * Attention of new generated tokens, R rows of U users at any depths, with nothing copied between
 * rows. Row r of user u = users_r has depths_r generated tokens before its own, and attends to
 *
 * - the history of the user: entries j < lengths_u of (U, T, H + 2 KVH, D), laid out as in
 *   attention.ts;
 * - these tokens: for each j < depths_r, entry slots[r, j] of (room, 2 KVH, D), KVH keys and then
 *   KVH values;
 * - itself: row r of qkv (R, H + 2 KVH, D). Its key and value become entry slots[r, depths_r], or
 *   are not kept if there is no such entry.
 *
 * A user, a length, a depth or a slot to read that is out of range counts as the nearest in range.
 * As in attention.ts out_r = sum p v, with p the softmax of q_r . k / sqrt(D). out is (R, H, D).
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel } from "../core/kernel.ts";
import { caseName, dot, logSumExp, MAX_HEAD_SIZE } from "./attention.ts";
import { noise } from "./cases.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** i, or the nearest number from 0 to `most`. */
const within = (i: number, most: number): number => Math.min(Math.max(i, 0), most);

const WITHIN = "fn within(i: i32, most: u32) -> u32 { return min(u32(max(i, 0)), most); }";

/**
 * WGSL that adds a key and its value, at vectors `key` and `value` of a buffer, to the softmax.
 * Sums are relative to the largest score so far, as in attention.ts.
 */
const visit = (buffer: string): string => `
    var s = 0.0;
    for (var d = 0u; d < D4; d++) { s += dot(qs[d], ${buffer}[key + d]); }
    if (s > top) {
      let shrink = exp(top - s);
      total *= shrink;
      for (var d = 0u; d < D4; d++) { sums[d] *= shrink; }
      top = s;
    }
    let e = exp(s - top);
    total += e;
    for (var d = 0u; d < D4; d++) { sums[d] += e * ${buffer}[value + d]; }`;

const CASES = [
  { R: 6, room: 14, U: 2, H: 4, KVH: 2, D: 8, T: 5, L: 3 },
  { R: 1, room: 1, U: 1, H: 1, KVH: 1, D: 4, T: 1, L: 1 },
  { R: 10, room: 20, U: 3, H: 4, KVH: 2, D: 32, T: 70, L: 2 },
  { R: 9, room: 99, U: 1, H: 1, KVH: 1, D: 12, T: 3, L: 80 },
  { R: 2, room: 2, U: 2, H: 2, KVH: 1, D: 128, T: 4, L: 1 },
  { R: 2, room: 4, U: 1, H: 1, KVH: 1, D: 4, T: 1100, L: 2 },
];

/** out, and the new entries of `generated`; one invocation per head of a row. */
export const cachedAttentionForward = defineKernel({
  name: "cachedAttentionForward",
  buffers: {
    qkv: "read float4",
    history: "read float4",
    lengths: "read int",
    users: "read int",
    generated: "update float4",
    depths: "read int",
    slots: "read int",
    out: "write float4",
  },
  params: {
    R: "u32",
    room: "u32",
    H: "u32",
    KVH: "u32",
    D: "u32",
    T: "u32",
    L: "u32",
    U: "u32",
  },
  cpu(
    { qkv, history, lengths, users, generated, depths, slots, out },
    { R, room, H, KVH, D, T, L, U },
  ): void {
    const heads = H + 2 * KVH;
    for (let r = 0; r < R; r++) {
      const user = within(users[r], U - 1);
      const depth = within(depths[r], L - 1);
      const own = (r * heads + H) * D;
      for (let h = 0; h < H; h++) {
        const group = Math.floor(h / (H / KVH));
        const keys: { readonly buffer: FloatArray; readonly at: number }[] = [];
        for (let j = 0; j < within(lengths[user], T); j++) {
          keys.push({ buffer: history, at: ((user * T + j) * heads + H + group) * D });
        }
        for (let j = 0; j < depth; j++) {
          const slot = within(slots[r * L + j], room - 1);
          keys.push({ buffer: generated, at: (slot * 2 * KVH + group) * D });
        }
        keys.push({ buffer: qkv, at: own + group * D });
        const query = (r * heads + h) * D;
        const p = Float64Array.from(
          keys,
          ({ buffer, at }) => dot(qkv, query, buffer, at, D) / Math.sqrt(D),
        );
        const total = logSumExp(p, p.length);
        for (let d = 0; d < D; d++) {
          let sum = 0;
          keys.forEach(({ buffer, at }, j) => {
            sum += Math.exp(p[j] - total) * buffer[at + KVH * D + d];
          });
          out[(r * H + h) * D + d] = sum;
        }
      }
      const slot = slots[r * L + depth];
      if (slot >= 0 && slot < room) {
        generated.set(qkv.subarray(own, own + 2 * KVH * D), slot * 2 * KVH * D);
      }
    }
  },
  rows: () => "R",
  indices: { users: ({ R, U }) => [R, U], lengths: ({ U, T }) => [U, T + 1] },
  wasm: {
    module: simd,
    function: "cachedAttentionForward",
    args: (a, p) => [
      a.qkv,
      a.history,
      a.lengths,
      a.users,
      a.generated,
      a.depths,
      a.slots,
      a.out,
      p.room,
      p.H,
      p.KVH,
      p.D,
      p.T,
      p.L,
      p.U,
    ],
    items: ({ R }) => R,
    work: ({ R, H, D, T, L }) => 2 * R * H * D * (T + L),
  },
  invocations: ({ R, H }) => R * H,
  workgroup: 8,
  wgsl: `${WITHIN}
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let r = i / p.H;
  let u = within(users[r], p.U - 1u);
  let depth = within(depths[r], p.L - 1u);
  let h = i % p.H;
  let group = p.H / p.KVH;
  let pitch = (p.H + 2u * p.KVH) * D4;
  let values = p.KVH * D4; // how far behind its key a value lies
  let head = h / group * D4;
  var qs: array<vec4f, ${MAX_HEAD_SIZE / 4}>;
  var sums: array<vec4f, ${MAX_HEAD_SIZE / 4}>;
  var top = ${MASKED};
  var total = 0.0;
  for (var d = 0u; d < D4; d++) { qs[d] = qkv[r * pitch + h * D4 + d] / sqrt(f32(p.D)); }
  let length = within(lengths[u], p.T);
  for (var j = 0u; j < length; j++) {
    let key = (u * p.T + j) * pitch + p.H * D4 + head;
    let value = key + values;${visit("history")}
  }
  for (var j = 0u; j < depth; j++) {
    let key = within(slots[r * p.L + j], p.room - 1u) * 2u * values + head;
    let value = key + values;${visit("generated")}
  }
  {
    let key = r * pitch + p.H * D4 + head;
    let value = key + values;${visit("qkv")}
    let slot = slots[r * p.L + depth];
    if (h % group == 0u && slot >= 0 && u32(slot) < p.room) {
      let to = u32(slot) * 2u * values + head;
      for (var d = 0u; d < D4; d++) {
        generated[to + d] = qkv[key + d];
        generated[to + values + d] = qkv[value + d];
      }
    }
  }
  for (var d = 0u; d < D4; d++) { out[i * D4 + d] = sums[d] / total; }
}`,
  cases: () =>
    [...CASES, CASES[0]].map((params, at) => {
      const wild = at === CASES.length;
      const { R, room, U, H, KVH, D, T, L } = params;
      const width = (H + 2 * KVH) * D;
      // The first R slots are written; rows are at all depths, the deepest first.
      const slot = (r: number, j: number): number =>
        j === depths[r] ? r : R + (5 * (r * L + j)) % Math.max(room - R, 1);
      const depths = Array.from({ length: R }, (_, r) => wild ? 3 * r - 5 : (L + R - 1 - r) % L);
      return {
        name: wild ? "out of range" : caseName(params),
        params,
        buffers: {
          qkv: noise(R * width, 1).map((x, i) => i % width < H * D ? 3 * x : x),
          history: noise(U * T * width, 2),
          lengths: Array.from({ length: U }, (_, u) => wild ? 99 * u - 9 : Math.max(0, T - 3 * u)),
          users: Array.from({ length: R }, (_, r) => wild ? r - 2 : Math.floor((r * U) / R)),
          generated: noise(room * 2 * KVH * D, 4),
          depths,
          slots: Array.from(
            { length: R * L },
            (_, i) => wild ? 7 * i - 40 : slot(Math.floor(i / L), i % L),
          ),
          out: R * H * D,
        },
      };
    }),
});

/**
 * out_r = stride u + lengths_u + offsets_r for row r of user u = users_r: the positions of
 * generated tokens (stride 0, offsets their depths), and the rows of the last tokens of histories
 * in (U T, C) (stride T, offsets -1).
 */
export const offsetLengths = defineKernel({
  name: "offsetLengths",
  buffers: { lengths: "read int", users: "read int", offsets: "read int", out: "write int" },
  params: { R: "u32", U: "u32", stride: "i32" },
  cpu({ lengths, users, offsets, out }, { R, U, stride }): void {
    for (let r = 0; r < R; r++) {
      const u = within(users[r], U - 1);
      out[r] = stride * u + lengths[u] + offsets[r];
    }
  },
  rows: () => "R",
  indices: { users: ({ R, U }) => [R, U] },
  invocations: ({ R }) => R,
  wgsl: `${WITHIN}
fn kernel(r: u32) {
  let u = within(users[r], p.U - 1u);
  out[r] = p.stride * i32(u) + lengths[u] + offsets[r];
}`,
  cases: () => [
    {
      name: "positions at mixed depths of rows of 3 users",
      params: { R: 6, U: 3, stride: 0 },
      buffers: {
        lengths: [3, 1, 7],
        users: [0, 0, 1, 2, 2, 2],
        offsets: [2, 0, 1, 1, 3, 0],
        out: 6,
      },
    },
    {
      name: "last rows of 3 users",
      params: { R: 3, U: 3, stride: 7 },
      buffers: { lengths: [3, 1, 7], users: [0, 1, 2], offsets: [-1, -1, -1], out: 3 },
    },
    {
      name: "users out of range",
      params: { R: 2, U: 2, stride: 7 },
      buffers: { lengths: [3, 1], users: [-1, 9], offsets: [-1, -1], out: 2 },
    },
  ],
});
