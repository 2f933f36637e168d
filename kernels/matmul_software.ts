/**
 * Matrix products for adapters that are programs on the processor, such as llvmpipe.
 *
 * llvmpipe runs eight invocations as the lanes of one vector and loads lane by lane, also where all lanes read the same
 * element: a load costs about as much as ten multiply-adds, and less from workgroup memory. So a workgroup is one vector of
 * invocations, each with a 32x16 tile of the output: 48 elements loaded for 512 multiply-adds. The rows of A, which all lanes
 * read, are staged in workgroup memory. The sums lie in an array, which the loop indexes by constants and the
 * store by a variable: stores written out for each sum would take longer to compile than the rest. Where N is small the
 * lanes do not all lie side by side (`splitOf`), and where M is at most 16 the tile has 16 rows.
 *
 * A may have any strides. The kernels differ in how they read B: four columns at once, four rows at once, or element by
 * element. On two cores they reach 28, 28 and 20 to 27 GFLOP/s where 8x8 tiles read from storage memory reach 19.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { COLUMNS, LANES, lines, matmulForm, rowsOf, splitOf } from "./matmul_form.ts";

/** Vectors of four columns in a tile. */
const QUADS = COLUMNS / 4;
/** How many columns of A are staged at once, where all lanes lie side by side. */
const DEPTH = 64;

/** The kernels for tiles of so many rows. */
type Rows = 16 | 32;
/** The sizes of an output. */
type Sizes = Readonly<Record<"batch" | "M" | "N", number>>;

/** A workgroup's place is its tile and matrix: to divide a running number costs a tenth of the speed. */
function gridOf(rows: Rows, { batch, M, N }: Sizes, split: number): [number, number, number] {
  return [Math.ceil(N / (COLUMNS * (LANES >> split))), Math.ceil(M / (rows << split)), batch];
}

/** Whether a launch may have so many workgroups. */
export function fitsGrid(sizes: Sizes): boolean {
  return gridOf(rowsOf(sizes.M), sizes, splitOf(sizes)).every((groups) => groups <= 65535);
}

/**
 * `columns` names what stays the same along the sum, `step` adds to the sums the products for k to k + `unrolled` - 1, and
 * `store` writes the four sums `v` of row top + r and columns n + c...
 */
