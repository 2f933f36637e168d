/**
 * Causal attention with grouped query heads (Ainslie et al., arXiv:2305.13245): query head h of H reads key and value head
 * floor(h / (H / KVH)). For each batch entry and head, with s_tj = q_t . k_j / sqrt(D):
 *
 *   lse_t = log sum_{j<=t} e^{s_tj},   p_tj = e^{s_tj - lse_t},   out_t = sum_{j<=t} p_tj v_j
 *
 * No (T, T) matrix is stored: the backward makes p again from lse (Dao et al., arXiv:2205.14135).
 *
 * qkv is (B, T, H + 2 KVH, D), as one matrix product gives it: in each row H heads of q, KVH of k, KVH of v. out is
 * (B, T, H, D), lse (B, H, T). In WGSL an invocation takes eight rows of one head and
 * walks over the other side four rows at a time, so that each vec4 it loads serves eight rows. D is a multiple of 4, at
 * most MAX_HEAD_SIZE. (A variable declared in a loop needs its zeros spelt out: naga gives them to the first round only.)
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { defineKernel } from "../core/kernel.ts";
import { ramp } from "./cases.ts";
import { addRows, dotRows, packRows, softmaxScores } from "./head_rows.ts";
import { MASKED } from "./masked.ts";
import { simd } from "./wasm/modules.ts";

/** The largest head that fits the arrays of the WGSL. */
export const MAX_HEAD_SIZE = 128;

/** Throws {@link ShapeError} unless the kernels can do heads of size D. */
export function checkHeadSize(action: string, D: number): void {
  if (D % 4 !== 0 || D > MAX_HEAD_SIZE) {
    throw new ShapeError(
      `Cannot ${action} with heads of size ${D}: it must be a multiple of 4, at most ${MAX_HEAD_SIZE}`,
    );
  }
}

/** Sizes, of every kernel of attention. */
export const PARAMS = { B: "u32", T: "u32", H: "u32", KVH: "u32", D: "u32" } as const;

/** Their values. */
export type Sizes = { readonly [K in keyof typeof PARAMS]: number };

/** Invocation i is one of the eight-row tiles of one head: neighbours do the same rows of other heads. */
export const tiles = (heads: number, { B, T }: Sizes): number => B * heads * Math.ceil(T / 8);

/** Sizes of the twin tests: rows that fill no tile, several blocks of them, groups of heads, small and large heads. */
export const SIZES: readonly Sizes[] = [
  { B: 2, T: 11, H: 4, KVH: 2, D: 8 },
  { B: 1, T: 1, H: 1, KVH: 1, D: 4 },
  { B: 1, T: 139, H: 2, KVH: 1, D: 12 },
  { B: 2, T: 16, H: 3, KVH: 3, D: 32 },
  { B: 1, T: 5, H: 2, KVH: 1, D: 128 },
];

/** Inputs of a case, lse and delta among them, whether or not they belong together. */
export function inputs({ B, T, H, KVH, D }: Sizes): Record<
  "qkv" | "dout" | "attended" | "lse" | "delta",
  Float64Array
> {
  const width = (H + 2 * KVH) * D;
  return {
    qkv: ramp(B * T * width, 1).map((x, i) => i % width < H * D ? 3 * x : x),
    dout: ramp(B * T * H * D, 4),
    attended: ramp(B * T * H * D, 5),
    lse: ramp(B * H * T, 6).map((x) => 6 + x),
    delta: ramp(B * H * T, 7),
  };
}

/** The name of a case. */
export const nameOf = ({ B, T, H, KVH, D }: Sizes): string =>
  `B ${B} T ${T} H ${H} KVH ${KVH} D ${D}`;

