/** Running kernels for the first rows only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { leadingRows } from "../../core/device.ts";
import type { HostTensor } from "../../core/capture.ts";
import type { Tensor } from "../../core/tensor.ts";
import { linear } from "../../ops/matmul.ts";
import { rmsNorm } from "../../ops/rms_norm.ts";
import { testDevices } from "../devices.ts";

for (const { name, skip, open } of testDevices) {
  test(`leading on ${name}: the first rows are as without it, however many`, { skip }, async () => {
    const device = await open();
    using _scope = device.arena();
    const weights = device.tensor([[1, 2], [3, 4], [5, 6]]); // (out 3, in 2)
    const scale = device.tensor([1, 2, 3]);
    const layer = (x: Tensor): Tensor => rmsNorm(linear(x, weights), scale, 1e-5);
    using step = capture(device, ({ x, count }: { x: Tensor; count: Tensor }) => ({
      all: layer(x),
      some: leadingRows(count, 4, () => layer(x)),
    }));
    const rows = (shift: number): HostTensor => ({
      data: Float32Array.from({ length: 8 }, (_, i) => Math.sin(i + shift)),
      shape: [4, 2],
    });
    for (const [shift, count] of [[0, 4], [1, 0], [2, 3], [3, 1], [4, 4], [5, 9]]) {
      const { all, some } = step({
        x: rows(shift),
        count: { data: Int32Array.of(count), shape: [1] },
      });
      const [whole, leading] = await device.read([all, some]);
      assert.deepEqual(leading.slice(0, 3 * count), whole.slice(0, 3 * count));
    }
    assert.equal(step.programs, 1);
  });
}

for (const { name, open } of testDevices.filter((d) => d.name.startsWith("cpu"))) {
  test(`leading on ${name}: the other rows are left alone`, async () => {
    const device = await open();
    using _scope = device.arena();
    const weights = device.tensor([[1, 2], [3, 4]]);
    using step = capture(device, ({ x, count }: { x: Tensor; count: Tensor }) => ({
      out: leadingRows(count, 3, () => linear(x, weights)),
    }));
    const run = (value: number, count: number): Tensor =>
      step({
        x: { data: new Float32Array(6).fill(value), shape: [3, 2] },
        count: { data: Int32Array.of(count), shape: [1] },
      }).out;
    assert.deepEqual([...await run(1, 3).data()], [3, 7, 3, 7, 3, 7]);
    assert.deepEqual([...await run(2, 2).data()], [6, 14, 6, 14, 3, 7]);
    assert.deepEqual([...await run(3, 0).data()], [6, 14, 6, 14, 3, 7]);
  });
}
