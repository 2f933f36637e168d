/** AdamW against an independent float64 implementation; on every device; captured and eager. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { ArgumentError, DisposedError, ShapeError } from "../../core/errors.ts";
import { foldIn, keyOf, normal } from "../../core/random.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { mapTree, treeEntries, treeLeaves } from "../../core/tree.ts";
import { AdamW, type AdamWOptions, power } from "../../models/adamw.ts";
import { add, mul } from "../../ops/binary.ts";
import { linear } from "../../ops/matmul.ts";
import { sum } from "../../ops/reduce.ts";
import { square } from "../../ops/unary.ts";
import { valueAndGrad } from "../../ops/value_and_grad.ts";
import { onEachDevice, testDevices } from "../devices.ts";

const STEPS = 20;
const BETAS = [0.9, 0.98] as const;
type Params = { embed: Tensor; layer: { norm: Tensor; weight: Tensor }[]; bias: Tensor };

/** The shapes in the order of `treeEntries`. */
const LEAVES = [
  ["embed", [7, 4]],
  ["layer.0.norm", [5]],
  ["layer.0.weight", [3, 5]],
  ["bias", []],
] as const;

/**
 * Values of every leaf; the gradients of step t shrink, so that early ones are clipped and late
 * ones are not.
 */
function valuesAt(step: number): Float64Array[] {
  const size = step === 0 ? 1 : 2 / step;
  return LEAVES.map(([, shape], i) =>
    normal(foldIn(foldIn(keyOf(5), step), i), sizeOf(shape)).map((x) => x * size)
  );
}

function treeOf(device: Device, values: readonly Float64Array[]): Params {
  const [embed, norm, weight, bias] = values.map((v, i) => device.tensor(v, LEAVES[i][1]));
  return { embed, layer: [{ norm, weight }], bias };
}

interface Expected {
  readonly params: Float64Array[];
  readonly norms: number[];
  readonly clipped: boolean[];
}

/** AdamW as textbooks write it: decay first, then the step, with a plain loop over numbers. */
function reference(
  rateAt: (step: number) => number,
  decay: number,
  clip: number,
  decays: (path: string) => boolean,
): Expected {
  const [b1, b2] = BETAS;
  const params = valuesAt(0);
  const m = params.map((p) => new Float64Array(p.length));
  const v = params.map((p) => new Float64Array(p.length));
  const norms: number[] = [];
  const clipped: boolean[] = [];
  for (let step = 1; step <= STEPS; step++) {
    const grads = valuesAt(step);
    const norm = Math.hypot(...grads.flatMap((g) => [...g]));
    norms.push(norm);
    clipped.push(norm > clip);
    const rate = rateAt(step);
    for (const [leaf, [path]] of LEAVES.entries()) {
      for (let i = 0; i < params[leaf].length; i++) {
        const g = norm > clip ? grads[leaf][i] * clip / norm : grads[leaf][i];
        if (decays(path)) params[leaf][i] *= 1 - rate * decay;
        m[leaf][i] = b1 * m[leaf][i] + (1 - b1) * g;
        v[leaf][i] = b2 * v[leaf][i] + (1 - b2) * g ** 2;
        const mean = m[leaf][i] / (1 - Math.pow(b1, step));
        const variance = v[leaf][i] / (1 - Math.pow(b2, step));
        params[leaf][i] -= rate * mean / (Math.sqrt(variance) + 1e-8);
      }
    }
  }
  return { params, norms, clipped };
}

const rateAt = (step: number): number => 0.05 * (1 + Math.cos(step / 7));

/** What the captured step is fed: a gradient each, and the learning rate. */
type StepInputs = Record<"embed" | "norm" | "weight" | "bias" | "lr", HostTensor>;

interface Trained {
  readonly params: ArrayLike<number>[];
  readonly norms: number[];
  readonly moments: ArrayLike<number>[];
}

