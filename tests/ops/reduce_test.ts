/** Reductions and running sums: sum, mean, max, min, argmax, argmin, cumsum, weightedMean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { foldIn, keyOf, uniform } from "../../core/random.ts";
import { stridesOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { mul } from "../../ops/binary.ts";
import { argmax, argmin, cumsum, max, mean, min, sum } from "../../ops/reduce.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { weightedMean } from "../../ops/weighted_mean.ts";
import { onEachDevice } from "../devices.ts";
import { equals, indexOf, integerTensors, runs, shapes } from "./harness.ts";

const float64 = cpu({ float: "float64" });

/** A tensor of integers, and some of its axes in any order, some counted from the back. */
const reductions = shapes(4).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    x: integerTensors(shape, 3),
    axes: fc.shuffledSubarray(shape.map((_, i) => i))
      .chain((axes) => fc.tuple(...axes.map((a) => fc.constantFrom(a, a - shape.length)))),
    keepDims: fc.boolean(),
  })
);

/** The elements that fall on each element of the result, with their places, in row-major order. */
function groups(
  { shape, x, axes }: { shape: number[]; x: number[]; axes: readonly number[] },
): { kept: number[]; members: { value: number; at: number }[][] } {
  const reduced = axes.map((a) => (a + shape.length) % shape.length);
  const kept = shape.map((n, i) => reduced.includes(i) ? 1 : n);
  const strides = stridesOf(kept);
  const members: { value: number; at: number }[][] = [];
  x.forEach((value, at) => {
    const to = indexOf(shape, at).reduce((s, i, a) => s + (kept[a] === 1 ? 0 : i * strides[a]), 0);
    (members[to] ??= []).push({ value, at });
  });
  return { kept, members };
}

onEachDevice("reductions: any axes, by the naive rule", async (device) => {
  await fc.assert(
    fc.asyncProperty(reductions, async (given) => {
      using _scope = device.arena();
      const { shape, axes, keepDims } = given;
      const x = device.tensor(given.x, shape);
      const { kept, members } = groups(given);
      const dropped = kept.filter((_, i) =>
        !axes.some((a) => (a + shape.length) % shape.length === i)
      );
      const target = keepDims ? kept : dropped;
      const check = (op: typeof sum | typeof mean, f: (group: number[]) => number): Promise<void> =>
        equals(
          op(x, axes, keepDims),
          target,
          members.map((group) => f(group.map((m) => m.value))),
          1e-6,
        );
      await check(sum, (group) => group.reduce((a, b) => a + b, 0));
      await check(mean, (group) => group.reduce((a, b) => a + b, 0) / group.length);
      await check(max, (group) => Math.max(...group));
      await check(min, (group) => Math.min(...group));
    }),
    runs(device),
  );
});

test("reductions: the gradient of max and min goes to the first of the equals", async () => {
  await fc.assert(
    fc.asyncProperty(reductions, async (given) => {
      using _scope = float64.arena();
      const { members } = groups(given);
      for (const [op, best] of [[max, Math.max], [min, Math.min]] as const) {
        const weights = members.map((_, i) => i + 1);
        const f = valueAndGrad((x: Tensor) => {
          const out = op(x, given.axes);
          return sum(mul(out, float64.tensor(weights, out.shape)));
        });
        const expected = given.x.map(() => 0);
        members.forEach((group, i) => {
          const value = best(...group.map((m) => m.value));
          const first = group.find((m) => m.value === value);
          assert.ok(first);
          expected[first.at] = weights[i];
        });
        await equals(f(float64.tensor(given.x, given.shape)).grads, given.shape, expected);
      }
    }),
    runs(float64),
  );
});

