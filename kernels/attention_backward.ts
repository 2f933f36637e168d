/**
 * The backward of attention.ts: p is made again from lse. With
 *
 *   delta_t = dout_t . out_t,   ds_tj = p_tj (dout_t . v_j - delta_t) / sqrt(D):
 *   dq_t = sum_{j<=t} ds_tj k_j,   dk_j = sum_h sum_{t>=j} ds_tj q_t,   dv_j = sum_h sum_{t>=j} p_tj dout_t
 *
 * dout, out are (B, T, H, D); delta (B, H, T); dqkv, like qkv, is (B, T, H + 2 KVH, D): two kernels write the parts of it,
 * and the first of them delta for the second. `attended` is the forward's out.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { inputs, MAX_HEAD_SIZE, nameOf, PARAMS, SIZES, tiles } from "./attention.ts";
import { addRows, dotRows, packRows } from "./head_rows.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** delta, and dq in dqkv. */
export const attentionBackwardQuery = defineKernel({
  name: "attentionBackwardQuery",
  buffers: {
    dout: "read float4",
    attended: "read float4",
    qkv: "read float4",
    lse: "read float",
    delta: "write float",
    dqkv: "write float4",
  },
  params: PARAMS,
  cpu({ dout, attended, qkv, lse, delta, dqkv }, { B, T, H, KVH, D }): void {
    const pitch = (H + 2 * KVH) * D;
    const scale = 1 / Math.sqrt(D);
    const [ds, qs, ks, vs] = [0, 1, 2, 3].map(() => new Float64Array(T * D));
    const p = new Float64Array(T);
    const dp = new Float64Array(T);
    const sum = new Float64Array(D);
    for (let b = 0; b < B; b++) {
      for (let h = 0; h < H; h++) {
        const start = b * T * pitch;
        const key = start + (H + Math.floor(h / (H / KVH))) * D;
        packRows(ds, dout, (b * T * H + h) * D, H * D, T, D);
        packRows(qs, qkv, start + h * D, pitch, T, D);
        packRows(ks, qkv, key, pitch, T, D);
        packRows(vs, qkv, key + KVH * D, pitch, T, D);
        for (let t = 0; t < T; t++) {
          const row = (b * H + h) * T + t;
          const at = ((b * T + t) * H + h) * D;
          let total = 0;
          for (let d = 0; d < D; d++) total += dout[at + d] * attended[at + d];
          delta[row] = total;
          dotRows(p, qs, t * D, ks, 0, t + 1, D, scale);
          dotRows(dp, ds, t * D, vs, 0, t + 1, D, 1);
          for (let j = 0; j <= t; j++) {
            dp[j] = Math.exp(p[j] - lse[row]) * (dp[j] - total) * scale;
          }
          sum.fill(0);
          addRows(sum, dp, ks, 0, t + 1, D);
          dqkv.set(sum, start + t * pitch + h * D);
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionBackwardQuery",
    args: (a, { T, H, KVH, D }) => [
      ...[a.dout, a.attended, a.qkv, a.lse, a.delta, a.dqkv],
      ...[T, H, KVH, D],
    ],
    items: ({ B, H }) => B * H,
    work: ({ B, T, H, D }) => 2 * B * H * T * T * D,
  },
  invocations: (sizes) => tiles(sizes.H, sizes),
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let scale = 1.0 / sqrt(f32(p.D));
  let h = i % p.H;
  let b = i / p.H % p.B;
  let t = i / (p.H * p.B) * 8u;
  let pitch = (p.H + 2u * p.KVH) * D4;
  let keys = b * p.T * pitch + (p.H + h / (p.H / p.KVH)) * D4;
  let values = keys + p.KVH * D4;
  let last = min(t + 7u, p.T - 1u);
  let row = (b * p.H + h) * p.T;
  var qs: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var ds: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var sums: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var lses: array<f32, 8>;
  var deltas: array<f32, 8>;
  for (var r = 0u; r < 8u; r++) {
    let here = min(t + r, last);
    let at = ((b * p.T + here) * p.H + h) * D4;
    let qAt = (b * p.T + here) * pitch + h * D4;
    var total = 0.0;
    for (var d = 0u; d < D4; d++) {
      let x = dout[at + d];
      total += dot(x, attended[at + d]);
      ds[d * 8u + r] = x;
      qs[d * 8u + r] = qkv[qAt + d] * scale;
    }
    lses[r] = lse[row + here];
    deltas[r] = total;
  }
  for (var j = 0u; j <= last; j += 4u) {
    let js = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(last)) * pitch;
    let kAt = js + keys;
    let vAt = js + values;
    var ps = array<vec4f, 8>();
    var dps = array<vec4f, 8>();
    for (var d = 0u; d < D4; d++) {
      let k0 = qkv[kAt.x + d]; let k1 = qkv[kAt.y + d];
      let k2 = qkv[kAt.z + d]; let k3 = qkv[kAt.w + d];
      let v0 = qkv[vAt.x + d]; let v1 = qkv[vAt.y + d];
      let v2 = qkv[vAt.z + d]; let v3 = qkv[vAt.w + d];
      for (var r = 0u; r < 8u; r++) {
        let x = qs[d * 8u + r];
        let y = ds[d * 8u + r];
        ps[r] += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
        dps[r] += vec4f(dot(y, v0), dot(y, v1), dot(y, v2), dot(y, v3));
      }
    }
    for (var r = 0u; r < 8u; r++) {
      let live = vec4u(j, j + 1u, j + 2u, j + 3u) <= vec4u(t + r);
      let e = exp(select(vec4f(${MASKED}), ps[r] - lses[r], live));
      ps[r] = e * (dps[r] - deltas[r]) * scale;
    }
    for (var d = 0u; d < D4; d++) {
      let k0 = qkv[kAt.x + d]; let k1 = qkv[kAt.y + d];
      let k2 = qkv[kAt.z + d]; let k3 = qkv[kAt.w + d];
      for (var r = 0u; r < 8u; r++) {
        let e = ps[r];
        sums[d * 8u + r] += e.x * k0 + e.y * k1 + e.z * k2 + e.w * k3;
      }
    }
  }
  for (var r = 0u; r <= last - t; r++) {
    let at = (b * p.T + t + r) * pitch + h * D4;
    for (var d = 0u; d < D4; d++) { dqkv[at + d] = sums[d * 8u + r]; }
    delta[row + t + r] = deltas[r];
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, attended, qkv, lse } = inputs(sizes);
      const buffers = { dout, attended, qkv, lse, delta: lse.length, dqkv: qkv.length };
      return { name: nameOf(sizes), params: sizes, buffers };
    }),
});

