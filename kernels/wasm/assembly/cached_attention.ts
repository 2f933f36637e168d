// The kernel of kernels/cached_attention.ts, one head of one row at a time. The scores of a block
// of entries are side by side, and vectors run along the head. Successive rows of one user find its
// history in the cache of the processor. Sizes are in elements, addresses in bytes.

import { bytes, CONSTANTS, dot, exp4, madd, MASKED, maxLanes, prepare } from "./maths";
import { storeEight, sumLanes } from "./maths";

/** Entries taken at a time: a multiple of 4. */
const BLOCK: i32 = 512;

// The scratch memory: the constants of exp4, then the scores of a block and a vector to fill it up.
const SCORE: usize = CONSTANTS;
export const CACHED_SCRATCH: usize = SCORE + (BLOCK + 4) * 4;

/** out_j = factor x . row_j for j < n. Up to three more numbers are written. */
function dots(
  out: usize,
  x: usize,
  rows: usize,
  pitch: usize,
  n: i32,
  width: usize,
  factor: v128,
): void {
  const last = n - 1;
  for (let j = 0; j < n; j += 4, out += 16) {
    const r0 = rows + <usize> j * pitch, r1 = rows + <usize> min(j + 1, last) * pitch;
    const r2 = rows + <usize> min(j + 2, last) * pitch;
    const r3 = rows + <usize> min(j + 3, last) * pitch;
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (let k: usize = 0; k < width; k += 16) {
      const y = v128.load(x + k);
      a = madd(y, v128.load(r0 + k), a);
      b = madd(y, v128.load(r1 + k), b);
      c = madd(y, v128.load(r2 + k), c);
      d = madd(y, v128.load(r3 + k), d);
    }
    const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
    const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
    const sum = f32x4.add(
      v128.shuffle<f32>(ab, cd, 0, 1, 4, 5),
      v128.shuffle<f32>(ab, cd, 2, 3, 6, 7),
    );
    v128.store(out, f32x4.mul(factor, sum));
  }
}

/** sum += w_j row_j over j < n. */
function mix(sum: usize, w: usize, rows: usize, pitch: usize, n: i32, width: usize): void {
  const end = w + bytes(n);
  let d: usize = 0;
  for (; d + 128 <= width; d += 128) {
    const to = sum + d;
    let s0 = v128.load(to), s1 = v128.load(to, 16), s2 = v128.load(to, 32), s3 = v128.load(to, 48);
    let s4 = v128.load(to, 64), s5 = v128.load(to, 80), s6 = v128.load(to, 96);
    let s7 = v128.load(to, 112), row = rows + d;
    for (let at = w; at < end; at += 4, row += pitch) {
      const x = v128.load_splat<f32>(at);
      s0 = madd(x, v128.load(row), s0);
      s1 = madd(x, v128.load(row, 16), s1);
      s2 = madd(x, v128.load(row, 32), s2);
      s3 = madd(x, v128.load(row, 48), s3);
      s4 = madd(x, v128.load(row, 64), s4);
      s5 = madd(x, v128.load(row, 80), s5);
      s6 = madd(x, v128.load(row, 96), s6);
      s7 = madd(x, v128.load(row, 112), s7);
    }
    storeEight(to, s0, s1, s2, s3, s4, s5, s6, s7);
  }
  for (; d < width; d += 16) {
    let s = v128.load(sum + d), row = rows + d;
    for (let at = w; at < end; at += 4, row += pitch) {
      s = madd(v128.load_splat<f32>(at), v128.load(row), s);
    }
    v128.store(sum + d, s);
  }
}

/** x *= factor. */
function scale(x: usize, factor: f32, width: usize): void {
  const f = f32x4.splat(factor);
  for (let d: usize = 0; d < width; d += 16) v128.store(x + d, f32x4.mul(f, v128.load(x + d)));
}

/** The largest of n scores and `top`. Fills the scores up to whole vectors. */
function largest(score: usize, n: i32, top: f32): f32 {
  v128.store(score + bytes(n), f32x4.splat(MASKED));
  let most = f32x4.splat(top);
  for (let at = score; at < score + bytes(n); at += 16) most = f32x4.pmax(most, v128.load(at));
  return maxLanes(most);
}

