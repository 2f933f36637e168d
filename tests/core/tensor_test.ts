/** Making, reading and writing tensors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DeviceError, DTypeError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { full } from "../../ops/fill.ts";
import { testDevices } from "../devices.ts";
import { affine } from "./affine.ts";

for (const { name, skip, open } of testDevices) {
  test(`tensor: elements and shapes survive the way to ${name} and back`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const nested = device.tensor([[[1], [2]], [[3], [4]], [[5], [6]]]);
    assert.deepEqual(nested.shape, [3, 2, 1]);
    assert.equal(nested.size, 6);
    assert.equal(nested.rank, 3);
    assert.equal(nested.dtype, device.float);
    const scalar = device.tensor(-2.5);
    assert.deepEqual(scalar.shape, []);
    const integers = device.tensor(Int32Array.of(7, -8), [2, 1]);
    assert.equal(integers.dtype, "int32");
    const part = device.tensor(Float64Array.of(9, 10, 11).subarray(1));
    const listed = device.tensor([1, 2], [2], "int32");
    const [a, b, c, d, e] = await device.read([nested, scalar, integers, part, listed]);
    assert.deepEqual([...a], [1, 2, 3, 4, 5, 6]);
    assert.deepEqual([...b], [-2.5]);
    assert.deepEqual(c, Int32Array.of(7, -8));
    assert.deepEqual([...d], [10, 11]);
    assert.deepEqual(e, Int32Array.of(1, 2));
    assert.equal(await scalar.item(), -2.5);
    assert.deepEqual(await device.read([]), []);
  });

  test(
    `tensor: writes on ${name} come after earlier launches and before later ones`,
    { skip },
    async () => {
      const device = await open();
      using _scope = device.arena();
      const x = device.tensor([1, 2]);
      const before = affine(x, 10);
      device.write(x, Float64Array.of(3, 4));
      const after = affine(x, 10);
      assert.deepEqual((await device.read([before, after])).map((a) => [...a]), [[10, 20], [
        30,
        40,
      ]]);
    },
  );

  test(
    `tensor: a part of a tensor on ${name} is overwritten, and nothing else`,
    { skip },
    async () => {
      const device = await open();
      using _scope = device.arena();
      for (const dtype of new Set([device.float, device.half, "int32"] as const)) {
        const x = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4], dtype);
        device.write(x.view([8]), Float64Array.of(9, 10, 11, 12), 2);
        device.write(x, Int32Array.of(), 8);
        assert.deepEqual([...await x.data()], [1, 2, 9, 10, 11, 12, 7, 8], dtype);
        for (const at of [-2, 6, 0.5, NaN]) {
          assert.throws(() => device.write(x, new Float32Array(4), at), {
            name: "ShapeError",
            message: "Cannot write to a tensor of shape (2, 4): a part must lie inside, " +
              `got 4 elements from ${at} on`,
          });
        }
      }
    },
  );

  test(`tensor: two read-backs on ${name} may be under way at once`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const x = device.tensor([1, 2]);
    const first = affine(x, 2).data();
    const second = affine(x, 3).data();
    assert.deepEqual((await Promise.all([second, first])).map((a) => [...a]), [[3, 6], [2, 4]]);
  });

  test(`tensor: to ${name} from every other device, and back`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    for (const from of [cpu(), cpu({ float: "float64" })]) {
      for (const dtype of new Set([from.float, from.half, "int32"] as const)) {
        const x = from.tensor([1, -2, 3, 4, 5, 6, 7, 8], [2, 4], dtype);
        const there = await x.to(device);
        const dtypes = { int32: "int32", float16: device.half } as Record<string, string>;
        assert.equal(there.dtype, dtypes[dtype] ?? device.float);
        assert.deepEqual([there.device, there.shape], [device, [2, 4]]);
        const back = await there.to(from);
        assert.equal(back.device, from);
        assert.deepEqual(await back.data(), await x.data());
      }
    }
    const x = device.tensor([1]);
    assert.equal(await x.to(device), x);
    x.dispose();
    await assert.rejects(x.to(cpu()), { name: "DisposedError" });
  });

  test(`tensor: a view on ${name} shares the memory of the tensor it is of`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const x = device.tensor([1, 2, 3, 4]);
    const view = x.view([2, 2]);
    device.write(x, Float64Array.of(5, 6, 7, 8));
    assert.deepEqual([...await view.data()], [5, 6, 7, 8]);
    view.dispose();
    assert.throws(
      () => affine(x, 1),
      /Cannot run affine on a tensor of shape \(4\) from device.tensor/,
    );
  });
}

/** What console.log writes, in Deno and in Bun. */
const inspect: (value: unknown) => string = (globalThis as unknown as {
  [runtime: string]: { inspect(value: unknown): string };
})["Deno" in globalThis ? "Deno" : "Bun"].inspect;

