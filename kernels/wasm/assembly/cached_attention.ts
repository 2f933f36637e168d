// The kernel of kernels/cached_attention.ts: the rows and heads of one user that read one key head, side by side,
// against the history that they share, then each against what it has generated. Sizes are in elements, addresses in
// bytes.

import { madd, prepare, sumLanes } from "./maths";
import { absorb, begin, BLOCK, bytes, dots, finish, LANES, LEFT, mix } from "./tile";
import { packFour, SCORE, SUM } from "./tile";

/** Where lane `lane` of key head g lies in rows of `heads` heads: those of one group first, then the next row. */
function laneAt(row: i32, g: i32, lane: i32, group: i32, heads: i32, D: i32): usize {
  return bytes(((row + lane / group) * heads + g * group + lane % group) * D);
}

/** The entry of (steps, R) that row r attends to for step i. */
function entryOf(ancestors: usize, r: i32, i: i32, step: i32, steps: i32, R: i32): usize {
  return <usize> (i * R + (i < step ? load<i32>(ancestors + bytes(r * steps + i)) : r));
}

/** x . y over `width` bytes. */
function dot(x: usize, y: usize, width: usize): f32 {
  let sum = f32x4.splat(0);
  for (let d: usize = 0; d < width; d += 16) sum = madd(v128.load(x + d), v128.load(y + d), sum);
  return sumLanes(sum);
}

/** to += w y over `width` bytes. */
function add(to: usize, w: v128, y: usize, width: usize): void {
  for (let d: usize = 0; d < width; d += 16) {
    v128.store(to + d, madd(w, v128.load(y + d), v128.load(to + d)));
  }
}

/** out, and the new entries of `generated`. An item is one user. */
export function cachedAttentionForward(
  qkv: usize,
  history: usize,
  lengths: usize,
  generated: usize,
  ancestors: usize,
  out: usize,
  R: i32,
  beam: i32,
  H: i32,
  KVH: i32,
  D: i32,
  T: i32,
  steps: i32,
  step: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  const heads = H + 2 * KVH, width = bytes(D), pitch = bytes(heads * D);
  const values = bytes(KVH * D), entries = 2 * values; // an entry is its keys, then its values
  const factor: f32 = 1.0 / sqrt<f32>(<f32> D);
  const left = scratch + LEFT, score = scratch + SCORE, sum = scratch + SUM;
  const group = H / KVH;
  prepare(scratch);
  for (let user = from; user < to; user++) {
    const first = user * beam, length = load<i32>(lengths + bytes(user));
    const past = history + <usize> (user * T) * pitch + bytes(H * D);
    for (let r = first; r < first + beam; r++) {
      const entry = generated + <usize> (step * R + r) * entries;
      memory.copy(entry, qkv + <usize> r * pitch + bytes(H * D), entries);
    }
    for (let g = 0; g < KVH; g++) {
      const keys = generated + bytes(g * D);
      for (let lane = 0; lane < beam * group; lane += LANES) {
        const count = min(LANES, beam * group - lane), last = lane + count - 1;
        for (let l = 0; l < LANES; l += 4) { // the last lane fills up the tile
          const r0 = qkv + laneAt(first, g, min(lane + l, last), group, heads, D);
          const r1 = qkv + laneAt(first, g, min(lane + l + 1, last), group, heads, D);
          const r2 = qkv + laneAt(first, g, min(lane + l + 2, last), group, heads, D);
          const r3 = qkv + laneAt(first, g, min(lane + l + 3, last), group, heads, D);
          packFour(left + bytes(l), r0, r1, r2, r3, D, factor);
        }
        begin(scratch, D);
        for (let begins = 0; begins < length; begins += BLOCK) {
          const n = min(BLOCK, length - begins);
          const rows = past + bytes(g * D) + <usize> begins * pitch;
          dots(score, rows, pitch, n, left, D);
          absorb(scratch, n, D);
          mix(sum, score, rows + values, pitch, n, D);
        }
        for (let begins = 0; begins <= step; begins += BLOCK) {
          const n = min(BLOCK, step + 1 - begins);
          for (let l = 0; l < LANES; l++) {
            const here = min(lane + l, last), r = first + here / group;
            const x = qkv + laneAt(first, g, here, group, heads, D);
            for (let i = 0; i < n; i++) {
              const entry = entryOf(ancestors, r, begins + i, step, steps, R);
              const product = dot(x, keys + entry * entries, width);
              store<f32>(score + bytes(i * LANES + l), product * factor);
            }
          }
          absorb(scratch, n, D);
          for (let l = 0; l < count; l++) {
            const r = first + (lane + l) / group;
            for (let i = 0; i < n; i++) {
              const entry = entryOf(ancestors, r, begins + i, step, steps, R);
              const w = v128.load_splat<f32>(score + bytes(i * LANES + l));
              add(sum + <usize> l * width, w, keys + values + entry * entries, width);
            }
          }
        }
        finish(scratch, D);
        for (let l = 0; l < count; l++) {
          const row = out + laneAt(first, g, lane + l, group, H, D);
          memory.copy(row, sum + <usize> l * width, width);
        }
      }
    }
  }
}
