/** Tensors in half precision: how they are stored, read, and refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import { DTypeError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { reshape } from "../../ops/layout.ts";
import { add } from "../../ops/binary.ts";
import { toHalf } from "../../kernels/half.ts";
import { linear, matmul } from "../../ops/matmul.ts";
import { sum } from "../../ops/reduce.ts";
import { take } from "../../ops/take.ts";
import { square } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { sample } from "../../ops/cases.ts";
import { onEachDevice, testDevices } from "../devices.ts";

/** The devices that have float16. */
const devices = testDevices.filter(({ name }) => name !== "cpu float64");

onEachDevice("half: elements are rounded when written and exact when read", async (device) => {
  const x = device.tensor([[0.1, 2049], [65519, 65520]], undefined, "float16");
  assert.equal(x.storage.bytes, 8);
  assert.deepEqual(await x.data(), Float32Array.of(0.0999755859375, 2048, 65504, Infinity));
  for (const [length, at] of [[2, 1], [1, 2]]) {
    assert.throws(() => device.write(x, new Float32Array(length), at), {
      name: "ShapeError",
      message: /: a part of float16 must begin and end at even elements, got \d from \d on$/,
    });
  }
  device.write(x, Float32Array.of(1, -2, 2 ** -24, 3));
  const [, y] = await device.read([device.tensor([7]), reshape(x, [4])]);
  assert.deepEqual(y, Float32Array.of(1, -2, 2 ** -24, 3));
}, devices);

onEachDevice("half: odd sizes and ops that compute are refused", (device) => {
  assert.throws(() => device.tensor([1, 2, 3], [3], "float16"), ShapeError);
  assert.throws(() => device.empty([2], "float16"), ShapeError);
  const half = device.tensor([1, 2, 3, 4], [2, 2], "float16");
  assert.throws(() => add(half, half), DTypeError);
  assert.throws(() => matmul(half, half), DTypeError); // the left operand
}, devices);

onEachDevice("half: products and lookups use the rounded numbers", async (device) => {
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
      ...(K % 4 === 0 ? [take(m, ids)] : []),
    ]);
    const [expected, actual] = await Promise.all(results.map((r) => device.read(r)));
    expected.forEach((floats, i) => {
      floats.forEach((v, j) => {
        assert.ok(
          Math.abs(actual[i][j] - v) <= 1e-5 * (1 + Math.abs(v)),
          `${i} of (${N}, ${K})`,
        );
      });
    });
  }
}, devices);

onEachDevice("half: a table whose rows are not read four at a time is refused", (device) => {
  const table = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [4, 2], "float16");
  assert.throws(() => take(table, device.tensor([1], [1], "int32")), {
    name: "DTypeError",
    message: "Cannot take rows of a float16 table (4, 2): " +
      "their size must be a multiple of 4, got 2",
  });
}, devices);

onEachDevice(
  "half: the gradient of a product with halves is that with the same floats",
  async (device) => {
    const [M, N, K] = [3, 8, 5];
    for (
      const [transposeA, transposeB] of [[false, false], [false, true], [true, false], [true, true]]
    ) {
      for (const [aLead, bLead] of [[[], []], [[2], []], [[], [2]], [[2], [2]]]) {
        const shape = [...bLead, ...(transposeB ? [N, K] : [K, N])];
        const values = Float32Array.from(Float16Array.from(await sample(device, shape, 1).data()));
        const a = sample(device, [...aLead, ...(transposeA ? [K, M] : [M, K])], 2);
        const gradient = (b: Tensor): Tensor =>
          valueAndGrad((x: Tensor) => sum(square(matmul(x, b, { transposeA, transposeB }))))(a)
            .grads;
        const [expected, actual] = await device.read([
          gradient(device.tensor(values, shape)),
          gradient(device.tensor(values, shape, "float16")),
        ]);
        assert.equal(actual.length, a.size);
        actual.forEach((x, i) =>
          assert.ok(Math.abs(x - expected[i]) < 1e-4, `${x}, ${expected[i]}`)
        );
      }
    }
  },
  devices,
);

test("half: a float64 device holds halves as float64", async () => {
  const device = cpu({ float: "float64" });
  assert.equal(device.half, "float64");
  assert.throws(() => device.tensor([1, 2, 3, 4], [4], "float16"), DTypeError);
  const half = device.empty([4], device.half);
  device.run(toHalf, { x: device.tensor([0.1, 2049, 65519, -1]), out: half }, { n: 4 });
  assert.deepEqual([...await half.data()], [0.0999755859375, 2048, 65504, -1]);
});

/** All halves, and all but those that are not finite. */
const halves = Float32Array.from(
  new Float16Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer),
);
const finite = halves.map((x) => Number.isFinite(x) ? x : 0);

for (const [name, options] of Object.entries({ WebAssembly: {}, TypeScript: { wasm: false } })) {
  test(`half: kernels in ${name} widen every half exactly`, async () => {
    const device = cpu(options);
    const eye = (n: number): Tensor =>
      device.tensor(Float32Array.from({ length: n * n }, (_, i) => i % (n + 1) === 0 ? 1 : 0), [
        n,
        n,
      ]);
    for (const [rows, columns] of [[4, 16384], [12, 5461], [16384, 4]]) {
      const values = finite.slice(0, rows * columns);
      const w = device.tensor(values, [rows, columns], "float16");
      const product = rows < 100 ? matmul(eye(rows), w) : linear(eye(columns), w);
      const actual = await product.data();
      const bad = actual.findIndex((x, i) =>
        x !== values[rows < 100 ? i : i % rows * columns + Math.floor(i / rows)]
      );
      assert.equal(bad, -1);
    }
    const odd = device.tensor([Infinity, -Infinity, NaN, -(2 ** -24)], [4, 1], "float16");
    const [up, down, none, tiny] = await linear(device.tensor([[1]]), odd).data();
    assert.deepEqual([up, down, tiny], [Infinity, -Infinity, -(2 ** -24)]);
    assert.ok(!Number.isFinite(none));
  });
}
