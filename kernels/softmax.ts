/**
 * Softmax and its logarithms over N rows of V, with m = max_v x_v = x_a and r = sum_{v != a} e^(x_v
 * - m):
 *
 *   softmax_v    = e^(x_v - m) / (1 + r)
 *   logSoftmax_v = x_v - m - log(1 + r)
 *   logSumExp    = m + log(1 + r)
 *
 * Leaving the largest term out of r keeps the digits of log(1 + r) where one element holds nearly
 * all the mass. Where m is infinite, softmax and logSoftmax are NaN, and logSumExp is what its
 * definition gives: -Infinity for a row of -Infinity, and Infinity for a row that has one. A NaN
 * makes its row NaN.
 *
 * Backward:
 *
 *   softmax     dx_v = y_v (dout_v - sum_u dout_u y_u)
 *   logSoftmax  dx_v = dout_v - e^y_v sum_u dout_u
 *   logSumExp   dx_v = dout e^(x_v - y)
 *
 * @module
 */
import type { FloatArray } from "../core/dtype.ts";
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";
import { wgslMaths, wgslSum } from "./maths.ts";

/** Where the largest element of a row of V lies. */
function argmaxOf(x: FloatArray, row: number, V: number): number {
  let a = row;
  for (let at = row + 1; at < row + V; at++) if (x[at] > x[a]) a = at;
  return a;
}

/** The sum of e^(x_v - m) over all v of a row but a. */
function restOf(x: FloatArray, row: number, V: number, a: number, m: number): number {
  let rest = 0;
  for (let at = row; at < a; at++) rest += Math.exp(x[at] - m);
  for (let at = a + 1; at < row + V; at++) rest += Math.exp(x[at] - m);
  return rest;
}

/** 0 if x is finite, else NaN. */
const nanUnlessFinite = (x: number): number => x - x;

const WGSL_ROW = `${wgslMaths("f32")}${wgslSum("f32")}
fn argmaxOf(row: u32) -> u32 {
  var a = row;
  var m = x[row];
  for (var at = row + 1u; at < row + p.V; at++) {
    let value = x[at];
    if (value > m) { a = at; m = value; }
  }
  return a;
}
fn restOf(row: u32, a: u32, m: f32) -> f32 {
  var rest = Sum();
  for (var at = row; at < row + p.V; at++) {
    plus(&rest, select(expOf(x[at] - m), 0.0, at == a));
  }
  return totalOf(rest);
}
fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
fn nanUnlessFinite(x: f32) -> f32 { return bitcast<f32>(select(0x7fc00000u, 0u, isFinite(x))); }`;

const WGSL_LOG = `
fn logOfOnePlus(rest: f32) -> f32 {
  if (rest <= 1.0) { return log1pOf(rest); }
  return logOf(1.0 + rest);
}`;

/** Rows that try the range: ordinary, one certain element, very large, all equal, some absent. */
const ROWS = [
  ...[0.5, -1, 0.25, 2, -0.75],
  ...[20, 0, 1, -3, 2],
  ...[-40, 1000, 999, -1000, 0],
  ...[3, 3, 3, 3, 3],
  ...[-1e30, 1, -1e30, 2, -1e30],
];

const CASES = [
  { name: "5 rows of 5", N: 5, V: 5, x: ROWS },
  { name: "1 row of 300", N: 1, V: 300, x: noise(300, 1).map((u) => 8 * u) },
  { name: "2 rows of 1", N: 2, V: 1, x: [-3, 5] },
  {
    name: "NaN and infinities",
    N: 9,
    V: 3,
    x: [
      ...[NaN, 1, 2, 1, NaN, 2, 1, 2, NaN, NaN, Infinity, -Infinity, -Infinity, NaN, 1],
      ...[1, Infinity, 2, Infinity, 0, Infinity, -Infinity, -Infinity, -Infinity, 1, -Infinity, 2],
    ],
  },
];

