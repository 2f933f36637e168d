/**
 * Causal attention with grouped query heads (Ainslie et al., arXiv:2305.13245). Query head h of H
 * reads key and value head floor(h / (H / KVH)). For each sequence and head:
 *
 *   s_tj = q_t . k_j / sqrt(D),   lse_t = log sum_{j<=t} e^{s_tj}
 *   p_tj = e^{s_tj - lse_t},   out_t = sum_{j<=t} p_tj v_j
 *
 * No (T, T) matrix is stored: the backward computes p again from lse (Dao et al.,
 * arXiv:2205.14135).
 *
 * qkv is (B, T, H + 2 KVH, D), the result of one matrix product: each row has H heads of q, KVH of
 * k and KVH of v. out is (B, T, H, D), lse (B, T, H). D is a multiple of 4, at most MAX_HEAD_SIZE.
 *
 * In WGSL an invocation handles a tile: eight rows of one head. It walks over the rows of the other
 * side eight at a time, so that each vector it loads serves eight rows.
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { MASKED } from "./masked.ts";
import { unroll } from "./unroll.ts";
import { simd } from "./wasm/modules.ts";

/** The largest head that fits the arrays of the WGSL. */
export const MAX_HEAD_SIZE = 128;

/** Throws {@link ShapeError} unless the kernels support heads of size D. */
export function checkHeadSize(action: string, D: number): void {
  if (D % 4 !== 0 || D > MAX_HEAD_SIZE) {
    throw new ShapeError(
      `Cannot ${action} with heads of size ${D}: ` +
        `it must be a multiple of 4, at most ${MAX_HEAD_SIZE}`,
    );
  }
}

/** The parameters of both directions. */
export const PARAMS = { B: "u32", T: "u32", H: "u32", KVH: "u32", D: "u32" } as const;

/** Their values. */
export type Sizes = { readonly [K in keyof typeof PARAMS]: number };

/**
 * The number of tiles of all sequences. Tile i and its neighbours have the same rows of other
 * heads.
 */
export const tiles = (heads: number, { B, T }: Sizes): number => B * heads * Math.ceil(T / 8);

/** Sizes for the reference tests: unfilled tiles, several blocks, groups, small and large heads. */
export const SIZES: readonly Sizes[] = [
  { B: 2, T: 11, H: 4, KVH: 2, D: 8 },
  { B: 1, T: 1, H: 1, KVH: 1, D: 4 },
  { B: 1, T: 139, H: 2, KVH: 1, D: 12 },
  { B: 2, T: 16, H: 3, KVH: 3, D: 32 },
  { B: 1, T: 5, H: 2, KVH: 1, D: 128 },
];

/** The name of a case. */
export const caseName = (sizes: Readonly<Record<string, number>>): string =>
  Object.entries(sizes).flat().join(" ");

/** Queries, keys and values of a case. Queries are larger, so that weights differ. */
export function qkvOf({ B, T, H, KVH, D }: Sizes): Float64Array {
  const width = (H + 2 * KVH) * D;
  return noise(B * T * width, 1).map((x, i) => i % width < H * D ? 3 * x : x);
}

/** x . y of D elements from i and j on. */
export function dot(x: FloatArray, i: number, y: FloatArray, j: number, D: number): number {
  let sum = 0;
  for (let d = 0; d < D; d++) sum += x[i + d] * y[j + d];
  return sum;
}

/** The logarithm of the sum of the exponentials of the first n scores. */
export function logSumExp(scores: Float64Array, n: number): number {
  const top = scores.subarray(0, n).reduce((x, y) => Math.max(x, y));
  let total = 0;
  for (let j = 0; j < n; j++) total += Math.exp(scores[j] - top);
  return top + Math.log(total);
}

/** Eight rows of a buffer; those of `["qkv", "key"]` begin at vectors `keyLow` and `keyHigh`. */
type Rows = readonly [buffer: string, name: string];

/** WGSL that loads vector d of eight rows, as x0 to x7. */
const loadRows = (x: string, [buffer, name]: Rows): string =>
  unroll(8, (k) => {
    const at = `${name}${k < 4 ? "Low" : "High"}.${"xyzw"[k % 4]}`;
    return `let ${x}${k} = ${buffer}[${at} + d];`;
  });

/** WGSL: scores[r][k] += row_r . row_k of eight rows each. */
export const addDots = (scores: string, own: Rows, others: Rows): string => `
    for (var d = 0u; d < D4; d++) {
      ${loadRows("x", own)}
      ${loadRows("y", others)}
      ${
  unroll(8, (r) => `
      ${scores}Low[${r}] += vec4f(dot(x${r}, y0), dot(x${r}, y1), dot(x${r}, y2), dot(x${r}, y3));
      ${scores}High[${r}] += vec4f(dot(x${r}, y4), dot(x${r}, y5), dot(x${r}, y6), dot(x${r}, y7));`)
}
    }`;