/** out and lse. */
export const attentionForward = defineKernel({
  name: "attentionForward",
  buffers: {
    qkv: "read float4",
    out: "write float4",
    lse: "write float",
  },
  params: PARAMS,
  cpu({ qkv, out, lse }, { B, T, H, KVH, D }): void {
    const pitch = (H + 2 * KVH) * D;
    const scale = 1 / Math.sqrt(D);
    const [qs, ks, vs] = [0, 1, 2].map(() => new Float64Array(T * D));
    const p = new Float64Array(T);
    const sum = new Float64Array(D);
    for (let b = 0; b < B; b++) {
      for (let h = 0; h < H; h++) {
        const start = b * T * pitch;
        const key = start + (H + Math.floor(h / (H / KVH))) * D;
        packRows(qs, qkv, start + h * D, pitch, T, D);
        packRows(ks, qkv, key, pitch, T, D);
        packRows(vs, qkv, key + KVH * D, pitch, T, D);
        for (let t = 0; t < T; t++) {
          dotRows(p, qs, t * D, ks, 0, t + 1, D, scale);
          lse[(b * H + h) * T + t] = softmaxScores(p, t + 1);
          sum.fill(0);
          addRows(sum, p, vs, 0, t + 1, D);
          out.set(sum, ((b * T + t) * H + h) * D);
        }
      }
    }
  },
  wasm: {
    module: simd,
    function: "attentionForward",
    args: ({ qkv, out, lse }, { T, H, KVH, D }) => [qkv, out, lse, T, H, KVH, D],
    items: ({ B, H }) => B * H,
    work: ({ B, T, H, D }) => B * H * T * T * D,
  },
  invocations: (sizes) => tiles(sizes.H, sizes),
  workgroup: 8,
  wgsl: `
fn kernel(i: u32) {
  let D4 = p.D / 4u;
  let h = i % p.H;
  let b = i / p.H % p.B;
  let t = i / (p.H * p.B) * 8u;
  let pitch = (p.H + 2u * p.KVH) * D4;
  let keys = b * p.T * pitch + (p.H + h / (p.H / p.KVH)) * D4;
  let values = keys + p.KVH * D4;
  let last = min(t + 7u, p.T - 1u);
  var qs: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var sums: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  var top: array<f32, 8>;
  var total: array<f32, 8>;
  for (var r = 0u; r < 8u; r++) {
    top[r] = ${MASKED};
    let at = (b * p.T + min(t + r, last)) * pitch + h * D4;
    for (var d = 0u; d < D4; d++) { qs[d * 8u + r] = qkv[at + d] / sqrt(f32(p.D)); }
  }
  for (var j = 0u; j <= last; j += 4u) {
    let js = min(vec4u(j, j + 1u, j + 2u, j + 3u), vec4u(last)) * pitch;
    let kAt = js + keys;
    let vAt = js + values;
    var ps = array<vec4f, 8>();
    for (var d = 0u; d < D4; d++) {
      let k0 = qkv[kAt.x + d]; let k1 = qkv[kAt.y + d];
      let k2 = qkv[kAt.z + d]; let k3 = qkv[kAt.w + d];
      for (var r = 0u; r < 8u; r++) {
        let x = qs[d * 8u + r];
        ps[r] += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
      }
    }
    for (var r = 0u; r < 8u; r++) { // sums so far are relative to the largest score so far
      let live = vec4u(j, j + 1u, j + 2u, j + 3u) <= vec4u(t + r);
      let s = select(vec4f(${MASKED}), ps[r], live);
      let newTop = max(top[r], max(max(s.x, s.y), max(s.z, s.w)));
      let shrink = exp(top[r] - newTop);
      let e = exp(s - newTop);
      top[r] = newTop;
      total[r] = total[r] * shrink + e.x + e.y + e.z + e.w;
      ps[r] = e;
      if (shrink < 1.0) { for (var d = 0u; d < D4; d++) { sums[d * 8u + r] *= shrink; } }
    }
    for (var d = 0u; d < D4; d++) {
      let v0 = qkv[vAt.x + d]; let v1 = qkv[vAt.y + d];
      let v2 = qkv[vAt.z + d]; let v3 = qkv[vAt.w + d];
      for (var r = 0u; r < 8u; r++) {
        let e = ps[r];
        sums[d * 8u + r] += e.x * v0 + e.y * v1 + e.z * v2 + e.w * v3;
      }
    }
  }
  for (var r = 0u; r <= last - t; r++) {
    let at = ((b * p.T + t + r) * p.H + h) * D4;
    for (var d = 0u; d < D4; d++) { out[at + d] = sums[d * 8u + r] / total[r]; }
    lse[(b * p.H + h) * p.T + t + r] = top[r] + log(total[r]);
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { qkv, dout } = inputs(sizes);
      const lse = sizes.B * sizes.H * sizes.T;
      return { name: nameOf(sizes), params: sizes, buffers: { qkv, out: dout.length, lse } };
    }),
});
