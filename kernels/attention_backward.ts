/**
 * The backward of attention.ts: p is made again from lse. With
 *
 *   delta_t = dout_t . out_t,   ds_tj = p_tj (dout_t . v_j - delta_t) / sqrt(D):
 *   dq_t = sum_{j<=t} ds_tj k_j,   dk_j = sum_h sum_{t>=j} ds_tj q_t,   dv_j = sum_h sum_{t>=j} p_tj dout_t
 *
 * dq, dout, out are (B, T, H, D); dk, dv (B, T, KVH, D); delta (B, H, T). `attended` is the forward's out.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { inputs, MAX_HEAD_SIZE, nameOf, PARAMS, SIZES, tiles } from "./attention.ts";
import { addRows, dotRows, packRows } from "./head_rows.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** delta_t = dout_t . out_t; one invocation a row of a head. */
export const attentionDelta = defineKernel({
  name: "attentionDelta",
  buffers: { dout: "read float4", attended: "read float4", delta: "write float" },
  params: PARAMS,
  cpu({ dout, attended, delta }, { B, T, H, D }): void {
    for (let b = 0, at = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        for (let h = 0; h < H; h++, at += D) {
          let sum = 0;
          for (let d = 0; d < D; d++) sum += dout[at + d] * attended[at + d];
          delta[(b * H + h) * T + t] = sum;
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionDelta",
    args: ({ dout, attended, delta }, { T, H, D }) => [dout, attended, delta, T, H, D],
    items: ({ B }) => B,
    work: ({ B, T, H, D }) => B * T * H * D,
  },
  invocations: ({ B, T, H }) => B * T * H,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  var sum = 0.0;
  for (var d = i * D4; d < (i + 1u) * D4; d++) { sum += dot(dout[d], attended[d]); }
  let h = i % p.H;
  let t = i / p.H % p.T;
  delta[(i / (p.H * p.T) * p.H + h) * p.T + t] = sum;
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, attended } = inputs(sizes);
      const delta = sizes.B * sizes.H * sizes.T;
      return { name: nameOf(sizes), params: sizes, buffers: { dout, attended, delta } };
    }),
});

