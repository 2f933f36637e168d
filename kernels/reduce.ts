/**
 * Reductions of x (outer, n, inner) over its middle axis:
 *
 *   sum     out[o, i] = sum_k x[o, k, i]
 *   extreme out[o, i] = the first k where sign x[o, k, i] is largest; sign is 1 for max, -1 for min
 *
 * NaN counts as the largest, for either sign. A long axis is cut into chunks, so that no invocation
 * has too much to do: one launch reduces each chunk, the next one the chunks. The order is fixed,
 * so the result is the same in every run.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { integers, noise, SPECIAL } from "./cases.ts";
import { isAbove, WGSL_ORDER } from "./maths.ts";

/** The number of elements that one invocation reduces where the axis is longer. */
export const CHUNK = 256;

/** out (outer, ceil(n / chunk), inner): the sum of each chunk. */
export const sumChunks = defineKernel({
  name: "sumChunks",
  buffers: { x: "read float", out: "write float" },
  params: { outer: "u32", n: "u32", inner: "u32", chunk: "u32" },
  cpu({ x, out }, { outer, n, inner, chunk }): void {
    if (inner === 1) {
      for (let o = 0, at = 0; o < outer; o++) {
        for (let start = 0; start < n; start += chunk, at++) {
          const end = o * n + Math.min(n, start + chunk);
          let total = 0;
          for (let k = o * n + start; k < end; k++) total += x[k];
          out[at] = total;
        }
      }
      return;
    }
    const totals = new Float64Array(inner);
    for (let o = 0, at = 0; o < outer; o++) {
      for (let start = 0; start < n; start += chunk, at += inner) {
        totals.fill(0);
        const end = Math.min(n, start + chunk);
        for (let k = start; k < end; k++) {
          const row = (o * n + k) * inner;
          for (let i = 0; i < inner; i++) totals[i] += x[row + i];
        }
        out.set(totals, at);
      }
    }
  },
  invocations: ({ outer, n, inner, chunk }) => outer * Math.ceil(n / chunk) * inner,
  wgsl: `
fn kernel(at: u32) { // four partial sums: shorter chains of roundings
  let chunks = (p.n + p.chunk - 1u) / p.chunk;
  let i = at % p.inner;
  let o = at / p.inner / chunks;
  let start = ((at / p.inner) % chunks) * p.chunk;
  let end = min(p.n, start + p.chunk);
  let row = o * p.n * p.inner + i;
  var part = vec4f(0.0);
  var k = start;
  for (; k + 4u <= end; k += 4u) {
    let a = row + k * p.inner;
    part += vec4f(x[a], x[a + p.inner], x[a + 2u * p.inner], x[a + 3u * p.inner]);
  }
  var total = (part.x + part.y) + (part.z + part.w);
  for (; k < end; k++) { total += x[row + k * p.inner]; }
  out[at] = total;
}`,
  cases: () => [
    {
      name: "(3, 7, 5) in one chunk",
      params: { outer: 3, n: 7, inner: 5, chunk: 256 },
      buffers: { x: noise(105, 1), out: 15 },
    },
    {
      name: "(2, 10, 3) in chunks of 4",
      params: { outer: 2, n: 10, inner: 3, chunk: 4 },
      buffers: { x: noise(60, 2), out: 18 },
    },
    {
      name: "(1, 1000, 1) in chunks of 256",
      params: { outer: 1, n: 1000, inner: 1, chunk: 256 },
      buffers: { x: noise(1000, 3), out: 4 },
    },
  ],
});

/**
 * index (outer, ceil(n / chunk), inner): where each chunk's extreme lies, as an index into the
 * whole axis.
 */
