/**
 * The backward of attention.ts. With p_tj = e^{s_tj - lse_t} again:
 *
 *   delta_t = dout_t . out_t,   ds_tj = p_tj (dout_t . v_j - delta_t) / sqrt(D)
 *   dq_t = sum_{j<=t} ds_tj k_j,   dk_j = sum_h sum_{t>=j} ds_tj q_t
 *   dv_j = sum_h sum_{t>=j} p_tj dout_t
 *
 * with sums over the query heads h that read the key head. dout and out are (B, T, H, D), lse and
 * delta (B, T, H); dqkv, like qkv, is (B, T, H + 2 KVH, D).
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { addDots, addRows, caseName, dot, PARAMS, qkvOf, SIZES, SUMS, tiles } from "./attention.ts";
import { noise } from "./cases.ts";
import { MASKED } from "./masked.ts";
import { unroll } from "./unroll.ts";
import { simd } from "./wasm/modules.ts";

/** delta of N rows; one invocation per row. */
export const attentionDelta = defineKernel({
  name: "attentionDelta",
  buffers: { dout: "read float4", attended: "read float4", delta: "write float" },
  params: { N: "u32", D: "u32" },
  cpu({ dout, attended, delta }, { N, D }): void {
    for (let n = 0; n < N; n++) delta[n] = dot(dout, n * D, attended, n * D, D);
  },
  wasm: {
    module: simd,
    function: "attentionDelta",
    args: ({ dout, attended, delta }, { D }) => [dout, attended, delta, D],
    items: ({ N }) => N,
    work: ({ N, D }) => N * D,
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  let D4 = p.D / 4u;
  var sum = 0.0;
  for (var d = n * D4; d < (n + 1u) * D4; d++) { sum += dot(dout[d], attended[d]); }
  delta[n] = sum;
}`,
  cases: () =>
    [{ N: 5, D: 8 }, { N: 1, D: 128 }].map((params) => {
      const { N, D } = params;
      const buffers = { dout: noise(N * D, 4), attended: noise(N * D, 5), delta: N };
      return { name: caseName(params), params, buffers };
    }),
});

/**
 * WGSL: turns the scores s into p, and dout . v in ds into ds. `lse`, `delta` and `live` give those
 * of row r of the tile and of the Low or High four rows of the other side.
 */
function weigh(
  lse: (r: number, half: string) => string,
  delta: (r: number, half: string) => string,
  live: (r: number, half: string) => string,
): string {
  return unroll(8, (r) =>
    ["Low", "High"].map((half) => {
      const [score, ds] = [`s${half}[${r}]`, `ds${half}[${r}]`];
      return `
      ${score} = exp(select(vec4f(${MASKED}), ${score} * scale - ${lse(r, half)}, ${
        live(r, half)
      }));
      ${ds} = ${score} * (${ds} - ${delta(r, half)}) * scale;`;
    }).join(""));
}

/** WGSL: elements of a buffer at four places. */
const gather = (buffer: string, at: string): string =>
  `vec4f(${buffer}[${at}.x], ${buffer}[${at}.y], ${buffer}[${at}.z], ${buffer}[${at}.w])`;

/**
 * dqkv. Invocations handle tiles of queries first, which get dq, then tiles of keys, which get dk
 * and dv. Each computes the p that it needs.
 */
export const attentionBackward = defineKernel({
  name: "attentionBackward",
  buffers: {
    dout: "read float4",
    qkv: "read float4",
    lse: "read float",
    delta: "read float",
    dqkv: "write float4",
  },
  params: PARAMS,
  cpu({ dout, qkv, lse, delta, dqkv }, { B, T, H, KVH, D }): void {
    const rowAt = (b: number, t: number, head: number): number =>
      ((b * T + t) * (H + 2 * KVH) + head) * D;
    const sums = new Float64Array(qkv.length);
    for (let b = 0; b < B; b++) {
      for (let h = 0; h < H; h++) {
        const key = H + Math.floor(h / (H / KVH));
        for (let t = 0; t < T; t++) {
          const q = rowAt(b, t, h);
          const row = (b * T + t) * H + h; // of dout, lse and delta
          for (let j = 0; j <= t; j++) {
            const [k, v] = [rowAt(b, j, key), rowAt(b, j, key + KVH)];
            const score = dot(qkv, q, qkv, k, D) / Math.sqrt(D);
            const p = Math.exp(score - lse[row]);
            const ds = p * (dot(dout, row * D, qkv, v, D) - delta[row]) / Math.sqrt(D);
            for (let d = 0; d < D; d++) {
              sums[q + d] += ds * qkv[k + d];
              sums[k + d] += ds * qkv[q + d];
              sums[v + d] += p * dout[row * D + d];
            }
          }
        }
      }
    }
    dqkv.set(sums);
  },
  wasm: {
    module: simd,
    function: "attentionBackward",
    args: ({ dout, qkv, lse, delta, dqkv }, { T, H, KVH, D }) => [
      ...[dout, qkv, lse, delta, dqkv],
      ...[T, H, KVH, D],
    ],
    items: ({ B, KVH }) => B * KVH,
    work: ({ B, T, H, D }) => 3 * B * H * T * T * D,
  },
  invocations: (sizes) => tiles(sizes.H, sizes) + tiles(sizes.KVH, sizes),
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let ofQueries = p.B * p.H * ((p.T + 7u) / 8u);
  if (i < ofQueries) { queries(i); } else { keys(i - ofQueries); }
}

fn queries(i: u32) {
  let D4 = p.D / 4u;
  let scale = 1.0 / sqrt(f32(p.D));
  let h = i % p.H;
  let b = i / p.H % p.B;
  let t = i / (p.H * p.B) * 8u;
  let last = min(t + 7u, p.T - 1u);
  let pitch = (p.H + 2u * p.KVH) * D4;
  let start = b * p.T * pitch;
  let key = start + (p.H + h / (p.H / p.KVH)) * D4;
  let tLow = min(t + vec4u(0, 1, 2, 3), vec4u(last));
  let tHigh = min(t + vec4u(4, 5, 6, 7), vec4u(last));
  let queryLow = start + tLow * pitch + h * D4;
  let queryHigh = start + tHigh * pitch + h * D4;
  let rowLow = (b * p.T + tLow) * p.H + h;
  let rowHigh = (b * p.T + tHigh) * p.H + h;
  let doutLow = rowLow * D4;
  let doutHigh = rowHigh * D4;
  var dqs: ${SUMS};
  for (var j = 0u; j <= last; j += 8u) {
    let jLow = vec4u(j, j + 1u, j + 2u, j + 3u);
    let jHigh = jLow + 4u;
    let keyLow = key + min(jLow, vec4u(last)) * pitch;
    let keyHigh = key + min(jHigh, vec4u(last)) * pitch;
    let valueLow = keyLow + p.KVH * D4;
    let valueHigh = keyHigh + p.KVH * D4;
    var sLow = array<vec4f, 8>();
    var sHigh = array<vec4f, 8>();
    var dsLow = array<vec4f, 8>();
    var dsHigh = array<vec4f, 8>();
    ${addDots("s", ["qkv", "query"], ["qkv", "key"])}
    ${addDots("ds", ["dout", "dout"], ["qkv", "value"])}
    ${
    weigh(
      (r) => `lse[row${r < 4 ? "Low" : "High"}[${r % 4}]]`,
      (r) => `delta[row${r < 4 ? "Low" : "High"}[${r % 4}]]`,
      (r, half) => `j${half} <= vec4u(t + ${r}u)`,
    )
  }
    ${addRows("dqs", "ds", ["qkv", "key"])}
  }
  ${
    unroll(8, (r) => `
  if (t + ${r}u <= last) {
    let at = start + (t + ${r}u) * pitch + h * D4;
    for (var d = 0u; d < D4; d++) { dqkv[at + d] = dqs[d][${r}]; }
  }`)
  }
}

fn keys(i: u32) {
  let D4 = p.D / 4u;
  let scale = 1.0 / sqrt(f32(p.D));
  let g = i % p.KVH;
  let b = i / p.KVH % p.B;
  let j = i / (p.KVH * p.B) * 8u;
  let last = min(j + 7u, p.T - 1u);
  let pitch = (p.H + 2u * p.KVH) * D4;
  let start = b * p.T * pitch;
  let key = start + (p.H + g) * D4;
  let value = key + p.KVH * D4;
  let keyLow = key + min(j + vec4u(0, 1, 2, 3), vec4u(last)) * pitch;
  let keyHigh = key + min(j + vec4u(4, 5, 6, 7), vec4u(last)) * pitch;
  let valueLow = keyLow + p.KVH * D4;
  let valueHigh = keyHigh + p.KVH * D4;
  var dks: ${SUMS};
  var dvs: ${SUMS};
  let group = p.H / p.KVH;
  for (var h = g * group; h < (g + 1u) * group; h++) {
    for (var t = j; t < p.T; t += 8u) {
      let tLow = vec4u(t, t + 1u, t + 2u, t + 3u);
      let tHigh = tLow + 4u;
      ${
    ["Low", "High"].map((half) => `
      let query${half} = start + min(t${half}, vec4u(p.T - 1u)) * pitch + h * D4;
      let row${half} = (b * p.T + min(t${half}, vec4u(p.T - 1u))) * p.H + h;
      let dout${half} = row${half} * D4;
      let lse${half} = ${gather("lse", `row${half}`)};
      let delta${half} = ${gather("delta", `row${half}`)};
      var s${half} = array<vec4f, 8>();
      var ds${half} = array<vec4f, 8>();`).join("")
  }
      ${addDots("s", ["qkv", "key"], ["qkv", "query"])}
      ${addDots("ds", ["qkv", "value"], ["dout", "dout"])}
      ${
    weigh(
      (_, half) => `lse${half}`,
      (_, half) => `delta${half}`,
      (r, half) => `(t${half} >= vec4u(j + ${r}u)) & (t${half} < vec4u(p.T))`,
    )
  }
      ${addRows("dks", "ds", ["qkv", "query"])}
      ${addRows("dvs", "s", ["dout", "dout"])}
    }
  }
  ${
    unroll(8, (r) => `
  if (j + ${r}u <= last) {
    let at = (j + ${r}u) * pitch;
    for (var d = 0u; d < D4; d++) {
      dqkv[key + at + d] = dks[d][${r}];
      dqkv[value + at + d] = dvs[d][${r}];
    }
  }`)
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { B, T, H, D } = sizes;
      const qkv = qkvOf(sizes);
      const lse = noise(B * T * H, 6).map((x) => 6 + x);
      const delta = noise(B * T * H, 7);
      const buffers = { dout: noise(B * T * H * D, 4), qkv, lse, delta, dqkv: qkv.length };
      return { name: caseName(sizes), params: sizes, buffers };
    }),
});
