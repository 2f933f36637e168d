/**
 * Matrix products for adapters that are programs on the processor.
 *
 * A GPU hides the time of loads behind many invocations with few sums each. llvmpipe runs eight
 * invocations as the lanes of one vector and loads lane by lane, so that a load costs about as much
 * as ten multiply-adds. Here an invocation has up to 32x16 sums, which makes loads few. A training
 * step of model S takes 0.83 s with this form and 1.99 s with the form for GPUs, on llvmpipe 25.0.7
 * and two cores.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { casesOf, type Element, ELEMENTS, type Matmul, type Params } from "./matmul_cpu.ts";
import { tiled, tileSizes } from "./matmul_cpu.ts";
import { unroll } from "./unroll.ts";

/**
 * Rows and columns of the tiles, and the time of a multiply-add relative to that of the first. The
 * second tile suits outputs with few columns, the third those with few rows.
 */
const TILES = [
  { height: 32, width: 128, cost: 1 },
  { height: 64, width: 64, cost: 1.1 },
  { height: 16, width: 128, cost: 1.3 },
];

/** WGSL for rows k and k + 1 of B, in columns 4 q to 4 q + 3: y and w. Row K counts as zeros. */
const FLOATS = (q: number): string => {
  const four = (row: string): string =>
    `vec4f(${[0, 1, 2, 3].map((c) => `b[column${4 * q + c} + ${row}]`).join(", ")})`;
  return `
      let y${q} = ${four("row0")};
      let w${q} = select(${four("row1")}, vec4f(), isLast);`;
};

/** The same of halves. In memory k and k + 1 are neighbours. */
const HALVES = (q: number): string => {
  const columns = [0, 1, 2, 3].map((c) => 4 * q + c);
  const load = (c: number): string => `
      let i${c} = column${c} + row0;
      let pair${c} = unpack2x16float(b[i${c} / 4u][i${c} / 2u % 2u]);`;
  return `${columns.map(load).join("")}
      let y${q} = vec4f(${columns.map((c) => `pair${c}.x`).join(", ")});
      let w${q} = vec4f(${columns.map((c) => `pair${c}.y`).join(", ")});`;
};

/**
 * A workgroup of 8 takes a block of A into workgroup memory. An invocation has 16 or 32 rows and 16
 * columns of sums, and reads its columns of B from storage. The sums lie in an array that the loop
 * indexes by constants and the store by a variable: a store for each sum would take longer to
 * compile than the rest. Two k at a time save half of the loads and stores of sums.
 *
 * A b of floats may have any strides. One of halves is (N, K), with K a multiple of 4.
 */
const software = (height: number, width: number, element: Element): Matmul => {
  const across = width / 16;
  const rows = height * across / 8;
  const depth = 2048 / height;
  const loadB = element === "float" ? FLOATS : HALVES;
  return defineKernel({
    name: `matmulSoftware ${height}x${width} ${element}`,
    ...tiled(height, width, element),
    cases: () =>
      casesOf(
        tileSizes(height, width).map(([M, N, K, transposed]) =>
          element === "float" ? [M, N, K, transposed] : [M, N, 4 * Math.ceil(K / 4), "b"]
        ),
      ),
    wgsl: `
var<workgroup> block: array<vec4f, ${depth * height / 4}>; // [k][row / 4]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let aAt = group.z * p.aBatch;
  let bAt = group.z * p.bBatch;
  let m0 = group.y * ${height}u;
  let own = t / ${across}u * ${rows}u; // its first row in the tile
  let n = group.x * ${width}u + t % ${across}u * 16u;
  ${unroll(16, (c) => `let column${c} = bAt + min(n + ${c}u, p.N - 1u) * p.bCol;`)}
  var acc = array<vec4f, ${rows * 4}>(); // [row][column / 4]
  for (var start = 0u; start < p.K; start += ${depth}u) {
    workgroupBarrier();
    for (var j = t; j < ${depth * height / 4}u; j += 8u) {
      let k = start + j / ${height / 4}u;
      let m = m0 + j % ${height / 4}u * 4u;
      let at = aAt + k * p.aCol;
      let last = p.M - 1u;
      let four = vec4f(
        a[at + min(m, last) * p.aRow],
        a[at + min(m + 1u, last) * p.aRow],
        a[at + min(m + 2u, last) * p.aRow],
        a[at + min(m + 3u, last) * p.aRow],
      );
      block[j] = select(vec4f(), four, k < p.K);
    }
    workgroupBarrier();
    for (var k = 0u; k < min(${depth}u, p.K - start); k += 2u) {
      let row0 = (start + k) * p.bRow;
      let row1 = row0 + p.bRow;
      let isLast = start + k + 1u == p.K;
${
      unroll(rows / 4, (q) => `
      let x${q} = block[k * ${height / 4}u + own / 4u + ${q}u];
      let z${q} = block[(k + 1u) * ${height / 4}u + own / 4u + ${q}u];`)
    }
${
      unroll(4, (q) =>
        loadB(q) +
        unroll(rows, (r) => {
          const [from, e] = [r >> 2, r & 3];
          return `acc[${r * 4 + q}] += x${from}[${e}] * y${q} + z${from}[${e}] * w${q};`;
        }))
    }
    }
  }
  for (var r = 0u; r < ${rows}u; r++) {
    let m = m0 + own + r;
    let at = (group.z * p.M + m) * p.N + n;
    if (m < p.M) {
      ${
      unroll(16, (c) =>
        `if (n + ${c}u < p.N) { out[at + ${c}u] = acc[r * 4u + ${c >> 2}u][${c & 3}]; }`)
    }
    }
  }
}`,
  });
};

/** Each tile with b of floats, and of halves. */
export const matmulSoftware: readonly Matmul[] = TILES.flatMap(({ height, width }) =>
  ELEMENTS.map((element) => software(height, width, element))
);

/**
 * The kernel that takes the least time, the parts of tiles beyond the output included. Undefined if
 * there is none, for halves of other strides.
 */
export function softwareKernel({ M, N, K, bRow }: Params, half: 0 | 1): Matmul | undefined {
  if (half && (bRow !== 1 || K % 4 !== 0)) return undefined;
  const times = TILES.map(({ height, width, cost }) =>
    Math.ceil(M / height) * height * Math.ceil(N / width) * width * cost
  );
  return matmulSoftware[2 * times.indexOf(Math.min(...times)) + half];
}
