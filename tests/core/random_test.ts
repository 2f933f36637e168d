/** Counter-based random numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgumentError } from "../../core/errors.ts";
import {
  foldIn,
  type Key,
  keyOf,
  normal,
  permutation,
  threefry,
  uniform,
  unit,
} from "../../core/random.ts";

test("random: threefry gives the answers of Random123 for threefry2x32 with 20 rounds", () => {
  const known: [counter: Key, key: Key, words: Key][] = [
    [[0, 0], [0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x243f6a88, 0x85a308d3], [0x13198a2e, 0x03707344], [0xc4923a9c, 0x483df7a0]],
  ];
  for (const [counter, key, words] of known) {
    assert.deepEqual(threefry(key, counter[0], counter[1]), words);
  }
});

test("random: seeds, indices and streams give different keys and numbers", () => {
  const keys = [
    ...[0, 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40].map(keyOf),
    ...[0, 1, 2, 0xffffffff].map((i) => foldIn(keyOf(0), i)),
    foldIn(foldIn(keyOf(0), 1), 2),
    foldIn(foldIn(keyOf(0), 2), 1),
  ];
  assert.equal(new Set(keys.map(String)).size, keys.length);
  assert.equal(new Set(keys.map((key) => uniform(key, 4).join())).size, keys.length);
});

test("random: uniform fills [0, 1) evenly, with numbers that float32 holds exactly", () => {
  const n = 100_000;
  const numbers = uniform(keyOf(3), n);
  const bins = new Array<number>(10).fill(0);
  for (const u of numbers) {
    assert.ok(u >= 0 && u < 1 && Math.fround(u) === u);
    bins[Math.floor(u * 10)]++;
  }
  // Each bin is binomial with standard deviation 95.
  for (const count of bins) assert.ok(Math.abs(count - n / 10) < 5 * 95, `${bins}`);
  assert.equal(unit(0), 0);
  assert.equal(unit(0xffffffff), 1 - 2 ** -24);
});

test("random: normal has the moments of the standard normal, and any prefix is the same", () => {
  const n = 100_000;
  const numbers = normal(keyOf(5), n);
  const moment = (k: number): number => numbers.reduce((sum, x) => sum + x ** k, 0) / n;
  // Five standard errors: the variance of x^k is E x^2k - (E x^k)^2.
  for (const [k, mean, variance] of [[1, 0, 1], [2, 1, 2], [3, 0, 15], [4, 3, 96]]) {
    const bound = 5 * Math.sqrt(variance / n);
    assert.ok(Math.abs(moment(k) - mean) < bound, `moment ${k} is ${moment(k)}`);
  }
  const tail = numbers.filter((x) => Math.abs(x) > 2).length / n;
  assert.ok(Math.abs(tail - 0.0455) < 5 * Math.sqrt(0.0455 / n), `${tail}`);
  assert.deepEqual(normal(keyOf(5), 7), numbers.slice(0, 7));
});

test("random: every permutation has every index once, and all orders are equally likely", () => {
  for (const n of [1, 2, 100]) {
    const order = permutation(keyOf(n), n);
    assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: n }, (_, i) => i));
  }
  const seen = new Map<string, number>();
  const draws = 6000;
  for (let i = 0; i < draws; i++) {
    const order = permutation(foldIn(keyOf(9), i), 3).join();
    seen.set(order, (seen.get(order) ?? 0) + 1);
  }
  assert.equal(seen.size, 6);
  // Each count is binomial with standard deviation 29.
  for (const count of seen.values()) assert.ok(Math.abs(count - 1000) < 5 * 29, `${count}`);
});

test("random: keys, counters and numbers of draws are checked", () => {
  const key = keyOf(1);
  const words = [NaN, 1e300, 0.5, undefined, null, "1", 2 ** 32, -(2 ** 31) - 1] as number[];
  for (const bad of words) {
    for (const draw of [uniform, normal, permutation]) {
      assert.throws(() => draw(key, bad), ArgumentError);
    }
    assert.throws(() => keyOf(bad === 2 ** 32 ? -1 : bad), ArgumentError);
    assert.throws(() => foldIn(key, bad), ArgumentError);
    assert.throws(() => foldIn([bad, 0], 1), ArgumentError);
    assert.throws(() => threefry(key, bad, 0), ArgumentError);
    assert.throws(() => threefry(key, 0, bad), ArgumentError);
    assert.throws(() => uniform([0, bad], 1), ArgumentError);
  }
  for (const bad of [undefined, null, 7, [], [1], [1, 2, 3]] as never[]) {
    for (const draw of [uniform, normal, permutation, foldIn]) {
      assert.throws(() => draw(bad, 1), {
        name: "ArgumentError",
        message: /^Cannot draw random numbers: a key must be an array of two words, got /,
      });
    }
  }
  assert.throws(() => permutation(key, -1), {
    name: "ArgumentError",
    message: "Cannot draw random numbers: n must be an integer from 0 to 2^32 - 1, got -1",
  });
  assert.deepEqual(foldIn([-1, -2], -3), foldIn([2 ** 32 - 1, 2 ** 32 - 2], 2 ** 32 - 3));
  assert.equal(permutation(key, 0).length, 0);
});
