/**
 * Matrix products, of one pair of matrices or of a batch of pairs:
 *
 *   out_mn = sum_k A_mk B_kn,   A_mk = a[m aRow + k aCol],   B_kn = b[k bRow + n bCol]
 *
 * A transpose is another pair of strides. `matmulElements` is this formula as it stands, and its
 * `cpu` is the reference of the other kernels. They compute tiles of the output, in two forms:
 *
 * - `matmulHardware` for GPUs, which hide loads behind many invocations of few sums each. It is
 *   tested on software adapters, but has not been timed on a GPU yet.
 * - `matmulSoftware` for adapters that are programs on the processor, such as llvmpipe. It runs
 *   eight invocations as the lanes of one vector and loads lane by lane, so that a load costs about
 *   as much as ten multiply-adds: sums are many and loads few. A training step of model S takes
 *   0.8 s on llvmpipe with this form and 2.0 s with the one for GPUs.
 *
 * @module
 */
import type { Device } from "../core/device.ts";
import type { FloatArray } from "../core/dtype.ts";
import { type BufferUse, defineKernel, type Kernel, type KernelCase } from "../core/kernel.ts";
import type { Tensor } from "../core/tensor.ts";
import { noise } from "./cases.ts";
import { blockedMatmul, type MatmulSizes } from "./matmul_blocked.ts";
import { simd } from "./wasm/modules.ts";

/** What to multiply. */
export interface Product {
  /** Matrices in the batch. */
  readonly batch: number;
  /** Rows of the output. */
  readonly M: number;
  /** Columns of the output. */
  readonly N: number;
  /** The size that is summed over. */
  readonly K: number;
  /** Whether a is stored as (K, M). */
  readonly transposeA: boolean;
  /** Whether b is stored as (N, K). */
  readonly transposeB: boolean;
  /** Whether the whole batch uses one a. */
  readonly sharedA: boolean;
  /** Whether the whole batch uses one b. */
  readonly sharedB: boolean;
}

/** The element type of b: floats, or halves, whose number is a multiple of 4. */
type Element = "float" | "half4";

type Buffers = {
  readonly a: BufferUse & `read ${string}`;
  readonly b: BufferUse & `read ${string}`;
  readonly out: BufferUse & `write ${string}`;
};

type Views = { readonly a: FloatArray; readonly b: FloatArray; readonly out: FloatArray };

const PARAMS = {
  batch: "u32",
  M: "u32",
  N: "u32",
  K: "u32",
  aBatch: "u32",
  aRow: "u32",
  aCol: "u32",
  bBatch: "u32",
  bRow: "u32",
  bCol: "u32",
} as const;

type Matmul = Kernel<Buffers, typeof PARAMS>;

/** A shape for the reference tests, and which operands are transposed. */
type CaseSize = readonly [M: number, N: number, K: number, transposed: "" | "a" | "b" | "ab"];

/** The parameters of a product. */
function paramsOf({ batch, M, N, K, ...form }: Product): MatmulSizes {
  const [aRow, aCol] = form.transposeA ? [1, M] : [K, 1];
  const [bRow, bCol] = form.transposeB ? [1, K] : [N, 1];
  const aBatch = form.sharedA ? 0 : M * K;
  const bBatch = form.sharedB ? 0 : K * N;
  return { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol };
}

/** What every kernel of this file has in common. */
const common = (element: Element) => ({
  buffers: { a: "read float", b: `read ${element}`, out: "write float" } as const,
  params: PARAMS,
  rows: ({ batch }: MatmulSizes) => batch === 1 ? "M" as const : undefined,
  wasm: {
    module: simd,
    function: "gemm",
    args({ a, b, out }: Record<keyof Buffers, number>, p: MatmulSizes): readonly number[] {
      const strides = [p.aBatch, p.aRow, p.aCol, p.bBatch, p.bRow, p.bCol];
      return [a, b, out, p.M, p.N, p.K, ...strides, Number(element === "half4"), Number(isWide(p))];
    },
    items: (p: MatmulSizes) => p.batch * (isWide(p) ? Math.ceil(p.N / 8) : Math.ceil(p.M / 5)),
    work: ({ batch, M, N, K }: MatmulSizes) => batch * M * N * K,
  },
});

/** Whether threads share columns. Each of them packs the whole other operand: the smaller one. */
function isWide({ M, N }: MatmulSizes): boolean {
  return N > M;
}

/** Two products of each size. By turns they share a, share b, and share nothing. */
function casesOf(sizes: readonly CaseSize[]): readonly KernelCase<Buffers, typeof PARAMS>[] {
  return sizes.map(([M, N, K, transposed], i) => {
    const [transposeA, transposeB] = [transposed.includes("a"), transposed.includes("b")];
    const [sharedA, sharedB] = [i % 3 === 0, i % 3 === 1];
    return {
      name: `two of ${M} by ${N} over ${K}, "${transposed}" transposed, ` +
        `${sharedA ? "a" : sharedB ? "b" : "nothing"} shared`,
      params: paramsOf({ batch: 2, M, N, K, transposeA, transposeB, sharedA, sharedB }),
      buffers: {
        a: noise((sharedA ? 1 : 2) * M * K, 1),
        b: noise((sharedB ? 1 : 2) * K * N, 2),
        out: 2 * M * N,
      },
    };
  });
}

