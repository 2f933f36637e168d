/** Recording a step, replaying it, and running its kernels for the leading rows only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture, type HostTensor } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import { leadingRows } from "../../core/device.ts";
import { ArgumentError, CaptureError, DisposedError, ShapeError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { mul } from "../../ops/binary.ts";
import { linear } from "../../ops/matmul.ts";
import { rmsNorm } from "../../ops/rms_norm.ts";
import { onEachDevice, testDevices } from "../devices.ts";
import { addInto, affine, mulSame } from "./harness.ts";

/** Host inputs of one name. */
function host(...values: number[]): { x: { data: Float32Array; shape: number[] } } {
  return { x: { data: Float32Array.from(values), shape: [values.length] } };
}

/** Eight kernels in a row. */
function chain(x: Tensor, weights: Tensor): Tensor {
  for (let layer = 0; layer < 4; layer++) x = mulSame(affine(x, 1.1, layer), weights);
  return x;
}

onEachDevice("capture: replays have the bits of eager runs", async (device) => {
  const weights = device.tensor([0.3, -1.7, 2.9]);
  let records = 0;
  using step = capture(device, ({ x }: { x: Tensor }) => {
    records++;
    using _inside = device.arena();
    return { out: _inside.keep(chain(x, weights)), passed: x };
  });
  for (const values of [[1, 2, 3], [-0.1, 0.7, 1e3], [5, 5, 5]]) {
    const { out, passed } = step(host(...values));
    const eager = chain(device.tensor(Float32Array.from(values)), weights);
    const [a, b, c] = await device.read([out, eager, passed]);
    assert.deepEqual(a, b);
    assert.deepEqual([...c], [...Float32Array.from(values)]);
  }
  assert.equal(records, 1);
  assert.equal(step.programs, 1);
});

onEachDevice("capture: other shapes record another program", async (device) => {
  using step = capture(device, ({ x }: { x: Tensor }) => affine(x, 2));
  const outs: number[][] = [];
  for (const values of [[1], [1, 2], [3], [3, 4]]) {
    outs.push([...await step(host(...values)).data()]);
  }
  assert.deepEqual(outs, [[2], [2, 4], [6], [6, 8]]);
  assert.equal(step.programs, 2);
});

onEachDevice("capture: at its limit it drops the least recently used program", async (device) => {
  let records = 0;
  const before = device.stats.liveBytes;
  using step = capture(device, ({ x }: { x: Tensor }) => (records++, affine(x, 2)), {
    programs: 2,
  });
  const [one, two] = [step(host(1)), step(host(1, 2))];
  assert.deepEqual([...await step(host(3)).data()], [6]); // one is now the younger
  const { liveBytes } = device.stats;
  const three = step(host(4, 5, 6));
  assert.deepEqual([step.programs, records], [2, 3]);
  await assert.rejects(two.data(), {
    name: "DisposedError",
    message: /^Cannot read a tensor of shape \(2\) from affine: .* its memory was freed$/,
  });
  assert.deepEqual([...await one.data()], [6]);
  assert.deepEqual([...await three.data()], [8, 10, 12]);
  assert.deepEqual([...await step(host(7, 8)).data()], [14, 16]);
  assert.deepEqual([step.programs, records], [2, 4]);
  for (let n = 1; n <= 50; n++) step(host(...Array(n % 5 + 1).fill(1)));
  assert.ok(device.stats.liveBytes - before <= 2 * (liveBytes - before));
});

onEachDevice("capture: steps and the host write parameters in place", async (device) => {
  const weight = device.tensor([10]);
  using step = capture(device, ({ x }: { x: Tensor }) => {
    const out = mulSame(x, weight);
    addInto(weight, 1);
    return out;
  });
  const outs: number[] = [];
  for (const x of [1, 2, 3]) outs.push(await step(host(x)).item());
  assert.deepEqual(outs, [10, 22, 36]);
  device.write(weight, Float32Array.of(100));
  addInto(weight, 1); // still pending on webgpu when the replay begins
  assert.equal(await step(host(2)).item(), 202);
  assert.equal(await weight.item(), 102);
});

onEachDevice("capture: memory stays flat over 100 replays", async (device) => {
  const weights = device.tensor([1, 1, 1]);
  using step = capture(device, ({ x }: { x: Tensor }) => chain(x, weights));
  await step(host(1, 2, 3)).data();
  const before = { ...device.stats };
  for (let i = 0; i < 100; i++) step(host(i, i, i));
  const after = { ...device.stats };
  assert.equal(after.liveBytes, before.liveBytes);
  assert.equal(after.heldBytes, before.heldBytes);
  assert.equal(after.launches - before.launches, 800);
  assert.equal(after.submits - before.submits, device.kind === "webgpu" ? 100 : 0);
  await weights.data();
});

