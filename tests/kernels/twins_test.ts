/** Every kernel against its float64 twin, on every device, on every case that it registers. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/device.ts";
import type { TypedArray } from "../../core/dtype.ts";
import type { Kernel, KernelCase } from "../../core/kernel.ts";
import type { Tensor } from "../../core/tensor.ts";
import { kernels } from "../../kernels/index.ts";
import { testDevices } from "../devices.ts";

/** Write buffers begin with this, so that an element that nobody writes shows. */
const GARBAGE = -12345;

/** What the buffers of a case hold before the kernel runs. */
function contents(kernel: Kernel, { buffers }: KernelCase): Map<string, Float64Array | Int32Array> {
  return new Map(
    Object.entries(kernel.buffers).map(([name, use]) => {
      const given = buffers[name];
      const ArrayType = use.endsWith("int") ? Int32Array : Float64Array;
      return [
        name,
        typeof given === "number"
          ? new ArrayType(given).fill(GARBAGE)
          : ArrayType.from(given as ArrayLike<number>),
      ];
    }),
  );
}

/** Rounds the floats to what the device can hold, so that both sides start from the same numbers. */
function rounded(device: Device, array: Float64Array | Int32Array): Float64Array | Int32Array {
  if (array instanceof Int32Array || device.float === "float64") return array;
  return Float64Array.from(array, Math.fround);
}

function compare(actual: TypedArray, expected: TypedArray, tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i], expected[i]];
    const close = Object.is(a, b) || Math.abs(a - b) <= tolerance * (1 + Math.abs(b));
    assert.ok(close, `${what}[${i}] is ${a}, the twin has ${b}`);
  }
}

async function check(kernel: Kernel, kase: KernelCase, device: Device): Promise<void> {
  using _scope = device.arena();
  const tensors: Record<string, Tensor> = {};
  const twin: Record<string, Float64Array | Int32Array> = {};
  for (const [name, array] of contents(kernel, kase)) {
    twin[name] = rounded(device, array);
    tensors[name] = device.tensor(twin[name]);
  }
  device.run(kernel, tensors, kase.params);
  const names = Object.keys(kernel.buffers);
  const results = await device.read(names.map((name) => tensors[name]));
  kernel.cpu(twin as never, kase.params);
  names.forEach((name, i) => {
    const exact = twin[name] instanceof Int32Array || kernel.buffers[name].startsWith("read");
    const tolerance = device.float === "float64" ? 1e-12 : kernel.tolerance ?? 1e-5;
    const what = `${kernel.name} on ${device.kind}, "${kase.name}": ${name}`;
    compare(results[i], twin[name], exact ? 0 : tolerance, what);
  });
}

const withoutWasm = cpu({ wasm: false });
const plainDevice = {
  name: "cpu float32 without WebAssembly",
  skip: false as const,
  open: () => Promise.resolve(withoutWasm),
};

for (const kernel of kernels) {
  const devices = kernel.wasm ? [...testDevices, plainDevice] : testDevices;
  for (const { name, skip, open } of devices) {
    test(`twin: ${kernel.name} on ${name}`, { skip }, async () => {
      const device = await open();
      for (const kase of kernel.cases()) await check(kernel, kase, device);
    });
  }
}

test("kernels: names are unique, and each has a case, at most 8 buffers and one way to be launched", () => {
  assert.equal(new Set(kernels.map((k) => k.name)).size, kernels.length);
  for (const kernel of kernels) {
    assert.ok(kernel.cases().length >= 1, kernel.name);
    assert.ok(Object.keys(kernel.buffers).length <= 8, kernel.name);
    assert.notEqual(kernel.invocations === undefined, kernel.grid === undefined, kernel.name);
  }
});

test("kernels: every file of the room that defines kernels is listed in its index", () => {
  const index = readFileSync("kernels/index.ts", "utf8");
  const files = readdirSync("kernels").filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .filter((file) => /\bdefineKernel\(/.test(readFileSync(`kernels/${file}`, "utf8")));
  assert.ok(files.includes("rms_norm.ts"));
  for (const file of files) assert.ok(index.includes(`"./${file}"`), `${file} is not listed`);
});
