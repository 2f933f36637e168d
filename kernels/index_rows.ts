/**
 * Rows of a table (V, C) by N ids, and the gradient of the table:
 *
 *   out[n, c] = table[ids_n, c],   dtable[v, c] = sum_{n : ids_n = v} dout[n, c]
 *
 * The gradient sums each row's contributions in the order of n, so that it is the same in every
 * run: the positions n are sorted by (ids_n, n), and one invocation then owns a part of a row. Ids
 * outside of [0, V) count as the nearest inside.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers, noise } from "./cases.ts";
import { wgslSum } from "./maths.ts";
import { vectorised, type Width } from "./pick.ts";

const CASES = [
  { name: "7 ids into (4, 3), one row unused", N: 7, V: 4, C: 3, ids: [2, 0, 2, 3, 3, 2, 0] },
  { name: "ids out of range", N: 3, V: 2, C: 4, ids: [-1, 5, 1] },
  { name: "41 ids into (9, 8)", N: 41, V: 9, C: 8, ids: integers(41, 9, 1) },
];

/** The row of an id. */
const clampId = (id: number, V: number): number => Math.min(Math.max(id, 0), V - 1);

/** The cases that a width can do. */
const casesFor = ({ lanes }: Width) => CASES.filter(({ C }) => C % lanes === 0);

/** Rows of a table that is stored as `stored`. */
const takeKernel = (width: Width, stored: "float" | "float4" | "half4") =>
  defineKernel({
    name: `take ${stored}`,
    buffers: { table: `read ${stored}`, ids: "read int", out: `write ${width.element}` },
    params: { N: "u32", V: "u32", C: "u32" },
    cpu({ table, ids, out }, { N, V, C }): void {
      for (let n = 0; n < N; n++) {
        const row = clampId(ids[n], V) * C;
        for (let c = 0; c < C; c++) out[n * C + c] = table[row + c];
      }
    },
    rows: () => "N",
    indices: { ids: ({ N, V }) => [N, V] },
    invocations: ({ N, C }) => N * C / width.lanes,
    wgsl: `
fn kernel(i: u32) {
  let width = p.C / ${width.lanes}u;
  let row = u32(clamp(ids[i / width], 0, i32(p.V) - 1));
  out[i] = ${stored === "half4" ? "half4" : width.F}(table[row * width + i % width]);
}`,
    cases: () =>
      casesFor(width).map(({ name, N, V, C, ids }) => ({
        name,
        params: { N, V, C },
        buffers: { table: noise(V * C, 1), ids, out: N * C },
      })),
  });

/** out[n] = table[ids_n]. */
export const takeForward = vectorised((width) => takeKernel(width, width.element));

/** out[n] = table[ids_n] of a table in half precision, C a multiple of 4. */
export const takeHalf = takeKernel({ lanes: 4, element: "float4", F: "vec4f" }, "half4");

/** The number of positions that {@link rankInChunks} sorts together where it compares all pairs. */
export const RANK_CHUNK = 256;

/**
 * order[start + r] = the n whose rank is r in the order of (ids_n, n) within its chunk of
 * positions, which begins at start. The WGSL compares all pairs of a chunk, four n per invocation,
 * and needs a chunk that is a multiple of 4.
 */
export const rankInChunks = defineKernel({
  name: "rankInChunks",
  buffers: { ids: "read int", order: "write int" },
  params: { N: "u32", V: "u32", chunk: "u32" },
  cpu({ ids, order }, { N, V, chunk }): void {
    for (let start = 0; start < N; start += chunk) {
      const end = Math.min(N, start + chunk);
      const next = new Int32Array(V + 1);
      for (let n = start; n < end; n++) next[clampId(ids[n], V) + 1]++;
      for (let v = 0; v < V; v++) next[v + 1] += next[v];
      for (let n = start; n < end; n++) {
        order[start + next[clampId(ids[n], V)]++] = n;
      }
    }
  },
  invocations: ({ N }) => Math.ceil(N / 4),
  wgsl: `
fn rowOf(m: u32) -> i32 { return clamp(ids[min(m, p.N - 1u)], 0, i32(p.V) - 1); }
fn kernel(i: u32) { // m before n counts if its row is <= that of n, m after n if it is <
  let n = 4u * i + vec4u(0u, 1u, 2u, 3u);
  let start = n.x / p.chunk * p.chunk;
  let end = min(start + p.chunk, p.N);
  let own = vec4i(rowOf(n.x), rowOf(n.y), rowOf(n.z), rowOf(n.w));
  var rank = vec4u(start);
  for (var m = start; m < n.x; m++) {
    rank += select(vec4u(0u), vec4u(1u), vec4i(rowOf(m)) <= own);
  }
  for (var m = n.x; m < min(n.x + 4u, end); m++) {
    let row = vec4i(rowOf(m));
    rank += select(vec4u(0u), vec4u(1u), (row < own) | ((row == own) & (vec4u(m) < n)));
  }
  for (var m = n.x + 4u; m < end; m++) {
    rank += select(vec4u(0u), vec4u(1u), vec4i(rowOf(m)) < own);
  }
  for (var k = 0u; k < 4u && n[k] < end; k++) { order[rank[k]] = i32(n[k]); }
}`,
  cases: () =>
    CASES.flatMap(({ name, N, V, ids }) =>
      [8, 64].map((chunk) => ({
        name: `${name}, chunks of ${chunk}`,
        params: { N, V, chunk },
        buffers: { ids, order: N },
      }))
    ),
});