async function train(
  device: Device,
  options: AdamWOptions,
  how: "eager" | "captured" = "eager",
): Promise<Trained> {
  const params = treeOf(device, valuesAt(0));
  const optimizer = new AdamW(params, { betas: BETAS, ...options });
  const captured = capture<keyof StepInputs, { norm: Tensor }>(
    device,
    ({ embed, norm, weight, bias, lr }) =>
      optimizer.step({ embed, layer: [{ norm, weight }], bias }, lr),
  );
  const norms: number[] = [];
  for (let step = 1; step <= STEPS; step++) {
    using _scope = device.arena();
    const grads = valuesAt(step);
    const lr = rateAt(step);
    if (how === "eager") {
      const { norm } = optimizer.step(treeOf(device, grads), lr);
      norms.push(await norm.item());
    } else {
      const [embed, gain, weight, bias] = grads.map((data, i) => ({ data, shape: LEAVES[i][1] }));
      const inputs = {
        embed,
        norm: gain,
        weight,
        bias,
        lr: { data: Float64Array.of(lr), shape: [] },
      };
      const { norm } = captured(inputs);
      norms.push(await norm.item());
    }
  }
  assert.equal(captured.programs, how === "eager" ? 0 : 1);
  const moments = [...treeLeaves(optimizer.m), ...treeLeaves(optimizer.v)];
  const out = {
    params: await device.read(treeLeaves(params)),
    moments: await device.read(moments),
    norms,
  };
  captured.dispose();
  optimizer.dispose();
  return out;
}

/** The largest |a - b| / (1 + |b|). */
function distance(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  let most = 0;
  assert.equal(a.length, b.length);
  b.forEach((values, leaf) => {
    assert.equal(a[leaf].length, values.length);
    Array.from(values).forEach((x, i) => {
      const gap = Math.abs(a[leaf][i] - x) / (1 + Math.abs(x));
      most = Math.max(most, Number.isNaN(gap) ? Infinity : gap);
    });
  });
  return most;
}

const float64 = cpu({ float: "float64" });
const matrices = (path: string): boolean => path === "embed" || path.endsWith("weight");

for (const clip of [Infinity, 1.5]) {
  test(`adamw: ${STEPS} steps equal the reference, clip ${clip}`, async () => {
    const expected = reference(rateAt, 0.1, clip, matrices);
    const actual = await train(float64, { weightDecay: 0.1, clipNorm: clip });
    assert.ok(distance(actual.params, expected.params) < 1e-12);
    assert.ok(distance([actual.norms], [expected.norms]) < 1e-12);
    assert.equal(expected.clipped.includes(true), clip === 1.5);
    assert.ok(expected.clipped.includes(false));
  });
}

test("adamw: decays chooses the parameters that decay", async () => {
  const decays = (path: string): boolean => path === "layer.0.norm";
  const expected = reference(rateAt, 0.3, 1, decays);
  const actual = await train(float64, { weightDecay: 0.3, clipNorm: 1, decays });
  assert.ok(distance(actual.params, expected.params) < 1e-12);
  const others = await train(float64, { weightDecay: 0.3, clipNorm: 1 });
  assert.ok(distance(others.params, expected.params) > 1e-3);
});

for (const { name, skip, open } of testDevices) {
  test(`adamw: a captured step has the bits of an eager one, ${name}`, { skip }, async () => {
    const device = await open();
    const options = { weightDecay: 0.1, clipNorm: 1 };
    const eager = await train(device, options);
    assert.deepEqual(await train(device, options, "captured"), eager);
  });

  test(`adamw: ${name} agrees with the float64`, { skip }, async () => {
    const options = { weightDecay: 0.1, clipNorm: 1 };
    const actual = await train(await open(), options);
    const expected = await train(float64, options);
    for (const part of ["params", "moments"] as const) {
      assert.ok(distance(actual[part], expected[part]) < 1e-5, part);
    }
    assert.ok(distance([actual.norms], [expected.norms]) < 1e-5, "norms");
  });
}

test("adamw: the norm of more elements than chunks of the first size hold", async () => {
  using _scope = float64.arena();
  const values = Float64Array.from({ length: 1_100_003 }, (_, i) => (i * 7919 % 2003) / 1001 - 1);
  const params = { w: float64.tensor(values) };
  using optimizer = new AdamW(params);
  const { norm } = optimizer.step(params, 0);
  let square = 0;
  for (const x of values) square += x * x;
  assert.ok(Math.abs(await norm.item() / Math.sqrt(square) - 1) < 1e-12);
});

