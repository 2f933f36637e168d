// Elementwise kernels. Sizes are in elements, addresses in bytes. An item is a vector of four
// elements, of dropout two vectors, of SwiGLU a row. The memory of a buffer is a whole number of
// 64-byte lines, so the last vectors may be read past the last element. `put` does not write past
// it.

import { bytes, madd, nmadd, prepare, sigmoid4, sumLanes } from "./maths";

/** Stores the lanes that are before `end`. */
// @ts-ignore: decorator
@inline
function put(to: usize, x: v128, end: usize): void {
  if (to + 16 <= end) v128.store(to, x);
  else {
    if (to < end) v128.store_lane<f32>(to, x, 0);
    if (to + 4 < end) v128.store_lane<f32>(to, x, 1, 4);
    if (to + 8 < end) v128.store_lane<f32>(to, x, 2, 8);
  }
}

/** out = a + b. */
export function add(
  a: usize,
  b: usize,
  out: usize,
  n: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  for (let i = bytes(4 * from); i < bytes(4 * to); i += 16) {
    put(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)), out + bytes(n));
  }
}

/** gate s up, s = sigmoid(gate). */
// @ts-ignore: decorator
@inline
function gated(gate: v128, up: v128, scratch: usize): v128 {
  return f32x4.mul(f32x4.mul(gate, sigmoid4(gate, scratch)), up);
}

/** out (N, F) of the gates and ups in x (N, 2 F). */
export function swigluForward(
  x: usize,
  out: usize,
  F: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  prepare(scratch);
  const width = bytes(F);
  x += <usize> from * 2 * width;
  out += <usize> from * width;
  for (let n = from; n < to; n++, x += 2 * width, out += width) {
    let i: usize = 0;
    for (; i + 16 <= width; i += 16) {
      v128.store(out + i, gated(v128.load(x + i), v128.load(x + width + i), scratch));
    }
    for (; i < width; i += 4) {
      const gate = v128.load_splat<f32>(x + i), up = v128.load_splat<f32>(x + width + i);
      v128.store_lane<f32>(out + i, gated(gate, up, scratch), 0);
    }
  }
}

/** dgate = dout up s (1 + gate (1 - s)) and dup = dout gate s in dx (N, 2 F). */
export function swigluBackward(
  dout: usize,
  x: usize,
  dx: usize,
  F: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  prepare(scratch);
  const one = f32x4.splat(1), width = bytes(F);
  dout += <usize> from * width;
  x += <usize> from * 2 * width;
  dx += <usize> from * 2 * width;
  for (let n = from; n < to; n++, dout += width, x += 2 * width, dx += 2 * width) {
    let i: usize = 0;
    for (; i + 16 <= width; i += 16) {
      const gate = v128.load(x + i), s = sigmoid4(gate, scratch);
      const ds = f32x4.mul(v128.load(dout + i), s);
      const slope = madd(gate, f32x4.sub(one, s), one);
      v128.store(dx + i, f32x4.mul(f32x4.mul(ds, v128.load(x + width + i)), slope));
      v128.store(dx + width + i, f32x4.mul(ds, gate));
    }
    for (; i < width; i += 4) {
      const gate = v128.load_splat<f32>(x + i), s = sigmoid4(gate, scratch);
      const ds = f32x4.mul(v128.load_splat<f32>(dout + i), s);
      const slope = madd(gate, f32x4.sub(one, s), one);
      const up = v128.load_splat<f32>(x + width + i);
      v128.store_lane<f32>(dx + i, f32x4.mul(f32x4.mul(ds, up), slope), 0);
      v128.store_lane<f32>(dx + width + i, f32x4.mul(ds, gate), 0);
    }
  }
}

/** The word rotated to the left, xor `other`. */
// @ts-ignore: decorator
@inline
function turn(word: v128, left: i32, other: v128): v128 {
  return v128.xor(v128.or(i32x4.shl(word, left), i32x4.shr_u(word, 32 - left)), other);
}

/** x scale if the top 24 bits of the word reach `threshold`, else 0. */
// @ts-ignore: decorator
@inline
function keep(word: v128, threshold: v128, x: v128, scale: v128): v128 {
  return v128.and(i32x4.ge_s(i32x4.shr_u(word, 8), threshold), f32x4.mul(x, scale));
}

/**
 * Dropout by threefry(key, (floor(i / 2), stream)): the rounds of core/random.ts on four counters
 * at once, which give the words of eight elements.
 */