/** WGSL for element i of b as a number. */
const elementOfB = (element: Element): string =>
  `fn bOf(i: u32) -> f32 { return ${element === "float" ? "b[i]" : "half4(b[i / 4u])[i % 4u]"}; }`;

/** One invocation an element of the output. */
const elementwise = (element: Element): Matmul =>
  defineKernel({
    name: `matmulElements ${element}`,
    ...common(element),
    cpu({ a, b, out }: Views, { batch, M, N, K, aBatch, aRow, aCol, bBatch, bRow, bCol }): void {
      for (let i = 0; i < batch; i++) {
        for (let m = 0; m < M; m++) {
          for (let n = 0; n < N; n++) {
            let sum = 0;
            for (let k = 0; k < K; k++) {
              sum += a[i * aBatch + m * aRow + k * aCol] * b[i * bBatch + k * bRow + n * bCol];
            }
            out[(i * M + m) * N + n] = sum;
          }
        }
      }
    },
    invocations: ({ batch, M, N }) => batch * M * N,
    wgsl: `${elementOfB(element)}
fn kernel(i: u32) {
  let matrix = i / (p.M * p.N);
  let aAt = matrix * p.aBatch + i / p.N % p.M * p.aRow;
  let bAt = matrix * p.bBatch + i % p.N * p.bCol;
  var sum = 0.0;
  for (var k = 0u; k < p.K; k++) { sum += a[aAt + k * p.aCol] * bOf(bAt + k * p.bRow); }
  out[i] = sum;
}`,
    cases: () => casesOf([[2, 2, 2, ""], [5, 4, 7, "a"], [3, 5, 4, "b"], [1, 8, 1, "ab"]]),
  });

/** f(0), f(1), ..., f(n - 1), one to a line: WGSL written out instead of looped. */
function lines(n: number, f: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => f(i)).join("\n");
}

/** Rows and columns of a tile. */
type TileSize = readonly [height: number, width: number];

/** A workgroup a tile. The grid has three dimensions, because a division costs a tenth of the time. */
function gridOf([height, width]: TileSize, { batch, M, N }: MatmulSizes): readonly [
  number,
  number,
  number,
] {
  return [Math.ceil(N / width), Math.ceil(M / height), batch];
}

/** What kernels that compute tiles have in common. */
const tiled = ([height, width]: TileSize, element: Element) => ({
  ...common(element),
  cpu: ({ a, b, out }: Views, params: MatmulSizes) => blockedMatmul(a, b, out, params),
  grid: (params: MatmulSizes) => gridOf([height, width], params),
  cases: () =>
    casesOf([
      [height + 3, width + 6, 35, ""],
      [9, width + 2, 18, "b"],
      [height + 2, 12, 67, "a"],
      [5, 4, 2, "ab"],
    ]),
});

const HARDWARE_TILE: TileSize = [64, 64];

/**
 * A workgroup of 128 takes blocks of A and B, 16 deep, into workgroup memory (8.5 KiB). An
 * invocation has 8 rows and 4 columns of sums in registers.
 */
const hardware = (element: Element): Matmul =>
  defineKernel({
    name: `matmulHardware ${element}`,
    ...tiled(HARDWARE_TILE, element),
    wgsl: `
// [k][row or column / 4]. A row of 17 puts the 16 that are written side by side into different banks.
var<workgroup> aBlock: array<vec4f, ${16 * 17}>;
var<workgroup> bBlock: array<vec4f, ${16 * 17}>;

${elementOfB(element)}

fn loadA(at: u32, m: u32, k: u32) -> f32 {
  return select(0.0, a[at + m * p.aRow + k * p.aCol], m < p.M && k < p.K);
}

fn loadB(at: u32, n: u32, k: u32) -> f32 {
  return select(0.0, bOf(at + k * p.bRow + n * p.bCol), n < p.N && k < p.K);
}

fn store(at: u32, n: u32, v: vec4f) {
  if (n < p.N) { out[at] = v.x; }
  if (n + 1u < p.N) { out[at + 1u] = v.y; }
  if (n + 2u < p.N) { out[at + 2u] = v.z; }
  if (n + 3u < p.N) { out[at + 3u] = v.w; }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let n0 = group.x * 64u;
  let m0 = group.y * 64u;
  let aAt = group.z * p.aBatch;
  let bAt = group.z * p.bBatch;
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
  let m = m0 + y * 8u;
  let n = n0 + x * 4u;
${
      lines(
        8,
        (r) =>
          `if (m + ${r}u < p.M) { store((group.z * p.M + m + ${r}u) * p.N + n, n, acc[${r}]); }`,
      )
    }
}`,
  });

