/** Tensors in half precision: how they are stored, read, and refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { DTypeError, ShapeError } from "../../core/errors.ts";
import { reshape } from "../../ops/layout.ts";
import { add } from "../../ops/binary.ts";
import { linear, matmul } from "../../ops/matmul.ts";
import { takeRows } from "../../ops/take_rows.ts";
import { sample } from "../../ops/cases.ts";
import { testDevices } from "../devices.ts";

const [{ skip, open }] = testDevices.filter(({ name }) => name === "webgpu");

test(
  "half: elements are rounded on their way to the device and exact on their way back",
  { skip },
  async () => {
    const device = await open();
    using _scope = device.arena();
    const x = device.tensor([[0.1, 2049], [65519, 65520]], undefined, "float16");
    assert.equal(x.storage.bytes, 8);
    assert.deepEqual(await x.data(), Float32Array.of(0.0999755859375, 2048, 65504, Infinity));
    for (const [length, at] of [[2, 1], [1, 2]]) {
      assert.throws(() => device.write(x, new Float32Array(length), at), {
        name: "ShapeError",
        message: /: a part of halves must begin and end at even ones, got \d from \d on$/,
      });
    }
    device.write(x, Float32Array.of(1, -2, 2 ** -24, 3));
    const [, y] = await device.read([device.tensor([7]), reshape(x, [4])]);
    assert.deepEqual(y, Float32Array.of(1, -2, 2 ** -24, 3));
  },
);

test("half: what cannot be is refused", { skip }, async () => {
  const device = await open();
  using _scope = device.arena();
  assert.throws(() => device.tensor([1, 2, 3], [3], "float16"), ShapeError);
  assert.throws(() => device.empty([2], "float16"), ShapeError);
  const half = device.tensor([1, 2, 3, 4], [2, 2], "float16");
  assert.throws(() => add(half, half), DTypeError);
  assert.throws(() => matmul(half, half), DTypeError); // the left operand
  for (const float of ["float32", "float64"] as const) {
    assert.throws(() => cpu({ float }).tensor([1, 2, 3, 4], [4], "float16"), DTypeError);
    assert.equal(cpu({ float }).half, float);
  }
});

test("half: products and lookups are those of the rounded numbers", { skip }, async () => {
  const device = await open();
  using _scope = device.arena();
  for (const [N, K] of [[5, 8], [20, 6], [8, 3], [130, 132]]) {
    const values = await sample(device, [N, K], 1).data();
    const w = device.tensor(Float32Array.from(Float16Array.from(values)), [N, K]);
    const half = device.tensor(await w.data(), [N, K], "float16");
    const x = sample(device, [3, K], 2);
    const y = sample(device, [40, N], 3);
    const ids = device.tensor([N - 1, 0], [2], "int32");
    const results = [w, half].map((m) => [
      linear(x, m),
      matmul(y, m),
      ...(K % 4 === 0 ? [takeRows(m, ids)] : []),
    ]);
    const [expected, actual] = await Promise.all(results.map((r) => device.read(r)));
    expected.forEach((floats, i) => {
      floats.forEach((v, j) => {
        assert.ok(Math.abs(actual[i][j] - v) <= 1e-5 * (1 + Math.abs(v)), `${i} of (${N}, ${K})`);
      });
    });
  }
});