/** dq. */
export const attentionBackwardQuery = defineKernel({
  name: "attentionBackwardQuery",
  buffers: {
    dout: "read float4",
    q: "read float4",
    k: "read float4",
    v: "read float4",
    lse: "read float",
    delta: "read float",
    dq: "write float4",
  },
  params: PARAMS,
  cpu({ dout, q, k, v, lse, delta, dq }, { B, T, H, KVH, D }): void {
    const scale = 1 / Math.sqrt(D);
    const [ds, qs, ks, vs] = [0, 1, 2, 3].map(() => new Float64Array(T * D));
    const p = new Float64Array(T);
    const dp = new Float64Array(T);
    const sum = new Float64Array(D);
    for (let b = 0; b < B; b++) {
      for (let h = 0; h < H; h++) {
        const kv = (b * T * KVH + Math.floor(h / (H / KVH))) * D;
        packRows(ds, dout, (b * T * H + h) * D, H * D, T, D);
        packRows(qs, q, (b * T * H + h) * D, H * D, T, D);
        packRows(ks, k, kv, KVH * D, T, D);
        packRows(vs, v, kv, KVH * D, T, D);
        for (let t = 0; t < T; t++) {
          const row = (b * H + h) * T + t;
          dotRows(p, qs, t * D, ks, 0, t + 1, D, scale);
          dotRows(dp, ds, t * D, vs, 0, t + 1, D, 1);
          for (let j = 0; j <= t; j++) {
            dp[j] = Math.exp(p[j] - lse[row]) * (dp[j] - delta[row]) * scale;
          }
          sum.fill(0);
          addRows(sum, dp, ks, 0, t + 1, D);
          dq.set(sum, ((b * T + t) * H + h) * D);
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionBackwardQuery",
    args: (a, { T, H, KVH, D }) => [a.dout, a.q, a.k, a.v, a.lse, a.delta, a.dq, T, H, KVH, D],
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
  let pitch = p.KVH * D4;
  let start = b * p.T * pitch + h / (p.H / p.KVH) * D4;
  let last = min(t + 7u, p.T - 1u);
  let row = (b * p.H + h) * p.T;
  var qs: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var ds: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var sums: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  for (var r = 0u; r < 8u; r++) {
    let at = ((b * p.T + min(t + r, last)) * p.H + h) * D4;
    for (var d = 0u; d < D4; d++) {
      qs[d * 8u + r] = q[at + d] * scale;
      ds[d * 8u + r] = dout[at + d];
    }
  }
  for (var j = 0u; j <= last; j += 4u) {
    let js = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(last)) * pitch + start;
    var ps = array<vec4f, 8>();
    var dps = array<vec4f, 8>();
    for (var d = 0u; d < D4; d++) {
      let k0 = k[js.x + d]; let k1 = k[js.y + d]; let k2 = k[js.z + d]; let k3 = k[js.w + d];
      let v0 = v[js.x + d]; let v1 = v[js.y + d]; let v2 = v[js.z + d]; let v3 = v[js.w + d];
      for (var r = 0u; r < 8u; r++) {
        let x = qs[d * 8u + r];
        let y = ds[d * 8u + r];
        ps[r] += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
        dps[r] += vec4f(dot(y, v0), dot(y, v1), dot(y, v2), dot(y, v3));
      }
    }
    for (var r = 0u; r < 8u; r++) {
      let at = row + min(t + r, last);
      let live = vec4u(j, j + 1u, j + 2u, j + 3u) <= vec4u(t + r);
      let e = exp(select(vec4f(${MASKED}), ps[r] - lse[at], live));
      ps[r] = e * (dps[r] - delta[at]) * scale;
    }
    for (var d = 0u; d < D4; d++) {
      let k0 = k[js.x + d]; let k1 = k[js.y + d]; let k2 = k[js.z + d]; let k3 = k[js.w + d];
      for (var r = 0u; r < 8u; r++) {
        let e = ps[r];
        sums[d * 8u + r] += e.x * k0 + e.y * k1 + e.z * k2 + e.w * k3;
      }
    }
  }
  for (var r = 0u; r <= last - t; r++) {
    let at = ((b * p.T + t + r) * p.H + h) * D4;
    for (var d = 0u; d < D4; d++) { dq[at + d] = sums[d * 8u + r]; }
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, q, k, v, lse, delta } = inputs(sizes);
      const buffers = { dout, q, k, v, lse, delta, dq: q.length };
      return { name: nameOf(sizes), params: sizes, buffers };
    }),
});

/** dk and dv. */
export const attentionBackwardKeys = defineKernel({
  name: "attentionBackwardKeys",
  buffers: {
    dout: "read float4",
    q: "read float4",
    k: "read float4",
    v: "read float4",
    lse: "read float",
    delta: "read float",
    dk: "write float4",
    dv: "write float4",
  },
  params: PARAMS,
  cpu({ dout, q, k, v, lse, delta, dk, dv }, { B, T, H, KVH, D }): void {
    const scale = 1 / Math.sqrt(D);
    const group = H / KVH;
    const [ds, qs, ks, vs, dks, dvs] = [0, 1, 2, 3, 4, 5].map(() => new Float64Array(T * D));
    const p = new Float64Array(T);
    const dp = new Float64Array(T);
    for (let b = 0; b < B; b++) {
      for (let g = 0; g < KVH; g++) {
        packRows(ks, k, (b * T * KVH + g) * D, KVH * D, T, D);
        packRows(vs, v, (b * T * KVH + g) * D, KVH * D, T, D);
        dks.fill(0);
        dvs.fill(0);
        for (let h = g * group; h < (g + 1) * group; h++) {
          const row = (b * H + h) * T;
          packRows(ds, dout, (b * T * H + h) * D, H * D, T, D);
          packRows(qs, q, (b * T * H + h) * D, H * D, T, D);
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
          const at = ((b * T + j) * KVH + g) * D;
          dk.set(dks.subarray(j * D, j * D + D), at);
          dv.set(dvs.subarray(j * D, j * D + D), at);
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionBackwardKeys",
    args: (
      { dout, q, k, v, lse, delta, dk, dv },
      { T, H, KVH, D },
    ) => [dout, q, k, v, lse, delta, dk, dv, T, H, KVH, D],
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
  let pitch = p.H * D4;
  var ks: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var vs: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var dks: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var dvs: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  for (var r = 0u; r < 8u; r++) {
    let at = ((b * p.T + min(j + r, last)) * p.KVH + g) * D4;
    for (var d = 0u; d < D4; d++) {
      ks[d * 8u + r] = k[at + d] * scale;
      vs[d * 8u + r] = v[at + d];
    }
  }
  let group = p.H / p.KVH;
  for (var h = g * group; h < (g + 1u) * group; h++) {
    let start = b * p.T * pitch + h * D4;
    let row = (b * p.H + h) * p.T;
    for (var t = j; t < p.T; t += 4u) {
      let rows = vec4u(t, t + 1u, t + 2u, t + 3u);
      let ts = min(rows, vec4u(p.T - 1u));
      let qAt = ts * pitch + start;
      var ps = array<vec4f, 8>();
      var dps = array<vec4f, 8>();
      for (var d = 0u; d < D4; d++) {
        let q0 = q[qAt.x + d]; let q1 = q[qAt.y + d]; let q2 = q[qAt.z + d]; let q3 = q[qAt.w + d];
        let d0 = dout[qAt.x + d]; let d1 = dout[qAt.y + d];
        let d2 = dout[qAt.z + d]; let d3 = dout[qAt.w + d];
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
        let q0 = q[qAt.x + d]; let q1 = q[qAt.y + d]; let q2 = q[qAt.z + d]; let q3 = q[qAt.w + d];
        let d0 = dout[qAt.x + d]; let d1 = dout[qAt.y + d];
        let d2 = dout[qAt.z + d]; let d3 = dout[qAt.w + d];
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
    let at = ((b * p.T + j + r) * p.KVH + g) * D4;
    for (var d = 0u; d < D4; d++) {
      dk[at + d] = dks[d * 8u + r];
      dv[at + d] = dvs[d * 8u + r];
    }
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, q, k, v, lse, delta } = inputs(sizes);
      const buffers = { dout, q, k, v, lse, delta, dk: k.length, dv: k.length };
      return { name: nameOf(sizes), params: sizes, buffers };
    }),
});