test("adamw: moments begin at zero, outlive the steps' arenas, and are given back", async () => {
  const device = cpu();
  const before = device.stats.liveBytes;
  const params = treeOf(device, valuesAt(0));
  const optimizer = new AdamW(params);
  const moments = [...treeLeaves(optimizer.m), ...treeLeaves(optimizer.v)];
  for (const values of await device.read(moments)) assert.ok(values.every((x) => x === 0));
  assert.deepEqual(
    treeEntries(optimizer.v).map(([path, t]) => [path, t.shape]),
    treeEntries(params).map(([path, t]) => [path, t.shape]),
  );
  const held = device.stats.liveBytes;
  for (let step = 1; step <= 3; step++) {
    using _scope = device.arena();
    optimizer.step(treeOf(device, valuesAt(step)), 0.1);
  }
  assert.equal(device.stats.liveBytes, held);
  for (const values of await device.read(moments)) assert.ok(values.every((x) => x !== 0));
  optimizer.dispose();
  for (const values of await device.read(treeLeaves(params))) assert.ok(values.every(isFinite));
  const late = device.arena();
  assert.throws(
    () => optimizer.step(treeOf(device, valuesAt(1)), 0.1),
    DisposedError,
  );
  late[Symbol.dispose]();
  for (const tensor of treeLeaves(params)) tensor.dispose();
  assert.equal(device.stats.liveBytes, before);
});

/** Gradients that share memory, are read where others are written, are inputs, or are nobody's. */
onEachDevice("adamw: gradients of every kind, captured and eager", async (device) => {
  type Odd = Record<"a" | "b" | "start" | "w" | "unused", Tensor>;
  const loss = valueAndGrad((p: Odd, x: Tensor) => {
    const hidden = add(p.start, linear(x, p.w)); // d start is read for d w
    return sum(mul(add(p.a, p.b), sum(square(hidden), 1))); // d a and d b are one tensor
  });
  const x = normal(keyOf(1), 6).map(Math.fround);
  const run = async (captured: boolean): Promise<unknown> => {
    using _scope = device.arena();
    const shapes = { a: [3], b: [3], start: [3, 5], w: [5, 2], unused: [7] };
    const params = Object.fromEntries(
      Object.entries(shapes).map(([key, shape], i) => [
        key,
        device.tensor(normal(foldIn(keyOf(2), i), sizeOf(shape)), shape),
      ]),
    ) as Odd;
    using optimizer = new AdamW(params, { clipNorm: 1 });
    const body = ({ x }: Record<"x", Tensor>): { norm: Tensor } =>
      optimizer.step(loss(params, x).grads, 0.1);
    using step = capture(device, body);
    const norms: number[] = [];
    for (let t = 1; t <= 5; t++) {
      using _scope = device.arena();
      const data = x.map((v) => v * t);
      const { norm } = captured
        ? step({ x: { data, shape: [3, 2] } })
        : body({ x: device.tensor(data, [3, 2]) });
      norms.push(await norm.item());
    }
    return [norms, await device.read([...treeLeaves(params), ...treeLeaves(optimizer.v)])];
  };
  assert.deepEqual(await run(true), await run(false));
});

onEachDevice("adamw: a captured step takes three launches and no memory", async (device) => {
  const params = treeOf(device, valuesAt(0));
  using optimizer = new AdamW(params);
  using step = capture(device, ({ lr }: { lr: Tensor }) => {
    const grads = mapTree(params, (t) => mul(t, 2));
    return optimizer.step(grads as Params, lr);
  });
  const inputs = { lr: { data: Float64Array.of(0.01), shape: [] } };
  step(inputs);
  const before = { ...device.stats };
  for (let i = 0; i < 100; i++) step(inputs);
  await step(inputs).norm.item();
  const { launches, liveBytes, heldBytes } = device.stats;
  assert.equal((launches - before.launches) / 101, 4 + 3); // a product each
  assert.equal(liveBytes, before.liveBytes);
  if (device.kind === "cpu") assert.equal(heldBytes, before.heldBytes);
});