/** The number of chunks that {@link mergeRanks} merges into one. */
export const MERGED_CHUNKS = 4;

/**
 * {@link rankInChunks} for chunks of `merged` positions, a multiple of `chunk`, from the order
 * within chunks of `chunk`. A position's rank is its rank in its own small chunk, plus the number
 * of positions before it in each other small chunk of the same large one, by bisection.
 */
export const mergeRanks = defineKernel({
  name: "mergeRanks",
  buffers: { ids: "read int", chunks: "read int", order: "write int" },
  params: { N: "u32", V: "u32", chunk: "u32", merged: "u32" },
  cpu({ ids, order }, { N, V, merged }): void {
    rankInChunks.cpu({ ids, order }, { N, V, chunk: merged });
  },
  invocations: ({ N }) => N,
  wgsl: `
fn rowAt(i: u32) -> i32 { return clamp(ids[chunks[i]], 0, i32(p.V) - 1); }
fn kernel(i: u32) {
  let own = rowAt(i);
  let first = i - i % p.merged;
  let end = min(first + p.merged, p.N);
  var rank = first + i % p.chunk;
  for (var start = first; start < end; start += p.chunk) {
    if (start == i - i % p.chunk) { continue; }
    let limit = own + select(0, 1, start < i); // earlier positions of the same row come first
    var low = start;
    var high = min(start + p.chunk, p.N);
    while (low < high) {
      let middle = (low + high) / 2u;
      if (rowAt(middle) < limit) { low = middle + 1u; } else { high = middle; }
    }
    rank += low - start;
  }
  order[rank] = chunks[i];
}`,
  cases: () =>
    CASES.flatMap(({ name, N, V, ids }) =>
      [16, 64].map((merged) => {
        const chunks = new Int32Array(N);
        const params = { N, V, chunk: 8, merged };
        rankInChunks.cpu({ ids: Int32Array.from(ids), order: chunks }, params);
        return {
          name: `${name}, chunks of ${merged}`,
          params,
          buffers: { ids, chunks, order: N },
        };
      })
    ),
});

/** The order of all positions, for the cases. */
const ORDERS = CASES.map(({ N, V, ids }) => {
  const order = new Int32Array(N);
  rankInChunks.cpu({ ids: Int32Array.from(ids), order }, { N, V, chunk: N });
  return order;
});

/** out[v] = the sum of x[n] over the n with ids_n = v, in the order of n. */
export const sumRows = vectorised((width) =>
  defineKernel({
    name: `sumRows ${width.element}`,
    buffers: {
      x: `read ${width.element}`,
      ids: "read int",
      order: "read int",
      out: `write ${width.element}`,
    },
    params: { N: "u32", V: "u32", C: "u32" },
    cpu({ x, ids, order, out }, { N, V, C }): void {
      const totals = new Float64Array(C);
      for (let v = 0, r = 0; v < V; v++) {
        if (r === N || clampId(ids[order[r]], V) !== v) {
          out.fill(0, v * C, v * C + C);
          continue;
        }
        totals.fill(0);
        for (; r < N && clampId(ids[order[r]], V) === v; r++) {
          const row = order[r] * C;
          for (let c = 0; c < C; c++) totals[c] += x[row + c];
        }
        out.set(totals, v * C);
      }
    },
    invocations: ({ V, C }) => V * C / width.lanes,
    wgsl: `${wgslSum(width.F)}
fn rowAt(r: u32) -> i32 { return clamp(ids[order[r]], 0, i32(p.V) - 1); }
fn kernel(i: u32) {
  let width = p.C / ${width.lanes}u;
  let v = i32(i / width);
  let c = i % width;
  var low = 0u; // the first r whose row is at least v
  var high = p.N;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (rowAt(middle) < v) { low = middle + 1u; } else { high = middle; }
  }
  var sum = Sum();
  for (var r = low; r < p.N; r++) {
    if (rowAt(r) != v) { break; }
    plus(&sum, x[u32(order[r]) * width + c]);
  }
  out[i] = totalOf(sum);
}`,
    cases: () =>
      casesFor(width).map((given) => {
        const { name, N, V, C, ids } = given;
        const order = ORDERS[CASES.indexOf(given)];
        const buffers = { x: noise(N * C, 2), ids, order, out: V * C };
        return { name, params: { N, V, C }, buffers };
      }),
  })
);
