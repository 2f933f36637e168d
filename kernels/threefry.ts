/**
 * Threefry-2x32 in WGSL, bit for bit what `threefry` of core/random.ts gives.
 *
 * @module
 */

/** Put it in front of a kernel's own WGSL: the words of counter `c` under `key`, and a word as a number in [0, 1). */
export const THREEFRY = `
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