/** out (N, V); one invocation per row. */
export const softmaxForward = defineKernel({
  name: "softmaxForward",
  buffers: { x: "read float", out: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ x, out }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      const a = argmaxOf(x, row, V);
      const m = x[a];
      const scale = 1 / (1 + restOf(x, row, V, a, m)) + nanUnlessFinite(m);
      for (let at = row; at < row + V; at++) out[at] = Math.exp(x[at] - m) * scale;
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${WGSL_ROW}
fn kernel(n: u32) {
  let row = n * p.V;
  let a = argmaxOf(row);
  let m = x[a];
  let scale = 1.0 / (1.0 + restOf(row, a, m)) + nanUnlessFinite(m);
  for (var at = row; at < row + p.V; at++) { out[at] = exp(x[at] - m) * scale; }
}`,
  cases: () =>
    CASES.map(({ name, N, V, x }) => ({ name, params: { N, V }, buffers: { x, out: N * V } })),
});

/** dx from y = softmax(x) (N, V); one invocation per row. */
export const softmaxBackward = defineKernel({
  name: "softmaxBackward",
  buffers: { dout: "read float", y: "read float", dx: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ dout, y, dx }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      let dot = 0;
      for (let at = row; at < row + V; at++) dot += dout[at] * y[at];
      for (let at = row; at < row + V; at++) dx[at] = y[at] * (dout[at] - dot);
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${wgslSum("f32")}
fn kernel(n: u32) {
  let row = n * p.V;
  var sum = Sum();
  for (var at = row; at < row + p.V; at++) { plus(&sum, dout[at] * y[at]); }
  let dot = totalOf(sum);
  for (var at = row; at < row + p.V; at++) { dx[at] = y[at] * (dout[at] - dot); }
}`,
  cases: () => [{
    name: "3 rows of 4",
    params: { N: 3, V: 4 },
    buffers: { dout: noise(12, 1), y: noise(12, 2).map((u) => (u + 1) / 4), dx: 12 },
  }],
});

/** out (N, V); one invocation per row. */
export const logSoftmaxForward = defineKernel({
  name: "logSoftmaxForward",
  buffers: { x: "read float", out: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ x, out }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      const a = argmaxOf(x, row, V);
      const m = x[a];
      const log = Math.log1p(restOf(x, row, V, a, m)) + nanUnlessFinite(m);
      for (let at = row; at < row + V; at++) out[at] = x[at] - m - log;
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${WGSL_ROW}${WGSL_LOG}
fn kernel(n: u32) {
  let row = n * p.V;
  let a = argmaxOf(row);
  let m = x[a];
  let log = logOfOnePlus(restOf(row, a, m)) + nanUnlessFinite(m);
  for (var at = row; at < row + p.V; at++) { out[at] = x[at] - m - log; }
}`,
  cases: () =>
    CASES.map(({ name, N, V, x }) => ({ name, params: { N, V }, buffers: { x, out: N * V } })),
});

/** dx from y = logSoftmax(x) (N, V); one invocation per row. */
export const logSoftmaxBackward = defineKernel({
  name: "logSoftmaxBackward",
  buffers: { dout: "read float", y: "read float", dx: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ dout, y, dx }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      let total = 0;
      for (let at = row; at < row + V; at++) total += dout[at];
      for (let at = row; at < row + V; at++) dx[at] = dout[at] - Math.exp(y[at]) * total;
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${wgslSum("f32")}
fn kernel(n: u32) {
  let row = n * p.V;
  var sum = Sum();
  for (var at = row; at < row + p.V; at++) { plus(&sum, dout[at]); }
  let total = totalOf(sum);
  for (var at = row; at < row + p.V; at++) { dx[at] = dout[at] - exp(y[at]) * total; }
}`,
  cases: () => [{
    name: "3 rows of 4",
    params: { N: 3, V: 4 },
    buffers: { dout: noise(12, 1), y: noise(12, 2).map((u) => -2 * (u + 1)), dx: 12 },
  }],
});

/** out (N); one invocation per row. */
export const logSumExpForward = defineKernel({
  name: "logSumExpForward",
  buffers: { x: "read float", out: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ x, out }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      const a = argmaxOf(x, row, V);
      const m = Number.isFinite(x[a]) ? x[a] : 0;
      out[n] = x[a] + Math.log1p(restOf(x, row, V, a, m));
    }
  },
  invocations: ({ N }) => N,
  wgsl: `${WGSL_ROW}${WGSL_LOG}
fn kernel(n: u32) {
  let row = n * p.V;
  let a = argmaxOf(row);
  out[n] = x[a] + logOfOnePlus(restOf(row, a, select(0.0, x[a], isFinite(x[a]))));
}`,
  cases: () =>
    CASES.map(({ name, N, V, x }) => ({ name, params: { N, V }, buffers: { x, out: N } })),
});

/** dx from y = logSumExp(x) (N); one invocation per element. */
export const logSumExpBackward = defineKernel({
  name: "logSumExpBackward",
  buffers: { dout: "read float", x: "read float", y: "read float", dx: "write float" },
  params: { N: "u32", V: "u32" },
  cpu({ dout, x, y, dx }, { N, V }): void {
    for (let n = 0, row = 0; n < N; n++, row += V) {
      for (let at = row; at < row + V; at++) dx[at] = dout[n] * Math.exp(x[at] - y[n]);
    }
  },
  invocations: ({ N, V }) => N * V,
  wgsl: `
fn kernel(at: u32) {
  let n = at / p.V;
  dx[at] = dout[n] * exp(x[at] - y[n]);
}`,
  cases: () => [{
    name: "3 rows of 4",
    params: { N: 3, V: 4 },
    buffers: { dout: noise(3, 1), x: noise(12, 2), y: [1.5, 1.25, 2], dx: 12 },
  }],
});
