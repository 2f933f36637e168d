/**
 * Matrix products for adapters that are programs on the processor, such as llvmpipe.
 *
 * llvmpipe runs eight invocations as the lanes of one vector and loads lane by lane, also where all lanes read the same
 * element: a load costs about as much as ten multiply-adds, and less from workgroup memory. So a workgroup is one vector of
 * invocations, each with a 16x16 tile of the output: 32 elements loaded for 256 multiply-adds. The rows of A, which all lanes
 * read, are staged in workgroup memory. The sums lie in an array, which the loop indexes by constants and the
 * store by a variable: stores written out for each sum would take longer to compile than the rest.
 *
 * Where N is small the lanes do not all lie side by side: see `splitOf`.
 *
 * A may have any strides. The kernels differ in how they read B: `matmulRows` four columns at once, `matmulColumns` four
 * rows at once, `matmulStrided` element by element, for any strides and sizes. On a 2-core processor they reach 27, 24 and
 * 16 to 23 GFLOP/s where 8x8 tiles read from storage memory reach 19.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { LANES, lines, matmulForm, splitOf, TILE } from "./matmul_form.ts";

/** Rows of a tile, and vectors of four columns. */
const ROWS = TILE;
const QUADS = TILE / 4;
/** How many columns of A are staged at once, where all lanes lie side by side. */
const DEPTH = 64;

/** The sizes of an output. */
interface Sizes {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
}

/** A workgroup's place is its tile and matrix: to divide a running number costs a tenth of the speed. */
const grid = (
  { batch, M, N, split }: Sizes & { readonly split: number },
): readonly [number, number, number] => [
  Math.ceil(N / (TILE * (LANES >> split))),
  Math.ceil(M / (TILE << split)),
  batch,
];

/** Whether a launch may have so many workgroups. */
export const fitsGrid = (sizes: Sizes): boolean =>
  grid({ ...sizes, split: splitOf(sizes) }).every((groups) => groups <= 65535);

/**
 * `columns` names what stays the same along the sum, `step` adds to the sums the products for k to k + `unrolled` - 1, and
 * `store` writes the four sums `v` of row top + r and columns n + c...
 */
function wgsl(columns: string, unrolled: number, step: string, store: string): string {
  return `
var<workgroup> rows: array<vec4f, ${DEPTH * ROWS / 4}>; // [k][row / 4]
@compute @workgroup_size(${LANES})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = ${LANES}u >> p.split;
  let quads = ${ROWS / 4}u << p.split; // of rows, that are staged
  let own = (lane >> (3u - p.split)) * ${ROWS / 4}u; // the first of them that this invocation needs
  let m = group.y * quads * 4u;
  let n = (group.x * width + (lane & (width - 1u))) * ${4 * QUADS}u;
  let matrix = group.z;
  let aAt = matrix * p.aBatch;
  let bAt = matrix * p.bBatch;
  let last = p.M - 1u;
  ${columns}
  var acc = array<vec4f, ${ROWS * QUADS}>(); // [row][column / 4]
  let step = ${DEPTH}u >> p.split;
  for (var start = 0u; start < p.K; start += step) {
    let depth = min(step, p.K - start);
    workgroupBarrier();
    for (var j = lane; j < depth * quads; j += ${LANES}u) {
      let at = aAt + (start + (j >> (2u + p.split))) * p.aCol;
      let r = m + (j & (quads - 1u)) * 4u;
      rows[j] = vec4f(
        a[at + min(r, last) * p.aRow],
        a[at + min(r + 1u, last) * p.aRow],
        a[at + min(r + 2u, last) * p.aRow],
        a[at + min(r + 3u, last) * p.aRow],
      );
    }
    workgroupBarrier();
    for (var inside = 0u; inside < depth; inside += ${unrolled}u) {
      let k = start + inside;
      let at = inside * quads + own;
${
    lines(unrolled * ROWS / 4, (j) => {
      const [k, q] = [Math.floor(j / (ROWS / 4)), j % (ROWS / 4)];
      return `let x${j} = rows[at + ${k}u * quads + ${q}u];`;
    })
  }
${step}
    }
  }
  let top = m + own * 4u;
  for (var r = 0u; r < ${ROWS}u; r++) {
    for (var c = 0u; c < ${4 * QUADS}u; c += 4u) {
      if (top + r < p.M) {
        let v = acc[r * ${QUADS}u + c / 4u];
        let at = (matrix * p.M + top + r) * p.N + n + c;
        ${store}
      }
    }
  }
}`;
}

