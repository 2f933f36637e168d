/**
 * Opening devices in a page and in a worker of a page, with and without cross-origin isolation, and
 * where the content security policy allows no worker of a `blob:` URL.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { cpu } from "../../core/cpu_backend.ts";
import { DeviceError } from "../../core/errors.ts";
import type { Device } from "../../core/tensor.ts";
import { openDevice } from "../../lab/devices.ts";
import { sample } from "../../ops/cases.ts";
import { matmul } from "../../ops/matmul.ts";
import { testDevices } from "../devices.ts";

/** The first folder of the address says which headers the server sends. */
const headers = location.pathname.split("/")[1];
const where = `in ${"document" in globalThis ? "a page" : "a worker"}, ${headers}`;
const { gc } = globalThis as { gc?: () => void };
const webgpuSkip = testDevices[2].skip;

/** A matrix product that is large enough to be shared. */
async function product(device: Device): Promise<number[]> {
  using _scope = device.arena();
  return [...await matmul(sample(device, [160, 96], 1), sample(device, [96, 200], 2)).data()];
}

/** Works until the threads share it, and returns the last product. */
async function whenShared(device: Device): Promise<number[]> {
  for (let i = 0; i < 200 && device.stats.sharedLaunches === 0; i++) {
    await product(device);
    await setTimeout(10);
  }
  return product(device);
}

test(`openDevice: cpu ${where}`, async () => {
  const notes: string[] = [];
  const device = await openDevice("cpu", 3, (note) => notes.push(note));
  const expected = await product(cpu());
  if (headers === "isolated") {
    assert.equal(device.adapter, "WebAssembly SIMD, 3 threads");
    assert.deepEqual(await whenShared(device), expected);
    assert.ok(device.stats.sharedLaunches >= 2, "the threads share the work");
    assert.deepEqual(notes, []);
  } else if (headers === "plain") {
    assert.equal(device.adapter, "WebAssembly SIMD");
    assert.deepEqual(await product(device), expected);
    assert.deepEqual(notes, [
      "The cpu device continues with 1 of 3 threads: the page is not cross-origin isolated",
    ]);
  } else {
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(await product(device), expected);
      await setTimeout(20);
    }
    assert.equal(device.stats.sharedLaunches, 0);
    assert.match(notes.at(-1) ?? "", /^The cpu device continues with 1 of 3 threads: /);
  }
  device.dispose();
});

test(`openDevice: auto ${where}`, async () => {
  const hardware = webgpuSkip === false && !(await openDevice("webgpu")).software;
  const device = await openDevice("auto", 1);
  assert.equal(device.kind, hardware ? "webgpu" : "cpu");
  device.dispose();
});

test(`openDevice: webgpu ${where}`, async () => {
  if (webgpuSkip !== false) return assert.rejects(openDevice("webgpu"), DeviceError);
  const device = await openDevice("webgpu");
  const [actual, expected] = [await product(device), await product(cpu())];
  assert.ok(actual.every((x, i) => Math.abs(x - expected[i]) < 1e-4));
  device.dispose();
});

// The runner sees that the workers of this device end, too.
test(`threads: a device that is forgotten ${where}`, {
  skip: headers !== "isolated" ? "there are no threads" : !gc && "gc() is missing",
}, async () => {
  await whenShared(cpu({ threads: 2, Worker }));
  await setTimeout(10); // nothing on the stack holds it any more
  gc?.();
});
