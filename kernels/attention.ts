/**
 * Causal attention with grouped query heads (Ainslie et al., arXiv:2305.13245): query head h of H reads key and value head
 * floor(h / (H / KVH)). For each batch entry and head, with s_tj = q_t . k_j / sqrt(D):
 *
 *   lse_t = log sum_{j<=t} e^{s_tj},   p_tj = e^{s_tj - lse_t},   out_t = sum_{j<=t} p_tj v_j
 *
 * No (T, T) matrix is stored: the backward makes p again from lse (Dao et al., arXiv:2205.14135).
 *
 * qkv is (B, T, H + 2 KVH, D), as one matrix product gives it: in each row H heads of q, KVH of k, KVH of v. out is
 * (B, T, H, D), lse (B, H, T). In WGSL an invocation takes eight rows of one head and walks over the other side eight
 * rows at a time (four for dq), so that each vec4 it loads serves eight rows. D is a multiple of 4, at most
 * MAX_HEAD_SIZE. (A variable declared in a loop needs its zeros spelt out: naga gives them to the first round only.)
 *
 * @module
 */
import { ShapeError } from "../core/errors.ts";
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
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

/** Sizes of the reference tests: rows that fill no tile, several blocks of them, groups of heads, small and large heads. */
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
    qkv: noise(B * T * width, 1).map((x, i) => i % width < H * D ? 3 * x : x),
    dout: noise(B * T * H * D, 4),
    attended: noise(B * T * H * D, 5),
    lse: noise(B * H * T, 6).map((x) => 6 + x),
    delta: noise(B * H * T, 7),
  };
}

/**
 * `line(0)`, `line(1)`, ... below each other: the WGSL's tiles of eight by eight are written out, for what lies in an
 * array that a loop walks is in memory, not in registers.
 */
export const unroll = (n: number, line: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => line(i)).join("\n");

/** Eight rows of `buffer`, from where `low` and `high` say plus `offset`, as `x`0 to `x`7. */
export const loadRows = (
  x: string,
  buffer: string,
  low: string,
  high: string,
  offset: string,
): string =>
  unroll(8, (k) => `let ${x}${k} = ${buffer}[${k < 4 ? low : high}.${"xyzw"[k % 4]} + ${offset}];`);

/** The sum of eight rows `x`0 to `x`7 with weights `low` and `high`. */
export const weighted = (low: string, high: string, x: string): string =>
  Array.from({ length: 8 }, (_, k) => `${k < 4 ? low : high}.${"xyzw"[k % 4]} * ${x}${k}`)
    .join(" + ");

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
  let values = p.KVH * D4; // from a key to its value
  let last = min(t + 7u, p.T - 1u);
  var qs: array<vec4f, ${MAX_HEAD_SIZE * 2}>; // row r, quarter d: [d * 8 + r]
  var sums: array<vec4f, ${MAX_HEAD_SIZE * 2}>;
  for (var r = 0u; r < 8u; r++) {
    let at = (b * p.T + min(t + r, last)) * pitch + h * D4;
    for (var d = 0u; d < D4; d++) { qs[d * 8u + r] = qkv[at + d] / sqrt(f32(p.D)); }
  }
  ${unroll(8, (r) => `var top${r} = ${MASKED}; var total${r} = 0.0;`)}
  for (var j = 0u; j <= last; j += 8u) {
    let js = vec4u(j, j + 1u, j + 2u, j + 3u);
    let low = keys + min(js, vec4u(last)) * pitch;
    let high = keys + min(js + 4u, vec4u(last)) * pitch;
    ${unroll(8, (r) => `var l${r} = vec4f(0.0); var h${r} = vec4f(0.0);`)}
    for (var d = 0u; d < D4; d++) {
      ${loadRows("k", "qkv", "low", "high", "d")}
      ${
    unroll(8, (r) =>
      `{ let x = qs[d * 8u + ${r}u];
        l${r} += vec4f(dot(x, k0), dot(x, k1), dot(x, k2), dot(x, k3));
        h${r} += vec4f(dot(x, k4), dot(x, k5), dot(x, k6), dot(x, k7)); }`)
  }
    }
    ${
    unroll(8, (r) => `
    l${r} = select(vec4f(${MASKED}), l${r}, js <= vec4u(t + ${r}u));
    h${r} = select(vec4f(${MASKED}), h${r}, js + 4u <= vec4u(t + ${r}u));
    let most${r} = max(l${r}, h${r});
    let newTop${r} = max(top${r}, max(max(most${r}.x, most${r}.y), max(most${r}.z, most${r}.w)));
    let shrink${r} = exp(top${r} - newTop${r}); // sums so far are relative to the largest score so far
    top${r} = newTop${r};
    l${r} = exp(l${r} - top${r});
    h${r} = exp(h${r} - top${r});
    total${r} = total${r} * shrink${r} + dot(l${r} + h${r}, vec4f(1.0));`)
  }
    for (var d = 0u; d < D4; d++) {
      ${loadRows("v", "qkv", "low", "high", "values + d")}
      ${
    unroll(8, (r) =>
      `sums[d * 8u + ${r}u] = sums[d * 8u + ${r}u] * shrink${r} +
        (${weighted(`l${r}`, `h${r}`, "v")});`)
  }
    }
  }
  ${
    unroll(8, (r) => `
  if (t + ${r}u <= last) {
    lse[(b * p.H + h) * p.T + t + ${r}u] = top${r} + log(total${r});
    let at = ((b * p.T + t + ${r}u) * p.H + h) * D4;
    for (var d = 0u; d < D4; d++) { out[at + d] = sums[d * 8u + ${r}u] / total${r}; }
  }`)
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { qkv, dout } = inputs(sizes);
      const lse = sizes.B * sizes.H * sizes.T;
      return { name: nameOf(sizes), params: sizes, buffers: { qkv, out: dout.length, lse } };
    }),
});
