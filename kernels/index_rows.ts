/**
 * Rows of a table (V, C) by N ids, and the gradient of the table:
 *
 *   out[n, c] = table[ids_n, c],   dtable[v, c] = sum_{n : ids_n = v} dout[n, c]
 *
 * The gradient sums each row's contributions in the order of n, so it is the same in every run: the positions n are
 * sorted by (ids_n, n), and one invocation then owns one part of one row. Ids outside of [0, V) count as the nearest inside.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers, ramp } from "./cases.ts";

const CASES = [
  { name: "7 ids into (4, 3), one row unused", N: 7, V: 4, C: 3, ids: [2, 0, 2, 3, 3, 2, 0] },
  { name: "ids out of range", N: 3, V: 2, C: 4, ids: [-1, 5, 1] },
  { name: "40 ids into (9, 8)", N: 40, V: 9, C: 8, ids: integers(40, 9, 1) },
];

/** out[n] = table[ids_n]; one invocation an element. */
export const takeRowsForward = defineKernel({
  name: "takeRowsForward",
  buffers: { table: "read float", ids: "read int", out: "write float" },
  params: { N: "u32", V: "u32", C: "u32" },
  cpu({ table, ids, out }, { N, V, C }): void {
    for (let n = 0; n < N; n++) {
      const row = Math.min(Math.max(ids[n], 0), V - 1) * C;
      for (let c = 0; c < C; c++) out[n * C + c] = table[row + c];
    }
  },
  invocations: ({ N, C }) => N * C,
  wgsl: `
fn kernel(i: u32) {
  let row = u32(clamp(ids[i / p.C], 0, i32(p.V) - 1));
  out[i] = table[row * p.C + i % p.C];
}`,
  cases: () =>
    CASES.map(({ name, N, V, C, ids }) => ({
      name,
      params: { N, V, C },
      buffers: { table: ramp(V * C, 1), ids, out: N * C },
    })),
});

/**
 * order[r] = the n whose rank is r in the order by (ids_n, n). The WGSL compares all pairs, N^2 in all, which for the
 * few thousand positions of a batch costs less than the passes of a parallel sort.
 */
export const rankByRow = defineKernel({
  name: "rankByRow",
  buffers: { ids: "read int", order: "write int" },
  params: { N: "u32", V: "u32" },
  cpu({ ids, order }, { N, V }): void {
    const starts = new Int32Array(V + 1);
    const rowAt = (n: number): number => Math.min(Math.max(ids[n], 0), V - 1);
    for (let n = 0; n < N; n++) starts[rowAt(n) + 1]++;
    for (let v = 0; v < V; v++) starts[v + 1] += starts[v];
    for (let n = 0; n < N; n++) order[starts[rowAt(n)]++] = n;
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) { // ids before n count if they are <= its own, ids after it if they are <
  let last = i32(p.V) - 1;
  let own = clamp(ids[n], 0, last);
  var rank = vec4u(0u);
  var m = 0u;
  for (; m + 4u <= n; m += 4u) {
    let four = clamp(vec4i(ids[m], ids[m + 1u], ids[m + 2u], ids[m + 3u]), vec4i(0), vec4i(last));
    rank += select(vec4u(0u), vec4u(1u), four <= vec4i(own));
  }
  for (; m < n; m++) { rank.x += select(0u, 1u, clamp(ids[m], 0, last) <= own); }
  for (; m + 4u <= p.N; m += 4u) {
    let four = clamp(vec4i(ids[m], ids[m + 1u], ids[m + 2u], ids[m + 3u]), vec4i(0), vec4i(last));
    rank += select(vec4u(0u), vec4u(1u), four < vec4i(own));
  }
  for (; m < p.N; m++) { rank.x += select(0u, 1u, clamp(ids[m], 0, last) < own); }
  order[rank.x + rank.y + rank.z + rank.w] = i32(n);
}`,
  cases: () =>
    CASES.map(({ name, N, V, ids }) => ({ name, params: { N, V }, buffers: { ids, order: N } })),
});

const ORDERS = [[1, 6, 0, 2, 5, 3, 4], [0, 1, 2]];

/** out[v] = sum of x[n] over the n with ids_n = v, in order; one invocation an element. */
export const sumRows = defineKernel({
  name: "sumRows",
  buffers: { x: "read float", ids: "read int", order: "read int", out: "write float" },
  params: { N: "u32", V: "u32", C: "u32" },
  cpu({ x, ids, order, out }, { N, V, C }): void {
    const totals = new Float64Array(C);
    for (let v = 0, r = 0; v < V; v++) {
      totals.fill(0);
      for (; r < N && Math.min(Math.max(ids[order[r]], 0), V - 1) === v; r++) {
        const row = order[r] * C;
        for (let c = 0; c < C; c++) totals[c] += x[row + c];
      }
      out.set(totals, v * C);
    }
  },
  invocations: ({ V, C }) => V * C,
  wgsl: `
fn rowAt(r: u32) -> i32 { return clamp(ids[order[r]], 0, i32(p.V) - 1); }
fn kernel(i: u32) {
  let v = i32(i / p.C);
  let c = i % p.C;
  var low = 0u; // the first r whose row is at least v
  var high = p.N;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (rowAt(middle) < v) { low = middle + 1u; } else { high = middle; }
  }
  var total = 0.0;
  for (var r = low; r < p.N; r++) {
    if (rowAt(r) != v) { break; }
    total += x[u32(order[r]) * p.C + c];
  }
  out[i] = total;
}`,
  cases: () =>
    ORDERS.map((order, i) => {
      const { name, N, V, C, ids } = CASES[i];
      return {
        name,
        params: { N, V, C },
        buffers: { x: ramp(N * C, 2), ids, order, out: V * C },
      };
    }),
});