/** Adds to the sums of vector q of columns in every row: `ys` are the elements of B for k, k + 1, ... */
const add = (q: number, ...ys: readonly string[]): string =>
  lines(ROWS, (r) => {
    const x = (u: number): string => `x${u * ROWS / 4 + Math.floor(r / 4)}.${"xyzw"[r % 4]}`;
    return `acc[${r * QUADS + q}] += ${ys.map((y, u) => `${x(u)} * ${y}`).join(" + ")};`;
  });

const STORE_VEC4 = `if (n + c < p.N) { out[at / 4u] = v; }`;

const STORE_SCALARS = lines(4, (e) => `if (n + c + ${e}u < p.N) { out[at + ${e}u] = v[${e}]; }`);

/** b (K, N), where N is a multiple of 4. */
export const matmulRows = defineKernel({
  name: "matmulRows",
  buffers: { a: "read float", b: "read float4", out: "write float4" },
  ...matmulForm([[19, 140, 70, ""], [70, 36, 67, ""], [70, 28, 35, "a"], [130, 12, 11, "a"]]),
  grid,
  wgsl: wgsl(
    lines(QUADS, (q) => `let n${q} = min(n / 4u + ${q}u, p.N / 4u - 1u);`),
    1,
    `let row = (bAt + k * p.N) / 4u;` +
      lines(QUADS, (q) => `let y${q} = b[row + n${q}];\n${add(q, `y${q}`)}`),
    STORE_VEC4,
  ),
});

/** b (N, K), where K is a multiple of 4. */
export const matmulColumns = defineKernel({
  name: "matmulColumns",
  buffers: { a: "read float", b: "read float4", out: "write float" },
  ...matmulForm([[19, 141, 72, "b"], [70, 33, 68, "b"], [70, 30, 36, "ab"], [130, 11, 12, "b"]]),
  grid,
  wgsl: wgsl(
    lines(4 * QUADS, (c) => `let n${c} = (bAt + min(n + ${c}u, p.N - 1u) * p.K) / 4u;`),
    4,
    lines(QUADS, (q) =>
      lines(4, (c) => `let y${4 * q + c} = b[n${4 * q + c} + k / 4u];`) + "\n" +
      lines(4, (e) => {
        const elements = [0, 1, 2, 3].map((c) => `y${4 * q + c}[${e}]`);
        return `let z${4 * q + e} = vec4f(${elements.join(", ")});`;
      }) + "\n" +
      add(q, ...[0, 1, 2, 3].map((e) => `z${4 * q + e}`))),
    STORE_SCALARS,
  ),
});

/** Any strides, any sizes. */
export const matmulStrided = defineKernel({
  name: "matmulStrided",
  buffers: { a: "read float", b: "read float", out: "write float" },
  ...matmulForm([[19, 141, 67, ""], [70, 33, 67, "a"], [70, 30, 35, "b"], [130, 11, 13, "ab"]]),
  grid,
  wgsl: wgsl(
    lines(4 * QUADS, (c) => `let n${c} = bAt + min(n + ${c}u, p.N - 1u) * p.bCol;`),
    1,
    `let row = k * p.bRow;` +
      lines(QUADS, (q) => {
        const elements = [0, 1, 2, 3].map((c) => `b[row + n${4 * q + c}]`);
        return `let y${q} = vec4f(${elements.join(", ")});\n${add(q, `y${q}`)}`;
      }),
    STORE_SCALARS,
  ),
});
