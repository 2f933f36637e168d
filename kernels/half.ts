/**
 * Floats as halves (IEEE 754 binary16): out_i is the half nearest to x_i, of two equally near ones
 * the one whose last bit is 0. From 65520 on they are infinite.
 *
 * @module
 */
import { halfArray } from "../core/dtype.ts";
import { defineKernel } from "../core/kernel.ts";
import { noise } from "./cases.ts";

const EDGES = [
  ...[0, -0, 1, -2, 2048, 2049, 2051, 4098, 4102, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 - 2 ** -12],
  ...[65504, 65519, 65519.996, 65520, -65520, 1e30, -Infinity, Infinity], // around the largest half
  ...[2 ** -14, -(2 ** -14), 2 ** -14 - 2 ** -25, 2 ** -14 - 2 ** -26], // around the smallest normal half
  ...[1023 * 2 ** -24, 3 * 2 ** -25],
  ...[2 ** -24, 2 ** -25, 1.0001 * 2 ** -25, -(2 ** -25), 5 * 2 ** -25, 2 ** -26, 1e-30],
  ...[0.1, -0.1, 1 / 3],
];

/**
 * out (n); four per invocation. It works on bits, since `pack2x16float` may round either way.
 * Subnormal floats give 0, which is their nearest half.
 */
export const toHalf = defineKernel({
  name: "toHalf",
  buffers: { x: "read float4", out: "write half4" },
  params: { n: "u32" },
  cpu({ x, out }, { n }): void {
    out.set(halfArray().from(x.subarray(0, n)));
  },
  invocations: ({ n }) => n / 4,
  tolerance: 0,
  wgsl: `
fn bitsOf(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let a = bits & 0x7fffffffu;
  if (a > 0x7f800000u) { return sign | 0x7e00u; } // not a number
  if (a >= 0x477ff000u) { return sign | 0x7c00u; } // 65520 and more
  if (a < 0x33000000u) { return sign; } // less than 2^-25
  // The half is mantissa / 2^drop. Its exponent is that of the float - 112, or 0 if subnormal.
  var mantissa = a;
  var drop = 13u;
  var base = 112u << 10u;
  if (a < 0x38800000u) { // less than 2^-14
    mantissa = (a & 0x7fffffu) | 0x800000u;
    drop = 126u - (a >> 23u);
    base = 0u;
  }
  let half = 1u << (drop - 1u);
  let odd = (mantissa >> drop) & 1u;
  return sign | (((mantissa + half - 1u + odd) >> drop) - base);
}
fn kernel(i: u32) {
  let v = x[i];
  out[i] = vec2u(bitsOf(v.x) | (bitsOf(v.y) << 16u), bitsOf(v.z) | (bitsOf(v.w) << 16u));
}`,
  cases: () =>
    [["edges", EDGES], ["weights", noise(64, 1).map((u) => u / 16)]].map(([name, x]) => ({
      name: name as string,
      params: { n: x.length },
      buffers: { x: x as number[], out: x.length },
    })),
});