test("adamw: parameters that were captured before move and are found", async () => {
  const device = cpu();
  const params = { w: device.tensor([1, 2, 3]) };
  using evaluate = capture(device, () => ({ total: sum(params.w) }));
  assert.equal(await evaluate({}).total.item(), 6);
  const optimizer = new AdamW(params, { weightDecay: 0 });
  optimizer.step({ w: device.tensor([1, 1, 1]) }, 0.5);
  assert.ok(Math.abs(await evaluate({}).total.item() - 4.5) < 1e-5);
});

test("adamw: a parameter belongs to the optimiser that was made last", async () => {
  const device = cpu();
  const params = { w: device.tensor([1, 2, 3]), v: device.tensor([4]) };
  const grads = { w: device.tensor([1, 1, 1]), v: device.tensor([1]) };
  const first = new AdamW(params);
  const second = new AdamW({ w: params.w });
  assert.throws(() => first.step(grads, 0.5), {
    name: "DisposedError",
    message: "Cannot apply AdamW to a tensor of shape (128) from pack: it must be alive, " +
      "but its tensors were packed again",
  });
  second.step({ w: grads.w }, 0.5);
  assert.ok(distance([await params.w.data()], [[0.5, 1.5, 2.5]]) < 1e-6);
  assert.deepEqual([...await params.v.data()], [4]);
});

test("adamw: what it refuses", () => {
  const params = treeOf(float64, valuesAt(0));
  const optimizer = new AdamW(params);
  assert.throws(() => optimizer.step(params, float64.tensor([1, 2])), {
    name: ShapeError.name,
    message: "Cannot apply AdamW: lr must have one element, got (2)",
  });
  assert.throws(() => optimizer.step(params, NaN), {
    name: ArgumentError.name,
    message: "Cannot apply AdamW: lr must be a finite number, got NaN",
  });
  const wrong = { ...params, bias: float64.tensor([1, 2]) };
  assert.throws(() => optimizer.step(wrong, 0.1), {
    name: ShapeError.name,
    message: "Cannot apply AdamW: the gradient of bias must be of shape (), got bias (2)",
  });
  const { bias: _bias, ...fewer } = params;
  assert.throws(() => optimizer.step(fewer as Params, 0.1), /of bias must .* got none/);
  assert.throws(() => new AdamW([]), ArgumentError);
  const before = float64.stats.liveBytes;
  const shared = [params.bias, params.bias];
  assert.throws(() => new AdamW(shared), /no other may share its memory/);
  assert.throws(
    () => capture(float64, () => new AdamW([params.bias]).m)({}),
    /^CaptureError: Cannot pack tensors inside a captured step/,
  );
  assert.equal(float64.stats.liveBytes, before, "a refused optimiser gives its memory back");
  optimizer.step(params, 0.1);
  assert.throws(() => new AdamW(params, { clipNorm: 0 }), ArgumentError);
  assert.throws(() => new AdamW(params, { betas: [0.9, 1] }), /betas must be in \[0, 1\), got 1/);
  const wrongOptions = [
    ...[[0.9], [], null, 0.9, ["0.9", 0.99], [0.9, 0.99, 0.999]].map((betas) => ({ betas })),
    ...[NaN, Infinity, "1", null, -1].flatMap((x) => [{ weightDecay: x }, { eps: x }]),
    ...[{ decays: true }, { clipNorm: "1" }, { clipNorm: NaN }],
  ];
  for (const options of wrongOptions) {
    assert.throws(() => new AdamW(params, options as AdamWOptions), ArgumentError);
  }
});

/**
 * So they have the same bits in every runtime, which `**` has not: beta^2t is (beta^2)^t to the
 * last bit.
 */
test("adamw: powers of betas are made of products", () => {
  for (const beta of [0.9, 0.98, 0.999, 0.9999]) {
    for (let t = 1; t < 2000; t++) {
      const even = power(beta, 2 * t);
      assert.equal(even, power(beta * beta, t), `${beta}, step ${t}`);
      assert.ok(Math.abs(even - beta ** (2 * t)) < 1e-12);
    }
  }
});