/**
 * The tiles for software adapters, and the time of a multiply-add relative to that of the first. The
 * second suits narrow outputs, the third low ones.
 */
const SOFTWARE_TILES: readonly { size: TileSize; cost: number }[] = [
  { size: [32, 128], cost: 1 },
  { size: [64, 64], cost: 1.1 },
  { size: [16, 128], cost: 1.3 },
];

/**
 * A workgroup of 8 takes a block of A into workgroup memory. An invocation has 16 or 32 rows and 16
 * columns of sums, and reads its columns of B from storage. The sums lie in an array that the loop
 * indexes by constants and the store by a variable: a store for each sum would take longer to
 * compile than the rest. Two k at a time save half of the loads and stores of sums.
 */
const software = ([height, width]: TileSize, element: Element): Matmul => {
  const across = width / 16;
  const rows = height * across / 8;
  const quads = rows / 4;
  const depth = 2048 / height;
  const right = (u: number, q: number): string =>
    `vec4f(${[0, 1, 2, 3].map((c) => `bOf(column${4 * q + c} + row${u})`).join(", ")})`;
  return defineKernel({
    name: `matmulSoftware ${height}x${width} ${element}`,
    ...tiled([height, width], element),
    wgsl: `
var<workgroup> block: array<vec4f, ${depth * height / 4}>; // [k][row / 4]

${elementOfB(element)}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) t: u32) {
  let aAt = group.z * p.aBatch;
  let bAt = group.z * p.bBatch;
  let m0 = group.y * ${height}u;
  let own = t / ${across}u * ${rows}u; // its first row in the tile
  let n = group.x * ${width}u + t % ${across}u * 16u;
  ${lines(16, (c) => `let column${c} = bAt + min(n + ${c}u, p.N - 1u) * p.bCol;`)}
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
      lines(quads, (q) => `
      let x${q} = block[k * ${height / 4}u + own / 4u + ${q}u];
      let z${q} = block[(k + 1u) * ${height / 4}u + own / 4u + ${q}u];`)
    }
${
      lines(4, (q) => `
      let y${q} = ${right(0, q)};
      let w${q} = select(${right(1, q)}, vec4f(), isLast);
      ${
        lines(rows, (r) => {
          const [from, e] = [r >> 2, r & 3];
          return `acc[${r * 4 + q}] += x${from}[${e}] * y${q} + z${from}[${e}] * w${q};`;
        })
      }`)
    }
    }
  }
  for (var r = 0u; r < ${rows}u; r++) {
    let m = m0 + own + r;
    let at = (group.z * p.M + m) * p.N + n;
    if (m < p.M) {
      ${
      lines(16, (c) =>
        `if (n + ${c}u < p.N) { out[at + ${c}u] = acc[r * 4u + ${c >> 2}u][${c & 3}]; }`)
    }
    }
  }
}`,
  });
};

/** Each kernel is there for b of floats, and of halves. */
const ELEMENTS: readonly Element[] = ["float", "half4"];

/** One invocation an element of the output: for many small products. */
export const matmulElements: readonly Matmul[] = ELEMENTS.map(elementwise);

/** Tiles for GPUs. */
export const matmulHardware: readonly Matmul[] = ELEMENTS.map(hardware);

/** Tiles for software adapters: each of `SOFTWARE_TILES` for floats, then for halves. */
export const matmulSoftware: readonly Matmul[] = SOFTWARE_TILES.flatMap(({ size }) =>
  ELEMENTS.map((element) => software(size, element))
);

/** An output of at most this many elements leaves a tile nearly empty. */
const FEW = 64;

/** The software tile that takes the least time, tiles beyond the output included. */
function softwareTile(params: MatmulSizes): number {
  const times = SOFTWARE_TILES.map(({ size, cost }) => {
    const [across, down] = gridOf(size, params);
    return across * down * size[0] * size[1] * cost;
  });
  return times.indexOf(Math.min(...times));
}

/** out (batch, M, N) = a b, where b may be float16. */
export function runMatmul(
  device: Device,
  buffers: { readonly a: Tensor; readonly b: Tensor; readonly out: Tensor },
  product: Product,
): void {
  const params = paramsOf(product);
  const half = buffers.b.dtype === "float16" ? 1 : 0;
  const tile = softwareTile(params);
  const size = device.software ? SOFTWARE_TILES[tile].size : HARDWARE_TILE;
  const isScattered = params.batch > 1 && params.M * params.N <= FEW;
  const fits = gridOf(size, params).every((groups) => groups <= 65535);
  if (isScattered || !fits) device.run(matmulElements[half], buffers, params);
  else if (device.software) device.run(matmulSoftware[2 * tile + half], buffers, params);
  else device.run(matmulHardware[half], buffers, params);
}