function wgsl(rows: Rows, columns: string, unrolled: number, step: string, store: string): string {
  const staged = Array.from({ length: unrolled * rows / 4 }, (_, j) => {
    const [k, q] = [Math.floor(j / (rows / 4)), j % (rows / 4)];
    return `let x${j} = staged[base + ${k}u * quads + ${q}u];`;
  });
  return `
var<workgroup> staged: array<vec4f, ${DEPTH * rows / 4}>; // [k][row / 4]
@compute @workgroup_size(${LANES})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = ${LANES}u >> p.split;
  let shift = ${Math.log2(rows / 4)}u + p.split;
  let quads = 1u << shift; // of rows, that are staged
  let own = (lane >> (3u - p.split)) * ${rows / 4}u; // the first of them that this invocation needs
  let m = group.y * quads * 4u;
  let n = (group.x * width + (lane & (width - 1u))) * ${COLUMNS}u;
  let matrix = group.z;
  let aAt = matrix * p.aBatch;
  let bAt = matrix * p.bBatch;
  let last = p.M - 1u;
  ${columns}
  var acc = array<vec4f, ${rows * QUADS}>(); // [row][column / 4]
  let step = ${DEPTH}u >> p.split;
  for (var start = 0u; start < p.K; start += step) {
    let depth = min(step, p.K - start);
    workgroupBarrier();
    for (var j = lane; j < depth * quads; j += ${LANES}u) {
      let at = aAt + (start + (j >> shift)) * p.aCol;
      let r = m + (j & (quads - 1u)) * 4u;
      staged[j] = vec4f(
        a[at + min(r, last) * p.aRow],
        a[at + min(r + 1u, last) * p.aRow],
        a[at + min(r + 2u, last) * p.aRow],
        a[at + min(r + 3u, last) * p.aRow],
      );
    }
    workgroupBarrier();
    for (var inside = 0u; inside < depth; inside += ${unrolled}u) {
      let k = start + inside;
      let base = inside * quads + own;
${staged.join("\n")}
${step}
    }
  }
  let top = m + own * 4u;
  for (var r = 0u; r < ${rows}u; r++) {
    for (var c = 0u; c < ${COLUMNS}u; c += 4u) {
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
const add = (rows: Rows, q: number, ys: readonly string[]): string =>
  lines(rows, (r) => {
    const x = (u: number): string => `x${u * rows / 4 + Math.floor(r / 4)}.${"xyzw"[r % 4]}`;
    return `acc[${r * QUADS + q}] += ${ys.map((y, u) => `${x(u)} * ${y}`).join(" + ")};`;
  });

/** Four scalars as a vector. */
const vec4 = (f: (c: number) => string): string => `vec4f(${[0, 1, 2, 3].map(f).join(", ")})`;

const STORE_VEC4 = `if (n + c < p.N) { out[at / 4u] = v; }`;

const STORE_SCALARS = lines(4, (e) => `if (n + c + ${e}u < p.N) { out[at + ${e}u] = v[${e}]; }`);

/** b (K, N), where N is a multiple of 4. */
const byRows = (rows: Rows) =>
  defineKernel({
    name: `matmulRows${rows}`,
    buffers: { a: "read float", b: "read float4", out: "write float4" },
    ...matmulForm([[35, 140, 70, ""], [70, 36, 67, ""], [9, 28, 35, "a"], [130, 12, 11, "a"]]),
    grid: (p) => gridOf(rows, p, p.split),
    wgsl: wgsl(
      rows,
      lines(QUADS, (q) => `let n${q} = min(n / 4u + ${q}u, p.N / 4u - 1u);`),
      1,
      `let row = (bAt + k * p.N) / 4u;\n` +
        lines(QUADS, (q) => `let y${q} = b[row + n${q}];\n${add(rows, q, [`y${q}`])}`),
      STORE_VEC4,
    ),
  });

/** b (N, K), where K is a multiple of 4. */
const byColumns = (rows: Rows, element: "float4" | "half4" = "float4") =>
  defineKernel({
    name: `matmulColumns${rows} ${element}`,
    buffers: { a: "read float", b: `read ${element}`, out: "write float" },
    ...matmulForm(
      [[35, 141, 72, "b"], [70, 33, 68, "b"], [9, 30, 36, "ab"], [130, 11, 12, "b"]],
      { half: element === "half4" },
    ),
    grid: (p) => gridOf(rows, p, p.split),
    wgsl: wgsl(
      rows,
      lines(COLUMNS, (c) => `let n${c} = (bAt + min(n + ${c}u, p.N - 1u) * p.K) / 4u;`),
      4,
      lines(QUADS, (q) => {
        const load = element === "half4" ? element : "";
        const [y, z] = [(c: number) => `y${4 * q + c}`, (e: number) => `z${4 * q + e}`];
        return [
          lines(4, (c) => `let ${y(c)} = ${load}(b[n${4 * q + c} + k / 4u]);`),
          lines(4, (e) => `let ${z(e)} = ${vec4((c) => `${y(c)}[${e}]`)};`),
          add(rows, q, [0, 1, 2, 3].map(z)),
        ].join("\n");
      }),
      STORE_SCALARS,
    ),
  });

/** Any strides, any sizes. */
const byElements = (rows: Rows) =>
  defineKernel({
    name: `matmulStrided${rows}`,
    buffers: { a: "read float", b: "read float", out: "write float" },
    ...matmulForm([[35, 141, 67, ""], [70, 33, 67, "a"], [9, 30, 35, "b"], [130, 11, 13, "ab"]]),
    grid: (p) => gridOf(rows, p, p.split),
    wgsl: wgsl(
      rows,
      lines(COLUMNS, (c) => `let n${c} = bAt + min(n + ${c}u, p.N - 1u) * p.bCol;`),
      1,
      `let row = k * p.bRow;\n` +
        lines(QUADS, (q) =>
          `let y${q} = ${vec4((c) => `b[row + n${4 * q + c}]`)};\n${add(rows, q, [`y${q}`])}`),
      STORE_SCALARS,
    ),
  });

/**
 * Any strides, any sizes; an invocation an element. Of use for many small products, where tiles
 * would be empty for the most part.
 */
export const matmulElements = defineKernel({
  name: "matmulElements",
  buffers: { a: "read float", b: "read float", out: "write float" },
  ...matmulForm([[2, 2, 2, ""], [5, 3, 7, "a"], [3, 5, 4, "b"], [1, 9, 1, "ab"]]),
  invocations: ({ batch, M, N }) => batch * M * N,
  wgsl: `
fn kernel(i: u32) {
  let matrix = i / (p.M * p.N);
  var aAt = matrix * p.aBatch + i / p.N % p.M * p.aRow;
  var bAt = matrix * p.bBatch + i % p.N * p.bCol;
  var sum = 0.0;
  for (var k = 0u; k < p.K; k++) {
    sum += a[aAt] * b[bAt];
    aAt += p.aCol;
    bAt += p.bRow;
  }
  out[i] = sum;
}`,
});

/** Products whose B is read four columns at once: tiles of 16 rows, and of 32. */
export const matmulRows = [byRows(16), byRows(32)] as const;
/** Products whose B is read four rows at once: tiles of 16 rows, and of 32. */
export const matmulColumns = [byColumns(16), byColumns(32)] as const;
/** The same for a B in half precision. */
export const matmulColumnsHalf = [byColumns(16, "half4"), byColumns(32, "half4")] as const;
/** Products whose B is read element by element: tiles of 16 rows, and of 32. */
export const matmulStrided = [byElements(16), byElements(32)] as const;