onEachDevice("capture: intermediates share memory, and all of it is freed", async (device) => {
  const n = 4096;
  const bytes = n * (device.float === "float64" ? 8 : 4);
  const before = device.stats.liveBytes;
  const step = capture(device, ({ x }: { x: Tensor }) => {
    for (let layer = 0; layer < 20; layer++) x = affine(x, 1, 1);
    return x;
  });
  const out = step({ x: { data: new Float32Array(n), shape: [n] } });
  assert.equal((await out.data())[n - 1], 20);
  // The input, the output, and two slots in turn.
  assert.equal(device.stats.liveBytes - before, 4 * bytes);
  out.dispose(); // belongs to the step
  assert.equal((await out.data())[0], 20);
  step.dispose();
  assert.equal(device.stats.liveBytes, before);
  await assert.rejects(out.data(), DisposedError);
});

test("capture: inputs must keep their names and fit their shapes", () => {
  const device = cpu();
  const step = capture(device, (inputs: Record<string, Tensor>) => Object.values(inputs));
  step(host(1));
  assert.throws(() => step({ y: { data: Float32Array.of(1), shape: [1] } }), {
    name: "CaptureError",
    message: "Cannot run a captured step on inputs {y}: they must be those of its first call, {x}",
  });
  assert.throws(() => step({ x: { data: Float32Array.of(1), shape: [2] } }), ShapeError);
  for (const x of [[1, 2], undefined, { data: [1], shape: [1] }, { data: Float32Array.of(1) }]) {
    assert.throws(() => step({ x } as never), {
      name: "ArgumentError",
      message: /^Cannot run a captured step on input x: its (data|shape) must be /,
    });
  }
  const message = (input: unknown): string => {
    try {
      step({ x: input } as never);
    } catch (error) {
      return `${error}`.replace(/.*: its /, "");
    }
    return "none";
  };
  const typed = "must be a Float32Array, a Float64Array or an Int32Array";
  assert.equal(message({ data: Uint8Array.of(1), shape: [1] }), `data ${typed}, got a Uint8Array`);
  assert.equal(
    message({ data: Float32Array.of(1), shape: 1 }),
    "shape must be an array of numbers, got 1",
  );
});

test("capture: a failed first call does not decide the names of the inputs", async () => {
  const device = cpu();
  using step = capture(device, ({ x }: { x: Tensor }) => affine(x, 2));
  assert.throws(() => step({ z: host(1).x } as never), TypeError);
  assert.equal(await step(host(4)).item(), 8);
});

test("capture: an asynchronous step is refused", () => {
  const device = cpu();
  const step = capture(device, (() => Promise.reject(new Error("late"))) as never);
  assert.throws(() => step({}), {
    name: "CaptureError",
    message: "Cannot capture a step: it must be synchronous, got a Promise",
  });
});

test("capture: keeps 64 programs by default; the limit must be a positive integer", () => {
  const device = cpu();
  using step = capture(device, ({ x }: { x: Tensor }) => affine(x, 2));
  for (let n = 1; n <= 70; n++) step(host(...Array(n).fill(1)));
  assert.equal(step.programs, 64);
  for (const programs of [0, 1.5, NaN, -1]) {
    assert.throws(() => capture(device, () => device.empty([1]), { programs }), ArgumentError);
  }
});

test("capture: the host cannot read, write or capture inside a step", () => {
  const device = cpu();
  const outside = device.tensor([1]);
  const { liveBytes } = device.stats;
  const faults: Record<string, (x: Tensor) => unknown> = {
    "read a tensor": (x) => x.data(),
    "write to a tensor": (x) => device.write(x, Float32Array.of(1)),
    "capture a step": () => capture(device, () => outside)({}),
  };
  for (const [action, fault] of Object.entries(faults)) {
    const step = capture(device, ({ x }: { x: Tensor }) => {
      fault(x);
      return x;
    });
    assert.throws(() => step(host(1)), {
      name: "CaptureError",
      message: `Cannot ${action} inside a captured step: ` +
        "a step must be free of reads and writes by the host",
    });
  }
  const step = capture(device, () => (outside.dispose(), outside));
  assert.throws(() => step({}), CaptureError);
  assert.equal(device.stats.liveBytes, liveBytes, "a failed recording frees its memory");
});

