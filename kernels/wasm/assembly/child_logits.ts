// The kernels of kernels/child_logits.ts. Sizes are in elements, addresses and pitches in bytes. C
// is a multiple of 4.

import { bytes, four, madd, prepareHalves, storeEight, sumLanes } from "./maths";

/** The address of the tokens of a node's children. */
// @ts-ignore: decorator
@inline
function tokensOf(table: usize, node: i32): usize {
  return table + bytes(load<i32>(table + bytes(node)));
}

/** The number of children that a row chooses from: 0 at no node, and for a single child. */
// @ts-ignore: decorator
@inline
function choicesOf(table: usize, node: i32): i32 {
  if (node < 0) return 0;
  const count = load<i32>(table + bytes(node), 4) - load<i32>(table + bytes(node));
  return count > 1 ? count : 0;
}

/** Four numbers of a row of the head, at the place of byte c of a row of floats. */
// @ts-ignore: decorator
@inline
function beside<T>(row: usize, c: usize, mask: v128, up: v128, down: v128): v128 {
  return four<T>(row + (sizeof<T>() === 2 ? c >> 1 : c), mask, up, down);
}

function logits<T>(
  hidden: usize,
  head: usize,
  table: usize,
  nodes: usize,
  place: usize,
  out: usize,
  F: i32,
  C: i32,
  from: i32,
  to: i32,
  constants: usize,
): void {
  const mask = v128.load(constants), up = v128.load(constants, 16), down = v128.load(constants, 32);
  const pitch = bytes(C), row = <usize> C * sizeof<T>();
  for (let r = from; r < to; r++) {
    const z = out + <usize> r * bytes(F), node = load<i32>(nodes + bytes(r));
    const at = load<i32>(place + bytes(r));
    const count = at < 0 ? 0 : choicesOf(table, node);
    memory.fill(z, 0, bytes(F));
    if (count === 0) continue;
    const x = hidden + <usize> at * pitch, tokens = tokensOf(table, node);
    let k = 0;
    for (; k + 4 <= count; k += 4) {
      const t = tokens + bytes(k);
      const w0 = head + <usize> load<i32>(t) * row, w1 = head + <usize> load<i32>(t, 4) * row;
      const w2 = head + <usize> load<i32>(t, 8) * row;
      const w3 = head + <usize> load<i32>(t, 12) * row;
      let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
      for (let c: usize = 0; c < pitch; c += 16) {
        const y = v128.load(x + c);
        s0 = madd(y, beside<T>(w0, c, mask, up, down), s0);
        s1 = madd(y, beside<T>(w1, c, mask, up, down), s1);
        s2 = madd(y, beside<T>(w2, c, mask, up, down), s2);
        s3 = madd(y, beside<T>(w3, c, mask, up, down), s3);
      }
      v128.store(z + bytes(k), f32x4(sumLanes(s0), sumLanes(s1), sumLanes(s2), sumLanes(s3)));
    }
    for (; k < count; k++) {
      const w = head + <usize> load<i32>(tokens + bytes(k)) * row;
      let s = f32x4.splat(0);
      for (let c: usize = 0; c < pitch; c += 16) {
        s = madd(v128.load(x + c), beside<T>(w, c, mask, up, down), s);
      }
      store<f32>(z + bytes(k), sumLanes(s));
    }
  }
}

function gradient<T>(
  dz: usize,
  head: usize,
  table: usize,
  nodes: usize,
  out: usize,
  F: i32,
  C: i32,
  from: i32,
  to: i32,
  constants: usize,
): void {
  const mask = v128.load(constants), up = v128.load(constants, 16), down = v128.load(constants, 32);
  const pitch = bytes(C), row = <usize> C * sizeof<T>();
  for (let n = from; n < to; n++) {
    const sum = out + <usize> n * pitch, node = load<i32>(nodes + bytes(n));
    const count = choicesOf(table, node), d = dz + <usize> n * bytes(F);
    memory.fill(sum, 0, pitch);
    if (count === 0) continue;
    const tokens = tokensOf(table, node);
    let c: usize = 0;
    for (; c + 128 <= pitch; c += 128) {
      let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
      for (let k: usize = 0; k < bytes(count); k += 4) {
        const y = v128.load_splat<f32>(d + k);
        const w = head + <usize> load<i32>(tokens + k) * row;
        s0 = madd(y, beside<T>(w, c, mask, up, down), s0);
        s1 = madd(y, beside<T>(w, c + 16, mask, up, down), s1);
        s2 = madd(y, beside<T>(w, c + 32, mask, up, down), s2);
        s3 = madd(y, beside<T>(w, c + 48, mask, up, down), s3);
        s4 = madd(y, beside<T>(w, c + 64, mask, up, down), s4);
        s5 = madd(y, beside<T>(w, c + 80, mask, up, down), s5);
        s6 = madd(y, beside<T>(w, c + 96, mask, up, down), s6);
        s7 = madd(y, beside<T>(w, c + 112, mask, up, down), s7);
      }
      storeEight(sum + c, s0, s1, s2, s3, s4, s5, s6, s7);
    }
    for (; c < pitch; c += 16) {
      let s = f32x4.splat(0);
      for (let k: usize = 0; k < bytes(count); k += 4) {
        const w = head + <usize> load<i32>(tokens + k) * row;
        s = madd(v128.load_splat<f32>(d + k), beside<T>(w, c, mask, up, down), s);
      }
      v128.store(sum + c, s);
    }
  }
}