/** Turns n scores, filled up to whole vectors, into e^(score - top). Returns their sum. */
function weigh(score: usize, n: i32, top: f32, scratch: usize): f32 {
  let total = f32x4.splat(0);
  for (let at = score; at < score + bytes(n); at += 16) {
    const e = exp4(f32x4.sub(v128.load(at), f32x4.splat(top)), scratch);
    total = f32x4.add(total, e);
    v128.store(at, e);
  }
  return sumLanes(total);
}

/** e^x. */
// @ts-ignore: decorator
@inline
function exponential(x: f32, scratch: usize): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x), scratch), 0);
}

/** out, and the new entries of `generated`. An item is a row. */
export function cachedAttentionForward(
  qkv: usize,
  history: usize,
  lengths: usize,
  users: usize,
  generated: usize,
  depths: usize,
  slots: usize,
  out: usize,
  room: i32,
  H: i32,
  KVH: i32,
  D: i32,
  T: i32,
  L: i32,
  U: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const width = bytes(D), pitch = bytes((H + 2 * KVH) * D);
  const values = bytes(KVH * D), entry = 2 * values; // an entry is its keys, then its values
  const factor: f32 = 1.0 / sqrt<f32>(<f32> D), factors = f32x4.splat(factor);
  const score = scratch + SCORE, group = H / KVH;
  prepare(scratch);
  for (let first = from, end = from; first < to; first = end) {
    const given = load<i32>(users + bytes(first)), user = within(given, U - 1);
    for (; end < to && load<i32>(users + bytes(end)) === given; end++) {
      const own = qkv + <usize> end * pitch + bytes(H * D);
      const depth = within(load<i32>(depths + bytes(end)), L - 1);
      const slot = load<i32>(slots + bytes(end * L + depth));
      if (slot >= 0 && slot < room) memory.copy(generated + <usize> slot * entry, own, entry);
    }
    const length = within(load<i32>(lengths + bytes(user)), T);
    const past = history + <usize> user * <usize> T * pitch + bytes(H * D);
    for (let h = 0; h < H; h++) {
      const head = bytes(h / group * D);
      for (let r = first; r < end; r++) {
        const row = qkv + <usize> r * pitch, query = row + <usize> h * width;
        const own = row + bytes(H * D), line = slots + bytes(r * L);
        const depth = within(load<i32>(depths + bytes(r)), L - 1), total = length + depth + 1;
        const sum = out + <usize> (r * H + h) * width;
        memory.fill(sum, 0, width);
        let top: f32 = MASKED, mass: f32 = 0;
        for (let at = 0; at < total; at += BLOCK) { // the history, then what was generated
          const n = min(BLOCK, total - at), old = max(0, min(n, length - at));
          const rows = past + head + <usize> at * pitch;
          dots(score, query, rows, pitch, old, width, factors);
          for (let i = old; i < n; i++) {
            const key = keyOf(generated, line, own, at + i - length, depth, room, entry) + head;
            store<f32>(score + bytes(i), dot(query, key, width) * factor);
          }
          const most = largest(score, n, top);
          if (at > 0) {
            const shrink = exponential(top - most, scratch);
            scale(sum, shrink, width);
            mass *= shrink;
          }
          top = most;
          mass += weigh(score, n, top, scratch);
          mix(sum, score, rows + values, pitch, old, width);
          for (let i = old; i < n; i++) {
            const key = keyOf(generated, line, own, at + i - length, depth, room, entry) + head;
            mix(sum, score + bytes(i), key + values, entry, 1, width);
          }
        }
        scale(sum, 1 / mass, width);
      }
    }
  }
}

/** i, or the nearest number from 0 to `most`. */
// @ts-ignore: decorator
@inline
function within(i: i32, most: i32): i32 {
  return min(max(i, 0), most);
}

/** The address of the entry of generated token j of a row: its own token is number `depth`. */
// @ts-ignore: decorator
@inline
function keyOf(
  generated: usize,
  line: usize,
  own: usize,
  j: i32,
  depth: i32,
  room: i32,
  entry: usize,
): usize {
  if (j === depth) return own;
  return generated + <usize> within(load<i32>(line + bytes(j)), room - 1) * entry;
}
