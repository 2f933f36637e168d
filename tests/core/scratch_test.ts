/** The memory that captured steps share. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/device.ts";
import type { Tensor } from "../../core/tensor.ts";
import { add, mul } from "../../ops/binary.ts";
import { zeros } from "../../ops/fill.ts";
import { sum } from "../../ops/reduce.ts";
import { exp } from "../../ops/unary.ts";
import { testDevices } from "../devices.ts";

/** (n) to a scalar, by way of several intermediates of n elements: sum (2 e^x + x)^2. */
function energy({ x }: { readonly x: Tensor }): { readonly out: Tensor } {
  const y = add(mul(exp(x), 2), x);
  return { out: sum(mul(y, y)) };
}

function expected(n: number, x: number): number {
  return n * (2 * Math.exp(x) + x) ** 2;
}

const filled = (n: number, x: number) => ({
  x: { data: new Float32Array(n).fill(x), shape: [n] },
});

function live(device: Device): number {
  return device.stats.liveBytes;
}

for (const { name, open, skip } of testDevices) {
  test(`scratch: steps of many shapes, in any order, on ${name}`, { skip }, async () => {
    const device = await open();
    const step = capture(device, energy);
    for (const n of [64, 4096, 16, 64, 8192, 4096, 16, 8192, 64]) {
      const { out } = step(filled(n, 0.25));
      const off = Math.abs(await out.item() / expected(n, 0.25) - 1);
      assert.ok(off < 1e-5, `${n}: off by ${off}`);
    }
    step.dispose();
  });
}

test("scratch: a step's outputs outlive the runs of others", async () => {
  const device = cpu({ float: "float64" });
  using step = capture(device, energy);
  const small = step(filled(8, 0)).out;
  const large = step(filled(100_000, 1)).out;
  assert.equal(await small.item(), 32);
  assert.ok(Math.abs(await large.item() / expected(100_000, 1) - 1) < 1e-12);
});

test("scratch: many shapes need little more memory than the largest", () => {
  const device = cpu();
  const before = live(device);
  const sizes = [1, 2, 3, 4, 5, 6, 7, 8].map((k) => k * 100_000);
  using largest = capture(device, energy);
  largest(filled(800_000, 0));
  const one = live(device) - before;
  largest.dispose();
  assert.equal(live(device), before);
  using step = capture(device, energy);
  for (const n of sizes) step(filled(n, 0));
  const inputs = sizes.reduce((total, n) => total + 4 * n, 0);
  const all = live(device) - before;
  assert.ok(
    all <= one - 4 * 800_000 + inputs + 4096,
    `${all} bytes for all, ${one} for the largest`,
  );
});

test("scratch: is given back with the last step, and a step that does not fit leaves the others whole", async () => {
  const device = cpu();
  const before = live(device);
  const step = capture(device, energy);
  step(filled(1000, 0));
  const held = live(device);
  // 4 GiB of intermediates are more than the device has.
  const wide = capture(device, ({ x }: { readonly x: Tensor }) => ({
    out: add(sum(exp(zeros(device, [2 ** 16, 2 ** 14]))), sum(x)),
  }));
  assert.throws(() => wide(filled(4, 0)), /^DeviceError: Cannot allocate/);
  assert.equal(await step(filled(1000, 0)).out.item(), 4000);
  assert.equal(live(device), held);
  step.dispose();
  assert.equal(live(device), before);
});
