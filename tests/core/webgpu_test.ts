/** What only the webgpu device has: adapters, errors of commands, and the reuse of buffers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { capture } from "../../core/capture.ts";
import { DeviceError } from "../../core/errors.ts";
import { defineKernel, MAX_GROUPS_X } from "../../core/kernel.ts";
import { collect, pack } from "../../core/pack.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { webgpu } from "../../core/webgpu.ts";
import { sizeClass } from "../../core/webgpu_pool.ts";
import { openDevice } from "../../lab/devices.ts";
import { testDevices } from "../devices.ts";
import { addInto, affine, mulSame } from "./harness.ts";

const { skip } = testDevices[2];

/** A kernel of one buffer whose WGSL is `body`. */
function kernelOf(name: string, body: string, groups = 1): ReturnType<typeof defineKernel> {
  return defineKernel({
    name,
    buffers: { x: "update float" },
    params: {},
    cpu(): void {},
    grid: () => [groups, 1, 1],
    wgsl: body,
    cases: () => [],
  }) as unknown as ReturnType<typeof defineKernel>;
}

/** Tests `body` on a webgpu device of its own. */
function testOnDevice(title: string, body: (device: Device) => Promise<void> | void): void {
  test(`webgpu: ${title}`, { skip }, async () => {
    const device = await openDevice("webgpu");
    try {
      await body(device);
    } finally {
      device.dispose();
    }
  });
}

