/**
 * Functions that the kernels share, for the references and as WGSL source. WGSL's own `log` may err
 * by 2^-21 near 1, where the log-probability of a nearly certain token lives, its `tanh` may
 * overflow and has no digits near 0, and its `sin` and `cos` may err by 2^-11.
 *
 * WGSL lets a driver assume that no float is NaN or infinite: max(NaN, 1) may be 1, x - x may be 0,
 * and a comparison may be folded. So kernels that promise something of NaN and infinities test for
 * them by their bits. That NaN stays NaN in sums and products is left to the driver; on llvmpipe
 * and SwiftShader it does. In exp and log it does not on SwiftShader.
 *
 * @module
 */

/** 1 / (1 + e^-x). */
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** Chebyshev coefficients of C in {@link normalTail}; float32 needs the first 12. */
const TAIL = [
  0.24261280114151915,
  0.18792720420989265,
  0.05554838891881276,
  0.012129438315111521,
  0.0017314801240606202,
  8.014961859953749e-5,
  -2.5136847908026697e-5,
  -4.725842254926741e-6,
  2.5258922136865774e-7,
  1.536333687349456e-7,
  -8.452550300172939e-10,
  -5.171627015435708e-9,
  -2.8206509081173767e-11,
  1.9435038070971737e-10,
  -2.485356047851177e-12,
  -7.936207374645758e-12,
  4.606201711176235e-13,
  3.2821541166777413e-13,
  -4.353840663163703e-14,
  -1.2268185079261061e-14,
  3.232846081541394e-15,
  3.0451658804315853e-16,
  -2.0130368431552333e-16,
];

/**
 * The probability that a standard normal variable exceeds a, for a >= 0:
 *
 *   e^(-a^2/2) t C(2t - 1)   with t = 4 / (4 + a), and C by Clenshaw's recurrence
 */
function normalTail(a: number): number {
  const t = 4 / (4 + a);
  const w = 4 * t - 2;
  let [b, c] = [0, 0];
  for (let k = TAIL.length - 1; k > 0; k--) [b, c] = [TAIL[k] + w * b - c, b];
  return Math.exp(-a * a / 2) * t * (TAIL[0] + (w / 2) * b - c);
}

/** The distribution function of the standard normal: (1 + erf(x / sqrt 2)) / 2. */
export const normalCdf = (x: number): number => x >= 0 ? 1 - normalTail(x) : normalTail(-x);

/** The density of the standard normal. */
export const normalPdf = (x: number): number => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);

/**
 * WGSL for `expOf`, `logOf`, `log1pOf`, `sigmoidOf`, `softplusOf`, `tanhOf` and `normalCdf` on
 * `F`, which is f32 or vec4f. Within 3e-7 relative of the exact value given an exact exp:
 *
 *   atanh s = s (1 + s^2/3 + s^4/5 + ...),   log(1 + u) = 2 atanh(u / (2 + u))  for 0 <= u <= 1
 *   x = m 2^k with m in [sqrt(1/2), sqrt 2):  log x = k log 2 + 2 atanh((m - 1) / (m + 1))
 *   softplus x = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)
 *   tanh |x| = (1 - e^-2|x|) / (1 + e^-2|x|),  |x| >= 5/8;  else a polynomial, within 5e-9
 *
 * And for `sinOf` and `cosOf`, within 3e-7 absolute for |x| up to 10,000:
 *
 *   n = round(2x / pi),   r = x - n pi/2 with pi/2 in three parts,   sin r and cos r by Taylor
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
fn expOf(x: F) -> F { return select(exp(x), x, isNan(x)); }
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
fn logOf(x: F) -> F { // zero, subnormal and infinite x are left to the built-in
  let k = (bitcast<${int}>(x) - ${int}(0x3f3504f3)) >> ${uint}(23u);
  let m = bitcast<F>(bitcast<${int}>(x) - (k << ${uint}(23u)));
  let e = F(k);
  let y = e * 0.69314575 + (e * 1.4286068e-6 + twiceAtanh((m - 1.0) / (m + 1.0)));
  let none = isNan(x) | (x < F(0.0));
  let far = bitcast<F>(select(bitcast<${uint}>(log(x)), ${uint}(0x7fc00000u), none));
  return select(far, y, (x > F(1.2e-38)) & (x < F(3.4e38)));
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
fn sineOf(x: F, quarters: i32) -> F { // sin(x + quarters pi/2); huge x is left to the built-in
  let n = round(x * 0.63661975);
  let r = ((x - n * 1.5703125) - n * 4.837513e-4) - n * 7.54979e-8;
  let q = r * r;
  let s = r + r * q * (-0.16666667 + q * (8.3333333e-3 + q * (-1.9841270e-4 + q * 2.7557319e-6)));
  let c = 1.0 + q * (-0.5 + q * (0.041666667 + q * (-1.3888889e-3 + q * 2.4801587e-5)));
  let k = ${int}(n) + quarters;
  let y = select(s, c, (k & ${int}(1)) == ${int}(1));
  let near = select(y, -y, (k & ${int}(2)) == ${int}(2));
  return select(sin(x + f32(quarters) * 1.5707964), near, abs(x) <= F(1e5));
}
fn sinOf(x: F) -> F { return sineOf(x, 0); }
fn cosOf(x: F) -> F { return sineOf(x, 1); }
fn normalTail(a: F) -> F {
  let t = 4.0 / (4.0 + a);
  let w = 4.0 * t - 2.0;
  let b12 = F(0.0);
  let b11 = F(${TAIL[11]});
${
    [10, 9, 8, 7, 6, 5, 4, 3, 2, 1].map((k) =>
      `  let b${k} = ${TAIL[k]} + w * b${k + 1} - b${k + 2};`
    ).join("\n")
  }
  return exp(-0.5 * a * a) * t * (${TAIL[0]} + 0.5 * w * b1 - b2);
}
fn normalCdf(x: F) -> F {
  let tail = normalTail(abs(x));
  return select(tail, 1.0 - tail, x >= F(0.0));
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

/** `table` with `make` applied to every entry. */
export function mapTable<T, R, const K extends string>(
  table: Readonly<Record<K, T>>,
  make: (name: K, entry: T) => R,
): Readonly<Record<K, R>> {
  return Object.fromEntries(
    Object.entries<T>(table).map(([name, entry]) => [name, make(name as K, entry)]),
  ) as Record<K, R>;
}