/** dk and dv in dqkv. */
export const attentionBackwardKeys = defineKernel({
  name: "attentionBackwardKeys",
  buffers: {
    dout: "read float4",
    qkv: "read float4",
    lse: "read float",
    delta: "read float",
    dqkv: "write float4",
  },
  params: PARAMS,
  cpu({ dout, qkv, lse, delta, dqkv }, { B, T, H, KVH, D }): void {
    const pitch = (H + 2 * KVH) * D;
    const scale = 1 / Math.sqrt(D);
    const group = H / KVH;
    const [ds, qs, ks, vs, dks, dvs] = [0, 1, 2, 3, 4, 5].map(() => new Float64Array(T * D));
    const p = new Float64Array(T);
    const dp = new Float64Array(T);
    for (let b = 0; b < B; b++) {
      for (let g = 0; g < KVH; g++) {
        const start = b * T * pitch;
        const key = start + (H + g) * D;
        packRows(ks, qkv, key, pitch, T, D);
        packRows(vs, qkv, key + KVH * D, pitch, T, D);
        dks.fill(0);
        dvs.fill(0);
        for (let h = g * group; h < (g + 1) * group; h++) {
          const row = (b * H + h) * T;
          packRows(ds, dout, (b * T * H + h) * D, H * D, T, D);
          packRows(qs, qkv, start + h * D, pitch, T, D);
          for (let j = 0; j < T; j++) {
            dotRows(p, ks, j * D, qs, j, T, D, scale);
            dotRows(dp, vs, j * D, ds, j, T, D, 1);
            for (let t = j; t < T; t++) {
              p[t] = Math.exp(p[t] - lse[row + t]);
              dp[t] = p[t] * (dp[t] - delta[row + t]) * scale;
            }
            addRows(dks.subarray(j * D, j * D + D), dp, qs, j, T, D);
            addRows(dvs.subarray(j * D, j * D + D), p, ds, j, T, D);
          }
        }
        for (let j = 0; j < T; j++) {
          const at = key + j * pitch;
          dqkv.set(dks.subarray(j * D, j * D + D), at);
          dqkv.set(dvs.subarray(j * D, j * D + D), at + KVH * D);
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionBackwardKeys",
    args: (a, { T, H, KVH, D }) => [a.dout, a.qkv, a.lse, a.delta, a.dqkv, T, H, KVH, D],
    items: ({ B, KVH }) => B * KVH,
    work: ({ B, T, H, D }) => 2 * B * H * T * T * D,
  },
  invocations: (sizes) => tiles(sizes.KVH, sizes),
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let scale = 1.0 / sqrt(f32(p.D));
  let g = i % p.KVH;
  let b = i / p.KVH % p.B;
  let j = i / (p.KVH * p.B) * 8u;
  let last = min(j + 7u, p.T - 1u);
  let pitch = (p.H + 2u * p.KVH) * D4;
  let doutPitch = p.H * D4;
  let keys = b * p.T * pitch + (p.H + g) * D4;
  let values = keys + p.KVH * D4;
  var ks: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var vs: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var dks: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var dvs: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  for (var r = 0u; r < 8u; r++) {
    let at = min(j + r, last) * pitch;
    for (var d = 0u; d < D4; d++) {
      ks[d * 8u + r] = qkv[keys + at + d] * scale;
      vs[d * 8u + r] = qkv[values + at + d];
    }
  }
  let group = p.H / p.KVH;
  for (var h = g * group; h < (g + 1u) * group; h++) {
    let row = (b * p.H + h) * p.T;
    for (var t = j; t < p.T; t += 4u) {
      let rows = vec4u(t, t + 1u, t + 2u, t + 3u);
      let ts = min(rows, vec4u(p.T - 1u));
      let qAt = ts * pitch + (b * p.T * pitch + h * D4);
      let dAt = ts * doutPitch + (b * p.T * doutPitch + h * D4);
      var ps = array<vec4f, 8>();
      var dps = array<vec4f, 8>();
      for (var d = 0u; d < D4; d++) {
        let q0 = qkv[qAt.x + d]; let q1 = qkv[qAt.y + d];
        let q2 = qkv[qAt.z + d]; let q3 = qkv[qAt.w + d];
        let d0 = dout[dAt.x + d]; let d1 = dout[dAt.y + d];
        let d2 = dout[dAt.z + d]; let d3 = dout[dAt.w + d];
        for (var r = 0u; r < 8u; r++) {
          let x = ks[d * 8u + r];
          let y = vs[d * 8u + r];
          ps[r] += vec4f(dot(x, q0), dot(x, q1), dot(x, q2), dot(x, q3));
          dps[r] += vec4f(dot(y, d0), dot(y, d1), dot(y, d2), dot(y, d3));
        }
      }
      let at = ts + row;
      let lses = vec4f(lse[at.x], lse[at.y], lse[at.z], lse[at.w]);
      let deltas = vec4f(delta[at.x], delta[at.y], delta[at.z], delta[at.w]);
      for (var r = 0u; r < 8u; r++) {
        let live = (rows >= vec4u(j + r)) & (rows < vec4u(p.T));
        let e = exp(select(vec4f(${MASKED}), ps[r] - lses, live));
        ps[r] = e;
        dps[r] = e * (dps[r] - deltas) * scale;
      }
      for (var d = 0u; d < D4; d++) {
        let q0 = qkv[qAt.x + d]; let q1 = qkv[qAt.y + d];
        let q2 = qkv[qAt.z + d]; let q3 = qkv[qAt.w + d];
        let d0 = dout[dAt.x + d]; let d1 = dout[dAt.y + d];
        let d2 = dout[dAt.z + d]; let d3 = dout[dAt.w + d];
        for (var r = 0u; r < 8u; r++) {
          let x = dps[r];
          let y = ps[r];
          dks[d * 8u + r] += x.x * q0 + x.y * q1 + x.z * q2 + x.w * q3;
          dvs[d * 8u + r] += y.x * d0 + y.y * d1 + y.z * d2 + y.w * d3;
        }
      }
    }
  }
  for (var r = 0u; r <= last - j; r++) {
    let at = (j + r) * pitch;
    for (var d = 0u; d < D4; d++) {
      dqkv[keys + at + d] = dks[d * 8u + r];
      dqkv[values + at + d] = dvs[d * 8u + r];
    }
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, qkv, lse, delta } = inputs(sizes);
      const buffers = { dout, qkv, lse, delta, dqkv: qkv.length };
      return { name: nameOf(sizes), params: sizes, buffers };
    }),
});
