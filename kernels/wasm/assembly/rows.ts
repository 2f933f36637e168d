// Kernels over the rows of a matrix. Sizes are in elements, addresses in bytes. An item is a row if
// nothing else is said. A row takes whole vectors as far as they fit, then single elements: after
// it comes another row, or another buffer.

import { bytes, madd, nmadd, sumLanes } from "./maths";

/** sum_c a_c b_c, for any C. */
// @ts-ignore: decorator
@inline
function dotOf(a: usize, b: usize, C: i32): f32 {
  let sum = f32x4.splat(0), rest: f32 = 0, c = 0;
  for (; c + 4 <= C; c += 4, a += 16, b += 16) sum = madd(v128.load(a), v128.load(b), sum);
  for (; c < C; c++, a += 4, b += 4) rest += load<f32>(a) * load<f32>(b);
  return sumLanes(sum) + rest;
}

/** r = 1 / sqrt(mean x^2 + eps), out = x r w. */
export function rmsNormForward(
  x: usize,
  weight: usize,
  out: usize,
  rstd: usize,
  C: i32,
  eps: f32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C);
  x += <usize> from * pitch;
  out += <usize> from * pitch;
  rstd += bytes(from);
  for (let n = from; n < to; n++, x += pitch, out += pitch, rstd += 4) {
    const r: f32 = 1.0 / sqrt<f32>(dotOf(x, x, C) / <f32> C + eps);
    const scale = f32x4.splat(r);
    let c: usize = 0;
    for (; c + 16 <= pitch; c += 16) {
      v128.store(out + c, f32x4.mul(f32x4.mul(v128.load(x + c), scale), v128.load(weight + c)));
    }
    for (; c < pitch; c += 4) store<f32>(out + c, load<f32>(x + c) * r * load<f32>(weight + c));
    store<f32>(rstd, r);
  }
}

/** dx = r (w dout - x r^2 mean(w dout x)). */
export function rmsNormBackwardX(
  dout: usize,
  x: usize,
  weight: usize,
  rstd: usize,
  dx: usize,
  C: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C);
  dout += <usize> from * pitch;
  x += <usize> from * pitch;
  dx += <usize> from * pitch;
  rstd += bytes(from);
  for (let n = from; n < to; n++, dout += pitch, x += pitch, dx += pitch, rstd += 4) {
    let c: usize = 0;
    for (; c + 16 <= pitch; c += 16) {
      v128.store(dx + c, f32x4.mul(v128.load(weight + c), v128.load(dout + c)));
    }
    for (; c < pitch; c += 4) store<f32>(dx + c, load<f32>(weight + c) * load<f32>(dout + c));
    const r = load<f32>(rstd), factor: f32 = dotOf(dx, x, C) * r * r / <f32> C;
    const scale = f32x4.splat(r), pull = f32x4.splat(factor);
    for (c = 0; c + 16 <= pitch; c += 16) {
      v128.store(dx + c, f32x4.mul(scale, nmadd(v128.load(x + c), pull, v128.load(dx + c))));
    }
    for (; c < pitch; c += 4) {
      store<f32>(dx + c, r * (load<f32>(dx + c) - load<f32>(x + c) * factor));
    }
  }
}

/** sum = x + y, r = 1 / sqrt(mean sum^2 + eps), out = sum r w. */
export function addRmsNormForward(
  x: usize,
  y: usize,
  weight: usize,
  sum: usize,
  out: usize,
  rstd: usize,
  C: i32,
  eps: f32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C);
  for (let n = from; n < to; n++) {
    const row = <usize> n * pitch, a = x + row, b = y + row, s = sum + row;
    let squares = f32x4.splat(0), rest: f32 = 0, c: usize = 0;
    for (; c + 16 <= pitch; c += 16) {
      const both = f32x4.add(v128.load(a + c), v128.load(b + c));
      v128.store(s + c, both);
      squares = madd(both, both, squares);
    }
    for (; c < pitch; c += 4) {
      const both = load<f32>(a + c) + load<f32>(b + c);
      store<f32>(s + c, both);
      rest += both * both;
    }
    const r: f32 = 1.0 / sqrt<f32>((sumLanes(squares) + rest) / <f32> C + eps);
    const scale = f32x4.splat(r), o = out + row;
    for (c = 0; c + 16 <= pitch; c += 16) {
      v128.store(o + c, f32x4.mul(f32x4.mul(v128.load(s + c), scale), v128.load(weight + c)));
    }
    for (; c < pitch; c += 4) store<f32>(o + c, load<f32>(s + c) * r * load<f32>(weight + c));
    store<f32>(rstd + bytes(n), r);
  }
}