for (const { name, skip, open } of testDevices) {
  test(`tensor: printed on ${name} without a read-back`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const { kind, float } = device;
    const downloads = device.stats.downloads;
    const shown = (x: Tensor, values: string): void => {
      const text = `Tensor(${x.shape.join(", ")}) ${x.dtype} on ${kind}`;
      assert.equal(`${x}`, kind === "cpu" ? text + values : text);
      assert.equal(inspect(x), `${x}`);
    };
    shown(device.tensor(-2.5), " -2.5");
    shown(device.tensor([0.1, NaN, Infinity]), " [0.1, NaN, Infinity]");
    shown(device.tensor([[1, -20], [3.5, 4]]), "\n[[  1, -20],\n [3.5,   4]]");
    shown(device.tensor([[[1], [2]], [[3], [4]]]), "\n[[[1],\n  [2]],\n\n [[3],\n  [4]]]");
    shown(
      device.tensor([1, 2, 3, 0.1], [4], device.half),
      " [1, 2, 3, 0.1]".replace(
        "0.1",
        float === "float64" ? "0.1" : "0.09998",
      ),
    );
    const many = device.tensor(Int32Array.from({ length: 400 }, (_, i) => i), [2, 200]);
    shown(
      many,
      "\n[[  0,   1,   2, ..., 197, 198, 199],\n [200, 201, 202, ..., 397, 398, 399]]",
    );
    let inside: Tensor | undefined;
    using step = capture(device, ({ x }: { x: Tensor }) => {
      inside = affine(x, 2);
      assert.match(`${inside}`, /, not computed before the captured step runs$/);
      assert.match(`${many}`, /^Tensor\(2, 200\) int32/);
      return affine(inside, 3);
    });
    shown(step({ x: { data: Float32Array.of(1), shape: [1] } }), " [6]");
    assert.match(`${inside}`, /, an intermediate of a captured step$/);
    many.dispose();
    assert.equal(`${many}`, `Tensor(2, 200) int32 on ${kind}, disposed`);
    assert.equal(device.stats.downloads, downloads);
  });
}

test("tensor: what is printed has a bound, whatever the shape", () => {
  const device = cpu();
  const values = (shape: number[]): string =>
    `${device.tensor(new Int32Array(shape.reduce((a, b) => a * b, 1)), shape)}`;
  assert.equal(values([2 ** 40, 0]), `Tensor(${2 ** 40}, 0) int32 on cpu\n[]`);
  assert.ok(values(Array(17).fill(2)).length < 3000);
  assert.equal(
    values([2, 7, 7, 7]).split("\n").slice(1, 3).join("\n"),
    "[[[[0, 0, 0, ..., 0, 0, 0],\n   [0, 0, 0, ..., 0, 0, 0],",
  );
  assert.match(values([2, 7, 7, 7]), /0\]\]\],\n\n\n \.\.\.\]$/);
});

test("tensor: floats are printed with the digits that they have", () => {
  const device = cpu();
  assert.equal(
    `${device.tensor([1e38, 16777216, 0.1])}`,
    "Tensor(3) float32 on cpu [1e+38, 16777216, 0.1]",
  );
});

test("tensor: one of a disposed device is printed without its elements", () => {
  const device = cpu();
  const x = device.tensor([1]);
  device.dispose();
  assert.equal(`${x}`, "Tensor(1) float32 on cpu");
});

test("tensor: ragged arrays are refused", () => {
  const device = cpu();
  const ragged = [[[1, 2], [3]], [[1, 2], 3], [1, [2]], [[1], [2, 3]], [[], [1]], [[], 1]];
  for (const data of ragged) {
    assert.throws(() => device.tensor(data), {
      name: "ShapeError",
      message: /^Cannot make a tensor of nested arrays: all arrays at depth \d must have length/,
    });
  }
});

