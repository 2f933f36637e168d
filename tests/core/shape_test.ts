/** Shapes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  broadcastShapes,
  formatShape,
  normalizeAxis,
  sameShape,
  sizeOf,
  stridesOf,
} from "../../core/shape.ts";

test("shape: sizes, strides and names", () => {
  assert.equal(sizeOf([]), 1);
  assert.equal(sizeOf([2, 3, 4]), 24);
  assert.deepEqual(stridesOf([2, 3, 4]), [12, 4, 1]);
  assert.deepEqual(stridesOf([]), []);
  assert.equal(formatShape([8, 64]), "(8, 64)");
  assert.ok(sameShape([2, 1], [2, 1]) && !sameShape([2], [2, 1]) && !sameShape([2, 1], [1, 2]));
});

test("shape: broadcasting stretches axes of size 1, aligned at the back", () => {
  assert.deepEqual(broadcastShapes("add", [2, 1, 4], [3, 1]), [2, 3, 4]);
  assert.deepEqual(broadcastShapes("add", [], [5]), [5]);
  assert.throws(() => broadcastShapes("add", [2, 3], [2]), {
    name: "ShapeError",
    message: "Cannot add (2, 3) and (2): sizes must be equal or 1, got 3 and 2",
  });
});

test("shape: negative axes count from the back", () => {
  assert.equal(normalizeAxis("sum", [2, 3], -1), 1);
  assert.equal(normalizeAxis("sum", [2, 3], 0), 0);
  for (const axis of [2, -3, 0.5]) {
    assert.throws(() => normalizeAxis("sum", [2, 3], axis), {
      name: "ShapeError",
      message: `Cannot sum over axis ${axis}: a tensor of shape (2, 3) has axes -2 to 1`,
    });
  }
});