onEachDevice("reductions: one axis, all axes, none", async (device) => {
  const x = device.tensor([[1, 2, 3], [4, 5, 6]]);
  await equals(sum(x), [], [21]);
  await equals(sum(x, 0), [3], [5, 7, 9]);
  await equals(sum(x, -1, true), [2, 1], [6, 15]);
  await equals(sum(x, []), [2, 3], [1, 2, 3, 4, 5, 6]);
  await equals(mean(x, 1), [2], [2, 5], 1e-6);
  await equals(max(device.tensor(5)), [], [5]);
});

onEachDevice("reductions: over axes of size 1 they do not share memory with x", async (device) => {
  for (const op of [sum, mean, max, min]) {
    for (
      const [axis, keepDims, shape] of [[0, false, [3]], [0, true, [1, 3]], [[], false, [
        1,
        3,
      ]]] as const
    ) {
      const x = device.tensor([[1, 2, 3]]);
      const out = op(x, axis, keepDims);
      x.dispose();
      await equals(out, shape, [1, 2, 3]);
    }
  }
});

onEachDevice("argmax, argmin: any axis, ties to the lowest index", async (device) => {
  const x = device.tensor([[1, 7, 7], [4, 2, 4], [0, 0, 0]]);
  const out = argmax(x);
  assert.equal(out.dtype, "int32");
  await equals(out, [3], [1, 0, 0]);
  await equals(argmax(x, 0), [3], [1, 0, 0]);
  await equals(argmin(x), [3], [0, 1, 0]);
  await equals(argmin(x, 0, true), [1, 3], [2, 2, 2]);
  const long = device.tensor(Float64Array.from({ length: 1500 }, (_, i) => Math.abs(i - 700)));
  await equals(argmin(long), [], [700]);
  assert.throws(() => argmin(x, 2), ShapeError);
});

onEachDevice("cumsum: any axis, by the naive rule", async (device) => {
  const axes = shapes(4, 1).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      x: integerTensors(shape),
      axis: fc.integer({ min: -shape.length, max: shape.length - 1 }),
    })
  );
  await fc.assert(
    fc.asyncProperty(axes, async ({ shape, x, axis }) => {
      using _scope = device.arena();
      const stride = stridesOf(shape).at(axis) as number;
      const expected = [...x];
      x.forEach((_, at) => {
        if (indexOf(shape, at).at(axis) !== 0) expected[at] += expected[at - stride];
      });
      await equals(cumsum(device.tensor(x, shape), axis), shape, expected);
    }),
    runs(device),
  );
});

/** 150,000 elements: chunks of chunks. Sums of integers are exact. */
onEachDevice("cumsum: a long axis, and its gradient", async (device) => {
  const n = 150_000;
  const values = Float64Array.from({ length: 2 * n }, (_, i) => (i * 7919 % 2003) & 3);
  const expected = [...values];
  for (let i = 2; i < 2 * n; i++) expected[i] += expected[i - 2];
  const x = device.tensor(values, [n, 2]);
  const { grads } = valueAndGrad((x: Tensor) => sum(cumsum(x, 0)))(x);
  const from = expected.map((_, i) => n - Math.floor(i / 2));
  const [sums, gradient] = await device.read([cumsum(x, 0), grads]);
  assert.ok(sums.every((sum, i) => sum === expected[i]));
  assert.ok(gradient.every((count, i) => count === from[i]));
});

