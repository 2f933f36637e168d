/**
 * WGSL written out instead of looped.
 *
 * @module
 */

/**
 * `line(0)`, `line(1)`, ..., `line(n - 1)` below each other. Where an array is indexed by a
 * variable it lies in memory; indexed by constants it can lie in registers.
 */
export function unroll(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join("\n");
}
