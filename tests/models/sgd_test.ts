/** SGD against its formula in float64; on every device; captured and eager; resumed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { TypedArray } from "../../core/dtype.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { treeLeaves } from "../../core/tree.ts";
import { SGD, type SGDOptions } from "../../models/sgd.ts";
import { onEachDevice, testDevices } from "../devices.ts";

type Params = { weight: Tensor; layers: Tensor[] };

const SHAPES = [[3, 5], [7], []];
const STEPS = 12;

/** The parameters (step 0) and the gradients of each step. */
const valuesAt = (step: number): Float64Array[] =>
  SHAPES.map((shape, i) => normal(foldIn(foldIn(keyOf(9), step), i), sizeOf(shape)));

function treeOf(device: Device, values: readonly Float64Array[]): Params {
  const [weight, ...layers] = values.map((v, i) => device.tensor(v, SHAPES[i]));
  return { weight, layers };
}

const lrAt = (step: number): number => 0.1 / step;

/** The parameters and velocities after all steps, as PyTorch documents them. */
function reference({ momentum = 0, nesterov = false, weightDecay = 0 }: SGDOptions): number[][] {
  const params = valuesAt(0).map((p) => [...p]);
  const buffers = params.map((p) => p.map(() => NaN));
  for (let step = 1; step <= STEPS; step++) {
    valuesAt(step).forEach((grads, leaf) => {
      grads.forEach((grad, i) => {
        const g = grad + weightDecay * params[leaf][i];
        const b = step === 1 ? g : momentum * buffers[leaf][i] + g;
        buffers[leaf][i] = b;
        params[leaf][i] -= lrAt(step) * (nesterov ? g + momentum * b : b);
      });
    });
  }
  return [...params, ...buffers];
}

const SETTINGS: readonly SGDOptions[] = [
  {},
  { weightDecay: 0.1 },
  { momentum: 0.9 },
  { momentum: 0.8, nesterov: true, weightDecay: 0.01 },
];

for (const { name, skip, open } of testDevices) {
  for (const options of SETTINGS) {
    const what = `${JSON.stringify(options)} on ${name}`;
    test(`sgd: ${what} by the formula, eager and captured`, { skip }, async () => {
      const device = await open();
      const results: TypedArray[][] = [];
      for (const captured of [false, true]) {
        using _scope = device.arena();
        const params = treeOf(device, valuesAt(0));
        using optimizer = new SGD(params, options);
        type Inputs = Record<"weight" | "first" | "second" | "lr", Tensor>;
        using whole = capture(device, ({ weight, first, second, lr }: Inputs) => {
          optimizer.step({ weight, layers: [first, second] }, lr);
          return [];
        });
        for (let step = 1; step <= STEPS; step++) {
          using _scope = device.arena();
          const grads = valuesAt(step);
          const [weight, first, second] = grads.map((data, i) => ({ data, shape: SHAPES[i] }));
          const lr = { data: Float64Array.of(lrAt(step)), shape: [] };
          if (captured) whole({ weight, first, second, lr });
          else optimizer.step(treeOf(device, grads), lrAt(step));
        }
        const state = [...treeLeaves(params), ...treeLeaves(optimizer.velocity)];
        results.push(await device.read(state));
      }
      assert.deepEqual(results[0], results[1]);
      const tolerance = device.float === "float64" ? 1e-13 : 2e-6;
      reference(options).forEach((values, leaf) => {
        assert.equal(results[0][leaf].length, values.length);
        values.forEach((x, i) => {
          const error = Math.abs(results[0][leaf][i] - x) / (1 + Math.abs(x));
          assert.ok(error <= tolerance, `${leaf}, ${i}: ${results[0][leaf][i]}, not ${x}`);
        });
      });
    });
  }
}