/** Long enough for several stages of chunks. */
onEachDevice("reductions: a long axis keeps its digits", async (device) => {
  const n = 300_000;
  const values = Float64Array.from(uniform(foldIn(keyOf(3), 1), n), Math.fround);
  const x = device.tensor(values);
  const exact = values.reduce((a, b) => a + b, 0);
  await equals(sum(x), [], [exact], 1e-6);
  const y = device.tensor(values.subarray(0, 3 * 700 * 2), [3, 700, 2]);
  const column = (o: number, i: number): number => {
    let total = 0;
    for (let k = 0; k < 700; k++) total += values[(o * 700 + k) * 2 + i];
    return total;
  };
  await equals(sum(y, 1), [3, 2], [0, 1, 2].flatMap((o) => [column(o, 0), column(o, 1)]), 1e-6);
  const wide = max(device.tensor(values.subarray(0, 3 * 700 * 2), [3, 700, 2]), 1);
  const peak = (o: number, i: number): number =>
    Math.max(...values.subarray(o * 1400, (o + 1) * 1400).filter((_, at) => at % 2 === i));
  await equals(wide, [3, 2], [0, 1, 2].flatMap((o) => [peak(o, 0), peak(o, 1)]));
  values[123_456] = 2;
  values[200_000] = 2;
  values[77_777] = -1;
  const peaks = device.tensor(values);
  await equals(argmax(peaks), [], [123_456]);
  await equals(max(peaks), [], [2]);
  await equals(min(peaks), [], [-1]);
});

onEachDevice(
  "reductions: max and min are NaN where there is one, and argmax and argmin find the first",
  async (device) => {
    const x = device.tensor([[NaN, 1, 2], [1, NaN, 2], [1, 2, NaN], [1, 2, 3]]);
    assert.deepEqual([...await max(x, 1).data()], [NaN, NaN, NaN, 3]);
    assert.deepEqual([...await min(x, 1).data()], [NaN, NaN, NaN, 1]);
    assert.deepEqual([...await argmax(x).data()], [0, 1, 2, 2]);
    assert.deepEqual([...await argmin(x).data()], [0, 1, 2, 0]);
    const long = new Float32Array(2000).fill(Infinity);
    long[700] = long[1500] = NaN;
    assert.equal(await max(device.tensor(long)).item(), NaN);
    assert.equal(await argmax(device.tensor(long)).item(), 700);
  },
);

test("reductions: axes that are not there, or twice, are refused", () => {
  const x = float64.tensor([[1, 2, 3], [4, 5, 6]]);
  assert.throws(() => sum(x, 2), {
    name: "ShapeError",
    message: "Cannot sum over axis 2: a tensor of shape (2, 3) has axes -2 to 1",
  });
  assert.throws(() => max(x, [0, -2]), ArgumentError);
  assert.throws(() => argmax(float64.tensor(1)), ShapeError);
});

onEachDevice("weightedMean: by the naive rule, and 0 where all weights are 0", async (device) => {
  const numbers = fc.array(fc.record({ v: fc.integer({ min: -4, max: 4 }), w: fc.nat(3) }), {
    minLength: 1,
    maxLength: 200,
  });
  await fc.assert(
    fc.asyncProperty(numbers, async (pairs) => {
      using _scope = device.arena();
      const [values, weights] = [pairs.map(({ v }) => v), pairs.map(({ w }) => w)].map((a) =>
        device.tensor(a)
      );
      const total = pairs.reduce((t, { w }) => t + w, 0);
      const sums = pairs.reduce((t, { v, w }) => t + v * w, 0);
      await equals(weightedMean(values, weights), [], [total === 0 ? 0 : sums / total], 1e-6);
      const { grads } = valueAndGrad((v: Tensor) => weightedMean(v, weights))(values);
      const expected = pairs.map(({ w }) => total === 0 ? 0 : w / total);
      await equals(grads, [pairs.length], expected, 1e-6);
    }),
    runs(device),
  );
});

onEachDevice("weightedMean: NaN shows, in a value or in a weight", async (device) => {
  for (const [values, weights] of [[[1, NaN], [1, 1]], [[1, 2], [0, NaN]]]) {
    const mean = await weightedMean(device.tensor(values), device.tensor(weights)).item();
    assert.ok(Number.isNaN(mean), `${mean}`);
  }
});

test("weightedMean: shapes that differ are refused", () => {
  assert.throws(
    () => weightedMean(float64.tensor([1, 2]), float64.tensor([[1, 2]])),
    (error) =>
      error instanceof ShapeError && error.message.includes("must have the same shape, got (1, 2)"),
  );
});
