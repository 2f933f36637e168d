/**
 * Functions that the kernels share, for the twins and as WGSL source. WGSL's own `log` may err by
 * 2^-21 near 1, where the log-probability of a nearly certain token lives, and its `tanh` may
 * overflow and has no digits near 0.
 *
 * WGSL lets a driver assume that no float is NaN or infinite: max(NaN, 1) may be 1, x - x may be 0,
 * and a comparison may be folded. So kernels that promise something of NaN and infinities tell them
 * by their bits. Left to the driver is that NaN stays NaN in other arithmetic, as it does on
 * llvmpipe.
 *
 * @module
 */

/** 1 / (1 + e^-x). */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/**
 * WGSL for `logOf`, `log1pOf`, `sigmoidOf`, `softplusOf` and `tanhOf` on `F`, which is f32 or vec4f. Within 3e-7 relative of
 * the exact value given an exact exp:
 *
 *   atanh s = s (1 + s^2/3 + s^4/5 + ...),   log(1 + u) = 2 atanh(u / (2 + u))  for 0 <= u <= 1
 *   x = m 2^k with m in [sqrt(1/2), sqrt 2):  log x = k log 2 + 2 atanh((m - 1) / (m + 1))
 *   softplus x = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)
 *   tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|),  |x| >= 5/8;  else a polynomial, within 5e-9
 *
 * `isNan`, `maxOf` and `minOf` go by bits: the latter two are NaN if an operand is.
 */
export function wgslMaths(element: "f32" | "vec4f"): string {
  const [int, uint] = element === "f32" ? ["i32", "u32"] : ["vec4i", "vec4u"];
  const bool = element === "f32" ? "bool" : "vec4<bool>";
  return `
alias F = ${element};
fn isNan(x: F) -> ${bool} {
  return (bitcast<${uint}>(x) & ${uint}(0x7fffffffu)) > ${uint}(0x7f800000u);
}
fn maxOf(a: F, b: F) -> F { return select(max(a, b), a + b, isNan(a) | isNan(b)); }
fn minOf(a: F, b: F) -> F { return select(min(a, b), a + b, isNan(a) | isNan(b)); }
fn twiceAtanh(s: F) -> F { // |s| <= 1/3
  let q = s * s;
  var tail = F(0.06666667);
  tail = F(0.07692308) + q * tail;
  tail = F(0.09090909) + q * tail;
  tail = F(0.11111111) + q * tail;
  tail = F(0.14285714) + q * tail;
  tail = F(0.2) + q * tail;
  tail = F(0.33333334) + q * tail;
  return 2.0 * (s + s * q * tail);
}
fn log1pOf(u: F) -> F { // 0 <= u <= 1
  return twiceAtanh(u / (2.0 + u));
}
fn logOf(x: F) -> F { // zero, subnormal, negative and infinite x are left to the built-in
  let k = (bitcast<${int}>(x) - ${int}(0x3f3504f3)) >> ${uint}(23u);
  let m = bitcast<F>(bitcast<${int}>(x) - (k << ${uint}(23u)));
  let e = F(k);
  let y = e * 0.69314575 + (e * 1.4286068e-6 + twiceAtanh((m - 1.0) / (m + 1.0)));
  return select(log(x), y, (x > F(1.2e-38)) & (x < F(3.4e38)));
}
fn sigmoidOf(x: F) -> F { // e^-|x| cannot overflow
  let e = exp(-abs(x));
  return select(e, F(1.0), x >= F(0.0)) / (1.0 + e);
}
fn softplusOf(x: F) -> F {
  return max(x, F(0.0)) + log1pOf(exp(-abs(x)));
}
fn tanhOf(x: F) -> F {
  let z = x * x;
  var tail = F(-0.0057049868);
  tail = F(0.020639087) + z * tail;
  tail = F(-0.053739715) + z * tail;
  tail = F(0.13331442) + z * tail;
  tail = F(-0.33333282) + z * tail;
  let e = exp(-2.0 * abs(x)); // cannot overflow
  let far = (1.0 - e) / (1.0 + e);
  return select(select(far, -far, x < F(0.0)), x + x * (z * tail), abs(x) < F(0.625));
}
`;
}

/**
 * WGSL for sums of many `F`: `plus(&sum, x)` adds x to a `Sum`, and `totalOf(sum)` is its value. It
 * adds up 64 numbers, 64 such sums, and then those. So a number goes through n / 4096 + 128
 * roundings, where a plain sum has n of them. Bits are the same in every run.
 */
export const wgslSum = (element: "f32" | "vec4f"): string => `
struct Sum { few: ${element}, more: ${element}, all: ${element}, count: u32 };
fn plus(sum: ptr<function, Sum>, x: ${element}) {
  (*sum).few += x;
  (*sum).count++;
  if (((*sum).count & 63u) != 0u) { return; }
  (*sum).more += (*sum).few;
  (*sum).few = ${element}(0.0);
  if (((*sum).count & 4095u) != 0u) { return; }
  (*sum).all += (*sum).more;
  (*sum).more = ${element}(0.0);
}
fn totalOf(sum: Sum) -> ${element} { return sum.all + (sum.more + sum.few); }
`;

/**
 * WGSL for `orderOf(x)`, an integer that grows with x: -0 is 0, and NaN is above all. It compares
 * floats where NaN counts, since drivers may fold what they know of floats.
 */
export const WGSL_ORDER = `
fn orderOf(x: f32) -> i32 {
  let bits = bitcast<i32>(x);
  let size = bits & 0x7fffffff;
  return select(select(size, -size, bits < 0), 0x7fffffff, size > 0x7f800000);
}`;

/** Whether a > b, where NaN is above all numbers. */
export const isAbove = (a: number, b: number): boolean => a > b || (a !== a && b === b);

/** `table` with every entry replaced by what `make` makes of it. */
export function mapTable<T, R, const K extends string>(
  table: Readonly<Record<K, T>>,
  make: (name: K, entry: T) => R,
): Readonly<Record<K, R>> {
  return Object.fromEntries(
    Object.entries<T>(table).map(([name, entry]) => [name, make(name as K, entry)]),
  ) as Record<K, R>;
}