/** WGSL: sums_r = sums_r `factor` + sum_k weights[r][k] row_k of eight rows. */
export const addRows = (
  sums: string,
  weights: string,
  others: Rows,
  factor = (_: number): string => "",
): string => `
    for (var d = 0u; d < D4; d++) {
      ${loadRows("y", others)}
      ${
  unroll(8, (r) => {
    const [sum, low, high] = [
      `${sums}[d][${r}u]`,
      `${weights}Low[${r}]`,
      `${weights}High[${r}]`,
    ];
    return `${sum} = ${sum}${factor(r)} +
        (${low}.x * y0 + ${low}.y * y1 + ${low}.z * y2 + ${low}.w * y3 +
         ${high}.x * y4 + ${high}.y * y5 + ${high}.z * y6 + ${high}.w * y7);`;
  })
}
    }`;

/**
 * WGSL: the sums of eight rows. Quarter d of row r is element [d][r]. With r written out, compilers
 * see eight arrays, which takes half the time to compile.
 */
export const SUMS = `array<array<vec4f, 8>, ${MAX_HEAD_SIZE / 4}>`;

/** out and lse. */
export const attentionForward = defineKernel({
  name: "attentionForward",
  buffers: { qkv: "read float4", out: "write float4", lse: "write float" },
  params: PARAMS,
  cpu({ qkv, out, lse }, { B, T, H, KVH, D }): void {
    const rowAt = (b: number, t: number, head: number): number =>
      ((b * T + t) * (H + 2 * KVH) + head) * D;
    const p = new Float64Array(T);
    for (let b = 0; b < B; b++) {
      for (let h = 0; h < H; h++) {
        const key = H + Math.floor(h / (H / KVH));
        for (let t = 0; t < T; t++) {
          const row = (b * T + t) * H + h;
          for (let j = 0; j <= t; j++) {
            p[j] = dot(qkv, rowAt(b, t, h), qkv, rowAt(b, j, key), D) / Math.sqrt(D);
          }
          const total = logSumExp(p, t + 1);
          for (let j = 0; j <= t; j++) p[j] = Math.exp(p[j] - total);
          for (let d = 0; d < D; d++) {
            let sum = 0;
            for (let j = 0; j <= t; j++) sum += p[j] * qkv[rowAt(b, j, key + KVH) + d];
            out[row * D + d] = sum;
          }
          lse[row] = total;
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
  let scale = 1.0 / sqrt(f32(p.D));
  let h = i % p.H;
  let b = i / p.H % p.B;
  let t = i / (p.H * p.B) * 8u;
  let pitch = (p.H + 2u * p.KVH) * D4;
  let start = b * p.T * pitch;
  let key = start + (p.H + h / (p.H / p.KVH)) * D4;
  let last = min(t + 7u, p.T - 1u);
  let queryLow = start + min(t + vec4u(0, 1, 2, 3), vec4u(last)) * pitch + h * D4;
  let queryHigh = start + min(t + vec4u(4, 5, 6, 7), vec4u(last)) * pitch + h * D4;
  var sums: ${SUMS};
  ${unroll(8, (r) => `var top${r} = ${MASKED}; var total${r} = 0.0;`)}
  for (var j = 0u; j <= last; j += 8u) {
    let js = vec4u(j, j + 1u, j + 2u, j + 3u);
    let keyLow = key + min(js, vec4u(last)) * pitch;
    let keyHigh = key + min(js + 4u, vec4u(last)) * pitch;
    let valueLow = keyLow + p.KVH * D4;
    let valueHigh = keyHigh + p.KVH * D4;
    var sLow = array<vec4f, 8>();
    var sHigh = array<vec4f, 8>();
    ${addDots("s", ["qkv", "query"], ["qkv", "key"])}
    ${
    unroll(8, (r) => `
    sLow[${r}] = select(vec4f(${MASKED}), sLow[${r}] * scale, js <= vec4u(t + ${r}u));
    sHigh[${r}] = select(vec4f(${MASKED}), sHigh[${r}] * scale, js + 4u <= vec4u(t + ${r}u));
    let most${r} = max(sLow[${r}], sHigh[${r}]);
    let newTop${r} = max(top${r}, max(max(most${r}.x, most${r}.y), max(most${r}.z, most${r}.w)));
    let shrink${r} = exp(top${r} - newTop${r}); // sums are relative to the largest score so far
    top${r} = newTop${r};
    sLow[${r}] = exp(sLow[${r}] - top${r});
    sHigh[${r}] = exp(sHigh[${r}] - top${r});
    total${r} = total${r} * shrink${r} + dot(sLow[${r}] + sHigh[${r}], vec4f(1.0));`)
  }
    ${addRows("sums", "s", ["qkv", "value"], (r) => ` * shrink${r}`)}
  }
  ${
    unroll(8, (r) => `
  if (t + ${r}u <= last) {
    let row = (b * p.T + t + ${r}u) * p.H + h;
    lse[row] = top${r} + log(total${r});
    for (var d = 0u; d < D4; d++) { out[row * D4 + d] = sums[d][${r}u] / total${r}; }
  }`)
  }
}`,
  cases: () =>
    SIZES.map((sizes) => {
      const { B, T, H, D } = sizes;
      const buffers = { qkv: qkvOf(sizes), out: B * T * H * D, lse: B * H * T };
      return { name: caseName(sizes), params: sizes, buffers };
    }),
});
