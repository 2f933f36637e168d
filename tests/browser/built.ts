/** The package, bundled and minified as a page has it: its threads, too, must work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

test("mod.ts bundled and minified: a gradient, on one thread and on two", async () => {
  const url = new URL("mod.js", location.href).href;
  const { cpu, matmul, sum, valueAndGrad } = await import(url) as typeof import("../../mod.ts");
  const gradient = async (device: ReturnType<typeof cpu>): Promise<Float32Array> => {
    using _scope = device.arena();
    const data = Float32Array.from({ length: 160 * 160 }, (_, i) => Math.sin(i));
    const x = device.tensor(data, [160, 160]);
    return await valueAndGrad((w: typeof x) => sum(matmul(x, w)))(x).grads.data() as Float32Array;
  };
  const device = cpu({ threads: 2, Worker });
  for (let i = 0; i < 200 && device.stats.sharedLaunches === 0; i++) {
    await gradient(device);
    await setTimeout(10);
  }
  assert.ok(device.stats.sharedLaunches > 0);
  assert.deepEqual(await gradient(device), await gradient(cpu()));
  device.dispose();
});
