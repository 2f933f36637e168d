/**
 * Running sums of x (outer, n, inner) along its middle axis, which is cut into chunks:
 *
 *   out[o, k, i] = before + sum_{j <= k in the chunk of k} x[o, j, i]
 *
 * where `before` is the total of all earlier chunks. With reverse = 1, j >= k and all later chunks.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

/**
 * running (outer, chunks, inner) holds the running sums of the totals of the chunks, in the same
 * direction; it is not read where there is one chunk. One invocation per chunk.
 */
export const cumsumChunks = defineKernel({
  name: "cumsumChunks",
  buffers: { x: "read float", running: "read float", out: "write float" },
  params: { outer: "u32", n: "u32", inner: "u32", chunk: "u32", reverse: "u32" },
  cpu({ x, running, out }, { outer, n, inner, chunk, reverse }): void {
    const chunks = Math.ceil(n / chunk);
    for (let o = 0; o < outer; o++) {
      for (let c = 0; c < chunks; c++) {
        const start = c * chunk;
        const end = Math.min(n, start + chunk);
        const before = reverse ? c + 1 : c - 1;
        for (let i = 0; i < inner; i++) {
          const has = before >= 0 && before < chunks;
          let total = has ? running[(o * chunks + before) * inner + i] : 0;
          for (let j = 0; j < end - start; j++) {
            const k = reverse ? end - 1 - j : start + j;
            total += x[(o * n + k) * inner + i];
            out[(o * n + k) * inner + i] = total;
          }
        }
      }
    }
  },
  invocations: ({ outer, n, inner, chunk }) => outer * Math.ceil(n / chunk) * inner,
  wgsl: `
fn kernel(at: u32) {
  let chunks = (p.n + p.chunk - 1u) / p.chunk;
  let i = at % p.inner;
  let c = i32((at / p.inner) % chunks);
  let o = at / p.inner / chunks;
  let start = u32(c) * p.chunk;
  let end = min(p.n, start + p.chunk);
  let before = select(c - 1, c + 1, p.reverse == 1u);
  var total = 0.0;
  if (before >= 0 && before < i32(chunks)) {
    total = running[(o * chunks + u32(before)) * p.inner + i];
  }
  for (var j = 0u; j < end - start; j++) {
    let k = select(start + j, end - 1u - j, p.reverse == 1u);
    let place = (o * p.n + k) * p.inner + i;
    total += x[place];
    out[place] = total;
  }
}`,
  cases: () =>
    [0, 1].flatMap((reverse) => [
      {
        name: `(2, 11, 3) in chunks of 4, reverse ${reverse}`,
        params: { outer: 2, n: 11, inner: 3, chunk: 4, reverse },
        buffers: { x: noise(66, 1), running: noise(18, 2), out: 66 },
      },
      {
        name: `(3, 7, 1) in one chunk, reverse ${reverse}`,
        params: { outer: 3, n: 7, inner: 1, chunk: 7, reverse },
        buffers: { x: noise(21, 3), running: [1], out: 21 },
      },
    ]),
});
