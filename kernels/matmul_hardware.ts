/**
 * Matrix product for hardware adapters: a workgroup of 128 computes a 64x64 tile of the output from blocks of A and B, 16
 * deep, in workgroup memory (8.5 KiB); an invocation has 8 rows and 4 columns of it in registers. It has been checked
 * against its reference, but not yet timed on a hardware adapter.
 *
 * @module
 */
import { defineKernel, linearGrid } from "../core/kernel.ts";
import { type CaseSize, lines, matmulForm } from "./matmul_form.ts";

/** Rows and columns of a tile. */
const TILE = 64;

const tiled = (element: "float" | "half4", sizes: readonly CaseSize[]) =>
  defineKernel({
    name: `matmulTiled ${element}`,
    buffers: { a: "read float", b: `read ${element}`, out: "write float" },
    ...matmulForm(sizes, { half: element === "half4" }),
    grid: ({ batch, M, N }) => linearGrid(batch * Math.ceil(M / TILE) * Math.ceil(N / TILE), 1),
    wgsl: `
// [k][row or column / 4]; a row of 17 puts the 16 that are written side by side into different banks.
var<workgroup> aBlock: array<vec4f, ${16 * 17}>;
var<workgroup> bBlock: array<vec4f, ${16 * 17}>;

fn loadA(at: u32, m: u32, k: u32) -> f32 {
  return select(0.0, a[at + m * p.aRow + k * p.aCol], m < p.M && k < p.K);
}

fn loadB(at: u32, n: u32, k: u32) -> f32 {
  let i = at + k * p.bRow + n * p.bCol;
  return select(0.0, ${
      element === "half4" ? "half4(b[i / 4u])[i % 4u]" : "b[i]"
    }, n < p.N && k < p.K);
}

fn store(at: u32, n: u32, v: vec4f) {
  if (n < p.N) { out[at] = v.x; }
  if (n + 1u < p.N) { out[at + 1u] = v.y; }
  if (n + 2u < p.N) { out[at + 2u] = v.z; }
  if (n + 3u < p.N) { out[at + 3u] = v.w; }
}

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) t: u32,
) {
  let i = group.x + group.y * groups.x;
  let across = (p.N + ${TILE - 1}u) / ${TILE}u;
  let down = (p.M + ${TILE - 1}u) / ${TILE}u;
  let n0 = i % across * ${TILE}u;
  let m0 = i / across % down * ${TILE}u;
  let matrix = i / (across * down);
  let aAt = matrix * p.aBatch;
  let bAt = matrix * p.bBatch;
  let x = t % 16u; // its columns of the tile: 4 x...
  let y = t / 16u; // its rows of the tile: 8 y...
  var acc = array<vec4f, 8>();
  for (var start = 0u; start < p.K; start += 16u) {
    workgroupBarrier();
    for (var j = t; j < 256u; j += 128u) { // neighbours read along the axis that is dense in memory
      let ak = select(j / 16u, j % 16u, p.aCol == 1u);
      let aq = select(j % 16u, j / 16u, p.aCol == 1u);
      let m = m0 + aq * 4u;
      aBlock[ak * 17u + aq] = vec4f(
        loadA(aAt, m, start + ak),
        loadA(aAt, m + 1u, start + ak),
        loadA(aAt, m + 2u, start + ak),
        loadA(aAt, m + 3u, start + ak),
      );
      let bk = select(j % 16u, j / 16u, p.bCol == 1u);
      let bq = select(j / 16u, j % 16u, p.bCol == 1u);
      let n = n0 + bq * 4u;
      bBlock[bk * 17u + bq] = vec4f(
        loadB(bAt, n, start + bk),
        loadB(bAt, n + 1u, start + bk),
        loadB(bAt, n + 2u, start + bk),
        loadB(bAt, n + 3u, start + bk),
      );
    }
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      let upper = aBlock[k * 17u + 2u * y];
      let lower = aBlock[k * 17u + 2u * y + 1u];
      let right = bBlock[k * 17u + x];
${lines(8, (r) => `acc[${r}] += ${r < 4 ? "upper" : "lower"}[${r % 4}] * right;`)}
    }
  }
  if (matrix >= p.batch) { return; }
  let m = m0 + y * 8u;
  let n = n0 + x * 4u;
${
      lines(
        8,
        (r) =>
          `if (m + ${r}u < p.M) { store((matrix * p.M + m + ${r}u) * p.N + n, n, acc[${r}]); }`,
      )
    }
}`,
  });

/** Any strides, any sizes. */
export const matmulTiled = tiled("float", [
  [67, 70, 35, ""],
  [1, 1, 1, ""],
  [66, 9, 16, "a"],
  [9, 66, 17, "b"],
  [5, 3, 2, "ab"],
]);

/** The same for a B in half precision, whose size is a multiple of 4. */
export const matmulTiledHalf = tiled("half4", [
  [67, 70, 36, "b"],
  [5, 3, 4, "b"],
  [9, 66, 18, "b"],
  [66, 12, 15, "a"],
]);