export const extremeOfChunks = defineKernel({
  name: "extremeOfChunks",
  buffers: { x: "read float", index: "write int" },
  params: { outer: "u32", n: "u32", inner: "u32", chunk: "u32", sign: "f32" },
  cpu({ x, index }, { outer, n, inner, chunk, sign }): void {
    for (let o = 0, at = 0; o < outer; o++) {
      for (let start = 0; start < n; start += chunk) {
        const end = Math.min(n, start + chunk);
        for (let i = 0; i < inner; i++, at++) {
          let best = start;
          let value = sign * x[(o * n + start) * inner + i];
          for (let k = start + 1; k < end; k++) {
            const candidate = sign * x[(o * n + k) * inner + i];
            if (isAbove(candidate, value)) {
              value = candidate;
              best = k;
            }
          }
          index[at] = best;
        }
      }
    }
  },
  invocations: ({ outer, n, inner, chunk }) => outer * Math.ceil(n / chunk) * inner,
  wgsl: `${WGSL_ORDER}
fn kernel(at: u32) {
  let chunks = (p.n + p.chunk - 1u) / p.chunk;
  let i = at % p.inner;
  let o = at / p.inner / chunks;
  let start = ((at / p.inner) % chunks) * p.chunk;
  let end = min(p.n, start + p.chunk);
  let row = o * p.n * p.inner + i;
  var best = start;
  var value = orderOf(p.sign * x[row + start * p.inner]);
  for (var k = start + 1u; k < end; k++) {
    let candidate = orderOf(p.sign * x[row + k * p.inner]);
    if (candidate > value) { value = candidate; best = k; }
  }
  index[at] = i32(best);
}`,
  cases: () =>
    [1, -1].flatMap((sign) => [
      {
        name: `(2, 11, 3) in chunks of 4, with ties, sign ${sign}`,
        params: { outer: 2, n: 11, inner: 3, chunk: 4, sign },
        buffers: { x: integers(66, 5, 1), index: 18 },
      },
      {
        name: `special numbers beside each other, sign ${sign}`,
        params: { outer: 64, n: 2, inner: 1, chunk: 2, sign },
        buffers: { x: SPECIAL.flatMap((a) => SPECIAL.flatMap((b) => [a, b])), index: 64 },
      },
    ]),
});

/**
 * index (outer, inner): the extreme among the candidates (outer, chunks, inner) of {@link
 * extremeOfChunks}.
 */
export const extremeOfCandidates = defineKernel({
  name: "extremeOfCandidates",
  buffers: { x: "read float", candidates: "read int", index: "write int" },
  params: { outer: "u32", n: "u32", inner: "u32", chunks: "u32", sign: "f32" },
  cpu({ x, candidates, index }, { outer, n, inner, chunks, sign }): void {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let best = candidates[o * chunks * inner + i];
        let value = sign * x[(o * n + best) * inner + i];
        for (let c = 1; c < chunks; c++) {
          const k = candidates[(o * chunks + c) * inner + i];
          const candidate = sign * x[(o * n + k) * inner + i];
          if (isAbove(candidate, value)) {
            value = candidate;
            best = k;
          }
        }
        index[o * inner + i] = best;
      }
    }
  },
  invocations: ({ outer, inner }) => outer * inner,
  wgsl: `${WGSL_ORDER}
fn kernel(at: u32) {
  let i = at % p.inner;
  let o = at / p.inner;
  let row = o * p.n * p.inner + i;
  var best = candidates[o * p.chunks * p.inner + i];
  var value = orderOf(p.sign * x[row + u32(best) * p.inner]);
  for (var c = 1u; c < p.chunks; c++) {
    let k = candidates[(o * p.chunks + c) * p.inner + i];
    let candidate = orderOf(p.sign * x[row + u32(k) * p.inner]);
    if (candidate > value) { value = candidate; best = k; }
  }
  index[at] = best;
}`,
  cases: () =>
    [1, -1].flatMap((sign) => [
      {
        name: `(2, 11, 3), 3 candidates each, with ties, sign ${sign}`,
        params: { outer: 2, n: 11, inner: 3, chunks: 3, sign },
        buffers: {
          x: integers(66, 3, 1),
          candidates: [0, 1, 2, 4, 5, 6, 8, 9, 10, 3, 2, 1, 7, 7, 7, 10, 9, 8],
          index: 6,
        },
      },
      {
        name: `NaN among 3 candidates, sign ${sign}`,
        params: { outer: 3, n: 3, inner: 1, chunks: 3, sign },
        buffers: {
          x: [NaN, 1, 2, 1, NaN, NaN, 1, 2, NaN],
          candidates: [0, 1, 2, 0, 1, 2, 0, 1, 2],
          index: 3,
        },
      },
    ]),
});