/** out (R, F). The head is of halves if `half`. An item is a row. */
export function childLogits(
  hidden: usize,
  head: usize,
  table: usize,
  nodes: usize,
  place: usize,
  out: usize,
  F: i32,
  C: i32,
  half: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  prepareHalves(scratch);
  if (half) logits<i16>(hidden, head, table, nodes, place, out, F, C, from, to, scratch);
  else logits<f32>(hidden, head, table, nodes, place, out, F, C, from, to, scratch);
}

/** dhidden (N, C). The head is of halves if `half`. An item is a row. */
export function childHidden(
  dz: usize,
  head: usize,
  table: usize,
  nodes: usize,
  out: usize,
  F: i32,
  C: i32,
  half: i32,
  from: i32,
  to: i32,
  scratch: usize,
): void {
  prepareHalves(scratch);
  if (half) gradient<i16>(dz, head, table, nodes, out, F, C, from, to, scratch);
  else gradient<f32>(dz, head, table, nodes, out, F, C, from, to, scratch);
}

/** The node of the row at place r of the order. */
// @ts-ignore: decorator
@inline
function nodeAt(nodes: usize, order: usize, r: i32): i32 {
  return max(load<i32>(nodes + bytes(load<i32>(order + bytes(r)))), 0);
}

/** dhead (V, C). Item i is the tokens i, i + items, i + 2 items, ... */
export function childHead(
  dz: usize,
  hidden: usize,
  byToken: usize,
  nodes: usize,
  order: usize,
  out: usize,
  N: i32,
  F: i32,
  C: i32,
  V: i32,
  T: i32,
  items: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C);
  for (let item = from; item < to; item++) {
    for (let v = item; v < V; v += items) {
      const sum = out + <usize> v * pitch;
      memory.fill(sum, 0, pitch);
      if (v >= T) continue;
      const end = load<i32>(byToken + bytes(v), 4);
      for (let e = load<i32>(byToken + bytes(v)); e < end; e += 2) {
        const node = load<i32>(byToken + bytes(e));
        let low = 0, high = N;
        while (low < high) {
          const middle = (low + high) >> 1;
          if (nodeAt(nodes, order, middle) < node) low = middle + 1;
          else high = middle;
        }
        let last = low;
        while (last < N && nodeAt(nodes, order, last) === node) last++;
        const d = dz + bytes(load<i32>(byToken + bytes(e), 4));
        if (last > low) addRows(d, hidden, nodes, order, sum, low, last, bytes(F), pitch);
      }
    }
  }
}

/** sum += the rows at places `low` to `last` of the order, each times its number in column `d`. */
function addRows(
  d: usize,
  hidden: usize,
  nodes: usize,
  order: usize,
  sum: usize,
  low: i32,
  last: i32,
  stride: usize,
  pitch: usize,
): void {
  let c: usize = 0;
  for (; c + 128 <= pitch; c += 128) {
    const at = sum + c;
    let s0 = v128.load(at), s1 = v128.load(at, 16), s2 = v128.load(at, 32);
    let s3 = v128.load(at, 48), s4 = v128.load(at, 64), s5 = v128.load(at, 80);
    let s6 = v128.load(at, 96), s7 = v128.load(at, 112);
    for (let r = low; r < last; r++) {
      const n = load<i32>(order + bytes(r));
      if (load<i32>(nodes + bytes(n)) < 0) continue;
      const y = v128.load_splat<f32>(d + <usize> n * stride), x = hidden + <usize> n * pitch + c;
      s0 = madd(y, v128.load(x), s0);
      s1 = madd(y, v128.load(x, 16), s1);
      s2 = madd(y, v128.load(x, 32), s2);
      s3 = madd(y, v128.load(x, 48), s3);
      s4 = madd(y, v128.load(x, 64), s4);
      s5 = madd(y, v128.load(x, 80), s5);
      s6 = madd(y, v128.load(x, 96), s6);
      s7 = madd(y, v128.load(x, 112), s7);
    }
    storeEight(at, s0, s1, s2, s3, s4, s5, s6, s7);
  }
  for (; c < pitch; c += 16) {
    let s = v128.load(sum + c);
    for (let r = low; r < last; r++) {
      const n = load<i32>(order + bytes(r));
      if (load<i32>(nodes + bytes(n)) < 0) continue;
      const x = hidden + <usize> n * pitch + c;
      s = madd(v128.load_splat<f32>(d + <usize> n * stride), v128.load(x), s);
    }
    v128.store(sum + c, s);
  }
}
