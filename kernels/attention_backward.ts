/**
 * The backward of attention.ts: p is made again from lse. With
 *
 *   delta_t = dout_t . out_t,   ds_tj = p_tj (dout_t . v_j - delta_t) / sqrt(D):
 *   dq_t = sum_{j<=t} ds_tj k_j,   dk_j = sum_h sum_{t>=j} ds_tj q_t,   dv_j = sum_h sum_{t>=j} p_tj dout_t
 *
 * dout, out are (B, T, H, D); delta (B, H, T); dqkv, like qkv, is (B, T, H + 2 KVH, D): two kernels write the parts of it,
 * this one, and then that of attention_backward_keys.ts, which reads the delta of this one. `attended` is the forward's out.
 * These two are for GPUs; processors have attention_backward_joint.ts.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { inputs, MAX_HEAD_SIZE, nameOf, PARAMS, SIZES, tiles } from "./attention.ts";
import { addRows, dotRows, packRows } from "./head_rows.ts";
import { MASKED } from "./masked.ts";

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
