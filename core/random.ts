/**
 * Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A number depends on its key and counter alone, so numbers
 * can be drawn in any order, in parallel, on any device, and drawn again instead of stored. There
 * is no hidden state.
 *
 * @module
 */
import type { FloatArray } from "./dtype.ts";
import { ArgumentError, nameOf } from "./errors.ts";

/** A key: two 32-bit words. Derive any number of independent keys with {@link foldIn}. */
export type Key = readonly [number, number];

const PARITY = 0x1bd11bda;

/**
 * The 64 random bits of counter `(c0, c1)` under `key`, as two unsigned 32-bit words.
 *
 * @throws {ArgumentError} if a word is not an integer of 32 bits, signed or unsigned.
 */
export function threefry(key: Key, c0: number, c1: number): [number, number] {
  checkKey(key, 0);
  checkWord("a counter", c0);
  checkWord("a counter", c1);
  const words = new Uint32Array(2);
  threefryInto(words, key[0], key[1], c0, c1);
  return [words[0], words[1]];
}

/** {@link threefry} into `words`, without checks, for loops that draw many. */
export function threefryInto(
  words: Uint32Array,
  key0: number,
  key1: number,
  c0: number,
  c1: number,
): void {
  let a = key0 | 0;
  let b = key1 | 0;
  let c = key0 ^ key1 ^ PARITY;
  let x = (c0 + a) | 0;
  let y = (c1 + b) | 0;
  for (let group = 1; group <= 5; group++) {
    if (group % 2 === 1) {
      x = (x + y) | 0;
      y = rotate(y, 13) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 15) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 26) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 6) ^ x;
    } else {
      x = (x + y) | 0;
      y = rotate(y, 17) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 29) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 16) ^ x;
      x = (x + y) | 0;
      y = rotate(y, 24) ^ x;
    }
    const used = a;
    a = b;
    b = c;
    c = used;
    x = (x + a) | 0;
    y = (y + b + group) | 0;
  }
  words[0] = x;
  words[1] = y;
}

function rotate(word: number, turn: number): number {
  return (word << turn) | (word >>> (32 - turn));
}

/**
 * The key of a seed.
 *
 * @throws {ArgumentError} if the seed is not an integer from 0 to 2^53 - 1.
 */
export function keyOf(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ArgumentError(
      `Cannot make a key: its seed must be an integer from 0 to 2^53 - 1, got ${seed}`,
    );
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/**
 * A new key, independent of `key` and of every other `index`.
 *
 * @throws {ArgumentError} if the index or a word of the key is not an integer of 32 bits.
 */
export function foldIn(key: Key, index: number): Key {
  checkWord("an index", index);
  return threefry(key, index, 0x5eed);
}

/**
 * The top 24 bits of a word as a number in [0, 1). It is exact in float32, so the same on every
 * device.
 */
export function unit(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

function checkWord(what: string, word: number): void {
  if (word >>> 0 === word || (word | 0) === word) return;
  throw new ArgumentError(
    `Cannot draw random numbers: ${what} must be an integer of 32 bits, got ${nameOf(word)}`,
  );
}

function checkKey(key: Key, n: number): void {
  if (!Array.isArray(key) || key.length !== 2) {
    throw new ArgumentError(
      `Cannot draw random numbers: a key must be an array of two words, got ${nameOf(key)}`,
    );
  }
  for (const word of key) checkWord("a word of a key", word);
  if (n >>> 0 === n) return;
  throw new ArgumentError(
    `Cannot draw random numbers: n must be an integer from 0 to 2^32 - 1, got ${nameOf(n)}`,
  );
}

/**
 * `n` numbers, uniform in [0, 1).
 *
 * @throws {ArgumentError} if n is not an integer from 0 to 2^32 - 1, or the key is not one.
 */
export function uniform(key: Key, n: number): Float64Array {
  checkKey(key, n);
  const out = new Float64Array(n);
  const words = new Uint32Array(2);
  for (let i = 0; i < n; i++) {
    threefryInto(words, key[0], key[1], i, 0);
    out[i] = unit(words[0]);
  }
  return out;
}

/**
 * `n` numbers from the standard normal distribution, by Marsaglia's polar method. It uses only
 * correctly rounded operations, and a logarithm of its own, so every runtime gives the same bits.
 *
 * @throws {ArgumentError} if n is not an integer from 0 to 2^32 - 1, or the key is not one.
 */
export function normal(key: Key, n: number): Float64Array {
  checkKey(key, n);
  const out = new Float64Array(n);
  normalInto(out, key);
  return out;
}

/** {@link normal} into all of `out`, times `deviation`, rounded to its type. */
export function normalInto(out: FloatArray, key: Key, deviation = 1): void {
  const words = new Uint32Array(2);
  for (let i = 0, counter = 0; i < out.length; counter++) {
    threefryInto(words, key[0], key[1], counter, 1);
    const x = (words[0] + 0.5) * 2 ** -31 - 1;
    const y = (words[1] + 0.5) * 2 ** -31 - 1;
    const square = x * x + y * y;
    if (square >= 1) continue;
    const scale = Math.sqrt((-2 * portableLog(square)) / square);
    out[i++] = deviation * (x * scale);
    if (i < out.length) out[i++] = deviation * (y * scale);
  }
}

/**
 * A random order of 0..n-1 (Fisher and Yates).
 *
 * @throws {ArgumentError} if n is not an integer from 0 to 2^32 - 1, or the key is not one.
 */
export function permutation(key: Key, n: number): Int32Array {
  checkKey(key, n);
  const words = new Uint32Array(2);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    threefryInto(words, key[0], key[1], i, 2);
    const j = Math.floor((words[0] * (i + 1)) / 2 ** 32);
    const swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  return order;
}

/**
 * log x for a positive, finite x, from +, -, * and / alone, so that every runtime gives the same
 * bits: x = m 2^e with m in [1/2, 1), and log m = 2 atanh((m - 1) / (m + 1)).
 */
export function portableLog(x: number): number {
  let exponent = 0;
  for (; x < 0.5; x *= 2) exponent--;
  for (; x >= 1; x /= 2) exponent++;
  const s = (x - 1) / (x + 1);
  const s2 = s * s;
  let series = 0;
  for (let k = 37; k >= 1; k -= 2) series = series * s2 + 1 / k;
  return 2 * s * series + exponent * Math.LN2;
}