test("capture: a failed recording leaves the device as it was", async () => {
  const device = cpu();
  using scope = device.arena();
  let fail = true;
  const step = capture(device, ({ x }: { x: Tensor }) => {
    device.arena();
    if (fail) throw new RangeError("not yet");
    return affine(x, 2);
  });
  assert.throws(() => step(host(1)), RangeError);
  const made = scope.keep(device.tensor([3]));
  fail = false;
  assert.equal(await step(host(4)).item(), 8);
  scope[Symbol.dispose]();
  assert.equal(await made.item(), 3);
});

test("capture: a step whose parameter was freed refuses to run", () => {
  const device = cpu();
  const weights = device.tensor([1, 2]);
  const step = capture(device, ({ x }: { x: Tensor }) => mulSame(x, weights));
  step(host(1, 2));
  weights.dispose();
  assert.throws(() => step(host(1, 2)), {
    name: "DisposedError",
    message:
      "Cannot run a captured step: the tensor from device.tensor that it uses must be alive, " +
      "but its memory was freed",
  });
});

test("capture: intermediates and freed outputs cannot be read", async () => {
  const device = cpu();
  let inside: Tensor | undefined;
  const step = capture(device, ({ x }: { x: Tensor }) => {
    inside = affine(x, 2);
    return affine(inside, 3);
  });
  assert.equal(await step(host(1)).item(), 6);
  await assert.rejects((inside as Tensor).data(), {
    name: "DisposedError",
    message:
      "Cannot read a tensor of shape (1) from affine: it must be an output of the captured " +
      "step, but it is an intermediate whose memory is reused",
  });
  const freed = capture(device, ({ x }: { x: Tensor }) => {
    using _inside = device.arena();
    return affine(x, 2);
  });
  assert.throws(() => freed(host(1)), {
    name: "DisposedError",
    message: "Cannot return a tensor of shape (1) from affine: it must be alive, " +
      "but its memory was freed",
  });
});

test("capture: a recorded step cannot run inside another one", () => {
  const device = cpu();
  const inner = capture(device, () => ({ one: device.empty([1]) }));
  inner({});
  const outer = capture(device, () => ({ two: inner({}).one }));
  assert.throws(() => outer({}), CaptureError);
});

test("capture: a device that the library did not open is refused", () => {
  const step = capture({ ...cpu(), empty: () => {} } as never, () => ({}));
  assert.throws(() => step({}), ArgumentError);
});

onEachDevice("leading rows: they do not depend on how many there are", async (device) => {
  const weights = device.tensor([[1, 2], [3, 4], [5, 6]]); // (out 3, in 2)
  const scale = device.tensor([1, 2, 3]);
  const layer = (x: Tensor): Tensor => rmsNorm(linear(x, weights), scale, 1e-5);
  using step = capture(device, ({ x, count }: { x: Tensor; count: Tensor }) => ({
    ...leadingRows(count, 4, () => ({ some: layer(x), three: linear(weights, x) })),
    all: layer(x),
    threeToo: linear(weights, x),
  }));
  const rows = (shift: number): HostTensor => ({
    data: Float32Array.from({ length: 8 }, (_, i) => Math.sin(i + shift)),
    shape: [4, 2],
  });
  for (const [shift, count] of [[0, 4], [1, 0], [2, 3], [3, 1], [4, 4], [5, 9]]) {
    const { all, some, three, threeToo } = step({
      x: rows(shift),
      count: { data: Int32Array.of(count), shape: [1] },
    });
    const [whole, leading, a, b] = await device.read([all, some, three, threeToo]);
    assert.deepEqual(leading.slice(0, 3 * count), whole.slice(0, 3 * count));
    assert.deepEqual(a, b); // 3 rows are not 4: all of them
  }
  assert.equal(step.programs, 1);
});

const cpus = testDevices.filter(({ name }) => name.startsWith("cpu"));

onEachDevice("leading rows: the other rows are left alone", async (device) => {
  const weights = device.tensor([[1, 2], [3, 4]]);
  using step = capture(device, ({ x, count }: { x: Tensor; count: Tensor }) => ({
    out: leadingRows(mul(count, 1), 3, () => {
      leadingRows(count, 1, () => linear(x, weights)); // does not write over the product
      return linear(x, weights);
    }),
  }));
  const run = (value: number, count: number): Tensor =>
    step({
      x: { data: new Float32Array(6).fill(value), shape: [3, 2] },
      count: { data: Int32Array.of(count), shape: [1] },
    }).out;
  assert.deepEqual([...await run(1, 3).data()], [3, 7, 3, 7, 3, 7]);
  assert.deepEqual([...await run(2, 2).data()], [6, 14, 6, 14, 3, 7]);
  assert.deepEqual([...await run(3, 0).data()], [6, 14, 6, 14, 3, 7]);
}, cpus);
