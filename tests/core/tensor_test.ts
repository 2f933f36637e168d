/** Making, reading and writing tensors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { Tensor } from "../../core/tensor.ts";
import { full } from "../../ops/fill.ts";
import { onEachDevice } from "../devices.ts";
import { affine } from "./harness.ts";

onEachDevice(
  "tensor: elements and shapes survive the way to the device and back",
  async (device) => {
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
  },
);

onEachDevice(
  "tensor: writes come after earlier launches and before later ones",
  async (device) => {
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

onEachDevice("tensor: a part of a tensor is overwritten, and nothing else", async (device) => {
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
});

onEachDevice("tensor: two read-backs may run at once", async (device) => {
  const x = device.tensor([1, 2]);
  const first = affine(x, 2).data();
  const second = affine(x, 3).data();
  assert.deepEqual((await Promise.all([second, first])).map((a) => [...a]), [[3, 6], [2, 4]]);
});

onEachDevice("tensor: moves from every other device, and back", async (device) => {
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

onEachDevice("tensor: a view shares the memory of its tensor", async (device) => {
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

/** What console.log writes, in Deno and in Bun. */
const inspect: (value: unknown) => string = (globalThis as unknown as {
  [runtime: string]: { inspect(value: unknown): string } | undefined;
})["Deno" in globalThis ? "Deno" : "Bun"]?.inspect ?? String;

onEachDevice("tensor: prints without a read-back", (device) => {
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

test("tensor: floats are printed with their digits, those of a disposed device not at all", () => {
  const device = cpu();
  const x = device.tensor([1e38, 16777216, 0.1]);
  assert.equal(`${x}`, "Tensor(3) float32 on cpu [1e+38, 16777216, 0.1]");
  device.dispose();
  assert.equal(`${x}`, "Tensor(3) float32 on cpu");
});

const device = cpu();
const double = cpu({ float: "float64" });
const pair = device.tensor([1, 2]);
const foreign = cpu().tensor([1, 2]);
const kernel = { name: "none", buffers: { x: "read float" } };
const integer = device.tensor([0], [1], "int32");
const data = "Cannot make a tensor: data must be a typed array or numbers in nested arrays, got";
const written = "Cannot write to a tensor: " +
  "the data must be a Float32Array, a Float64Array or an Int32Array, got";

/** A function, and the name and message of its error. */
type Fault = readonly [run: () => unknown, name: string, message?: string | RegExp];

/** What is refused. */
const faults: { readonly [what: string]: readonly Fault[] } = {
  "ragged arrays": [
    [[1, 2], [3]],
    [[1, 2], 3],
    [1, [2]],
    [[1], [2, 3]],
    [[], [1]],
    [[], 1],
  ].map((ragged) => [
    () => device.tensor(ragged),
    "ShapeError",
    /^Cannot make a tensor of nested arrays: all arrays at depth \d must have length/,
  ]),
  "what is not made of numbers": ([
    ["a", '"a"'],
    [["a"], '"a"'],
    [[1, "2"], '"2"'],
    [[[1], [undefined]], "undefined"],
    [undefined, "undefined"],
    [null, "null"],
    [[true], "true"],
    [{}, "{ }"],
    [[pair], "a Tensor"],
  ] as const).map(([value, got]) => [
    () => device.tensor(value as never),
    "ArgumentError",
    `${data} ${got}`,
  ]),
  "shapes that do not fit the elements": [
    [
      () => device.tensor([1, 2, 3], [2, 2]),
      "ShapeError",
      "Cannot make a tensor of shape (2, 2): it needs 4 elements, got 3",
    ],
    [
      () => device.write(pair, Float32Array.of(1)),
      "ShapeError",
      "Cannot write to a tensor of shape (2): it needs 2 elements, got 1",
    ],
    [() => device.empty([-1]), "ShapeError"],
    [() => device.empty([1.5]), "ShapeError"],
    [() => device.empty([NaN]), "ShapeError"],
  ],
  "dtypes that the device or the kernel does not have": [
    [() => device.tensor([1], [1], "float64"), "DTypeError"],
    [() => double.tensor([1], [1], "float32"), "DTypeError"],
    [
      () => affine(device.tensor([1], [1], "int32"), 2),
      "DTypeError",
      "Cannot run affine on x: its dtype must be float32, got int32",
    ],
  ],
  "int32 elements that are not integers of 32 bits": [
    [
      () => device.tensor([1, 2.5], [2], "int32"),
      "ArgumentError",
      "Cannot make an int32 tensor: elements must be integers of 32 bits, got 2.5 at index 1",
    ],
    ...[2 ** 31, -(2 ** 31) - 1, 2 ** 32, NaN, Infinity].flatMap((bad): Fault[] => [
      [() => device.tensor([bad], [1], "int32"), "ArgumentError"],
      [() => device.write(integer, Float64Array.of(bad)), "ArgumentError"],
    ]),
  ],
  "data to write that is not a typed array of three kinds": ([
    [[1, 2], "an Array"],
    [undefined, "undefined"],
    [null, "null"],
    ["ab", '"ab"'],
    [{ length: 2 }, "{ length }"],
    [Uint8Array.of(1, 2), "a Uint8Array"],
  ] as const).map(([value, got]) => [
    () => device.write(pair, value as never),
    "ArgumentError",
    `${written} ${got}`,
  ]),
  "a tensor on another device": [
    [() => device.read([foreign]), "DeviceError"],
    [() => device.write(foreign, new Float32Array(2)), "DeviceError"],
    [() => device.run(kernel as never, { x: foreign } as never, {} as never), "DeviceError"],
  ],
  "the item of many elements": [[() => pair.item(), "ArgumentError"]],
};

for (const [what, cases] of Object.entries(faults)) {
  test(`tensor: refused: ${what}`, async () => {
    for (const [run, name, message = /^Cannot /] of cases) {
      await assert.rejects(async () => await run(), { name, message });
    }
  });
}

test("tensor: int32 elements are kept to the ends of 32 bits", async () => {
  const ends = device.tensor([-(2 ** 31), -0, 2 ** 31 - 1], [3], "int32");
  assert.deepEqual([...await ends.data()], [-(2 ** 31), 0, 2 ** 31 - 1]);
});

test("tensor: a shape that its maker changes later stays as it was", () => {
  const shape = [2, 2];
  const x = device.tensor([1, 2, 3, 4], shape);
  const all = [x, device.empty(shape), x.view(shape), full(device, shape, 1)];
  shape[0] = 1000;
  for (const made of all) assert.deepEqual(made.shape, [2, 2]);
});
