/** What the tests of ops share. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { sizeOf, stridesOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";

/** Checks a tensor's shape and elements; `tolerance` is relative to the largest element. */
export async function equals(
  actual: Tensor,
  shape: readonly number[],
  expected: ArrayLike<number>,
  tolerance = 0,
): Promise<void> {
  assert.deepEqual([...actual.shape], [...shape]);
  const values = await actual.data();
  assert.equal(values.length, expected.length);
  const size = Array.from(expected).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  values.forEach((value, i) => {
    if (Math.abs(value - expected[i]) <= tolerance * size) return;
    assert.fail(`[${i}] of [${values.join(", ")}], not [${Array.from(expected).join(", ")}]`);
  });
}

/** How often a property is tried: less where each read-back takes its time. */
export function runs(device: Device): { seed: number; numRuns: number } {
  return { seed: 1, numRuns: device.kind === "webgpu" ? 15 : 100 };
}

/** Small shapes of up to `rank` axes. */
export function shapes(rank: number, minRank = 0): fc.Arbitrary<number[]> {
  return fc.array(fc.integer({ min: 1, max: 4 }), { minLength: minRank, maxLength: rank });
}

/**
 * A shape with small integers for its elements: sums and products of them are exact on every
 * device.
 */
export function integerTensors(shape: readonly number[], most = 4): fc.Arbitrary<number[]> {
  const size = sizeOf(shape);
  return fc.array(fc.integer({ min: -most, max: most }), { minLength: size, maxLength: size });
}

/** The index of element `at` of a row-major tensor. */
export function indexOf(shape: readonly number[], at: number): number[] {
  return stridesOf(shape).map((stride, axis) => Math.floor(at / stride) % shape[axis]);
}

/**
 * Where an index lies in a row-major tensor; axes of size 1 are stretched, missing axes ignored.
 */
export function placeOf(shape: readonly number[], index: readonly number[]): number {
  const strides = stridesOf(shape);
  const tail = index.slice(index.length - shape.length);
  return shape.reduce((at, n, axis) => at + (n === 1 ? 0 : tail[axis] * strides[axis]), 0);
}
