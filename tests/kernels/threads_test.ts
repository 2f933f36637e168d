/** The threads of the cpu device: that sharing a kernel's items changes no bit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { cpu } from "../../core/cpu_backend.ts";
import type { Device } from "../../core/device.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { Kernel } from "../../core/kernel.ts";
import { kernels } from "../../kernels/index.ts";
import { check } from "./harness.ts";

const alone = cpu({ threads: 1 });
const shared = cpu({ threads: 3, Worker });

/** The kernel, with work enough to be shared. */
function busy(kernel: Kernel): Kernel {
  return { ...kernel, wasm: kernel.wasm && { ...kernel.wasm, work: () => Infinity } };
}

/** Launches until the workers are up. */
async function warmUp(device: Device, kernel: Kernel): Promise<void> {
  const [kase] = kernel.cases();
  for (let i = 0; i < 100 && device.stats.sharedLaunches === 0; i++) {
    await check(busy(kernel), kase, device);
    await setTimeout(50);
  }
}

for (const kernel of kernels) {
  if (!kernel.wasm) continue;
  test(`threads: ${kernel.name} has the same bits however its items are shared`, {
    timeout: 60000,
  }, async () => {
    await warmUp(shared, kernel);
    for (const kase of kernel.cases()) {
      const expected = await check(busy(kernel), kase, alone);
      const before = shared.stats.sharedLaunches;
      assert.deepEqual(await check(busy(kernel), kase, shared), expected, kase.name);
      assert.ok(shared.stats.sharedLaunches > before, "it must have been shared");
    }
  });
}

test("threads: a device alone shares nothing", () => {
  assert.equal(alone.stats.sharedLaunches, 0);
});

test("threads: their number must be a positive integer", () => {
  for (const threads of [0, -1, 1.5, NaN]) {
    assert.throws(
      () => cpu({ threads, Worker }),
      (error) => error instanceof ArgumentError && error.message.includes(`got ${threads}`),
    );
  }
  assert.throws(() => cpu({ threads: 2 }), ArgumentError);
});