export function dropout(
  x: usize,
  key: usize,
  out: usize,
  n: i32,
  stream: i32,
  threshold: i32,
  scale: f32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const key0 = load<i32>(key), key1 = load<i32>(key, 4), key2 = key0 ^ key1 ^ 0x1bd11bda;
  const a = i32x4.splat(key0), b = i32x4.splat(key1), c = i32x4.splat(key2);
  const c1 = i32x4.splat(key2 + 1), a2 = i32x4.splat(key0 + 2), b3 = i32x4.splat(key1 + 3);
  const c4 = i32x4.splat(key2 + 4), a5 = i32x4.splat(key0 + 5), first = i32x4.splat(key1 + stream);
  const least = i32x4.splat(threshold), factor = f32x4.splat(scale);
  let counter = i32x4.add(i32x4.splat(from << 2), i32x4(0, 1, 2, 3));
  const end = out + bytes(n), stop = out + bytes(8 * to);
  x += bytes(8 * from);
  for (out += bytes(8 * from); out < stop; x += 32, out += 32) {
    let u = i32x4.add(counter, a), v = first;
    u = i32x4.add(u, v);
    v = turn(v, 13, u);
    u = i32x4.add(u, v);
    v = turn(v, 15, u);
    u = i32x4.add(u, v);
    v = turn(v, 26, u);
    u = i32x4.add(u, v);
    v = turn(v, 6, u);
    u = i32x4.add(u, b);
    v = i32x4.add(v, c1);
    u = i32x4.add(u, v);
    v = turn(v, 17, u);
    u = i32x4.add(u, v);
    v = turn(v, 29, u);
    u = i32x4.add(u, v);
    v = turn(v, 16, u);
    u = i32x4.add(u, v);
    v = turn(v, 24, u);
    u = i32x4.add(u, c);
    v = i32x4.add(v, a2);
    u = i32x4.add(u, v);
    v = turn(v, 13, u);
    u = i32x4.add(u, v);
    v = turn(v, 15, u);
    u = i32x4.add(u, v);
    v = turn(v, 26, u);
    u = i32x4.add(u, v);
    v = turn(v, 6, u);
    u = i32x4.add(u, a);
    v = i32x4.add(v, b3);
    u = i32x4.add(u, v);
    v = turn(v, 17, u);
    u = i32x4.add(u, v);
    v = turn(v, 29, u);
    u = i32x4.add(u, v);
    v = turn(v, 16, u);
    u = i32x4.add(u, v);
    v = turn(v, 24, u);
    u = i32x4.add(u, b);
    v = i32x4.add(v, c4);
    u = i32x4.add(u, v);
    v = turn(v, 13, u);
    u = i32x4.add(u, v);
    v = turn(v, 15, u);
    u = i32x4.add(u, v);
    v = turn(v, 26, u);
    u = i32x4.add(u, v);
    v = turn(v, 6, u);
    u = i32x4.add(u, c);
    v = i32x4.add(v, a5);
    const left = v128.shuffle<i32>(u, v, 0, 4, 1, 5);
    const right = v128.shuffle<i32>(u, v, 2, 6, 3, 7);
    put(out, keep(left, least, v128.load(x), factor), end);
    put(out + 16, keep(right, least, v128.load(x, 16), factor), end);
    counter = i32x4.add(counter, i32x4.splat(4));
  }
}

/**
 * sums_i = the sum of the squares of chunk i. n and chunk are multiples of 4. An item is a chunk.
 */
export function sumSquares(
  grad: usize,
  sums: usize,
  n: i32,
  chunk: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  for (let i = from; i < to; i++) {
    const end = grad + bytes(min((i + 1) * chunk, n));
    let at = grad + bytes(i * chunk);
    let a = f32x4.splat(0), b = f32x4.splat(0), c = f32x4.splat(0), d = f32x4.splat(0);
    for (; at + 64 <= end; at += 64) {
      const x = v128.load(at), y = v128.load(at, 16), z = v128.load(at, 32), w = v128.load(at, 48);
      a = madd(x, x, a);
      b = madd(y, y, b);
      c = madd(z, z, c);
      d = madd(w, w, d);
    }
    for (; at < end; at += 16) {
      const x = v128.load(at);
      a = madd(x, x, a);
    }
    const s = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
    store<f32>(sums + bytes(i), sumLanes(s));
  }
}

/**
 * One step of AdamW in place, with corrections = [c1, c2]. The first `decayed` elements have weight
 * decay.
 */
export function adamwUpdate(
  param: usize,
  m: usize,
  v: usize,
  grad: usize,
  lr: usize,
  corrections: usize,
  scale: usize,
  decayed: i32,
  keep1: f32,
  take1: f32,
  keep2: f32,
  take2: f32,
  eps: f32,
  decay: f32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const rate = v128.load_splat<f32>(lr), clip = v128.load_splat<f32>(scale);
  const c1 = v128.load_splat<f32>(corrections), c2 = v128.load_splat<f32>(corrections, 4);
  for (let i = bytes(4 * from); i < bytes(4 * to); i += 16) {
    const g = f32x4.mul(clip, v128.load(grad + i)), p = v128.load(param + i);
    const mean = madd(f32x4.splat(keep1), v128.load(m + i), f32x4.mul(f32x4.splat(take1), g));
    const gg = f32x4.mul(f32x4.mul(f32x4.splat(take2), g), g);
    const square = madd(f32x4.splat(keep2), v128.load(v + i), gg);
    v128.store(m + i, mean);
    v128.store(v + i, square);
    const root = f32x4.add(f32x4.sqrt(f32x4.div(square, c2)), f32x4.splat(eps));
    const weight = f32x4.splat(i < bytes(decayed) ? decay : 0);
    const step = madd(weight, p, f32x4.div(f32x4.div(mean, c1), root));
    v128.store(param + i, nmadd(rate, step, p));
  }
}
