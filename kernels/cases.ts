/**
 * Inputs for the reference tests.
 *
 * @module
 */
import { foldIn, keyOf, permutation, uniform } from "../core/random.ts";

/** `n` numbers in [-1, 1), exact in float32, the same in every run; another `seed` gives others. */
export function noise(n: number, seed: number): Float64Array {
  return uniform(foldIn(keyOf(7), seed), n).map((u) => 2 * u - 1);
}

/** `n` integers in [0, below). */
export function integers(n: number, below: number, seed: number): Int32Array {
  return Int32Array.from(uniform(foldIn(keyOf(11), seed), n), (u) => Math.floor(u * below));
}

/** A random order of 0..n-1. */
export function shuffled(n: number, seed: number): Int32Array {
  return permutation(foldIn(keyOf(13), seed), n);
}

/** NaN, infinities, both zeros, and numbers around them. */
export const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5] as const;