/** Collects garbage: in Bun by its own function, elsewhere by V8's. */
function collectGarbage(): void {
  const { Bun } = globalThis as unknown as { Bun?: { gc(now: boolean): void } };
  if (Bun) return Bun.gc(true);
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** The runtime's WebGPU, whose devices `watch` sees first. */
function watched(watch: (opened: GPUDevice) => void): GPU {
  return {
    requestAdapter: async (options: GPURequestAdapterOptions) => {
      const adapter = await navigator.gpu.requestAdapter(options) as GPUAdapter;
      const requestDevice = async (descriptor: GPUDeviceDescriptor): Promise<GPUDevice> => {
        const opened = await adapter.requestDevice(descriptor);
        watch(opened);
        return opened;
      };
      const { info, limits, features } = adapter;
      return { info, limits, features, requestDevice };
    },
  } as unknown as GPU;
}

test("webgpu: a missing adapter is an error", async () => {
  const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await assert.rejects(webgpu(none), {
    name: "DeviceError",
    message: "Cannot open a webgpu device: an adapter must be present, got none",
  });
  await assert.rejects(webgpu(undefined), DeviceError);
});

test("webgpu: a software adapter must be allowed", async () => {
  const info = { vendor: "", architecture: "", device: "", description: "llvmpipe 25" };
  const requestDevice = () => Promise.reject(new Error("reached"));
  const adapter = { info, limits: {}, features: new Set(), requestDevice };
  const gpu = { requestAdapter: () => Promise.resolve(adapter) } as unknown as GPU;
  await assert.rejects(webgpu(gpu), {
    name: "DeviceError",
    message: "Cannot open a webgpu device: without allowSoftware the adapter must be hardware, " +
      "got llvmpipe 25",
  });
  await assert.rejects(webgpu(gpu, { allowSoftware: true }), /reached/);
  info.description = "A real one";
  await assert.rejects(webgpu(gpu), /reached/);
  Object.assign(info, { isFallbackAdapter: true });
  await assert.rejects(webgpu(gpu), DeviceError);
});

testOnDevice("an error of compilation names the kernel, once", async (device) => {
  const x = device.tensor([1]);
  const broken = kernelOf("brokenOne", "@compute @workgroup_size(1) fn main() { x[0] = 1u; }");
  for (let time = 0; time < 2; time++) {
    device.run(broken, { x }, {});
    const message = /^Cannot compile kernel brokenOne: its WGSL must be valid, got: .+$/;
    await assert.rejects(x.data(), { name: "DeviceError", message });
    assert.deepEqual([...await affine(x, 3).data()], [3]);
  }
  const step = capture(device, (inputs: { y: Tensor }) => {
    device.run(broken, { x: inputs.y }, {});
    return inputs.y;
  });
  const out = step({ y: { data: Float32Array.of(1), shape: [1] } });
  await assert.rejects(out.data(), /^DeviceError: Cannot compile kernel brokenOne/);
});

testOnDevice("a launch after one that failed reports it", async (device) => {
  const x = device.tensor([1]);
  device.run(kernelOf("brokenTwo", "@compute @workgroup_size(1) fn main() { y; }"), { x }, {});
  await assert.rejects(async () => {
    for (let i = 0; i < 1000; i++) {
      affine(x, 1).dispose();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }, /^DeviceError: .*brokenTwo/);
});

testOnDevice("a refused command rejects the next read-back", async (device) => {
  const x = device.tensor([1, 2]);
  const both = defineKernel({
    name: "aliased",
    buffers: { x: "read float", out: "write float" },
    params: {},
    cpu(): void {},
    invocations: () => 1,
    wgsl: "fn kernel(i: u32) { out[i] = x[i]; }",
    cases: () => [],
  });
  device.run(both, { x, out: x }, {});
  await assert.rejects(x.data(), {
    name: "DeviceError",
    message: /^Cannot use the webgpu device: its commands must be valid, got: .+$/,
  });
  assert.deepEqual([...await x.data()], [1, 2]);
});

testOnDevice("what exceeds the adapter is refused at once", (device) => {
  assert.throws(() => device.empty([2 ** 40]), {
    name: "DeviceError",
    message: /^Cannot allocate 4398046511104 bytes on the webgpu device: a buffer has at most/,
  });
  const x = device.tensor([1]);
  const wide = kernelOf("wide", "@compute @workgroup_size(1) fn main() {}", 1e6);
  const message =
    /^Cannot run wide: this adapter allows \d+ workgroups along an axis, got \(1000000, 1, 1\)$/;
  assert.throws(() => device.run(wide, { x }, {}), { name: "DeviceError", message });
  const { liveBytes } = device.stats;
  const step = capture(device, ({ y }: { y: Tensor }) => (device.run(wide, { x: y }, {}), y));
  const inputs = { y: { data: Float32Array.of(1), shape: [1] } };
  assert.throws(() => step(inputs), { name: "DeviceError", message });
  assert.equal(device.stats.liveBytes, liveBytes, "a failed capture frees its memory");
});

test("webgpu: an out-of-memory error counts what is alive", { skip }, async () => {
  const handlers: ((event: unknown) => void)[] = [];
  const device = await webgpu(
    watched((opened) => {
      const add = (_type: string, handler: (event: unknown) => void): number =>
        handlers.push(handler);
      Object.defineProperty(opened, "addEventListener", { value: add });
    }),
    { allowSoftware: true },
  );
  const x = device.tensor([1]);
  class GPUOutOfMemoryError extends Error {}
  const error = new GPUOutOfMemoryError("no room");
  for (const handler of handlers) handler({ error, preventDefault: () => {} });
  await assert.rejects(x.data(), {
    name: "DeviceError",
    message: "Cannot allocate on the webgpu device: it must have memory left, got: no room" +
      "; tensors alive: 1 (1 from device.tensor)" +
      "; those made below `using scope = device.arena()` are freed at the end of its block",
  });
  device.dispose();
});

test("webgpu: an unreachable device is destroyed after its read-back", { skip }, async () => {
  let destroyed = 0;
  const open = (): Promise<Device> =>
    webgpu(watched((opened) => Object.assign(opened, { destroy: () => destroyed++ })), {
      allowSoftware: true,
    });
  const kept = await open();
  const pending = open().then((device) => affine(device.tensor([1, 2]), 3).data());
  assert.deepEqual([...await pending], [3, 6]);
  for (let i = 0; i < 100 && destroyed === 0; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(destroyed, 1);
  kept.dispose();
  assert.equal(destroyed, 2);
});

testOnDevice("refuses too much workgroup memory and too many buffers", (device) => {
  const x = device.tensor([1]);
  const large = kernelOf(
    "large",
    `var<workgroup> a: array<array<vec4f, 4096>, 1024>;
@compute @workgroup_size(1) fn main() { a[0][0] = vec4f(x[0]); x[0] = a[0][0].x; }`,
  );
  const message =
    /^Cannot run large: this adapter allows \d+ bytes of workgroup memory, got 67108864$/;
  assert.throws(() => device.run(large, { x }, {}), { name: "DeviceError", message });
  const step = capture(device, ({ y }: { y: Tensor }) => (device.run(large, { x: y }, {}), y));
  const inputs = { y: { data: Float32Array.of(1), shape: [1] } };
  assert.throws(() => step(inputs), { name: "DeviceError", message });
  const { heldBytes } = device.stats;
  assert.throws(() => step(inputs), { name: "DeviceError", message });
  assert.equal(device.stats.heldBytes, heldBytes, "nothing is left behind");
  const names = Array.from({ length: 1000 }, (_, i) => `x${i}`);
  const many = defineKernel({
    name: "many",
    buffers: Object.fromEntries(names.map((n) => [n, "read float" as const])),
    params: {},
    cpu(): void {},
    invocations: () => 1,
    wgsl: "fn kernel(i: u32) {}",
    cases: () => [],
  });
  const buffers = Object.fromEntries(names.map((n) => [n, x]));
  assert.throws(() => device.run(many, buffers, {}), {
    name: "DeviceError",
    message: /^Cannot run many: this adapter allows \d+ buffers, got 1000$/,
  });
});

test("webgpu: a disposed device says so", { skip }, async () => {
  const device = await openDevice("webgpu");
  const scope = device.arena();
  const x = device.tensor([1]);
  const pending = affine(x, 2).data();
  device.dispose();
  const gone = {
    name: "DeviceError",
    message: "Cannot use the webgpu device: it must be open, but it was disposed",
  };
  await assert.rejects(pending, gone);
  assert.throws(() => device.tensor([1]), gone);
  assert.throws(() => device.write(x, Float32Array.of(1)), gone);
  await assert.rejects(x.data(), gone);
  scope[Symbol.dispose]();
  assert.equal(device.stats.heldBytes, 0);
});

testOnDevice("launches and a read-back are one submission", async (device) => {
  const x = device.tensor([1, 2, 3]);
  const before = { ...device.stats };
  let y = x;
  for (let i = 0; i < 100; i++) y = affine(y, 1, 1);
  device.tensor([9]); // a new buffer: nothing pending uses it
  assert.equal(device.stats.submits, before.submits);
  assert.deepEqual((await device.read([y, x])).map((a) => a[0]), [101, 1]);
  assert.equal(device.stats.launches - before.launches, 100);
  assert.equal(device.stats.submits - before.submits, 1);
  assert.equal(device.stats.downloads - before.downloads, 1);
});

testOnDevice("more launches than the parameter ring holds", async (device) => {
  const x = device.tensor([0]);
  const outs = Array.from({ length: 600 }, (_, i) => affine(x, 1, i));
  const values = await device.read(outs);
  assert.deepEqual(values.map((v) => v[0]), outs.map((_, i) => i));
});

testOnDevice("more invocations than a row of workgroups holds", async (device) => {
  const n = 64 * MAX_GROUPS_X + 3;
  const values = await affine(device.tensor(new Float32Array(n).fill(1)), 2).data();
  assert.ok(values.every((v) => v === 2));
});

testOnDevice("captured steps survive that idle buffers are destroyed", async (device) => {
  const n = 2 ** 22; // 16 MiB
  const weights = device.tensor([2]);
  const step = capture(device, ({ x }: { x: Tensor }) => affine(affine(x, 3), 1, 1));
  const inputs = { x: { data: Float32Array.of(1), shape: [1] } };
  step(inputs);
  {
    using _scope = device.arena();
    affine(device.empty([n]), 1); // still pending when its memory is destroyed
    for (let i = 0; i < 6; i++) device.empty([n]);
  }
  const { heldBytes } = device.stats;
  const out = affine(weights, 5, 1);
  using big = device.empty([n + 1]);
  assert.ok(device.stats.heldBytes < heldBytes / 2, `${device.stats.heldBytes} of ${heldBytes}`);
  assert.equal(big.size, n + 1);
  assert.equal(await out.item(), 11);
  assert.equal(await step(inputs).item(), 4);
  assert.equal(await affine(weights, 5, 1).item(), 11);
});

test("webgpu: a replay is one submission, and equal steps make no objects", { skip }, async () => {
  const made: string[] = [];
  const counting = watched((opened) => {
    for (const name of ["createBuffer", "createBindGroup", "createComputePipeline"] as const) {
      const create = opened[name].bind(opened) as (descriptor: unknown) => unknown;
      const value = (descriptor: unknown): unknown => (made.push(name), create(descriptor));
      Object.defineProperty(opened, name, { value });
    }
  });
  const device = await webgpu(counting, { allowSoftware: true });
  const weights = device.tensor([1, 2, 3]);
  pack([weights, device.tensor([4])]);
  const step = capture(device, ({ x }: { x: Tensor }) => {
    const y = affine(mulSame(x, weights), 2);
    addInto(weights, 1);
    return { all: collect([y, affine(y, 1, 1), x]) };
  });
  const inputs = { x: { data: Float32Array.of(1, 2, 3), shape: [3] } };
  assert.equal((await step(inputs).all.data())[0], 2);
  assert.ok(made.includes("createBuffer") && made.includes("createBindGroup"));
  const eager = (): void => {
    using _scope = device.arena();
    affine(mulSame(affine(weights, 2), weights), 3);
  };
  eager();
  made.length = 0;
  for (let i = 0; i < 5; i++) eager(); // finds the same buffers, so the same bind groups
  const { submits } = device.stats;
  for (let i = 0; i < 100; i++) step(inputs);
  assert.deepEqual(made, []);
  assert.equal(device.stats.submits - submits, 100);
  assert.equal((await step(inputs).all.data())[0], 204);
  device.dispose();
});

test("webgpu: size classes waste a fifth at most", () => {
  const small = Array.from({ length: 1000 }, (_, i) => 4 * (i + 1));
  const edges = Array.from({ length: 48 }, (_, i) => 2 ** (9 + (i >> 2)) * (1 + (i % 4) / 4));
  for (const bytes of [...small, ...edges.flatMap((edge) => [edge - 4, edge, edge + 4])]) {
    const size = sizeClass(bytes);
    assert.ok(size >= bytes && size % 16 === 0);
    assert.ok(size <= Math.max(256, 1.25 * bytes), `${size} for ${bytes}`);
    assert.equal(sizeClass(size), size);
  }
});