/** dx = dsum + r (w dout - sum r^2 mean(w dout sum)). */
export function addRmsNormBackward(
  dout: usize,
  dsum: usize,
  sum: usize,
  weight: usize,
  rstd: usize,
  dx: usize,
  C: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C);
  for (let n = from; n < to; n++) {
    const row = <usize> n * pitch, d = dout + row, s = sum + row;
    let products = f32x4.splat(0), rest: f32 = 0, c: usize = 0;
    for (; c + 16 <= pitch; c += 16) {
      const wd = f32x4.mul(v128.load(weight + c), v128.load(d + c));
      products = madd(wd, v128.load(s + c), products);
    }
    for (; c < pitch; c += 4) rest += load<f32>(weight + c) * load<f32>(d + c) * load<f32>(s + c);
    const r = load<f32>(rstd + bytes(n));
    const factor: f32 = (sumLanes(products) + rest) * r * r / <f32> C;
    const scale = f32x4.splat(r), pull = f32x4.splat(factor);
    for (c = 0; c + 16 <= pitch; c += 16) {
      const wd = f32x4.mul(v128.load(weight + c), v128.load(d + c));
      const through = nmadd(v128.load(s + c), pull, wd);
      v128.store(dx + row + c, madd(scale, through, v128.load(dsum + row + c)));
    }
    for (; c < pitch; c += 4) {
      const wd = load<f32>(weight + c) * load<f32>(d + c);
      const through = r * (wd - load<f32>(s + c) * factor);
      store<f32>(dx + row + c, load<f32>(dsum + row + c) + through);
    }
  }
}

/** dw_c = sum_n dout_nc x_nc r_n, four rows at a time. An item is sixteen columns. */
export function rmsNormBackwardWeight(
  dout: usize,
  x: usize,
  rstd: usize,
  dweight: usize,
  N: i32,
  C: i32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const pitch = bytes(C), start = bytes(16 * from);
  const end = min(bytes(16 * to), pitch), body = min(end, pitch & ~15);
  memory.fill(dweight + start, 0, end - start);
  let n = 0;
  for (; n + 4 <= N; n += 4, dout += 4 * pitch, x += 4 * pitch, rstd += 16) {
    const r0 = v128.load_splat<f32>(rstd), r1 = v128.load_splat<f32>(rstd, 4);
    const r2 = v128.load_splat<f32>(rstd, 8), r3 = v128.load_splat<f32>(rstd, 12);
    for (let c = start; c < body; c += 16) {
      const d = dout + c, y = x + c;
      let sum = f32x4.mul(f32x4.mul(v128.load(d), v128.load(y)), r0);
      sum = madd(f32x4.mul(v128.load(d + pitch), v128.load(y + pitch)), r1, sum);
      sum = madd(f32x4.mul(v128.load(d + 2 * pitch), v128.load(y + 2 * pitch)), r2, sum);
      sum = madd(f32x4.mul(v128.load(d + 3 * pitch), v128.load(y + 3 * pitch)), r3, sum);
      v128.store(dweight + c, f32x4.add(v128.load(dweight + c), sum));
    }
    for (let row: usize = 0; row < 4; row++) {
      addTail(dout + row * pitch, x + row * pitch, load<f32>(rstd + 4 * row), dweight, body, end);
    }
  }
  for (; n < N; n++, dout += pitch, x += pitch, rstd += 4) {
    const r = v128.load_splat<f32>(rstd);
    for (let c = start; c < body; c += 16) {
      const product = f32x4.mul(v128.load(dout + c), v128.load(x + c));
      v128.store(dweight + c, madd(product, r, v128.load(dweight + c)));
    }
    addTail(dout, x, load<f32>(rstd), dweight, body, end);
  }
}

/** dw_c += dout_c x_c r for the single elements of a row, from byte `body` to byte `end`. */
// @ts-ignore: decorator
@inline
function addTail(dout: usize, x: usize, r: f32, dweight: usize, body: usize, end: usize): void {
  for (let c = body; c < end; c += 4) {
    const sum = load<f32>(dweight + c) + load<f32>(dout + c) * load<f32>(x + c) * r;
    store<f32>(dweight + c, sum);
  }
}

/**
 * Rotates the two halves of the first `turned` heads of D by the angles of the row's position and
 * copies the others.
 */
export function rotate(
  x: usize,
  table: usize,
  positions: usize,
  out: usize,
  H: i32,
  turned: i32,
  D: i32,
  period: i32,
  rows: i32,
  turn: f32,
  from: i32,
  to: i32,
  _scratch: usize,
): void {
  const half = bytes(D >> 1);
  x += <usize> (from * H) * 2 * half;
  out += <usize> (from * H) * 2 * half;
  const direction = f32x4.splat(turn), passed = <usize> (H - turned) * 2 * half;
  for (let n = from, p = from % period; n < to; n++, p = p + 1 < period ? p + 1 : 0) {
    const position = max(min(load<i32>(positions + bytes(p)), rows - 1), 0);
    const cosines = table + <usize> position * 2 * half, sines = cosines + half;
    for (let h = 0; h < turned; h++, x += 2 * half, out += 2 * half) {
      let i: usize = 0;
      for (; i + 16 <= half; i += 16) {
        const c = v128.load(cosines + i), s = f32x4.mul(v128.load(sines + i), direction);
        const left = v128.load(x + i), right = v128.load(x + half + i);
        v128.store(out + i, nmadd(right, s, f32x4.mul(left, c)));
        v128.store(out + half + i, madd(left, s, f32x4.mul(right, c)));
      }
      for (; i < half; i += 4) {
        const c = load<f32>(cosines + i), s = load<f32>(sines + i) * turn;
        const left = load<f32>(x + i), right = load<f32>(x + half + i);
        store<f32>(out + i, left * c - right * s);
        store<f32>(out + half + i, right * c + left * s);
      }
    }
    memory.copy(out, x, passed);
    x += passed;
    out += passed;
  }
}
