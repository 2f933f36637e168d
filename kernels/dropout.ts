/**
 * Dropout (Srivastava et al., JMLR 15, 2014), inverted:
 *
 *   out_i = x_i keep_i / (1 - rate),   keep_i = u_i >= rate,   u_i = unit(threefry(key, (floor(i / 2), stream))_(i mod 2))
 *
 * The backward is the same map on dout: the mask is drawn again, not stored. Both words of a counter are used, and
 * `threshold` = ceil(rate 2^24) makes the comparison one of integers, so the mask is the same on every device.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { threefryInto } from "../core/random.ts";
import { noise } from "./cases.ts";
import { THREEFRY } from "./threefry.ts";
import { simd } from "./wasm/modules.ts";

/** n elements; one invocation a pair. */
export const dropoutMap = defineKernel({
  name: "dropoutMap",
  buffers: { x: "read float", key: "read int", out: "write float" },
  params: { n: "u32", stream: "u32", threshold: "u32", scale: "f32" },
  cpu({ x, key, out }, { n, stream, threshold, scale }): void {
    const words = new Uint32Array(2);
    const [key0, key1] = key;
    for (let i = 0; i < n; i++) {
      if (i % 2 === 0) threefryInto(words, key0, key1, i / 2, stream);
      out[i] = words[i % 2] >>> 8 >= threshold ? x[i] * scale : 0;
    }
  },
  wasm: {
    module: simd,
    function: "dropout",
    args: ({ x, key, out }, p) => [x, key, out, p.n, p.stream, p.threshold, p.scale],
    items: ({ n }) => Math.ceil(n / 8),
    work: ({ n }) => 8 * n,
  },
  invocations: ({ n }) => Math.ceil(n / 2),
  wgsl: `${THREEFRY}
fn kernel(pair: u32) {
  let words = threefry(vec2u(u32(key[0]), u32(key[1])), vec2u(pair, p.stream)) >> vec2u(8u);
  let i = 2u * pair;
  out[i] = select(0.0, x[i] * p.scale, words.x >= p.threshold);
  if (i + 1u < p.n) { out[i + 1u] = select(0.0, x[i + 1u] * p.scale, words.y >= p.threshold); }
}`,
  cases: () => [
    {
      name: "an odd number of elements, half of them dropped",
      params: { n: 501, stream: 3, threshold: 2 ** 23, scale: 2 },
      buffers: { x: noise(501, 1), key: [-5, 9], out: 501 },
    },
    {
      name: "the largest words",
      params: { n: 40, stream: 0xffffffff, threshold: 2 ** 22, scale: 4 / 3 },
      buffers: { x: noise(40, 2), key: [-1, -1], out: 40 },
    },
    {
      name: "nothing dropped",
      params: { n: 2, stream: 0, threshold: 0, scale: 1 },
      buffers: { x: [1, 2], key: [0, 0], out: 2 },
    },
  ],
});
