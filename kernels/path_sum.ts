/**
 * Running sums along the rows of each item. The rows of an item follow one another, the first at
 * the root, node 0. Rows with a node of -1 belong to no item.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

/** Items of three rows, of one, and of two, with other rows in between. */
const NODES = [0, 3, 4, -1, -1, 0, 0, 2, -1, 0];

/** out[n] = the sum of x from the first row of row n's item to row n; 0 where there is no item. */
export const pathSumForward = defineKernel({
  name: "pathSumForward",
  buffers: { x: "read float", nodes: "read int", out: "write float" },
  params: { N: "u32" },
  cpu({ x, nodes, out }, { N }): void {
    let sum = 0;
    for (let n = 0; n < N; n++) {
      if (nodes[n] <= 0) sum = 0;
      if (nodes[n] >= 0) sum += x[n];
      out[n] = sum;
    }
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  var sum = 0.0;
  if (nodes[n] >= 0) {
    var first = n;
    while (first > 0u && nodes[first] > 0 && nodes[first - 1u] >= 0) { first -= 1u; }
    for (var m = first; m <= n; m++) { sum += x[m]; } // in the order of rows, as on the cpu
  }
  out[n] = sum;
}`,
  cases: () => [
    {
      name: "items of 3, 1 and 2 rows",
      params: { N: 10 },
      buffers: { x: noise(10, 1), nodes: NODES, out: 10 },
    },
    {
      name: "an item of 70 rows",
      params: { N: 70 },
      buffers: { x: noise(70, 2), nodes: Int32Array.from({ length: 70 }, (_, n) => n), out: 70 },
    },
  ],
});

/** The adjoint: dx[n] = the sum of dout from row n to the last row of its item. */
export const pathSumBackward = defineKernel({
  name: "pathSumBackward",
  buffers: { dout: "read float", nodes: "read int", dx: "write float" },
  params: { N: "u32" },
  cpu({ dout, nodes, dx }, { N }): void {
    let sum = 0;
    for (let n = N - 1; n >= 0; n--) {
      if (n + 1 === N || nodes[n + 1] <= 0) sum = 0;
      if (nodes[n] >= 0) sum += dout[n];
      dx[n] = nodes[n] < 0 ? 0 : sum;
    }
  },
  invocations: ({ N }) => N,
  wgsl: `
fn kernel(n: u32) {
  var sum = 0.0;
  if (nodes[n] >= 0) {
    sum = dout[n];
    for (var m = n + 1u; m < p.N && nodes[m] > 0; m++) { sum += dout[m]; }
  }
  dx[n] = sum;
}`,
  cases: () => [
    {
      name: "items of 3, 1 and 2 rows",
      params: { N: 10 },
      buffers: { dout: noise(10, 1), nodes: NODES, dx: 10 },
    },
    {
      name: "an item of 70 rows",
      params: { N: 70 },
      buffers: { dout: noise(70, 2), nodes: Int32Array.from({ length: 70 }, (_, n) => n), dx: 70 },
    },
  ],
});