test("tensor: what is not made of numbers is refused", () => {
  const device = cpu();
  const refused = (got: string) => ({
    name: "ArgumentError",
    message: "Cannot make a tensor: data must be a typed array or numbers in nested " +
      `arrays, got ${got}`,
  });
  const faults: readonly (readonly [unknown, string])[] = [
    ...[["a", '"a"'], [["a"], '"a"'], [[1, "2"], '"2"'], [
      [[1], [undefined]],
      "undefined",
    ]] as const,
    ...[[undefined, "undefined"], [null, "null"], [[true], "true"], [{}, "{ }"]] as const,
    [[device.tensor(1)], "a Tensor"],
  ];
  for (const [data, got] of faults) {
    assert.throws(() => device.tensor(data as number), refused(got));
  }
});

test("tensor: shapes must be integers from 0 and fit the elements", () => {
  const device = cpu();
  assert.throws(() => device.tensor([1, 2, 3], [2, 2]), {
    name: "ShapeError",
    message: "Cannot make a tensor of shape (2, 2): it needs 4 elements, got 3",
  });
  for (const size of [-1, 1.5, NaN]) assert.throws(() => device.empty([size]), ShapeError);
  const x = device.tensor([1, 2]);
  assert.throws(() => device.write(x, Float32Array.of(1)), {
    name: "ShapeError",
    message: "Cannot write to a tensor of shape (2): it needs 2 elements, got 1",
  });
});

test("tensor: dtypes must be those of the device and of the kernel", () => {
  const single = cpu();
  const double = cpu({ float: "float64" });
  assert.throws(() => single.tensor([1], [1], "float64"), DTypeError);
  assert.throws(() => double.tensor([1], [1], "float32"), DTypeError);
  assert.throws(() => single.tensor([1, 2.5], [2], "int32"), {
    name: "ArgumentError",
    message:
      "Cannot make an int32 tensor: elements must be integers of 32 bits, got 2.5 at index 1",
  });
  assert.throws(() => affine(single.tensor([1], [1], "int32"), 2), {
    name: "DTypeError",
    message: "Cannot run affine on x: its dtype must be float32, got int32",
  });
});

test("tensor: int32 elements must be within 32 bits, and are kept to the ends", async () => {
  const device = cpu();
  const ends = device.tensor([-(2 ** 31), -0, 2 ** 31 - 1], [3], "int32");
  assert.deepEqual([...await ends.data()], [-(2 ** 31), 0, 2 ** 31 - 1]);
  for (const bad of [2 ** 31, -(2 ** 31) - 1, 2 ** 32, NaN, Infinity]) {
    assert.throws(() => device.tensor([bad], [1], "int32"), ArgumentError);
    assert.throws(() => device.write(ends, Float64Array.of(0, 0, bad)), ArgumentError);
  }
});

test("tensor: a shape that its maker changes later stays as it was", () => {
  const device = cpu();
  const shape = [2, 2];
  const x = device.tensor([1, 2, 3, 4], shape);
  const all = [x, device.empty(shape), x.view(shape), full(device, shape, 1)];
  shape[0] = 1000;
  for (const made of all) assert.deepEqual(made.shape, [2, 2]);
});

test("tensor: only typed arrays of three kinds are written", () => {
  const x = cpu().tensor([1, 2]);
  const faults = [[[1, 2], "an Array"], [undefined, "undefined"], [null, "null"], ["ab", '"ab"'], [
    { length: 2 },
    "{ length }",
  ], [Uint8Array.of(1, 2), "a Uint8Array"]] as const;
  for (const [data, got] of faults) {
    assert.throws(() => x.device.write(x, data as never), {
      name: "ArgumentError",
      message: "Cannot write to a tensor: the data must be a Float32Array, a Float64Array or an " +
        `Int32Array, got ${got}`,
    });
  }
});

test("tensor: the item of many elements is refused", async () => {
  await assert.rejects(cpu().tensor([1, 2]).item(), ArgumentError);
});

test("tensor: a kernel runs on the device of its tensors only", () => {
  const [here, there] = [cpu(), cpu()];
  const x = there.tensor([1]);
  const kernel = { name: "none", buffers: { x: "read float" } };
  assert.throws(() => here.run(kernel as never, { x } as never, {} as never), DeviceError);
});

test("device: reading and writing refuse a tensor of another device", async () => {
  const [mine, other] = [cpu(), cpu()];
  const tensor = mine.tensor([1, 2]);
  await assert.rejects(other.read([tensor]), DeviceError);
  assert.throws(() => other.write(tensor, new Float32Array(2)), DeviceError);
  assert.deepEqual([...await tensor.data()], [1, 2]);
});