onEachDevice("sgd: parameters and velocities are all its state", async (device) => {
  const options = { momentum: 0.9, nesterov: true };
  const run = async (half: number, saved?: readonly ArrayLike<number>[]) => {
    const params = treeOf(device, valuesAt(0));
    using optimizer = new SGD(params, options);
    const state = [...treeLeaves(params), ...treeLeaves(optimizer.velocity)];
    if (saved) state.forEach((tensor, i) => device.write(tensor, Float64Array.from(saved[i])));
    for (let step = saved ? half + 1 : 1; step <= (saved ? STEPS : half); step++) {
      optimizer.step(treeOf(device, valuesAt(step)), lrAt(step));
    }
    return await device.read(state);
  };
  assert.deepEqual(await run(5, await run(5)), await run(STEPS));
});

test("sgd: a step takes memory of the arena alone, and disposing gives the rest back", () => {
  const device = cpu();
  const before = device.stats.liveBytes;
  const params = treeOf(device, valuesAt(0));
  const optimizer = new SGD(params, { momentum: 0.9 });
  const held = device.stats.liveBytes;
  {
    using _scope = device.arena();
    optimizer.step(treeOf(device, valuesAt(1)), 0.1);
  }
  assert.equal(device.stats.liveBytes, held);
  optimizer.dispose();
  assert.throws(() => optimizer.step(params, 0.1), { name: "DisposedError" });
  for (const tensor of treeLeaves(params)) tensor.dispose();
  assert.equal(device.stats.liveBytes, before);
});

test("sgd: what it refuses", () => {
  const device = cpu();
  const params = treeOf(device, valuesAt(0));
  const optimizer = new SGD(params);
  assert.throws(() => optimizer.step({ ...params, weight: device.tensor([1, 2]) }, 0.1), {
    name: ShapeError.name,
    message: "Cannot apply SGD: the gradient of weight must be of shape (3, 5), " +
      "got weight (2)",
  });
  assert.throws(() => optimizer.step(params, device.tensor([0.1, 0.2])), {
    name: ShapeError.name,
    message: "Cannot apply SGD: lr must have one element, got (2)",
  });
  assert.throws(() => optimizer.step(params, NaN), ArgumentError);
  const rates: readonly (readonly [unknown, string, string])[] = [
    [undefined, "ArgumentError", "lr must be a tensor or a number, got undefined"],
    ["0.1", "ArgumentError", 'lr must be a tensor or a number, got "0.1"'],
    [{}, "ArgumentError", "lr must be a tensor or a number, got { }"],
    [
      [NaN],
      "ArgumentError",
      "lr must be a tensor or a number, got an Array; device.tensor(...) makes one",
    ],
    [device.tensor([1], [1], "int32"), "DTypeError", "lr must be float32, got int32"],
    [
      cpu().tensor(1),
      "DeviceError",
      "all tensors must be on one device, got two different cpu devices",
    ],
  ];
  for (const [lr, name, what] of rates) {
    assert.throws(() => optimizer.step(params, lr as number), {
      name,
      message: `Cannot apply SGD: ${what}`,
    });
  }
  const gone = device.tensor(0.1);
  gone.dispose();
  assert.throws(() => optimizer.step(params, gone), {
    name: "DisposedError",
    message: /^Cannot apply SGD to a tensor of shape \(\) from device.tensor: it must be alive/,
  });
  assert.throws(() => optimizer.step({ ...params, more: gone } as Params, 0.1), {
    name: ShapeError.name,
    message: "Cannot apply SGD: each gradient must be of a parameter, but there is none at more",
  });
  const integers = { ...params, weight: device.tensor(new Int32Array(15), [3, 5]) };
  assert.throws(() => optimizer.step(integers, 0.1), {
    name: "DTypeError",
    message: "Cannot apply SGD: the gradient of weight must be float32, got int32",
  });
  assert.throws(() => new SGD([]), ArgumentError);
  assert.throws(() => new SGD(params, { momentum: 1 }), /momentum must be in \[0, 1\), got 1/);
  assert.throws(() => new SGD(params, { weightDecay: -1 }), ArgumentError);
  for (
    const wrong of [{ momentum: "0.9" }, { momentum: null }, { nesterov: "no", momentum: 0.9 }]
  ) {
    assert.throws(() => new SGD(params, wrong as never), ArgumentError);
  }
  assert.throws(() => new SGD(params, { nesterov: true }), {
    message: "Cannot make SGD: nesterov needs a momentum above 0, got 0",
  });
});
