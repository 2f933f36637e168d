/** Lifetimes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { capture } from "../../core/capture.ts";
import { cpu } from "../../core/cpu_backend.ts";
import type { Tensor } from "../../core/tensor.ts";
import { testDevices } from "../devices.ts";
import { affine, mulSame } from "./affine.ts";

test("arena: what is born inside is freed when it closes, and says what it was when touched", async () => {
  const device = cpu();
  const outside = device.tensor([1]);
  let born: Tensor;
  {
    using _scope = device.arena();
    born = affine(outside, 2);
  }
  assert.deepEqual([...await outside.data()], [1]);
  const expected = {
    name: "DisposedError",
    message: "Cannot read a tensor of shape (1) from affine: it must be alive, " +
      "but its memory was freed",
  };
  await assert.rejects(born.data(), expected);
  await assert.rejects(device.read([outside, born]), expected);
  assert.throws(
    () => affine(born, 2),
    /^DisposedError: Cannot run affine on a tensor of shape \(1\) from affine/,
  );
  assert.throws(
    () => device.write(born, Float32Array.of(1)),
    /Cannot write to a tensor of shape \(1\) from affine/,
  );
});

test("arena: out of memory on the cpu, the error counts what is alive and names arenas", () => {
  const device = cpu();
  const x = device.tensor([1, 2]);
  for (let i = 0; i < 5; i++) affine(x, i);
  {
    using _scope = device.arena();
    for (let i = 0; i < 9; i++) device.empty([2], "int32", "freed before");
  }
  mulSame(x, x);
  using _step = capture(device, ({ y }: { y: Tensor }) => affine(affine(y, 1), 2));
  _step({ y: { data: Float32Array.of(1), shape: [1] } });
  assert.throws(() => device.empty([2 ** 30]), {
    name: "DeviceError",
    message:
      /^Cannot allocate 4294967296 bytes on the cpu device: at most 4294967296 fit, and \d+ are in use; tensors alive: 7 \(5 from affine, 1 from device.tensor, 1 from mulSame\); those made below `using scope = device.arena\(\)` are freed at the end of its block$/,
  });
});

test("arena: kept tensors move one arena out, and out of the outermost to nobody", async () => {
  const device = cpu();
  let kept: Tensor;
  {
    using outer = device.arena();
    {
      using inner = device.arena();
      kept = inner.keep(device.tensor([5]));
    }
    assert.deepEqual([...await kept.data()], [5]);
    const sibling = device.tensor([6]);
    {
      using inner = device.arena();
      inner.keep(sibling); // belongs to the outer arena and stays there
    }
    outer.keep(kept);
  }
  assert.deepEqual([...await kept.data()], [5]);
  const { liveBytes } = device.stats;
  kept.dispose();
  kept.dispose();
  assert.ok(device.stats.liveBytes < liveBytes);
});

test("arena: closing an outer arena closes those inside it", async () => {
  const device = cpu();
  const outer = device.arena();
  const inner = device.arena();
  const born = device.tensor([1]);
  outer[Symbol.dispose]();
  await assert.rejects(born.data(), { name: "DisposedError" });
  inner[Symbol.dispose]();
  const later = device.tensor([2]);
  assert.deepEqual([...await later.data()], [2]);
});

for (const { name, skip, open } of testDevices) {
  test(`arena: memory stays flat over 1,000 eager steps on ${name}`, { skip }, async () => {
    const device = await open();
    using _all = device.arena();
    const weights = device.tensor(new Float64Array(300).fill(1));
    const step = (i: number): void => {
      using _scope = device.arena();
      let x = device.tensor(new Float64Array(300).fill(i));
      for (let layer = 0; layer < 4; layer++) x = affine(x, 0.5, layer);
      affine(weights, i);
      device.tensor([i]).dispose();
    };
    for (let i = 0; i < 3; i++) step(i);
    await weights.data();
    const { liveBytes, heldBytes } = device.stats;
    for (let i = 0; i < 1000; i++) step(i);
    await weights.data();
    assert.equal(device.stats.liveBytes, liveBytes);
    assert.equal(device.stats.heldBytes, heldBytes);
  });
}
