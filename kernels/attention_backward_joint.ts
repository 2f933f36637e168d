/**
 * The backward of attention.ts as in attention_backward.ts, but in one launch: p is made again once, not once for the
 * queries and once for the keys, which saves a third of the time. In return an invocation has a whole key head of a
 * sequence to do: few and long, which suits processors, while GPUs want the many short ones of attention_backward.ts.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { inputs, MAX_HEAD_SIZE, nameOf, PARAMS, SIZES } from "./attention.ts";
import { addRows, dotRows, packRows } from "./head_rows.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** delta and dqkv; one invocation a key head of a sequence. */
export const attentionBackwardJoint = defineKernel({
  name: "attentionBackwardJoint",
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
    const group = H / KVH;
    const [ds, os, qs, ks, vs, dqs, dks, dvs] = Array.from(
      { length: 8 },
      () => new Float64Array(T * D),
    );
    const [p, dp] = [0, 1].map(() => new Float64Array(T));
    for (let b = 0; b < B; b++) {
      const start = b * T * pitch;
      for (let g = 0; g < KVH; g++) {
        const key = start + (H + g) * D;
        packRows(ks, qkv, key, pitch, T, D);
        packRows(vs, qkv, key + KVH * D, pitch, T, D);
        dks.fill(0);
        dvs.fill(0);
        for (let h = g * group; h < (g + 1) * group; h++) {
          const row = (b * H + h) * T;
          packRows(ds, dout, (b * T * H + h) * D, H * D, T, D);
          packRows(os, attended, (b * T * H + h) * D, H * D, T, D);
          packRows(qs, qkv, start + h * D, pitch, T, D);
          dqs.fill(0);
          for (let t = 0; t < T; t++) {
            dotRows(dp, ds, t * D, os, t, t + 1, D, 1);
            delta[row + t] = dp[t];
          }
          for (let j = 0; j < T; j++) {
            dotRows(p, ks, j * D, qs, j, T, D, scale);
            dotRows(dp, vs, j * D, ds, j, T, D, 1);
            for (let t = j; t < T; t++) {
              p[t] = Math.exp(p[t] - lse[row + t]);
              dp[t] = p[t] * (dp[t] - delta[row + t]) * scale;
              for (let d = 0; d < D; d++) dqs[t * D + d] += dp[t] * ks[j * D + d];
            }
            addRows(dks.subarray(j * D, j * D + D), dp, qs, j, T, D);
            addRows(dvs.subarray(j * D, j * D + D), p, ds, j, T, D);
          }
          for (let t = 0; t < T; t++) {
            dqkv.set(dqs.subarray(t * D, t * D + D), start + t * pitch + h * D);
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
    function: "attentionBackwardJoint",
    args: (a, { T, H, KVH, D }) => [
      ...[a.dout, a.attended, a.qkv, a.lse, a.delta, a.dqkv],
      ...[T, H, KVH, D],
    ],
    items: ({ B, KVH }) => B * KVH,
    work: ({ B, T, H, D }) => 3 * B * H * T * T * D,
  },
  invocations: ({ B, KVH }) => B * KVH,
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let scale = 1.0 / sqrt(f32(p.D));
  let g = i % p.KVH;
  let b = i / p.KVH;
  let group = p.H / p.KVH;
  let pitch = (p.H + 2u * p.KVH) * D4;
  let doutPitch = p.H * D4;
  let keys = b * p.T * pitch + (p.H + g) * D4;
  let values = keys + p.KVH * D4;
  for (var h = g * group; h < (g + 1u) * group; h++) {
    for (var t = 0u; t < p.T; t++) {
      let at = (b * p.T + t) * doutPitch + h * D4;
      let dqAt = (b * p.T + t) * pitch + h * D4;
      var total = 0.0;
      for (var d = 0u; d < D4; d++) {
        total += dot(dout[at + d], attended[at + d]);
        dqkv[dqAt + d] = vec4f();
      }
      delta[(b * p.H + h) * p.T + t] = total;
    }
  }
  var ks: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var vs: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  for (var j = 0u; j < p.T; j += 8u) {
    let last = min(j + 7u, p.T - 1u);
    var dks = array<vec4f, ${MAX_HEAD_SIZE * 2}>();
    var dvs = array<vec4f, ${MAX_HEAD_SIZE * 2}>();
    for (var r = 0u; r < 8u; r++) {
      let at = min(j + r, last) * pitch;
      for (var d = 0u; d < D4; d++) {
        ks[d * 8u + r] = qkv[keys + at + d] * scale;
        vs[d * 8u + r] = qkv[values + at + d];
      }
    }
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
          let live = (rows >= vec4u(j + r)) & (rows < vec4u(p.T)) & vec4<bool>(j + r < p.T);
          let e = exp(select(vec4f(${MASKED}), ps[r] - lses, live));
          ps[r] = e;
          dps[r] = e * (dps[r] - deltas);
        }
        for (var d = 0u; d < D4; d++) {
          let q0 = qkv[qAt.x + d]; let q1 = qkv[qAt.y + d];
          let q2 = qkv[qAt.z + d]; let q3 = qkv[qAt.w + d];
          let d0 = dout[dAt.x + d]; let d1 = dout[dAt.y + d];
          let d2 = dout[dAt.z + d]; let d3 = dout[dAt.w + d];
          var dq0 = vec4f(); var dq1 = vec4f(); var dq2 = vec4f(); var dq3 = vec4f();
          for (var r = 0u; r < 8u; r++) {
            let x = dps[r];
            let y = ps[r];
            let z = ks[d * 8u + r];
            dks[d * 8u + r] += scale * (x.x * q0 + x.y * q1 + x.z * q2 + x.w * q3);
            dvs[d * 8u + r] += y.x * d0 + y.y * d1 + y.z * d2 + y.w * d3;
            dq0 += x.x * z; dq1 += x.y * z; dq2 += x.z * z; dq3 += x.w * z;
          }
          dqkv[qAt.x + d] += dq0;
          if (t + 1u < p.T) { dqkv[qAt.y + d] += dq1; }
          if (t + 2u < p.T) { dqkv[qAt.z + d] += dq2; }
          if (t + 3u < p.T) { dqkv[qAt.w + d] += dq3; }
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
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { dout, attended, qkv, lse } = inputs(sizes);
      const buffers = { dout, attended, qkv, lse, delta: lse.length, dqkv: qkv.length };
      return { name: nameOf(sizes), params: sizes, buffers };
    }),
});
