/**
 * The other half of attention_backward.ts, with its formulas: the gradients of keys and values.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import {
  inputs,
  loadRows,
  MAX_HEAD_SIZE,
  nameOf,
  PARAMS,
  SIZES,
  tiles,
  unroll,
  weighted,
} from "./attention.ts";
import { addRows, dotRows, packRows } from "./head_rows.ts";
import { MASKED } from "./masked.ts";

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
    for (var t = j; t < p.T; t += 8u) {
      let lowRows = vec4u(t, t + 1u, t + 2u, t + 3u);
      let highRows = lowRows + 4u;
      let lowTs = min(lowRows, vec4u(p.T - 1u));
      let highTs = min(highRows, vec4u(p.T - 1u));
      let low = lowTs * pitch + (b * p.T * pitch + h * D4);
      let high = highTs * pitch + (b * p.T * pitch + h * D4);
      let lowD = lowTs * doutPitch + (b * p.T * doutPitch + h * D4);
      let highD = highTs * doutPitch + (b * p.T * doutPitch + h * D4);
      ${
    unroll(
      8,
      (r) =>
        `var l${r} = vec4f(0.0); var h${r} = vec4f(0.0);
      var dl${r} = vec4f(0.0); var dh${r} = vec4f(0.0);`,
    )
  }
      for (var d = 0u; d < D4; d++) {
        ${loadRows("q", "qkv", "low", "high", "d")}
        ${
    unroll(8, (r) =>
      `{ let x = ks[d * 8u + ${r}u];
          l${r} += vec4f(dot(x, q0), dot(x, q1), dot(x, q2), dot(x, q3));
          h${r} += vec4f(dot(x, q4), dot(x, q5), dot(x, q6), dot(x, q7)); }`)
  }
      }
      for (var d = 0u; d < D4; d++) {
        ${loadRows("d", "dout", "lowD", "highD", "d")}
        ${
    unroll(8, (r) =>
      `{ let x = vs[d * 8u + ${r}u];
          dl${r} += vec4f(dot(x, d0), dot(x, d1), dot(x, d2), dot(x, d3));
          dh${r} += vec4f(dot(x, d4), dot(x, d5), dot(x, d6), dot(x, d7)); }`)
  }
      }
      let lowAt = lowTs + row;
      let highAt = highTs + row;
      let lowLse = vec4f(lse[lowAt.x], lse[lowAt.y], lse[lowAt.z], lse[lowAt.w]);
      let highLse = vec4f(lse[highAt.x], lse[highAt.y], lse[highAt.z], lse[highAt.w]);
      let lowDelta = vec4f(delta[lowAt.x], delta[lowAt.y], delta[lowAt.z], delta[lowAt.w]);
      let highDelta = vec4f(delta[highAt.x], delta[highAt.y], delta[highAt.z], delta[highAt.w]);
      ${
    unroll(8, (r) => `
      l${r} = exp(select(vec4f(${MASKED}), l${r} - lowLse,
        (lowRows >= vec4u(j + ${r}u)) & (lowRows < vec4u(p.T))));
      h${r} = exp(select(vec4f(${MASKED}), h${r} - highLse,
        (highRows >= vec4u(j + ${r}u)) & (highRows < vec4u(p.T))));
      dl${r} = l${r} * (dl${r} - lowDelta) * scale;
      dh${r} = h${r} * (dh${r} - highDelta) * scale;`)
  }
      for (var d = 0u; d < D4; d++) {
        ${loadRows("q", "qkv", "low", "high", "d")}
        ${unroll(8, (r) => `dks[d * 8u + ${r}u] += ${weighted(`dl${r}`, `dh${r}`, "q")};`)}
      }
      for (var d = 0u; d < D4; d++) {
        ${loadRows("d", "dout", "lowD", "highD", "d")}
        ${unroll(8, (r) => `dvs[d * 8u + ${r}u] += ${weighted(`l${r}`, `h${r}`, "d")};`)}
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
