/**
 * Exact arithmetic: whole numbers of any size, and fractions of them as text.
 *
 * @module
 */

/** The greatest common divisor of two numbers that are not negative. */
export function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/** The least common multiple of two positive numbers. */
export function lcm(a: bigint, b: bigint): bigint {
  return (a / gcd(a, b)) * b;
}

/** The sum. */
export function total(values: Iterable<bigint>): bigint {
  let sum = 0n;
  for (const value of values) sum += value;
  return sum;
}

/** -1, 0 or 1 as a is less than, equal to or greater than b. */
export function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** part / whole in lowest terms: `2/3`, `0`, `1`. */
export function fraction(part: bigint, whole: bigint): string {
  const by = gcd(part, whole);
  return by === whole || part === 0n ? `${part / whole}` : `${part / by}/${whole / by}`;
}
