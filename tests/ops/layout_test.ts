/** reshape, transpose, slice, concat, broadcastTo, squeeze, unsqueeze, stack, split. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../core/errors.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { greater, greaterEqual } from "../../ops/compare.ts";
import { zeros } from "../../ops/fill.ts";
import { concat, split, stack } from "../../ops/concat.ts";
import { broadcastTo, reshape, slice, squeeze, transpose, unsqueeze } from "../../ops/layout.ts";
import { sum } from "../../ops/reduce.ts";
import { where } from "../../ops/select.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice } from "../devices.ts";
import { equals, indexOf, integerTensors, placeOf, runs, shapes } from "./harness.ts";

const float64 = cpu({ float: "float64" });

const tensors = shapes(4).chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    x: integerTensors(shape, 99),
    dtype: fc.constantFrom("float", "int32"),
  })
);

onEachDevice("transpose: any order by the naive rule, and back", async (device) => {
  const orders = tensors.chain((t) =>
    fc.record({
      ...{ shape: fc.constant(t.shape), x: fc.constant(t.x), dtype: fc.constant(t.dtype) },
      order: fc.shuffledSubarray(t.shape.map((_, i) => i), { minLength: t.shape.length }),
    })
  );
  await fc.assert(
    fc.asyncProperty(orders, async ({ shape, x, dtype, order }) => {
      using _scope = device.arena();
      const given = device.tensor(x, shape, dtype === "int32" ? "int32" : device.float);
      const target = order.map((axis) => shape[axis]);
      const expected = x.map((_, at) => {
        const index: number[] = [];
        indexOf(target, at).forEach((i, k) => index[order[k]] = i);
        return x[placeOf(shape, index)];
      });
      const out = transpose(given, order);
      await equals(out, target, expected);
      await equals(transpose(out, order.map((_, i) => order.indexOf(i))), shape, x);
      if (order.every((axis, i) => axis === shape.length - 1 - i)) {
        await equals(transpose(given), target, expected);
      }
    }),
    runs(device),
  );
});

onEachDevice("concat: joins the slices of a tensor to the tensor again", async (device) => {
  const cuts = shapes(4, 1).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      x: integerTensors(shape, 99),
      axis: fc.nat({ max: shape.length - 1 }),
      where: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    })
  );
  await fc.assert(
    fc.asyncProperty(cuts, async ({ shape, x, axis, where }) => {
      using _scope = device.arena();
      const given = device.tensor(x, shape);
      const inside = where.filter((c) => c > 0 && c < shape[axis]);
      const marks = [...new Set([0, ...inside, shape[axis]])].sort((a, b) => a - b);
      const parts = marks.slice(1).map((to, i) =>
        slice(
          given,
          shape.map((_, a) => a === axis ? marks[i] : 0),
          shape.map((n, a) => a === axis ? to : n),
        )
      );
      await equals(concat(parts, axis), shape, x);
    }),
    runs(device),
  );
});

onEachDevice("slice, concat, broadcastTo: integers by hand", async (device) => {
  const x = device.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], undefined, "int32");
  const block = slice(x, [1, 1], [3, 3]);
  assert.equal(block.dtype, "int32");
  await equals(block, [2, 2], [6, 7, 10, 11]);
  await equals(concat([block, block], -1), [2, 4], [6, 7, 6, 7, 10, 11, 10, 11]);
  await equals(concat([block, slice(x, [0, 0], [1, 2])], 0), [3, 2], [6, 7, 10, 11, 1, 2]);
  await equals(broadcastTo(slice(x, [0, 0], [3, 1]), [3, 2]), [3, 2], [1, 1, 5, 5, 9, 9]);
  await equals(broadcastTo(slice(x, [0, 0], [1, 2]), [2, 1, 2]), [2, 1, 2], [1, 2, 1, 2]);
});

onEachDevice("reshape: the same elements in the same memory", async (device) => {
  const x = device.tensor([1, 2, 3, 4, 5, 6]);
  const y = reshape(x, [2, -1]);
  await equals(y, [2, 3], [1, 2, 3, 4, 5, 6]);
  await equals(reshape(slice(y, [0, 0], [1, 1]), []), [], [1]);
  device.write(x, new Float32Array([6, 5, 4, 3, 2, 1]));
  await equals(y, [2, 3], [6, 5, 4, 3, 2, 1]);
});

onEachDevice("squeeze, unsqueeze: axes of size 1 go and come", async (device) => {
  const x = device.tensor([[[1], [2]]], undefined, "int32");
  await equals(squeeze(x), [2], [1, 2]);
  await equals(squeeze(x, 0), [2, 1], [1, 2]);
  await equals(squeeze(x, [-1, 0]), [2], [1, 2]);
  await equals(unsqueeze(squeeze(x), 0), [1, 2], [1, 2]);
  await equals(unsqueeze(squeeze(x), -1), [2, 1], [1, 2]);
  await equals(unsqueeze(device.tensor(5), 0), [1], [5]);
});

onEachDevice("stack, split: there and back", async (device) => {
  const x = device.tensor([[1, 2, 3], [4, 5, 6]]);
  const [top, bottom] = split(x, 1);
  await equals(top, [1, 3], [1, 2, 3]);
  await equals(bottom, [1, 3], [4, 5, 6]);
  const [left, right, ...none] = split(x, 2, -1);
  await equals(left, [2, 2], [1, 2, 4, 5]);
  await equals(right, [2, 1], [3, 6]);
  assert.equal(none.length, 0);
  const rows = [squeeze(top), squeeze(bottom)];
  await equals(stack(rows), [2, 3], [1, 2, 3, 4, 5, 6]);
  await equals(stack(rows, 1), [3, 2], [1, 4, 2, 5, 3, 6]);
  await equals(stack(rows, -1), [3, 2], [1, 4, 2, 5, 3, 6]);
});

test("layout: what does not fit is refused", () => {
  const x = float64.tensor([[1, 2, 3], [4, 5, 6]]);
  const refused = (f: () => unknown, name: string, message: string): void =>
    assert.throws(f, { name, message });
  refused(
    () => reshape(x, [4, 2]),
    "ShapeError",
    "Cannot reshape (2, 3) to (4, 2): the number of elements must be 6, got 8",
  );
  assert.throws(() => reshape(x, [-1, 4]), ShapeError);
  assert.throws(() => reshape(x, [-1, -1]), ShapeError);
  assert.throws(() => reshape(x, [-2, -3]), ShapeError);
  refused(
    () => transpose(x, [0, 0]),
    "ShapeError",
    "Cannot transpose (2, 3): each of its 2 axes must be named once, got [0, 0]",
  );
  refused(
    () => slice(x, [0, 1], [2, 4]),
    "ShapeError",
    "Cannot slice (2, 3) from [0, 1] to [2, 4]: axis 1 needs 0 <= start <= end <= 3, got 1 and 4",
  );
  assert.throws(() => slice(x, [0], [1]), ShapeError);
  assert.throws(() => slice(x, [0, 0, 0], [1, 1, 1]), ShapeError);
  refused(
    () => concat([x, zeros(float64, [2, 2])], 0),
    "ShapeError",
    "Cannot concat (2, 3) and (2, 2) along axis 0: other sizes must be equal, got 3 and 2",
  );
  assert.throws(() => concat([x, zeros(float64, [2, 3, 1])], 0), ShapeError);
  assert.throws(() => concat([x, zeros(float64, [2, 3], "int32")], 0), DTypeError);
  assert.throws(() => concat([], 0), ArgumentError);
  refused(
    () => broadcastTo(x, [2, 1]),
    "ShapeError",
    "Cannot broadcast (2, 3) to (2, 1): it must stretch to that shape, got (2, 3)",
  );
  refused(
    () => squeeze(x, 1),
    "ShapeError",
    "Cannot squeeze axis 1 of (2, 3): its size must be 1, got 3",
  );
  assert.throws(() => squeeze(zeros(float64, [1, 2]), [0, -2]), ArgumentError);
  assert.throws(() => squeeze(x, 2), ShapeError);
  assert.throws(() => unsqueeze(x, 3), ShapeError);
  refused(
    () => stack([x, zeros(float64, [3, 2])]),
    "ShapeError",
    "Cannot stack (2, 3) and (3, 2): shapes must be equal",
  );
  refused(
    () => stack([]),
    "ArgumentError",
    "Cannot stack no tensors: there must be at least one, got 0",
  );
  refused(
    () => split(x, [1, 1], -1),
    "ShapeError",
    "Cannot split axis 1 of (2, 3): the sizes must be integers from 0 that add up to 3, got [1, 1]",
  );
  refused(
    () => split(x, [1.5, 1.5], -1),
    "ShapeError",
    "Cannot split axis 1 of (2, 3): the sizes must be integers from 0 that add up to 3, " +
      "got [1.5, 1.5]",
  );
  assert.throws(() => split(x, [4, -1], -1), ShapeError);
  assert.throws(() => split(x, 0), ArgumentError);
});

onEachDevice("more than four axes: walked in any way, as NumPy does", async (device) => {
  const shape = [2, 3, 2, 4, 3, 2];
  const count = (shape: readonly number[]): number[] =>
    Array.from({ length: sizeOf(shape) }, (_, i) => i % 101 - 50);
  const by = (shape: readonly number[], f: (index: number[]) => number): number[] =>
    Array.from({ length: sizeOf(shape) }, (_, at) => f(indexOf(shape, at)));
  const values = count(shape);
  for (const dtype of [device.float, "int32"] as const) {
    const x = device.tensor(values, shape, dtype);
    const reversed = shape.toReversed();
    const back = by(reversed, (index) => values[placeOf(shape, index.toReversed())]);
    await equals(transpose(x), reversed, back);
    const part = [1, 2, 1, 2, 2, 1];
    const inner = by(
      part,
      (index) => values[placeOf(shape, index.map((i, k) => i + shape[k] - part[k]))],
    );
    await equals(slice(x, shape.map((n, k) => n - part[k]), shape), part, inner);
    const [odd, even] = [0, 1].map((side) => shape.map((n, k) => k % 2 === side ? n : 1));
    const [a, b] = [odd, even].map((s) => device.tensor(count(s), s, dtype));
    const stretched = by(shape, (index) => count(odd)[placeOf(odd, index)]);
    await equals(broadcastTo(a, shape), shape, stretched);
    const sums = by(
      shape,
      (index) => count(odd)[placeOf(odd, index)] + count(even)[placeOf(even, index)],
    );
    await equals(add(a, b), shape, sums);
    await equals(
      greater(a, b),
      shape,
      by(
        shape,
        (index) => count(odd)[placeOf(odd, index)] > count(even)[placeOf(even, index)] ? 1 : 0,
      ),
    );
    await equals(
      where(greaterEqual(x, 0), a, 7),
      shape,
      stretched.map((v, i) => values[i] >= 0 ? v : 7),
    );
    if (dtype === "int32") continue;
    const { grads } = valueAndGrad((p: Tensor) => sum(mul(mul(p, b), x)))(a);
    const gradient = new Array<number>(a.size).fill(0);
    by(
      shape,
      (index) =>
        gradient[placeOf(odd, index)] += count(even)[placeOf(even, index)] *
          values[placeOf(shape, index)],
    );
    await equals(grads, odd, gradient, 1e-6);
    await equals(
      sum(x, [0, 2, 4]),
      [3, 4, 2],
      by(
        [3, 4, 2],
        ([i, j, k]) =>
          by([2, 2, 3], ([p, q, r]) => values[placeOf(shape, [p, i, q, j, r, k])]).reduce((a, b) =>
            a + b
          ),
      ),
    );
  }
});
