/**
 * Uniform random numbers in [0, 1), and dropout (Srivastava et al., JMLR 15, 2014), inverted:
 *
 *   randomUniform   out_i = unit(threefry(key, (i, stream))_0)
 *   dropout         out_i = x_i keep_i / (1 - rate),   keep_i = u_i >= rate,
 *                   u_i = unit(threefry(key, (floor(i / 2), stream))_(i mod 2))
 *
 * with unit and threefry of core/random.ts; the bits are the same on every device. The backward of
 * dropout is the same map on dout: the mask is drawn again, not stored. Both words of a counter are
 * used, and `threshold` = ceil(rate 2^24) makes the comparison one of integers, so that the mask is
 * the same on every device.
 *
 * @module
 */
import { defineKernel } from "../core/kernel.ts";
import { threefryInto, unit } from "../core/random.ts";
import { noise } from "./cases.ts";
import { simd } from "./wasm/modules.ts";

/** WGSL for Threefry-2x32, `threefry(key, counter)`, and `unit(word)`, a number in [0, 1). */
const WGSL_THREEFRY = `
fn mix(v: vec2u, turn: u32) -> vec2u {
  let x = v.x + v.y;
  return vec2u(x, ((v.y << turn) | (v.y >> (32u - turn))) ^ x);
}
fn odd(v: vec2u) -> vec2u { return mix(mix(mix(mix(v, 13u), 15u), 26u), 6u); }
fn even(v: vec2u) -> vec2u { return mix(mix(mix(mix(v, 17u), 29u), 16u), 24u); }
fn threefry(key: vec2u, c: vec2u) -> vec2u {
  let third = key.x ^ key.y ^ 0x1bd11bdau;
  var v = odd(c + key) + vec2u(key.y, third + 1u);
  v = even(v) + vec2u(third, key.x + 2u);
  v = odd(v) + vec2u(key.x, key.y + 3u);
  v = even(v) + vec2u(key.y, third + 4u);
  return odd(v) + vec2u(third, key.x + 5u);
}
fn unit(word: u32) -> f32 { return f32(word >> 8u) * 5.9604644775390625e-8; }`;

/** out (n); one invocation per number. */
export const randomUniform = defineKernel({
  name: "randomUniform",
  buffers: { key: "read int", out: "write float" },
  params: { n: "u32", stream: "u32" },
  cpu({ key, out }, { n, stream }): void {
    const words = new Uint32Array(2);
    for (let i = 0; i < n; i++) {
      threefryInto(words, key[0], key[1], i, stream);
      out[i] = unit(words[0]);
    }
  },
  invocations: ({ n }) => n,
  wgsl: `${WGSL_THREEFRY}
fn kernel(i: u32) {
  out[i] = unit(threefry(vec2u(u32(key[0]), u32(key[1])), vec2u(i, p.stream)).x);
}`,
  tolerance: 0,
  cases: () => [
    { name: "1,000 numbers", params: { n: 1000, stream: 0 }, buffers: { key: [7, 0], out: 1000 } },
    {
      name: "the largest words",
      params: { n: 3, stream: 0xffffffff },
      buffers: { key: [-1, -1], out: 3 },
    },
  ],
});

/** out (n); one invocation per pair. */
export const dropoutMap = defineKernel({
  name: "dropoutMap",
  buffers: { x: "read float", key: "read int", out: "write float" },
  params: { n: "u32", stream: "u32", threshold: "u32", scale: "f32" },
  cpu({ x, key, out }, { n, stream, threshold, scale }): void {
    const words = new Uint32Array(2);
    for (let i = 0; i < n; i++) {
      if (i % 2 === 0) threefryInto(words, key[0], key[1], i / 2, stream);
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
  wgsl: `${WGSL_THREEFRY}
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
